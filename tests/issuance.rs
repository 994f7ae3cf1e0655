//! certgate with the real API server, cert-manager 1.21 and CA: what is ordered, bound, handed over and withdrawn.

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
use cluster::{Cluster, PATIENCE, plain, rainbond};
use kube::api::DeleteParams;
use serde_json::json;
use tokio::sync::OnceCell;

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

async fn cluster() -> Result<&'static Cluster> {
    Cluster::shared(&CLUSTER, LabOptions::default(), "pebble-fast").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_ingress_of_a_host_costs_no_order_and_is_bound_to_the_same_secret() -> Result<()> {
    let team = cluster().await?.team("second").await?;
    let host = "second.example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(rainbond("root", host, "/")).await?;
    team.until_certificate(host).await?;
    let stored = team.create(rainbond("api", host, "/api")).await?;
    ensure!(stored.data["spec"]["tls"][0]["secretName"] == "certgate-second.example.com", "bound as it is written");
    team.until_injected("root", host).await?;
    let annotated = |name: &'static str| {
        let ingresses = team.ingresses();
        async move {
            let object = ingresses.get(name).await?;
            anyhow::Ok(object.metadata.annotations.unwrap_or_default().contains_key("cert-manager.io/cluster-issuer"))
        }
    };
    ensure!(annotated("root").await? && !annotated("api").await?, "one Ingress orders");
    ensure!(team.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lead_is_handed_over_without_an_order_and_without_losing_the_certificate() -> Result<()> {
    let team = cluster().await?.team("handover").await?;
    let host = "handover.example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(plain("first", &[host])).await?;
    let before = team.until_certificate(host).await?;
    let serial = team.until_served(host).await?;
    team.create(plain("second", &[host])).await?;
    team.until_injected("second", host).await?;
    team.ingresses().delete("first", &DeleteParams::default()).await?;
    team.lab
        .wait_for("the Certificate is another Ingress' own", PATIENCE, async || {
            let now = team.certificates().get("certgate-handover.example.com").await?;
            Ok((now.metadata.uid != before.metadata.uid).then_some(()))
        })
        .await?;
    team.until_certificate(host).await?;
    ensure!(team.until_served(host).await? == serial, "the chain is served on unchanged");
    ensure!(team.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_component_that_stops_and_starts_costs_no_order_and_goes_on_renewing() -> Result<()> {
    let team = cluster().await?.team("restart").await?;
    let host = "restart.example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(rainbond("rule", host, "/")).await?;
    team.until_certificate(host).await?;
    let serial = team.until_served(host).await?;
    team.ingresses().delete("rule", &DeleteParams::default()).await?;
    team.until_gone(&team.certificates(), "certgate-restart.example.com").await?;
    let stored = team.create(rainbond("rule", host, "/")).await?;
    ensure!(stored.data["spec"]["tls"][0]["secretName"] == "certgate-restart.example.com", "bound as it is written");
    team.until_certificate(host).await?;
    ensure!(team.until_served(host).await? == serial);
    ensure!(team.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_faster_than_the_garbage_collector_loses_nothing() -> Result<()> {
    let team = cluster().await?.team("fast").await?;
    let host = "fast.example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(rainbond("rule", host, "/")).await?;
    team.until_certificate(host).await?;
    for _ in 0..3 {
        team.ingresses().delete("rule", &DeleteParams::default()).await?;
        team.create(rainbond("rule", host, "/")).await?;
    }
    let uid = team.ingresses().get("rule").await?.metadata.uid;
    team.lab
        .wait_for("the Certificate belongs to the Ingress that is there", PATIENCE, async || {
            let certificate = team.certificates().get("certgate-fast.example.com").await?;
            let owners = certificate.metadata.owner_references.unwrap_or_default();
            Ok(owners.iter().any(|owner| Some(&owner.uid) == uid.as_ref()).then_some(()))
        })
        .await?;
    team.until_certificate(host).await?;
    ensure!(team.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_namespace_has_the_host_and_the_second_is_told_without_a_name() -> Result<()> {
    let cluster = cluster().await?;
    let (first, second) = (cluster.team("claim-one").await?, cluster.team("claim-two").await?);
    let host = "claimed.example.com";
    first.create(plain("web", &[host])).await?;
    first.until_domain(host, "Verified", "False", Some("DomainNotFound")).await?;
    second.create(plain("web", &[host])).await?;
    let told = second.until_domain(host, "Ready", "False", Some("HostTaken")).await?;
    let message = told.status.and_then(|status| status.message).unwrap_or_default();
    ensure!(!message.contains("claim-one"), "{message}");
    first.lab.dns().a(host, first.lab.ip());
    first.until_certificate(host).await?;
    ensure!(second.tls("web").await?.is_empty());
    ensure!(first.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_host_of_an_ingress_does_not_hold_up_the_other() -> Result<()> {
    let team = cluster().await?.team("mixed").await?;
    let (good, dead) = ("good.mixed-example.com", "dead.mixed-example.com");
    team.lab.dns().a(good, team.lab.ip());
    team.create(plain("web", &[dead, good])).await?;
    team.until_certificate(good).await?;
    team.until_domain(dead, "Verified", "False", Some("DomainNotFound")).await?;
    ensure!(team.tls("web").await? == [(vec![good.to_owned()], format!("certgate-{good}"))]);
    ensure!(team.orders(dead)? == 0 && team.orders(good)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_existing_wildcard_certificate_is_bound_instead_of_ordering() -> Result<()> {
    let team = cluster().await?.team("bound").await?;
    team.lab
        .apply_value(json!([
            {"apiVersion": "cert-manager.io/v1", "kind": "Issuer", "metadata": {"name": "own", "namespace": "bound"}, "spec": {"selfSigned": {}}},
            {"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "wild-tls", "namespace": "bound"},
             "spec": {"secretName": "wild-tls", "dnsNames": ["*.bound-example.com"], "issuerRef": {"name": "own"}}},
        ]))
        .await?;
    let host = "shop.bound-example.com";
    team.create(plain("web", &[host])).await?;
    team.lab
        .wait_for("the wildcard certificate is bound", PATIENCE, async || {
            let tls = team.tls("web").await?;
            Ok((tls == [(vec![host.to_owned()], "wild-tls".to_owned())]).then_some(()))
        })
        .await?;
    team.until_domain(host, "Ready", "True", Some("BoundExisting")).await?;
    ensure!(team.orders(host)? == 0);
    ensure!(team.certificates().get_opt("certgate-shop.bound-example.com").await?.is_none());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_rainbond_5_the_secret_is_labelled_and_a_companion_makes_the_gateway_load_it() -> Result<()> {
    let team = cluster().await?.team("label").await?;
    let host = "label.example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(rainbond("rule", host, "/")).await?;
    team.until_certificate(host).await?;
    let secret = team.secrets().get("certgate-label.example.com").await?;
    ensure!(secret.metadata.labels.unwrap_or_default().get("creator").is_some_and(|value| value == "Rainbond"));
    let companion = team
        .lab
        .wait_for("the companion", PATIENCE, async || {
            Ok(team.ingresses().get_opt("certgate-label.example.com").await?)
        })
        .await?;
    ensure!(companion.data["spec"]["ingressClassName"] == "certgate-companion");
    ensure!(
        companion.data["spec"]["rules"].is_null() && companion.data["spec"]["defaultBackend"]["resource"].is_null()
    );
    let labels = companion.metadata.labels.unwrap_or_default();
    ensure!(labels.get("creator").is_some_and(|value| value == "Rainbond") && !labels.contains_key("service_id"));
    ensure!(team.orders(host)? == 1, "the companion orders nothing by itself");
    // Switched off, it goes with its Domain.
    team.annotate("rule", json!({"certgate.dev/auto-issue": "false"})).await?;
    team.until_gone(&team.ingresses(), "certgate-label.example.com").await?;
    team.until_gone(&team.certificates(), "certgate-label.example.com").await?;
    ensure!(team.secrets().get_opt("certgate-label.example.com").await?.is_some(), "Secrets stay");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn on_apisix_the_ingress_gets_its_tls_entry_once_the_secret_is_there() -> Result<()> {
    let team = cluster().await?.team("apisix").await?;
    let host = "apisix.example.com";
    let mut object = plain("web", &[host]);
    object["spec"]["ingressClassName"] = json!("apisix");
    team.lab.dns().a(host, team.lab.ip());
    let stored = team.create(object).await?;
    ensure!(stored.data["spec"]["tls"].is_null());
    team.until_certificate(host).await?;
    team.until_injected("web", host).await?;
    let real = team.ingresses().get("web").await?;
    ensure!(!real.metadata.annotations.unwrap_or_default().contains_key("cert-manager.io/cluster-issuer"));
    // Its TLS entry never named a Secret that was not there: the log is in the order of the API server's answers.
    let log = team.lab.audit_log()?;
    let at = |resource: &str, name: &str, fits: &dyn Fn(&serde_json::Value) -> bool| {
        log.iter().position(|event| {
            event["objectRef"]["namespace"] == "apisix"
                && event["objectRef"]["resource"] == resource
                && event["objectRef"]["name"] == name
                && event["stage"] == "ResponseComplete"
                && fits(event)
        })
    };
    let bound = at("ingresses", "web", &|event| !event["responseObject"]["spec"]["tls"].is_null());
    let made = at("secrets", "certgate-apisix.example.com", &|_| true);
    ensure!(made.is_some() && made < bound, "Secret at {made:?}, bound at {bound:?}");
    ensure!(team.orders(host)? == 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_users_own_secret_of_our_name_is_left_alone() -> Result<()> {
    let team = cluster().await?.team("foreign").await?;
    let host = "foreign.example.com";
    team.lab
        .apply_value(json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certgate-foreign.example.com", "namespace": "foreign"},
            "stringData": {"precious": "yes"}}))
        .await?;
    team.lab.dns().a(host, team.lab.ip());
    team.create(plain("web", &[host])).await?;
    team.until_domain(host, "Ready", "False", Some("SecretNameTaken")).await?;
    let secret = team.secrets().get("certgate-foreign.example.com").await?;
    ensure!(secret.data.unwrap_or_default().keys().eq(["precious"]));
    ensure!(team.orders(host)? == 0);
    Ok(())
}
