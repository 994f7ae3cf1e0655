//! What held requests cost the gate: cert-manager tries each again and again, and each try is refused.

use std::{fs, time::Duration};

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
/// How long is measured.
const WINDOW: Duration = Duration::from_secs(60);
/// cert-manager's longest wait before it tries the same request again
/// (`DefaultItemBasedRateLimiter`, 5 s doubling to 5 min).
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// What cert-manager writes a second at most by default (`--kube-api-qps`); the lab's may write 200.
const WRITES: f64 = 20.0;
/// How long all requests may take to be held.
const SETTLED: Duration = Duration::from_secs(900);

/// What the gate has done and spent so far.
struct Spent {
    refused: f64,
    webhook: Duration,
    controller: Duration,
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
    let begin = spent(lab, &cluster.app).await?;
    tokio::time::sleep(WINDOW).await;
    let end = spent(lab, &cluster.app).await?;
    ensure!(lab.pebble().orders()? == 0, "held costs no order");
    let refused = end.refused - begin.refused;
    ensure!(refused >= 1.0, "cert-manager tried none of them again");
    let webhook = (end.webhook - begin.webhook).as_secs_f64();
    let controller = (end.controller - begin.controller).as_secs_f64();
    let window = WINDOW.as_secs_f64();
    let each = webhook / refused;
    let steady = options.held as f64 / LONGEST_WAIT.as_secs_f64();
    Ok(format!(
        "{} held requests, cert-manager 1.21.2 with its own approver on, over {window:.0} s while they are new and its \
         waits short. Here it may write 200 times a second, by default {WRITES}.\n\n\
         | | |\n|---|---|\n\
         | refusals a second | {:.1} |\n\
         | webhooks' CPU, % of a core (all replicas) | {:.2} |\n\
         | webhooks' CPU for each refusal | {:.0} µs |\n\
         | controllers' CPU, % of a core (all replicas; DNS checks included) | {:.2} |\n\
         | webhooks' CPU at {WRITES} tries a second, % of a core | {:.2} |\n\
         | webhooks' CPU when each is tried every {} s, cert-manager's longest wait, % of a core | {:.2} |\n",
        options.held,
        refused / window,
        100.0 * webhook / window,
        1e6 * each,
        100.0 * controller / window,
        100.0 * WRITES * each,
        LONGEST_WAIT.as_secs(),
        100.0 * steady * each,
    ))
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
