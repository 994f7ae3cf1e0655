//! One replica: what a kubelet would make of a Pod template.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{
    ConfigMap, Container, EnvVarSource, KeyToPath, PodSpec, Secret, ServiceAccount, Volume,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::{Api, PostParams};
use kube::{Client, ResourceExt};

use super::projection::{self, Files};
use super::rewrite::{Rewriter, expand};
use crate::access::{API_PORT, ClusterAccess, Identity, service_account_token};
use crate::process::Program;
use crate::site::Site;

/// Where containers find the token of their account.
const ACCOUNT_MOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
/// What a process may inherit from the lab's: how to report on itself, never what to do.
const INHERITED: [&str; 2] = ["RUST_BACKTRACE", "LLVM_PROFILE_FILE"];
const TOKEN_SECONDS: i64 = 24 * 3600;

/// A Pod that never reaches the API server.
#[derive(Clone, Debug)]
pub(super) struct Pod {
    pub(super) name: String,
    pub(super) namespace: String,
    pub(super) deployment: String,
    pub(super) ordinal: u32,
    pub(super) labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    pub(super) spec: PodSpec,
    pub(super) ip: Ipv4Addr,
    /// Its way to the API server, if not the lab's.
    pub(super) access: Option<ClusterAccess>,
    directory: PathBuf,
}

/// How to find out whether a container wants connections.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Probe {
    /// It says so with a status from 200 to 399.
    Http { port: u16, path: String, tls: bool },
    /// It accepts connections.
    Tcp { port: u16 },
}

impl Pod {
    pub(super) fn new(site: &Site, deployment: &Deployment, ordinal: u32, ip: Ipv4Addr) -> Result<Self> {
        let template = &deployment.spec.as_ref().context("a Deployment without spec")?.template;
        let name = format!("{}-{ordinal}", deployment.name_any());
        Ok(Self {
            directory: site.directory.join("pods").join(&name),
            namespace: deployment.namespace().context("a Deployment without namespace")?,
            deployment: deployment.name_any(),
            ordinal,
            labels: template.metadata.as_ref().and_then(|m| m.labels.clone()).unwrap_or_default(),
            annotations: template.metadata.as_ref().and_then(|m| m.annotations.clone()).unwrap_or_default(),
            spec: template.spec.clone().context("a Pod template without spec")?,
            name,
            ip,
            access: None,
        })
    }

