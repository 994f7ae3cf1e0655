//! How a lab comes up: whatever need not wait starts at once.

use std::net::IpAddr;
use std::sync::atomic::AtomicU8;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use anyhow::{Context, Result};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::options::{Gateway, INGRESS_CLASS, LabOptions};
use super::{Core, FIRST_REPLICA, Lab, run_on};
use crate::access::Identity;
use crate::address::LabAddress;
use crate::apisix::{self, AdminStore};
use crate::cert_manager::{self, CertManager, install_definitions, wait_for_condition};
use crate::dns::DnsServer;
use crate::gateway::{self, Ingresses, RequestLog};
use crate::objects::Objects;
use crate::parts::Parts;
use crate::pebble::{self, Pebble};
use crate::service_ips::{Claimed, serve_all};
use crate::site::Site;
use crate::view::ClusterView;
use crate::{control_plane, traefik};

/// A runtime that a task can drop.
struct OwnedRuntime(Option<Runtime>);

impl Drop for OwnedRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

pub(super) async fn start(options: LabOptions) -> Result<Lab> {
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_name("lab").enable_all().build()?;
    let mut runtime = OwnedRuntime(Some(runtime));
    let handle = runtime.0.as_ref().context("no runtime")?.handle().clone();
    let parts = options.parts();
    let parts = handle.spawn_blocking(move || Parts::ensure(&parts)).await??;

    let begun = Instant::now();
    let site = Site::prepare(LabAddress::take()?, parts)?;
    let dns = DnsServer::start(IpAddr::V4(site.address.ip()), 53)?;
    let domain = site.address.domain();
    dns.zone(&domain, &[(&format!("ns.{domain}"), IpAddr::V4(site.address.ip()))]);
    control_plane::start(&site, &options.apiserver_args, options.audit_log)?;
    if options.cert_manager.is_some() {
        pebble::start(&site, &options.pebble)?;
    }
    options.progress.tell(begun.elapsed(), &format!("lab {} on {}", site.address.number(), site.address.ip()));

    let core = run_on(&handle, async move || bring_up(site, options, begun).await).await?;
    Ok(Lab { core, dns, runtime: runtime.0.take() })
}

/// Everything after the first programs are started.
async fn bring_up(site: Site, options: LabOptions, begun: Instant) -> Result<Arc<Core>> {
    let told = |what: &str| options.progress.tell(begun.elapsed(), what);
    // A megabyte of YAML is read while the API server starts.
    let definitions = options.cert_manager.map(|version| {
        let parts = site.parts.clone();
        tokio::task::spawn_blocking(move || parts.crds(version.part()))
    });
    control_plane::wait_ready(&site).await?;
    told("kube-apiserver is ready");
    control_plane::start_controllers(&site, &options.controller_manager_args)?;
    let objects = Objects::new(site.access.client(&Identity::Admin).await?);
    let mut tasks = JoinSet::new();
    let requests = RequestLog::default();
    let claimed = Claimed::default();
    let admin = AdminStore::default();

    let gateway = async {
        match options.gateway {
            Gateway::None => {}
            Gateway::Builtin => {
                let view = ClusterView::start(objects.client(), &mut tasks).await?;
                let plane = Arc::new(Ingresses(view));
                gateway::start(IpAddr::V4(site.address.ip()), plane, &requests, &mut tasks).await?;
            }
            Gateway::Traefik => {
                let view = ClusterView::start(objects.client(), &mut tasks).await?;
                tasks.spawn(serve_all(view, requests.clone(), claimed.clone()));
                traefik::start(&site, &objects, INGRESS_CLASS).await?;
                traefik::wait_ready(&site).await?;
            }
            Gateway::Apisix => {
                let view = ClusterView::start(objects.client(), &mut tasks).await?;
                apisix::start(&site, &objects, &view, &admin, &requests, &mut tasks).await?;
            }
        }
        told("the gateway is ready");
        anyhow::Ok(())
    };
    let certificates = async {
        if let (Some(version), Some(definitions)) = (options.cert_manager, definitions) {
            install_definitions(&objects, definitions.await??).await?;
            told("cert-manager's definitions are served");
            start_cert_manager(version, &site, &objects, &options).await?;
            told("the issuers are ready");
        }
        anyhow::Ok(())
    };
    tokio::try_join!(gateway, certificates)?;
    told("the lab is ready");
    Ok(Arc::new(Core {
        site,
        objects,
        claimed,
        admin,
        requests,
        tasks: Mutex::new(tasks),
        next_replica: AtomicU8::new(FIRST_REPLICA),
        handle: tokio::runtime::Handle::current(),
    }))
}

async fn start_cert_manager(version: CertManager, site: &Site, objects: &Objects, options: &LabOptions) -> Result<()> {
    version.start(site, &options.cert_manager_args)?;
    pebble::wait_ready(site).await?;
    let issuers = version.issuers(&Pebble { site }, &options.solver(), options.gateway.pause_before_challenge());
    let ready = issuers.into_iter().map(async |issuer| {
        for issuer in objects.apply(issuer).await? {
            wait_for_condition(objects, &issuer, "Ready").await?;
        }
        anyhow::Ok(())
    });
    futures::future::try_join_all(ready).await.context("the issuers of the lab")?;
    cert_manager::wait_ready(site).await
}
