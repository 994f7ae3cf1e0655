//! What held requests cost the gate: cert-manager tries each again and again, and each try is refused.

use std::{
    fs,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use certgate_lab::{App, Lab, LabOptions};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, PostParams},
};
use serde_json::json;

use super::{Options, cluster::Cluster};

const NAMESPACE: &str = "held";
const ISSUER: &str = "pebble-fast";
const REFUSED: &str = r#"certgate_admission_reviews_total{outcome="refused"}"#;
/// Objects made side by side.
const WRITERS: usize = 16;
/// How long is measured while the requests are new.
const NEW: Duration = Duration::from_secs(60);
/// cert-manager's longest wait before it tries the same request again
/// (`DefaultItemBasedRateLimiter`, 5 s doubling to 5 min). Its tries come in waves, so this long is measured.
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// After how many tries of a request it waits that long.
const TRIES: f64 = 7.0;
/// How long that may take: the waits make six minutes, and at first it has too much to do to keep to them.
const GROWN: Duration = Duration::from_secs(1200);
/// How long all requests may take to be held.
const SETTLED: Duration = Duration::from_secs(900);

/// What the gate has done and spent so far.
struct Spent {
    refused: f64,
    webhook: Duration,
    controller: Duration,
}

/// How long is measured with nobody trying.
const IDLE: Duration = Duration::from_secs(45);

/// The same for each second of a while.
struct Window {
    refused: f64,
    webhook: f64,
    controller: f64,
}

pub async fn measure(options: &Options) -> Result<String> {
    let lab_options = LabOptions { audit_log: false, ..LabOptions::default() };
    let policy = |policy: &mut serde_json::Value| {
        policy["gate"] = json!({"mode": "all"});
        // As it is by default: this is about cert-manager's retries, not about looking every second.
        policy["dns"]["minRecheckSeconds"] = json!(15);
    };
    let cluster = Cluster::install(lab_options, ISSUER, policy, |chart| chart.env("RUST_LOG", "info")).await?;
    let lab = &cluster.lab;
    lab.dns().set_negative_ttl(300, 300);
    lab.namespace(NAMESPACE).await?;
    create(lab, options.held).await?;
    eprintln!("{} requests created", options.held);
    let domains: Api<certgate::api::domain::Domain> = Api::namespaced(lab.client().await?, NAMESPACE);
    lab.wait_for("every request is held", SETTLED, async || {
        let held = domains.list(&ListParams::default()).await?.items;
        let looked = |one: &&certgate::api::domain::Domain| one.status.as_ref().is_some_and(|s| s.verdict.is_some());
        let held = held.iter().filter(looked).count();
        ensure!(held == options.held, "{held}");
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(Some(()))
    })
    .await?;
    eprintln!("all held");
    let new = window(lab, &cluster.app, NEW).await?;
    lab.wait_for("each request is tried as seldom as it gets", GROWN, async || {
        let tries = spent(lab, &cluster.app).await?.refused / options.held as f64;
        ensure!(tries >= TRIES, "tried {tries:.1} times each");
        Ok(Some(()))
    })
    .await?;
    eprintln!("each tried {TRIES} times");
    let grown = window(lab, &cluster.app, LONGEST_WAIT).await?;
    // What is left is what 10,000 Domains cost the webhooks that watch them.
    signal(lab, "STOP")?;
    let idle = window(lab, &cluster.app, IDLE).await?;
    signal(lab, "CONT")?;
    ensure!(new.refused > 0.0 && grown.refused > 0.0, "cert-manager tried none of them again");
    ensure!(lab.pebble().orders()? == 0, "held costs no order");
    let tries = grown.webhook - idle.webhook;
    let row = |what: &str, figure: &dyn Fn(&Window) -> f64, digits: usize| {
        format!("| {what} | {:.digits$} | {:.digits$} | {:.digits$} |\n", figure(&new), figure(&grown), figure(&idle))
    };
    Ok(format!(
        "{} held requests, cert-manager 1.21.2 with its own approver on: over {} s while the requests are new and its \
         waits short (it may write 200 times a second here, by default 20), and over {} s once each waits that long, as \
         it stays; then over {} s with cert-manager stopped, so that nobody tries. CPU time as the kernel counts it for \
         the processes; all replicas together.\n\n\
         | | new | as they stay | nobody tries |\n|---|---|---|---|\n{}{}{}\n\
         So the tries cost the webhooks {:.2} % of a core, {:.0} µs for each refusal.\n",
        options.held,
        NEW.as_secs(),
        LONGEST_WAIT.as_secs(),
        IDLE.as_secs(),
        row("refusals a second", &|one| one.refused, 1),
        row("webhooks' CPU, % of a core", &|one| 100.0 * one.webhook, 2),
        row("controllers' CPU, % of a core (DNS checks included)", &|one| 100.0 * one.controller, 2),
        100.0 * tries,
        1e6 * tries / grown.refused,
    ))
}

