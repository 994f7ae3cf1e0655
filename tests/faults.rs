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
#[path = "faults/objects.rs"]
mod objects;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use certgate_lab::{LabOptions, certgate as installed};
use cluster::{Cluster, PATIENCE, Team, plain};
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use kube::{Api, api::PostParams};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const READY: Duration = Duration::from_secs(90);

/// What a replica's admin port says.
async fn page(address: std::net::Ipv4Addr, path: &str) -> Result<String> {
    let mut socket = tokio::net::TcpStream::connect((address, 8080)).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: page\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut said = String::new();
    socket.read_to_string(&mut said).await?;
    Ok(said)
}

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
    // What it may not read of cert-manager's holds up nothing else.
    let roles: Api<ClusterRole> = Api::all(team.client.clone());
    let mut role = roles.get(installed::CONTROLLER).await?;
    let acme = |rule: &PolicyRule| rule.api_groups.iter().flatten().any(|group| group == "acme.cert-manager.io");
    role.rules.as_mut().context("rules")?.retain(|rule| !acme(rule));
    roles.replace(installed::CONTROLLER, &PostParams::default(), &role).await?;
    cluster.app.restart(&controller, READY).await?;
    team.until_injected("web", host).await?;
    // Killed again while the certificate is on its way, or just there.
    cluster.app.kill(&controller)?;
    cluster.app.restart(&controller, READY).await?;
    team.until_certificate(host).await?;
    team.until_domain(host, "Ready", "True", None).await?;
    ensure!(team.orders(host)? == 1);
    let said = page(cluster.app.address(&controller)?, "/readyz").await?;
    ensure!(said.contains("Challenge objects cannot be watched") && said.starts_with("HTTP/1.1 200"), "{said}");

    // A Domain that is not named by its host is told so, instead of being passed over.
    let misnamed = json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"name": "shop", "namespace": "midway"}, "spec": {"host": "shop.example.com"}});
    team.lab.apply_value(misnamed).await?;
    let told = team.until_domain("shop", "Ready", "False", Some("DomainMisnamed")).await?;
    let message = told.status.and_then(|status| status.message).unwrap_or_default();
    ensure!(message.contains("under the name shop.example.com"), "{message}");
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
    let stale = async |replica: &String| {
        Ok::<_, anyhow::Error>(page(cluster.app.address(replica)?, "/readyz").await?.contains("stale: "))
    };
    for replica in &cluster.app.replicas_of(installed::WEBHOOK) {
        let what = format!("{replica} says that its watches fail");
        team.lab.wait_for(&what, PATIENCE, async || Ok(stale(replica).await?.then_some(()))).await?;
    }
    cluster.lab.restart("kube-apiserver").await?;
    team.until_injected("web", host).await?;
    team.until_certificate(host).await?;
    let stored = team.replace(plain("web", &[host])).await?;
    ensure!(!stored.data["spec"]["tls"].is_null(), "the webhook answers again");
    ensure!(team.orders(host)? == 1);
    cluster.app.wait_ready(PATIENCE).await?;
    // Also of the kinds of which nothing was changed since.
    let all = [cluster.app.replicas_of(installed::WEBHOOK), cluster.app.replicas_of(installed::CONTROLLER)].concat();
    for replica in &all {
        let what = format!("{replica} watches everything again");
        team.lab.wait_for(&what, PATIENCE, async || Ok((!stale(replica).await?).then_some(()))).await?;
    }
    cluster.lab.stop()
}
