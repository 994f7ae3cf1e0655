//! What happens when parts of certgate, or of the cluster, are gone for a while.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certgate_lab::{LabOptions, certgate as installed};
use cluster::{Cluster, PATIENCE, Team, plain};

const READY: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread")]
async fn with_the_webhook_killed_writes_pass_and_the_controller_injects_what_was_missed() -> Result<()> {
    let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |_| {}).await?;
    let team = Team::new(&cluster.lab, "unhooked").await?;
    let webhooks = cluster.app.replicas_of(installed::WEBHOOK);
    ensure!(webhooks.len() == 2, "{webhooks:?}");
    for webhook in &webhooks {
        cluster.app.kill(webhook)?;
    }
    let host = "unhooked.example.com";
    team.lab.dns().a(host, team.lab.ip());
    let stored = team.create(plain("web", &[host])).await.context("a write without a webhook")?;
    ensure!(stored.data["spec"]["tls"].is_null());
    team.until_certificate(host).await?;
    team.until_injected("web", host).await?;
    // A rewrite that drops our parts is repaired too, from the same Secret.
    team.replace(plain("web", &[host])).await?;
    team.until_injected("web", host).await?;
    ensure!(team.orders(host)? == 1);
    // Back again, they serve at once.
    for webhook in &webhooks {
        cluster.app.restart(webhook, READY).await?;
    }
    let stored = team.replace(plain("web", &[host])).await?;
    ensure!(!stored.data["spec"]["tls"].is_null(), "the webhook injects again");
    cluster.lab.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_controller_killed_midway_converges_without_a_second_order() -> Result<()> {
    let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |_| {}).await?;
    let team = Team::new(&cluster.lab, "midway").await?;
    let [controller] = cluster.app.replicas_of(installed::CONTROLLER).try_into().ok().context("one controller")?;
    let host = "midway.example.com";
    team.create(plain("web", &[host])).await?;
    team.until_domain(host, "Verified", "False", Some("DomainNotFound")).await?;
    cluster.app.kill(&controller)?;
    team.lab.dns().a(host, team.lab.ip());
    cluster.app.restart(&controller, READY).await?;
    team.until_injected("web", host).await?;
    // Killed again while the certificate is on its way, or just there.
    cluster.app.kill(&controller)?;
    cluster.app.restart(&controller, READY).await?;
    team.until_certificate(host).await?;
    team.until_domain(host, "Ready", "True", None).await?;
    ensure!(team.orders(host)? == 1);
    cluster.lab.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_api_server_that_was_gone_is_taken_up_again_and_no_write_is_lost() -> Result<()> {
    let cluster = Cluster::start(LabOptions::default(), "pebble-fast", |_| {}).await?;
    let team = Team::new(&cluster.lab, "outage").await?;
    let host = "outage.example.com";
    team.create(plain("web", &[host])).await?;
    team.until_domain(host, "Verified", "False", Some("DomainNotFound")).await?;
    cluster.lab.kill("kube-apiserver")?;
    // The verdict turns good while nobody can be told.
    team.lab.dns().a(host, team.lab.ip());
    let asked = team.lab.dns().queries_for(host).len();
    team.lab
        .wait_for("certgate looks at DNS during the outage, or the outage lasts", Duration::from_secs(10), async || {
            Ok((team.lab.dns().queries_for(host).len() > asked).then_some(()))
        })
        .await
        .ok();
    cluster.lab.restart("kube-apiserver").await?;
    team.until_injected("web", host).await?;
    team.until_certificate(host).await?;
    let stored = team.replace(plain("web", &[host])).await?;
    ensure!(!stored.data["spec"]["tls"].is_null(), "the webhook answers again");
    ensure!(team.orders(host)? == 1);
    cluster.app.wait_ready(PATIENCE).await?;
    cluster.lab.stop()
}
