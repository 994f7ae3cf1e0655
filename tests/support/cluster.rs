//! A lab with certgate installed from its chart, shared by the tests of one binary.

#![allow(missing_docs, reason = "a test binary has no public")]
#![allow(clippy::indexing_slicing, reason = "a test may end by panicking")]

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result};
use certgate::api::domain::Domain;
use certgate_lab::{App, Chart, Lab, LabOptions, certgate as installed};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

/// How long steps may take that wait for cert-manager, the CA or a gateway.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How long steps may take that wait for certgate alone.
pub(crate) const SOON: Duration = Duration::from_secs(60);

/// A lab with certgate in it.
pub(crate) struct Cluster {
    pub(crate) lab: Lab,
    pub(crate) app: App,
}

/// The `certgate` program under test.
pub(crate) fn program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_certgate"))
}

impl Cluster {
    /// Starts a lab and installs certgate. `policy` changes the lab's policy.
    pub(crate) async fn start(options: LabOptions, issuer: &str, policy: impl FnOnce(&mut Value)) -> Result<Self> {
        Self::install(options, issuer, policy, |chart| chart).await
    }

    /// The same, with more values of the chart.
    pub(crate) async fn install(
        options: LabOptions,
        issuer: &str,
        policy: impl FnOnce(&mut Value),
        values: impl FnOnce(Chart) -> Chart,
    ) -> Result<Self> {
        let lab = Lab::start(LabOptions { audit_log: true, ..options }).await?;
        lab.dns().set_negative_ttl(1, 1);
        let mut settings = installed::policy(&lab, issuer);
        policy(&mut settings);
        let app = installed::install(&lab, values(installed::chart(program(), &settings))).await?;
        Ok(Self { lab, app })
    }

    /// The cluster that all tests of a binary share.
    pub(crate) async fn shared(
        cell: &'static OnceCell<Self>,
        options: LabOptions,
        issuer: &str,
    ) -> Result<&'static Self> {
        cell.get_or_try_init(|| Self::start(options, issuer, |_| {})).await
    }

    /// A namespace for one test, with the Service that its Ingresses lead to.
    pub(crate) async fn team(&'static self, name: &str) -> Result<Team<'static>> {
        Team::new(&self.lab, name).await
    }
}

/// One test's namespace.
pub(crate) struct Team<'l> {
    pub(crate) lab: &'l Lab,
    pub(crate) client: Client,
    pub(crate) name: String,
}

fn kind(group: &str, version: &str, kind: &str, plural: &str) -> ApiResource {
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural)
}

/// A plain Ingress of the class that the lab's gateways serve.
pub(crate) fn plain(name: &str, hosts: &[&str]) -> Value {
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    let rules: Vec<Value> = hosts
        .iter()
        .map(|host| json!({"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}))
        .collect();
    json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name},
        "spec": {"ingressClassName": "lab", "rules": rules}})
}

/// An Ingress of Rainbond 5's shape.
pub(crate) fn rainbond(name: &str, host: &str, path: &str) -> Value {
    let mut object = plain(name, &[host]);
    object["metadata"]["labels"] =
        json!({"creator": "Rainbond", "service_id": "s1", "creater_id": "1", "app_id": "a1"});
    object["spec"]["rules"][0]["http"]["paths"][0]["path"] = json!(path);
    object["spec"].as_object_mut().map(|spec| spec.remove("ingressClassName"));
    object
}

impl<'l> Team<'l> {
    /// Makes the namespace.
    pub(crate) async fn new(lab: &'l Lab, name: &str) -> Result<Self> {
        lab.namespace(name).await?;
        lab.apply_value(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": name},
            "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}}))
            .await?;
        Ok(Self { lab, client: lab.client().await?, name: name.to_owned() })
    }

    pub(crate) fn ingresses(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.client.clone(), &self.name, &kind("networking.k8s.io", "v1", "Ingress", "ingresses"))
    }

    pub(crate) fn certificates(&self) -> Api<DynamicObject> {
        Api::namespaced_with(
            self.client.clone(),
            &self.name,
            &kind("cert-manager.io", "v1", "Certificate", "certificates"),
        )
    }

    pub(crate) fn secrets(&self) -> Api<k8s_openapi::api::core::v1::Secret> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    pub(crate) fn domains(&self) -> Api<Domain> {
        Api::namespaced(self.client.clone(), &self.name)
    }

    /// POSTs an Ingress.
    pub(crate) async fn create(&self, object: Value) -> Result<DynamicObject> {
        Ok(self.ingresses().create(&PostParams::default(), &serde_json::from_value(object)?).await?)
    }

