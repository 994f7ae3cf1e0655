//! A host beside a user's own certificate on one Ingress, with the real API server, cert-manager and CA: the bought certificate
//! is not touched, the other host gets its own by a companion that carries what the Ingress asks for, and all of it goes again.

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

use anyhow::{Result, ensure};
use certgate_lab::LabOptions;
use cluster::{Cluster, PATIENCE, Team, plain};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

async fn cluster() -> Result<&'static Cluster> {
    Cluster::shared(&CLUSTER, LabOptions::default(), "pebble-fast").await
}

/// A Secret that no cert-manager made.
async fn bought(team: &Team<'_>) -> Result<String> {
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": {"name": "bought-ev", "namespace": team.name},
        "stringData": {"tls.crt": "bought", "tls.key": "bought"}});
    team.lab.apply_value(secret).await?;
    version_of_bought(team).await
}

async fn version_of_bought(team: &Team<'_>) -> Result<String> {
    Ok(team.secrets().get("bought-ev").await?.metadata.resource_version.unwrap_or_default())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bought_certificate_is_not_issued_over_and_its_neighbour_is_issued_apart() -> Result<()> {
    let team = cluster().await?.team("bought").await?;
    let host = "www.bought-example.com";
    team.lab.dns().a(host, team.lab.ip());
    let version = bought(&team).await?;
    let mut object = plain("shop", &["pay.bought-example.com", host]);
    object["spec"]["tls"] = json!([{"hosts": ["pay.bought-example.com"], "secretName": "bought-ev"}]);
    object["metadata"]["annotations"] = json!({
        "certgate.dev/auto-issue": "true",
        "cert-manager.io/duration": "1000h",
        "cert-manager.io/private-key-algorithm": "ECDSA",
        "cert-manager.io/alt-names": "unchecked.bought-example.com",
    });
    team.create(object.clone()).await?;
    team.until_injected("shop", host).await?;
    let certificate = team.until_certificate(host).await?;
    ensure!(certificate.data["spec"]["duration"] == "1000h0m0s", "{:?}", certificate.data["spec"]);
    ensure!(certificate.data["spec"]["privateKey"]["algorithm"] == "ECDSA");
    ensure!(certificate.data["spec"]["dnsNames"] == json!([host]), "only what was checked");
    let stored = team.ingresses().get("shop").await?;
    let annotations = stored.metadata.annotations.unwrap_or_default();
    ensure!(!annotations.keys().any(|key| key.ends_with("issuer")), "{annotations:?}");
    team.until_served(host).await?;
    ensure!(team.certificates().get_opt("bought-ev").await?.is_none() && version_of_bought(&team).await? == version);

    team.annotate("shop", json!({"certgate.dev/auto-issue": "false"})).await?;
    team.until_gone(&team.certificates(), &format!("certgate-{host}")).await?;
    team.until_gone(&team.ingresses(), &format!("certgate-{host}")).await?;
    let left = team.ingresses().get("shop").await?;
    ensure!(left.data["spec"]["tls"] == object["spec"]["tls"], "{:?}", left.data["spec"]);
    ensure!(version_of_bought(&team).await? == version && team.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_certificate_added_to_an_injected_ingress_takes_the_issuer_off_it_at_once() -> Result<()> {
    let team = cluster().await?.team("added").await?;
    let host = "www.added-example.com";
    team.lab.dns().a(host, team.lab.ip());
    let version = bought(&team).await?;
    team.create(plain("shop", &[host])).await?;
    team.until_certificate(host).await?;
    let serial = team.until_served(host).await?;
    // The user's next write keeps what is there and adds a host with a certificate of its own.
    let mut object: Value = serde_json::to_value(team.ingresses().get("shop").await?)?;
    object["spec"]["rules"]
        .as_array_mut()
        .unwrap()
        .push(plain("x", &["pay.added-example.com"])["spec"]["rules"][0].clone());
    object["spec"]["tls"]
        .as_array_mut()
        .unwrap()
        .push(json!({"hosts": ["pay.added-example.com"], "secretName": "bought-ev"}));
    object["metadata"].as_object_mut().unwrap().remove("managedFields");
    let written = team.replace(object).await?;
    let annotations = written.metadata.annotations.unwrap_or_default();
    ensure!(!annotations.contains_key("cert-manager.io/cluster-issuer"), "in the same write: {annotations:?}");
    team.lab
        .wait_for("a companion keeps the Certificate", PATIENCE, async || {
            let now = team.certificates().get(&format!("certgate-{host}")).await?;
            let owner = now.metadata.owner_references.iter().flatten().next().map(|owner| owner.name.clone());
            Ok((owner.as_deref() == Some(&*format!("certgate-{host}"))).then_some(()))
        })
        .await?;
    team.until_certificate(host).await?;
    ensure!(team.until_served(host).await? == serial && team.orders(host)? == 1, "without another order");
    ensure!(team.certificates().get_opt("bought-ev").await?.is_none() && version_of_bought(&team).await? == version);
    Ok(())
}