/// Stops cert-manager, or lets it go on.
fn signal(lab: &Lab, signal: &str) -> Result<()> {
    let running = lab.processes().running();
    for (_, pid) in running.iter().filter(|(name, _)| name.contains("cert-manager")) {
        let sent = Command::new("kill").arg(format!("-{signal}")).arg(pid.to_string()).status()?;
        ensure!(sent.success(), "{signal} to {pid}");
    }
    Ok(())
}

/// What is done and spent a second.
async fn window(lab: &Lab, app: &App, length: Duration) -> Result<Window> {
    let (begin, clock) = (spent(lab, app).await?, Instant::now());
    tokio::time::sleep(length).await;
    let (end, seconds) = (spent(lab, app).await?, clock.elapsed().as_secs_f64());
    Ok(Window {
        refused: (end.refused - begin.refused) / seconds,
        webhook: (end.webhook - begin.webhook).as_secs_f64() / seconds,
        controller: (end.controller - begin.controller).as_secs_f64() / seconds,
    })
}

/// Requests that no Certificate made, each for a host of its own that is not in DNS.
async fn create(lab: &Lab, count: usize) -> Result<()> {
    let key = rcgen::KeyPair::generate()?;
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest");
    let kind = ApiResource::from_gvk_with_plural(&kind, "certificaterequests");
    let api: Api<DynamicObject> = Api::namespaced_with(lab.client().await?, NAMESPACE, &kind);
    let made = stream::iter(0..count).map(|n| {
        let (api, key) = (&api, &key);
        async move {
            let host = format!("held{n}.example.com");
            let mut params = rcgen::CertificateParams::new(vec![host.clone()])?;
            params.distinguished_name = rcgen::DistinguishedName::new();
            let pem = params.serialize_request(key)?.pem()?;
            let request = base64::engine::general_purpose::STANDARD.encode(pem);
            let object: DynamicObject = serde_json::from_value(json!({"apiVersion": "cert-manager.io/v1",
                "kind": "CertificateRequest", "metadata": {"name": host, "namespace": NAMESPACE},
                "spec": {"request": request, "issuerRef": {"kind": "ClusterIssuer", "name": ISSUER}}}))?;
            api.create(&PostParams::default(), &object).await?;
            Ok::<(), anyhow::Error>(())
        }
    });
    made.buffer_unordered(WRITERS).try_collect::<()>().await
}

async fn spent(lab: &Lab, app: &App) -> Result<Spent> {
    let (mut webhook, mut controller, mut refused) = (Duration::ZERO, Duration::ZERO, 0.0);
    for (name, pid) in lab.processes().running() {
        if name.contains("certgate-webhook") {
            webhook += cpu(pid)?;
        } else if name.contains("certgate-controller") {
            controller += cpu(pid)?;
        }
    }
    for replica in app.replicas_of("certgate-webhook") {
        refused += app.metric(&replica, REFUSED).await?;
    }
    ensure!(webhook > Duration::ZERO && controller > Duration::ZERO, "no process of certgate's is found");
    Ok(Spent { refused, webhook, controller })
}

/// CPU time spent so far by all threads, in the scheduler's own nanoseconds.
fn cpu(pid: u32) -> Result<Duration> {
    let mut spent = 0;
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        // A thread may end meanwhile.
        let Ok(schedstat) = fs::read_to_string(task?.path().join("schedstat")) else { continue };
        spent += schedstat.split(' ').next().and_then(|field| field.parse::<u64>().ok()).context("schedstat")?;
    }
    Ok(Duration::from_nanos(spent))
}