    /// PUTs an Ingress without a resourceVersion, as Rainbond does.
    pub(crate) async fn replace(&self, object: Value) -> Result<DynamicObject> {
        let object: DynamicObject = serde_json::from_value(object)?;
        let name = object.metadata.name.clone().unwrap_or_default();
        Ok(self.ingresses().replace(&name, &PostParams::default(), &object).await?)
    }

    /// Sets or removes annotations of an Ingress.
    pub(crate) async fn annotate(&self, ingress: &str, annotations: Value) -> Result<()> {
        let patch = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
        self.ingresses().patch(ingress, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// The TLS entries of an Ingress: (hosts, Secret).
    pub(crate) async fn tls(&self, ingress: &str) -> Result<Vec<(Vec<String>, String)>> {
        let object = self.ingresses().get(ingress).await?;
        let entries = object.data.pointer("/spec/tls").and_then(Value::as_array).cloned().unwrap_or_default();
        Ok(entries
            .into_iter()
            .map(|entry| {
                let hosts = entry["hosts"].as_array().into_iter().flatten();
                let hosts = hosts.filter_map(Value::as_str).map(str::to_owned).collect();
                (hosts, entry["secretName"].as_str().unwrap_or_default().to_owned())
            })
            .collect())
    }

    /// Waits until an Ingress has the TLS entry of a host.
    pub(crate) async fn until_injected(&self, ingress: &str, host: &str) -> Result<()> {
        let expected = (vec![host.to_owned()], format!("certgate-{host}"));
        self.lab
            .wait_for(&format!("{ingress} has TLS for {host}"), PATIENCE, async || {
                let tls = self.tls(ingress).await?;
                if tls.contains(&expected) { Ok(Some(())) } else { anyhow::bail!("it has {tls:?}") }
            })
            .await
    }

    /// Waits until a Domain's condition has a status and, where it is given, a reason.
    pub(crate) async fn until_domain(
        &self,
        host: &str,
        condition: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Result<Domain> {
        self.until_domain_named(host, condition, status, reason).await
    }

    /// The same by the Domain's name, which for a wildcard is not the host.
    pub(crate) async fn until_domain_named(
        &self,
        host: &str,
        condition: &str,
        status: &str,
        reason: Option<&str>,
    ) -> Result<Domain> {
        self.lab
            .wait_for(
                &format!("Domain {host} is {condition}={status} {}", reason.unwrap_or("")),
                PATIENCE,
                async || {
                    let domain = self.domains().get(host).await?;
                    let conditions = domain.status.iter().flat_map(|s| &s.conditions);
                    let fits = conditions.clone().any(|c| {
                        c.type_ == condition && c.status == status && reason.is_none_or(|reason| c.reason == reason)
                    });
                    if fits {
                        return Ok(Some(domain));
                    }
                    let state: Vec<_> = conditions.map(|c| format!("{}={} {}", c.type_, c.status, c.reason)).collect();
                    anyhow::bail!("it is {state:?}")
                },
            )
            .await
    }

    /// Waits until the host's own Certificate is Ready, and returns it.
    pub(crate) async fn until_certificate(&self, host: &str) -> Result<DynamicObject> {
        let name = format!("certgate-{host}");
        self.lab
            .wait_for(&format!("Certificate {name} is Ready"), PATIENCE, async || {
                let certificate = self.certificates().get(&name).await?;
                let ready =
                    certgate_lab::story::condition(&certificate, "Ready").is_some_and(|c| c["status"] == "True");
                Ok(ready.then_some(certificate))
            })
            .await
    }

    /// Waits until an object is gone.
    pub(crate) async fn until_gone(&self, api: &Api<DynamicObject>, name: &str) -> Result<()> {
        self.lab
            .wait_for(&format!("{name} is gone"), PATIENCE, async || {
                Ok(api.get_opt(name).await?.is_none().then_some(()))
            })
            .await
    }

    /// Waits until HTTPS answers for the host, and returns the certificate's serial number.
    pub(crate) async fn until_served(&self, host: &str) -> Result<String> {
        let answer = self
            .lab
            .wait_for(&format!("https://{host}/"), PATIENCE, async || self.lab.https_get(host).await.map(Some))
            .await?;
        Ok(answer.leaf.context("no certificate")?.serial)
    }

    /// Orders made for a host so far.
    pub(crate) fn orders(&self, host: &str) -> Result<usize> {
        certgate_lab::orders::made(self.lab, host)
    }
}
