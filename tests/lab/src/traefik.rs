//! Traefik as the gateway on ports 80 and 443.

use std::time::Duration;

use anyhow::Result;
use serde_json::json;

use crate::access::{ADMIN_TOKEN, API_PORT};
use crate::objects::Objects;
use crate::process::Program;
use crate::site::Site;

pub(crate) const NAME: &str = "traefik";
const READY_WITHIN: Duration = Duration::from_secs(90);

/// Starts it for Ingresses of one class.
pub(crate) async fn start(site: &Site, objects: &Objects, class: &str) -> Result<()> {
    let manifest = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": class},
        "spec": {"controller": "traefik.io/ingress-controller"},
    });
    objects.apply(manifest).await?;
    let ip = site.address.ip();
    let program = Program::new(NAME, site.parts.program("traefik")?)
        .args([
            "--global.checknewversion=false".to_owned(),
            "--global.sendanonymoususage=false".to_owned(),
            format!("--entrypoints.web.address={ip}:80"),
            format!("--entrypoints.websecure.address={ip}:443"),
            "--entrypoints.websecure.http.tls=true".to_owned(),
            "--providers.kubernetesingress=true".to_owned(),
            format!("--providers.kubernetesingress.ingressclass={class}"),
            format!("--providers.kubernetesingress.endpoint=https://{ip}:{API_PORT}"),
            format!("--providers.kubernetesingress.token={ADMIN_TOKEN}"),
            format!("--providers.kubernetesingress.certauthfilepath={}", site.path("pki/ca.crt")),
            // Cluster IPs answer in a lab, endpoints do not exist.
            "--providers.kubernetesingress.nativelbbydefault=true".to_owned(),
            "--providers.providersthrottleduration=100ms".to_owned(),
            "--log.level=INFO".to_owned(),
            "--accesslog=true".to_owned(),
        ])
        .env("KUBECONFIG", site.kubeconfig());
    site.processes.start(program)
}

/// Waits until it listens; what it answers depends on the Ingresses.
pub(crate) async fn wait_ready(site: &Site) -> Result<()> {
    let probe = async || Ok(tokio::net::TcpStream::connect(site.socket(80)).await.is_ok());
    site.processes.wait_ready(NAME, READY_WITHIN, probe).await
}
