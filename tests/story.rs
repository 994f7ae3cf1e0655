//! The main job from beginning to end, each step asserted, for both profiles
//! and both cert-managers, through the small gateway and through Traefik.

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

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};
use certgate_lab::{
    CertManager, Gateway, Lab, LabOptions, orders,
    story::{Cast, Silent, Story, documents},
};
use cluster::{Cluster, PATIENCE, Team, plain};
use serde_json::{Value, json};

fn fixture(name: &str) -> Result<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v5").join(name);
    documents(&fs::read_to_string(path)?)?.into_iter().next().context("no document")
}

/// An Ingress exactly as Rainbond 5 sends it, and the Service it leads to.
fn rainbond() -> Result<Cast> {
    Ok(Cast {
        namespace: "team-a".into(),
        ingress: fixture("http-custom-domain.yaml")?,
        beside: vec![fixture("service-outer-shop-web-1-5000out.yaml")?],
    })
}

fn standard() -> Cast {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}], "selector": {"app": "web"}}});
    Cast { namespace: "plain".into(), ingress: plain("web", &["www.plain-example.com"]), beside: vec![service] }
}

/// A host that policy has ordered by a companion.
const APART: &str = "apart.example.com";

/// Where a companion orders, the gateway never answers for the host with a certificate that is not the host's: the TLS
/// entry comes when the Secret is there.
async fn issued_apart(lab: &Lab) -> Result<usize> {
    let team = Team::new(lab, "apart").await?;
    team.create(plain("apart", &[APART])).await?;
    team.until_domain(APART, "Ready", "False", Some("DomainNotFound")).await?;
    lab.dns().a(APART, lab.ip());
    let names = lab
        .wait_for("an answer over HTTPS", PATIENCE, async || {
            let answer = lab.https_get(APART).await?;
            ensure!(answer.status == 200, "{}", answer.status);
            Ok(answer.leaf.map(|leaf| leaf.names))
        })
        .await?;
    ensure!(names == [APART], "served with a certificate of {names:?}");
    team.until_domain(APART, "Ready", "True", Some("Issued")).await?;
    let made = team.orders(APART)?;
    ensure!(made == 1, "{made} orders for one certificate:\n{}", orders::account(lab)?);
    Ok(made)
}

async fn tell(options: LabOptions, issuer: &str, casts: Vec<Cast>) -> Result<()> {
    let apart = options.gateway == Gateway::Traefik;
    let rules = json!([{"match": {"hosts": [APART]}, "issuance": "companion"}]);
    let cluster = Cluster::start(options, issuer, |policy| policy["rules"] = rules).await?;
    let mut told = if apart { issued_apart(&cluster.lab).await? } else { 0 };
    for cast in casts {
        let story = Story::begin(&cluster.lab, cast, &Silent).await?;
        if let Err(error) = story.tell().await {
            cluster.lab.print_log_tails();
            return Err(error.context(format!("the story of {}", story.host())));
        }
        told += story.orders()?;
    }
    let seen = cluster.lab.pebble().orders()?;
    ensure!(seen == told, "Pebble saw {seen} orders, the stories made {told}:\n{}", orders::account(&cluster.lab)?);
    cluster.lab.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn with_cert_manager_1_21_on_both_profiles() -> Result<()> {
    tell(LabOptions::default(), "pebble-fast", vec![rainbond()?, standard()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn with_cert_manager_1_17_which_rainbonds_documents_install() -> Result<()> {
    let options = LabOptions { cert_manager: Some(CertManager::V1_17), ..LabOptions::default() };
    tell(options, "pebble", vec![rainbond()?, standard()]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn through_traefik() -> Result<()> {
    let options = LabOptions { gateway: Gateway::Traefik, ..LabOptions::default() };
    tell(options, "pebble", vec![standard()]).await
}
