//! As much of an API server as the webhook's watches need, with any number of Domains in it.

use std::{
    convert::Infallible,
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Result;
use bytes::Bytes;
use futures::stream;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::bodies::{HOSTS, NAMESPACE};

/// The stand-in.
pub struct ApiServer {
    address: SocketAddr,
}

/// What it holds.
struct Objects {
    domains: usize,
    ca_pem: String,
}

// === impl ApiServer ===

impl ApiServer {
    /// Serves the verified hosts of the reviews and `domains` others, and a
    /// configuration that publishes `ca_pem`.
    pub async fn start(domains: usize, ca_pem: &str) -> Result<Self> {
        let socket = TcpListener::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let objects = Arc::new(Objects { domains, ca_pem: ca_pem.to_owned() });
        tokio::spawn(async move {
            while let Ok((stream, _)) = socket.accept().await {
                let objects = Arc::clone(&objects);
                let service = service_fn(move |request| {
                    let response = objects.answer(&request);
                    async move { Ok::<_, Infallible>(response) }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Ok(Self { address })
    }

    /// A kubeconfig that leads here.
    pub fn kubeconfig(&self, folder: &Path) -> Result<PathBuf> {
        let path = folder.join("kubeconfig.json");
        let config = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {}}],
        });
        fs::write(&path, config.to_string())?;
        Ok(path)
    }
}

// === impl Objects ===

impl Objects {
    fn answer(&self, request: &Request<Incoming>) -> Response<BoxBody<Bytes, Infallible>> {
        let query = request.uri().query().unwrap_or_default();
        let parameter = |name: &str| query.split('&').filter_map(|pair| pair.split_once('=')).find(|(k, _)| *k == name);
        if parameter("watch").is_some() {
            // Nothing ever changes.
            let silence = stream::pending::<Result<Frame<Bytes>, Infallible>>();
            return Response::new(BoxBody::new(StreamBody::new(silence)));
        }
        let number = |name| parameter(name).and_then(|(_, value)| value.parse::<usize>().ok());
        let list = match request.uri().path().rsplit('/').next() {
            Some("domains") => self.domains(number("continue").unwrap_or(0), number("limit").unwrap_or(500)),
            Some("namespaces") => list("PartialObjectMetadataList", "meta.k8s.io/v1", Self::namespaces(), None),
            Some("mutatingwebhookconfigurations") => list(
                "MutatingWebhookConfigurationList",
                "admissionregistration.k8s.io/v1",
                vec![self.configuration()],
                None,
            ),
            _ => json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 404, "reason": "NotFound"}),
        };
        let mut response = Response::new(Full::new(Bytes::from(list.to_string())).boxed());
        response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
        response
    }

    fn domains(&self, from: usize, limit: usize) -> Value {
        let total = HOSTS.len() + self.domains;
        let end = (from + limit).min(total);
        let items = (from..end).map(|n| match HOSTS.get(n) {
            Some(host) => domain(NAMESPACE, host, true),
            None => domain(&format!("team-{}", n / 20), &format!("www.shop-{n}.example.com"), n % 4 != 0),
        });
        let next = (end < total).then(|| end.to_string());
        list("DomainList", "certgate.dev/v1alpha1", items.collect(), next)
    }

    fn namespaces() -> Vec<Value> {
        (0..200).map(|n| json!({"metadata": {"name": format!("team-{n}"), "labels": {"kubernetes.io/metadata.name": format!("team-{n}")}}})).collect()
    }

    fn configuration(&self) -> Value {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        json!({
            "metadata": {"name": "certgate"},
            "webhooks": [{
                "name": "ingress.certgate.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
                "clientConfig": {"service": {"name": "certgate-webhook", "namespace": "certgate-system"},
                                 "caBundle": STANDARD.encode(&self.ca_pem)},
            }],
        })
    }
}

fn list(kind: &str, api_version: &str, items: Vec<Value>, next: Option<String>) -> Value {
    json!({"kind": kind, "apiVersion": api_version, "metadata": {"resourceVersion": "1", "continue": next.unwrap_or_default()}, "items": items})
}

/// A Domain as the controller leaves it, with all that a real one carries.
fn domain(namespace: &str, host: &str, good: bool) -> Value {
    let time = "2026-11-24T12:00:00Z";
    let condition = |kind: &str, status: bool, reason: &str| {
        json!({"type": kind, "status": if status { "True" } else { "False" }, "reason": reason, "lastTransitionTime": time,
               "message": format!("{host} points to 198.51.100.9, not to this platform; the domain's owner must set an A record to 203.0.113.7")})
    };
    let reason = if good { "Verified" } else { "WrongTarget" };
    json!({
        "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {
            "name": host, "namespace": namespace, "uid": "9c3b1c9e-1111-4f2e-8a3a-0123456789ab", "resourceVersion": "1",
            "creationTimestamp": time, "generation": 1, "labels": {"app.kubernetes.io/managed-by": "certgate"},
            "managedFields": [{"manager": "certgate", "operation": "Update", "apiVersion": "certgate.dev/v1alpha1", "time": time,
                "fieldsType": "FieldsV1", "fieldsV1": {"f:spec": {"f:host": {}}, "f:status": {"f:conditions": {}, "f:verdict": {}, "f:observed": {}}}}],
        },
        "spec": {"host": host},
        "status": {
            "conditions": [condition("Verified", good, reason), condition("Issued", good, "Issued"), condition("Ready", good, reason)],
            "message": "a sentence", "whoActs": if good { "nobody" } else { "domain-owner" },
            "observed": ["198.51.100.9"], "required": ["203.0.113.7"],
            "verdict": {"reason": reason, "subject": host, "issuer": {"name": "le"}, "validUntil": "2099-01-01T00:00:00Z"},
            "lastCheckTime": time, "nextCheckTime": time, "released": good, "profile": "standard",
            "certificate": if good { json!({"name": format!("certgate-{host}"), "secretName": format!("certgate-{host}"), "notAfter": time}) } else { Value::Null },
        },
    })
}
