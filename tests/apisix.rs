//! What the real apisix-ingress-controller makes of certgate's work: routes that never vanish, and certificates pushed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod cluster;

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use certgate_lab::{Gateway, Lab, LabOptions};
use cluster::{Cluster, PATIENCE, Team, plain};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use tokio::time::interval;

const HOST: &str = "shop.example.com";
const PERIOD: Duration = Duration::from_millis(50);

/// Asks for the host over HTTP until an answer is anything but good, and over HTTPS too from the time it was good once.
async fn visit(lab: &Lab, visits: &AtomicUsize) -> Result<()> {
    let mut ticks = interval(PERIOD);
    let mut secure = false;
    loop {
        ticks.tick().await;
        let plain = lab.http_get(HOST).await.context("port 80")?;
        ensure!(plain.status == 200, "port 80 answered {} after {visits:?} visits", plain.status);
        match lab.https_get(HOST).await {
            Ok(answer) if answer.status == 200 => secure = true,
            other => ensure!(!secure, "port 443 no longer answers: {other:?}"),
        }
        visits.fetch_add(1, Ordering::Relaxed);
    }
}

/// From no DNS record to a certificate, an edit, and a renewal.
async fn story(team: &Team<'_>) -> Result<()> {
    team.until_domain(HOST, "Verified", "False", Some("DomainNotFound")).await?;
    team.lab.dns().a(HOST, team.lab.ip());
    team.until_certificate(HOST).await?;
    team.until_injected("web", HOST).await?;
    let first = team.until_served(HOST).await?;
    let pushed = |lab: &Lab| lab.apisix().writes().iter().filter(|w| w.kind == "ssls" && w.method == "PUT").count();
    ensure!(pushed(team.lab) > 0, "the certificate is pushed");

    // The gateway takes edits: no TLS entry without its Secret holds them up.
    let mut edited = plain("web", &[HOST]);
    edited["spec"]["ingressClassName"] = json!("apisix");
    let path = json!({"path": "/added", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}});
    if let Some(paths) = edited["spec"]["rules"][0]["http"]["paths"].as_array_mut() {
        paths.push(path);
    }
    let stored = team.replace(edited).await?;
    ensure!(!stored.data["spec"]["tls"].is_null(), "injected in the same write");
    team.lab
        .wait_for("a route for the new path", PATIENCE, async || {
            let routes = team.lab.apisix().objects("routes");
            Ok(routes.iter().any(|route| route.to_string().contains("/added")).then_some(()))
        })
        .await?;

    let before = pushed(team.lab);
    let due = json!({"status": {"conditions": [{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
        "message": "renewal", "lastTransitionTime": "2026-11-24T00:00:00Z"}]}});
    let name = format!("certgate-{HOST}");
    team.certificates().patch_status(&name, &PatchParams::default(), &Patch::Merge(due)).await?;
    team.lab
        .wait_for("the renewed certificate is served", PATIENCE, async || {
            Ok((team.until_served(HOST).await? != first).then_some(()))
        })
        .await?;
    ensure!(pushed(team.lab) > before, "the renewed certificate is pushed");
    ensure!(team.orders(HOST)? == 2, "one order and one renewal");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_never_vanish_and_certificates_are_pushed_when_they_are_there_and_renewed() -> Result<()> {
    let options = LabOptions { gateway: Gateway::Apisix, ..LabOptions::default() };
    let cluster = Cluster::start(options, "pebble-fast", |_| {}).await?;
    let team = Team::new(&cluster.lab, "shop").await?;
    let mut object = plain("web", &[HOST]);
    object["spec"]["ingressClassName"] = json!("apisix");
    let stored = team.create(object).await?;
    ensure!(stored.data["spec"]["tls"].is_null(), "no TLS entry without its Secret");
    team.lab
        .wait_for("the gateway serves the host", PATIENCE, async || {
            Ok((team.lab.http_get(HOST).await?.status == 200).then_some(()))
        })
        .await?;
    let visits = AtomicUsize::new(0);
    tokio::select! {
        ended = visit(team.lab, &visits) => ended?,
        told = story(&team) => told?,
    }
    ensure!(visits.load(Ordering::Relaxed) > 20, "{visits:?} visits");

    // No route of the host was ever deleted, and no PUT left it without an upstream.
    let writes = team.lab.apisix().writes();
    let routes: Vec<&Value> = writes.iter().filter(|w| w.kind == "routes").map(|w| &w.value).collect();
    // Those of solvers come and go.
    let is_own = |route: &&&Value| {
        let text = route.to_string();
        text.contains(HOST) && !text.contains("acme-challenge")
    };
    let of_host: Vec<_> = routes.iter().filter(is_own).collect();
    ensure!(!of_host.is_empty() && of_host.iter().all(|route| !route["upstream_id"].is_null()), "{of_host:?}");
    let ids: Vec<_> = of_host.iter().filter_map(|route| route["id"].as_str()).collect();
    let deleted = writes.iter().find(|w| w.kind == "routes" && w.method == "DELETE" && ids.contains(&w.id.as_str()));
    ensure!(deleted.is_none(), "{deleted:?}");
    cluster.lab.stop()
}
