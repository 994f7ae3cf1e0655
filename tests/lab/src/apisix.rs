//! The gateway of Rainbond 6: the real apisix-ingress-controller, with the lab in the place of APISIX itself.
//!
//! The controller writes routes, upstreams and certificates to APISIX's admin API. Here a recording stand-in takes them,
//! and the lab's gateway answers by them. So a route that the controller fails to write is an outage, as it would be.

mod admin;
mod endpoints;
mod plane;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use serde_json::json;
use tokio::task::JoinSet;

pub use self::admin::{AdminStore, AdminWrite};
use crate::cert_manager::install_definitions;
use crate::gateway::{self, RequestLog, listen};
use crate::objects::Objects;
use crate::parts::Part;
use crate::process::Program;
use crate::site::Site;
use crate::view::ClusterView;

pub(crate) const NAME: &str = "apisix-ingress-controller";
/// What the controller calls `apisix-and-all` without its custom resources: only this class, unclassed ones not.
pub(crate) const INGRESS_CLASS: &str = "apisix";
const ADMIN_PORT: u16 = 9180;
const HEALTH_PORT: u16 = 8080;
const HEALTH_TLS_PORT: u16 = 8443;
const READY_WITHIN: Duration = Duration::from_secs(90);

pub(crate) async fn start(
    site: &Site,
    objects: &Objects,
    view: &ClusterView,
    admin: &AdminStore,
    log: &RequestLog,
    tasks: &mut JoinSet<()>,
) -> Result<()> {
    let ip = IpAddr::V4(site.address.ip());
    install_definitions(objects, site.parts.crds(Part::Apisix)?).await?;
    let class = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": INGRESS_CLASS},
        "spec": {"controller": "apisix.apache.org/apisix-ingress"},
    });
    objects.apply(class).await?;
    tasks.spawn(endpoints::invent(objects.client().clone(), view.clone()));
    tasks.spawn(admin::serve(listen(ip, ADMIN_PORT).await?, admin.clone()));
    let plane = Arc::new(plane::AdminPlane { store: admin.clone(), view: view.clone() });
    gateway::start(ip, plane, log, tasks).await?;
    let program = Program::new(NAME, site.parts.program("apisix-ingress-controller")?)
        .args([
            "ingress".to_owned(),
            format!("--kubeconfig={}", site.kubeconfig().display()),
            format!("--http-listen={}", site.socket(HEALTH_PORT)),
            format!("--https-listen={}", site.socket(HEALTH_TLS_PORT)),
            format!("--default-apisix-cluster-base-url=http://{}/apisix/admin", site.socket(ADMIN_PORT)),
            "--default-apisix-cluster-admin-key=lab".to_owned(),
            "--apisix-admin-api-version=v3".to_owned(),
            "--watch-endpointslices=true".to_owned(),
            "--log-level=info".to_owned(),
        ])
        .env("POD_NAME", "apisix-0")
        .env("POD_NAMESPACE", "default");
    site.processes.start(program)?;
    wait_ready(site).await?;
    site.processes.wait_ready(NAME, READY_WITHIN, async || Ok(admin.was_listed())).await
}

pub(crate) async fn wait_ready(site: &Site) -> Result<()> {
    let probe = async || site.answers(HEALTH_PORT, "/healthz", false, &[]).await;
    site.processes.wait_ready(NAME, READY_WITHIN, probe).await
}
