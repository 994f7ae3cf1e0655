//! Requests to the API server as somebody, with the answer in full: status, message and warnings.

use anyhow::{Context, Result};
use certgate_lab::{Identity, Lab};
use kube::{Client, client::Body};
use serde_json::{Value, json};

/// Everybody who asks is of this group, which has all rights: what is refused, a policy refuses.
pub(crate) const EVERYBODY: &str = "lab:everybody";

/// Who asks.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Who {
    /// An application's developer with all rights.
    Tenant,
    /// certgate's controller, of the release that is meant for the namespace.
    Controller,
    /// certgate's webhook.
    Webhook,
    /// cert-manager's controller.
    CertManager,
    /// A user whom the values exempt.
    GitOps,
    /// The garbage collector.
    GarbageCollector,
    /// An administrator (system:masters).
    Admin,
}

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) enum Ask {
    /// Make an object.
    Create(Value),
    /// Change one that is there, by a merge patch: API version, resource, name (and subresource), change.
    Change(&'static str, &'static str, &'static str, Value),
    /// Delete one that is there.
    Delete(&'static str, &'static str, &'static str),
}

/// What the API server said.
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// Why not.
    pub(crate) message: String,
    /// Warnings, in order.
    pub(crate) warnings: Vec<String>,
    /// The object as it would be.
    pub(crate) object: Value,
}

/// Asks with a connection for each of those who ask.
pub(crate) struct Asker {
    clients: Vec<(Who, &'static str, Client)>,
}

/// The binding that gives everybody all rights.
pub(crate) fn all_rights() -> Value {
    json!({
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": { "name": "everybody" },
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
        "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": EVERYBODY }],
    })
}

// === impl Who ===

impl Who {
    fn identity(&self, mode: &str) -> Identity {
        let account = |namespace: &str, name: &str| {
            (
                format!("system:serviceaccount:{namespace}:{name}"),
                vec!["system:serviceaccounts".to_owned(), format!("system:serviceaccounts:{namespace}")],
            )
        };
        let (user, mut groups) = match self {
            Self::Tenant => ("developer".to_owned(), vec!["developers".to_owned()]),
            Self::Controller => account("certgate-system", &format!("certgate-{mode}-controller")),
            Self::Webhook => account("certgate-system", &format!("certgate-{mode}-webhook")),
            Self::CertManager => account("cert-manager", "cert-manager"),
            Self::GitOps => ("gitops".to_owned(), Vec::new()),
            Self::GarbageCollector => account("kube-system", "generic-garbage-collector"),
            Self::Admin => return Identity::Admin,
        };
        groups.push(EVERYBODY.to_owned());
        Identity::User(user, groups)
    }
}

// === impl Asker ===

impl Asker {
    pub(crate) async fn new(lab: &Lab) -> Result<Self> {
        let mut clients = Vec::new();
        for mode in super::MODES {
            for who in [
                Who::Tenant,
                Who::Controller,
                Who::Webhook,
                Who::CertManager,
                Who::GitOps,
                Who::GarbageCollector,
                Who::Admin,
            ] {
                let client = lab.client_as(&who.identity(mode)).await?;
                clients.push((who, mode, client));
            }
        }
        Ok(Self { clients })
    }

    /// Asks in a namespace, as a dry run: nothing is left of it.
    pub(crate) async fn ask(&self, who: &Who, ask: &Ask, namespace: &str) -> Result<Answer> {
        let (_, _, client) = (self.clients.iter())
            .find(|(of, mode, _)| of == who && (*mode == namespace || !super::MODES.contains(&namespace)))
            .context("a client")?;
        let group = |version: &str| match version.contains('/') {
            true => format!("/apis/{version}"),
            false => format!("/api/{version}"),
        };
        let (method, path, kind, body) = match ask {
            Ask::Create(object) => {
                let version = object["apiVersion"].as_str().context("an API version")?;
                let kind = object["kind"].as_str().context("a kind")?.to_lowercase();
                let plural = match kind.as_str() {
                    "ingress" => "ingresses".to_owned(),
                    "verifiedhosts" => kind,
                    _ => format!("{kind}s"),
                };
                let mut object = object.clone();
                object["metadata"]["namespace"] = json!(namespace);
                ("POST", format!("{}/namespaces/{namespace}/{plural}", group(version)), "application/json", object)
            }
            Ask::Change(version, resource, name, change) => {
                let path = format!("{}/namespaces/{namespace}/{resource}/{name}", group(version));
                ("PATCH", path, "application/merge-patch+json", change.clone())
            }
            Ask::Delete(version, resource, name) => {
                let path = format!("{}/namespaces/{namespace}/{resource}/{name}", group(version));
                (
                    "DELETE",
                    path,
                    "application/json",
                    json!({ "apiVersion": "v1", "kind": "DeleteOptions", "dryRun": ["All"] }),
                )
            }
        };
        let request = http::Request::builder()
            .method(method)
            .uri(format!("{path}?dryRun=All"))
            .header(http::header::CONTENT_TYPE, kind)
            .body(Body::from(serde_json::to_vec(&body)?))?;
        let response = client.send(request).await?;
        let status = response.status().as_u16();
        let warnings = response
            .headers()
            .get_all(http::header::WARNING)
            .iter()
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .collect();
        let bytes = response.into_body().collect_bytes().await?;
        let object: Value = serde_json::from_slice(&bytes)
            .with_context(|| format!("{method} {path}: {status} {}", String::from_utf8_lossy(&bytes)))?;
        let message = object["message"].as_str().unwrap_or_default().to_owned();
        Ok(Answer { status, message, warnings, object })
    }
}
