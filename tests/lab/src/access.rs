//! Clients and kubeconfig files for the lab's API server.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};

/// The bearer token of the lab's administrator, of the group system:masters.
pub(crate) const ADMIN_TOKEN: &str = "lab-admin";
pub(crate) const API_PORT: u16 = 6443;
const TOKEN_SECONDS: i64 = 24 * 3600;

/// Who asks the API server.
#[derive(Clone, Debug)]
pub enum Identity {
    /// The administrator, whom nothing is denied.
    Admin,
    /// A user in some groups, by impersonation.
    User(String, Vec<String>),
    /// The holder of a token.
    Token(String),
    /// The holder of a token in a file that may be renewed.
    TokenFile(PathBuf),
}

/// Where the API server is and how to trust it.
#[derive(Clone, Debug)]
pub(crate) struct ClusterAccess {
    server: String,
    ca: String,
    /// The name in its certificate, if not the one that it is dialled by.
    name: Option<String>,
}

impl ClusterAccess {
    pub(crate) fn new(ip: Ipv4Addr, ca: String) -> Self {
        Self { server: format!("https://{ip}:{API_PORT}"), ca, name: None }
    }

    /// The same API server, by way of something at another address.
    pub(crate) fn through(&self, address: SocketAddr) -> Self {
        Self {
            server: format!("https://{address}"),
            name: Some(self.name.clone().unwrap_or_else(|| self.host())),
            ..self.clone()
        }
    }

    fn host(&self) -> String {
        let host = self.server.trim_start_matches("https://");
        host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned()
    }

    /// Where it is.
    pub(crate) fn address(&self) -> Result<SocketAddr> {
        Ok(self.server.trim_start_matches("https://").parse()?)
    }

    fn kubeconfig(&self, identity: &Identity) -> Value {
        let user = match identity {
            Identity::Admin => json!({"token": ADMIN_TOKEN}),
            Identity::User(name, groups) => json!({"token": ADMIN_TOKEN, "as": name, "as-groups": groups}),
            Identity::Token(token) => json!({"token": token}),
            Identity::TokenFile(path) => json!({"tokenFile": path}),
        };
        json!({
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "lab",
            "clusters": [{"name": "lab", "cluster": {
                "server": self.server,
                "tls-server-name": self.name,
                "certificate-authority-data": STANDARD.encode(&self.ca),
            }}],
            "users": [{"name": "lab", "user": user}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
        })
    }

    pub(crate) fn write_kubeconfig(&self, path: &Path, identity: &Identity) -> Result<()> {
        let text = serde_json::to_string_pretty(&self.kubeconfig(identity))?;
        fs::write(path, text).with_context(|| format!("write {}", path.display()))
    }

    pub(crate) async fn client(&self, identity: &Identity) -> Result<Client> {
        let kubeconfig: Kubeconfig = serde_json::from_value(self.kubeconfig(identity))?;
        let config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?;
        Ok(Client::try_from(config)?)
    }
}

/// A token of a service account, which is made when it does not exist: no controller of the lab makes `default` ones.
pub(crate) async fn service_account_token(client: &Client, namespace: &str, name: &str) -> Result<String> {
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    if accounts.get_opt(name).await?.is_none() {
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        accounts.create(&PostParams::default(), &account).await?;
    }
    let request = TokenRequest {
        spec: TokenRequestSpec { expiration_seconds: Some(TOKEN_SECONDS), ..Default::default() },
        ..Default::default()
    };
    let answer = accounts.create_token_request(name, &PostParams::default(), &request).await?;
    Ok(answer.status.context("a TokenRequest without status")?.token)
}
