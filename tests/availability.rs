//! certgate as the chart installs it, two replicas of each role, under 500 writes a second
//! all the while: nothing that is planned, and no crash of the controller, costs a call.
//!
//! `cargo test --test availability -- --nocapture` prints what was written and lost.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    unreachable_pub,
    reason = "helpers of tests fail by panicking, like the tests"
)]

#[path = "serving/by_cert_manager.rs"]
mod by_cert_manager;
#[path = "serving/writers.rs"]
mod writers;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use certgate_lab::{App, Chart, Lab, LabOptions, certgate as installed};
use k8s_openapi::api::{coordination::v1::Lease, core::v1::Secret};
use kube::{Api, Client};
use serde_json::json;
use writers::{Writers, Written, failed_open, is_injected};

const TEAM: &str = "team-a";
const HOST: &str = "www.example.com";
const WITHIN: Duration = Duration::from_secs(90);

fn chart(lab: &Lab, version: &str) -> Chart {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_certgate"));
    installed::chart(program, &installed::policy(lab, "pebble-fast"))
        .values(json!({"controller": {"replicas": 2}, "webhook": {"podAnnotations": {"version": version}}}))
        .env("CERTGATE_LEAF_LIFETIME", "15s")
        .env("CERTGATE_CA_LIFETIME", "60s")
}

/// One real Ingress, so that the host has a Domain that is verified.
async fn bind_host(lab: &Lab, client: &Client) -> Result<()> {
    lab.dns().a(HOST, lab.ip());
    lab.namespace(TEAM).await?;
    let backend = json!({"service": {"name": "web", "port": {"number": 80}}});
    lab.apply_value(json!([
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web", "namespace": TEAM},
         "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "first", "namespace": TEAM},
         "spec": {"ingressClassName": "lab", "rules": [{"host": HOST,
             "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}},
    ]))
    .await?;
    let injected = async || Ok(is_injected(client, TEAM, HOST).await?.then_some(()));
    lab.wait_for("the host is injected", WITHIN, injected).await
}

async fn certificate(client: &Client, secret: &str, key: &str) -> Result<Vec<u8>> {
    let secret = Api::<Secret>::namespaced(client.clone(), installed::NAMESPACE).get(secret).await?;
    Ok(secret.data.context("no data")?.remove(key).context("no such key")?.0)
}

/// Waits for `count` certificates that have not been there before.
async fn until_renewed(client: &Client, secret: &str, key: &str, count: usize) -> Result<()> {
    let start = Instant::now();
    let mut seen = BTreeSet::new();
    while seen.len() <= count {
        ensure!(start.elapsed() < WITHIN, "{secret} {key} has changed {} times only", seen.len().saturating_sub(1));
        seen.insert(certificate(client, secret, key).await?);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    Ok(())
}

async fn leader(client: &Client) -> Result<String> {
    let lease = Api::<Lease>::namespaced(client.clone(), installed::NAMESPACE).get(installed::CONTROLLER).await?;
    lease.spec.and_then(|spec| spec.holder_identity).context("nobody leads")
}

/// What happens meanwhile must not cost a call.
async fn under_writes(client: &Client, what: &str, act: impl AsyncFnOnce() -> Result<()>) -> Result<()> {
    let before = failed_open(client).await?;
    let writers = Writers::start(client, TEAM, HOST);
    let start = Instant::now();
    let acted = act().await;
    let Written { writes, lost, rate, asked } = writers.end().await?;
    acted.context(what.to_owned())?;
    let failed = failed_open(client).await? - before;
    println!(
        "{what}: {writes} writes in {:.1} s ({rate:.0} a second), {lost} not injected, {failed} calls failed open",
        start.elapsed().as_secs_f64()
    );
    ensure!(lost == 0 && failed == 0, "{what}: {lost} of {writes} writes not injected, {failed} calls failed open");
    ensure!(rate > f64::from(asked) / 10.0, "{what}: only {rate:.0} writes a second: nothing is proved");
    Ok(())
}

/// What would be counted if calls were lost: with no replica left, every one is.
async fn the_count_moves_where_calls_are_lost(lab: &Lab, client: &Client, app: &App) -> Result<()> {
    for replica in app.replicas_of(installed::WEBHOOK) {
        app.kill(&replica)?;
    }
    let before = failed_open(client).await?;
    lab.wait_for("a write that is not injected", WITHIN, async || {
        Ok((!is_injected(client, TEAM, HOST).await?).then_some(()))
    })
    .await?;
    let failed = failed_open(client).await? - before;
    ensure!(failed > 0, "a call was lost and the API server counted none");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_is_lost_by_rotation_rollout_or_the_leaders_death() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Lab::with(LabOptions::default(), async |lab| {
        lab.dns().set_negative_ttl(1, 1);
        let app = installed::install(lab, chart(lab, "one")).await?;
        let client = lab.client().await?;
        bind_host(lab, &client).await?;
        under_writes(&client, "renewal of the leaf", async || {
            until_renewed(&client, "certgate-webhook-tls", "tls.crt", 2).await
        })
        .await?;
        under_writes(&client, "rotation of the CA", async || until_renewed(&client, "certgate-ca", "ca.crt", 1).await)
            .await?;
        under_writes(&client, "rolling restart", async || roll(lab, &app).await).await?;
        under_writes(&client, "death of the leader", async || kill_leader(&client, &app).await).await?;
        // What is left of the certificates is now somebody else's to keep.
        tokio::select! {
            never = by_cert_manager::cainjector(&client) => match never {},
            result = certificates_by_cert_manager(lab, &client, &app) => result?,
        }
        the_count_moves_where_calls_are_lost(lab, &client, &app).await
    })
    .await
}

async fn certificates_by_cert_manager(lab: &Lab, client: &Client, app: &App) -> Result<()> {
    app.upgrade(by_cert_manager::chart(chart(lab, "three"))).await?;
    let injected = async || is_injected(client, TEAM, HOST).await;
    by_cert_manager::is_used_and_followed(lab, client, app, injected).await
}

async fn roll(lab: &Lab, app: &App) -> Result<()> {
    let before: BTreeSet<String> = app.replicas_of(installed::WEBHOOK).into_iter().collect();
    app.upgrade(chart(lab, "two")).await?;
    app.wait_ready(WITHIN).await?;
    let after: BTreeSet<String> = app.replicas_of(installed::WEBHOOK).into_iter().collect();
    ensure!(after.len() == 2 && after.is_disjoint(&before), "{before:?} were not replaced but are {after:?}");
    Ok(())
}

/// Kills the leader as a crash would; certificates are renewed by the other one.
async fn kill_leader(client: &Client, app: &App) -> Result<()> {
    let dead = leader(client).await?;
    let replica = app.replicas_of(installed::CONTROLLER).into_iter().find(|replica| dead.contains(replica.as_str()));
    app.kill(&replica.with_context(|| format!("{dead} is no replica"))?)?;
    until_renewed(client, "certgate-webhook-tls", "tls.crt", 2).await?;
    let alive = leader(client).await?;
    ensure!(alive != dead, "{dead} still holds the Lease");
    Ok(())
}