    /// Whether it comes from the same template.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.spec == other.spec && self.labels == other.labels && self.annotations == other.annotations
    }

    /// The process of a container.
    pub(super) fn process_name(&self, container: &Container) -> String {
        match self.spec.containers.len() {
            1 => self.name.clone(),
            _ => format!("{}.{}", self.name, container.name),
        }
    }

    pub(super) fn grace(&self) -> Duration {
        let seconds = self.spec.termination_grace_period_seconds.unwrap_or(30);
        Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
    }

    /// How long the preStop hook of a container delays SIGTERM. Of commands only `sleep` is understood.
    pub(super) fn pre_stop(container: &Container) -> Duration {
        let hook = container.lifecycle.as_ref().and_then(|l| l.pre_stop.as_ref());
        let seconds = hook.and_then(|hook| match (&hook.sleep, &hook.exec) {
            (Some(sleep), _) => u64::try_from(sleep.seconds).ok(),
            (None, Some(exec)) => match exec.command.as_deref()? {
                [sleep, seconds] if sleep.ends_with("sleep") => seconds.parse().ok(),
                _ => None,
            },
            (None, None) => None,
        });
        Duration::from_secs(seconds.unwrap_or_default())
    }

    fn account(&self) -> &str {
        self.spec.service_account_name.as_deref().unwrap_or("default")
    }

    fn volume_directory(&self, volume: &str) -> PathBuf {
        self.directory.join("volumes").join(volume)
    }

    /// Writes or updates all volumes. Returns whether any changed.
    pub(super) async fn sync_volumes(&self, client: &Client) -> Result<bool> {
        let mut changed = false;
        fs::create_dir_all(&self.directory)?;
        for volume in self.spec.volumes.iter().flatten() {
            let directory = self.volume_directory(&volume.name);
            match self.files(client, volume).await.with_context(|| format!("volume {}", volume.name))? {
                Some(files) => changed |= projection::write(&directory, &files)?,
                None => fs::create_dir_all(&directory)?,
            }
        }
        Ok(changed)
    }

    /// The files of a volume; none for one that starts empty.
    async fn files(&self, client: &Client, volume: &Volume) -> Result<Option<Files>> {
        if let Some(source) = &volume.config_map {
            return Ok(Some(self.config_map(client, &source.name, &source.items, source.optional).await?));
        }
        if let Some(source) = &volume.secret {
            let name = source.secret_name.as_deref().context("a Secret volume without name")?;
            return Ok(Some(self.secret(client, name, &source.items, source.optional).await?));
        }
        if let Some(projected) = &volume.projected {
            let mut files = Files::new();
            for source in projected.sources.iter().flatten() {
                if let Some(source) = &source.config_map {
                    files.extend(self.config_map(client, &source.name, &source.items, source.optional).await?);
                } else if let Some(source) = &source.secret {
                    files.extend(self.secret(client, &source.name, &source.items, source.optional).await?);
                } else if let Some(source) = &source.service_account_token {
                    let old = fs::read(self.volume_directory(&volume.name).join(&source.path)).ok();
                    let token = match old {
                        Some(token) => token,
                        None => self.token(client, source.audience.clone()).await?.into_bytes(),
                    };
                    files.insert(source.path.clone(), token);
                } else {
                    bail!("only ConfigMaps, Secrets and tokens can be projected");
                }
            }
            return Ok(Some(files));
        }
        if volume.empty_dir.is_some() {
            return Ok(None);
        }
        bail!("only configMap, secret, projected and emptyDir volumes are known")
    }

    async fn config_map(
        &self,
        client: &Client,
        name: &str,
        items: &Option<Vec<KeyToPath>>,
        optional: Option<bool>,
    ) -> Result<Files> {
        let api: Api<ConfigMap> = Api::namespaced(client.clone(), &self.namespace);
        let Some(map) = api.get_opt(name).await? else { return absent("ConfigMap", name, optional) };
        let text = map.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
        let binary = map.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
        pick(text.chain(binary).collect(), items, optional)
    }

    async fn secret(
        &self,
        client: &Client,
        name: &str,
        items: &Option<Vec<KeyToPath>>,
        optional: Option<bool>,
    ) -> Result<Files> {
        let api: Api<Secret> = Api::namespaced(client.clone(), &self.namespace);
        let Some(secret) = api.get_opt(name).await? else { return absent("Secret", name, optional) };
        pick(secret.data.unwrap_or_default().into_iter().map(|(key, b)| (key, b.0)).collect(), items, optional)
    }

    async fn token(&self, client: &Client, audience: Option<String>) -> Result<String> {
        let Some(audience) = audience else {
            return service_account_token(client, &self.namespace, self.account()).await;
        };
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &self.namespace);
        let spec = TokenRequestSpec {
            audiences: vec![audience],
            expiration_seconds: Some(TOKEN_SECONDS),
            bound_object_ref: None,
        };
        let request = TokenRequest { spec, ..Default::default() };
        let answer = api.create_token_request(self.account(), &PostParams::default(), &request).await?;
        Ok(answer.status.context("a TokenRequest without status")?.token)
    }

    /// Whether the Pod gets a token without asking for a volume.
    async fn automounts(&self, client: &Client) -> Result<bool> {
        if let Some(own) = self.spec.automount_service_account_token {
            return Ok(own);
        }
        let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &self.namespace);
        let account = api.get_opt(self.account()).await?;
        Ok(account.and_then(|a| a.automount_service_account_token).unwrap_or(true))
    }

    /// The programs of all containers. Volumes have to be written before.
    pub(super) async fn programs(
        &self,
        site: &Site,
        client: &Client,
        path: &Path,
        extra: &[(String, String)],
    ) -> Result<Vec<Program>> {
        let account = self.directory.join("serviceaccount");
        if self.automounts(client).await? {
            let files = [
                ("token", self.token(client, None).await?),
                ("ca.crt", site.authority.clone()),
                ("namespace", self.namespace.clone()),
            ];
            projection::write(&account, &files.map(|(name, text)| (name.to_owned(), text.into_bytes())).into())?;
        }
        let mut programs = Vec::new();
        for container in &self.spec.containers {
            let what = || format!("container {} of {}", container.name, self.name);
            programs.push(self.program(site, client, path, extra, &account, container).await.with_context(what)?);
        }
        Ok(programs)
    }

    async fn program(
        &self,
        site: &Site,
        client: &Client,
        path: &Path,
        extra: &[(String, String)],
        account: &Path,
        container: &Container,
    ) -> Result<Program> {
        let mut mounts = vec![(ACCOUNT_MOUNT.to_owned(), account.to_owned())];
        for mount in container.volume_mounts.iter().flatten() {
            let directory = self.volume_directory(&mount.name).join(mount.sub_path.as_deref().unwrap_or_default());
            mounts.push((mount.mount_path.trim_end_matches('/').to_owned(), directory));
        }
        let rewriter = Rewriter { ip: self.ip, mounts };
        // A container knows how to reach the API server by its token's directory; a process needs a kubeconfig file.
        let token = PathBuf::from(rewriter.value(&format!("{ACCOUNT_MOUNT}/token")));
        let mut environment = vec![
            ("HOSTNAME".to_owned(), self.name.clone()),
            ("KUBERNETES_SERVICE_HOST".to_owned(), site.address.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT".to_owned(), API_PORT.to_string()),
        ];
        if token.exists() {
            let kubeconfig = self.directory.join("kubeconfig");
            let access = self.access.as_ref().unwrap_or(&site.access);
            access.write_kubeconfig(&kubeconfig, &Identity::TokenFile(token))?;
            environment.push(("KUBECONFIG".to_owned(), kubeconfig.display().to_string()));
        }
        for variable in INHERITED {
            environment.extend(std::env::var(variable).ok().map(|value| (variable.to_owned(), value)));
        }
        environment.extend(extra.iter().cloned());
        for variable in container.env.iter().flatten() {
            let value = match (&variable.value, &variable.value_from) {
                (Some(value), _) => rewriter.value(&expand(value, &environment)),
                (None, Some(source)) => match self.sourced(client, source).await? {
                    Some(value) => value,
                    None => continue,
                },
                (None, None) => String::new(),
            };
            environment.push((variable.name.clone(), value));
        }
        // The first word of a command is the image's program, for which ours stands.
        let command = container.command.iter().flatten().skip(1);
        let arguments: Vec<String> = command
            .chain(container.args.iter().flatten())
            .map(|argument| rewriter.argument(&expand(argument, &environment)))
            .collect();
        let mut program = Program::new(self.process_name(container), path).clean_environment().args(arguments);
        for (name, value) in environment {
            program = program.env(name, value);
        }
        Ok(program.current_dir(&self.directory))
    }

    async fn sourced(&self, client: &Client, source: &EnvVarSource) -> Result<Option<String>> {
        if let Some(field) = &source.field_ref {
            let path = field.field_path.as_str();
            let label = path.strip_prefix("metadata.labels['").and_then(|rest| rest.strip_suffix("']"));
            return Ok(Some(match path {
                "metadata.namespace" => self.namespace.clone(),
                "metadata.name" => self.name.clone(),
                "status.podIP" | "status.hostIP" => self.ip.to_string(),
                "spec.serviceAccountName" => self.account().to_owned(),
                "spec.nodeName" => "lab".to_owned(),
                _ => match label {
                    Some(label) => self.labels.get(label).cloned().unwrap_or_default(),
                    None => bail!("the field {path} is not known"),
                },
            }));
        }
        let (files, key, optional) = if let Some(key) = &source.config_map_key_ref {
            (self.config_map(client, &key.name, &None, key.optional).await?, &key.key, key.optional)
        } else if let Some(key) = &source.secret_key_ref {
            (self.secret(client, &key.name, &None, key.optional).await?, &key.key, key.optional)
        } else {
            bail!("only fields, ConfigMaps and Secrets are known as sources of the environment");
        };
        match files.get(key) {
            Some(value) => Ok(Some(String::from_utf8(value.clone())?)),
            None if optional == Some(true) => Ok(None),
            None => Err(anyhow!("no key {key}")),
        }
    }

    /// A port of any container by its name.
    pub(super) fn port(&self, port: &IntOrString) -> Result<u16> {
        match port {
            IntOrString::Int(number) => Ok(u16::try_from(*number)?),
            IntOrString::String(name) => {
                let ports = self.spec.containers.iter().flat_map(|c| c.ports.iter().flatten());
                let named = ports.into_iter().find(|p| p.name.as_deref() == Some(name.as_str()));
                Ok(u16::try_from(named.with_context(|| format!("no container has a port {name}"))?.container_port)?)
            }
        }
    }

    /// The readiness probe of a container, when it has one.
    pub(super) fn probe(&self, container: &Container) -> Result<Option<Probe>> {
        let Some(probe) = &container.readiness_probe else { return Ok(None) };
        if let Some(http) = &probe.http_get {
            return Ok(Some(Probe::Http {
                port: self.port(&http.port)?,
                path: http.path.clone().unwrap_or_else(|| "/".into()),
                tls: http.scheme.as_deref() == Some("HTTPS"),
            }));
        }
        match &probe.tcp_socket {
            Some(tcp) => Ok(Some(Probe::Tcp { port: self.port(&tcp.port)? })),
            None => bail!("only httpGet and tcpSocket probes are known"),
        }
    }
}

fn absent(kind: &str, name: &str, optional: Option<bool>) -> Result<Files> {
    if optional == Some(true) { Ok(Files::new()) } else { Err(anyhow!("there is no {kind} {name}")) }
}

/// The items that a volume wants, under the names that it wants.
fn pick(data: Files, items: &Option<Vec<KeyToPath>>, optional: Option<bool>) -> Result<Files> {
    let Some(items) = items else { return Ok(data) };
    let mut picked = Files::new();
    for item in items {
        match data.get(&item.key) {
            Some(bytes) => {
                picked.insert(item.path.clone(), bytes.clone());
            }
            None if optional == Some(true) => {}
            None => bail!("there is no key {}", item.key),
        }
    }
    Ok(picked)
}
