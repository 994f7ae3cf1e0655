//! Rainbond 6's own switch for automatic issuance, with the objects that its code wrote, on the real API server,
//! cert-manager, CA and APISIX controller.

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

use std::fs;

use anyhow::{Context, Result, ensure};
use certgate_lab::{CertManager, Gateway, Lab, LabOptions, certgate as installed};
use cluster::{Cluster, PATIENCE, SOON, Team, program};
use k8s_openapi::api::{core::v1::ConfigMap, events::v1::Event};
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

/// The namespace of Rainbond's objects.
const TEAM: &str = "team-a";
/// The issuer that Rainbond sets up.
const ISSUER: &str = "letsencrypt-http";
const CONDITION: &str = "certgate.dev/Verified";
const SHOP: &str = "www.shop-example.com";
/// Rainbond's name for the shop's route, Certificate and Secret.
const SHOP_ROUTE: &str = "www.shop-example.comp-ps-s";

/// An object that Rainbond's code sent.
fn fixture(name: &str) -> Result<Value> {
    let path = installed::root().join(format!("tests/fixtures/v6/{name}.yaml"));
    let mut object: Value = serde_saphyr::from_str(&fs::read_to_string(&path).context(name.to_owned())?)?;
    let fields = object.as_object_mut().context("an object")?;
    fields.remove("status");
    // What the API server had answered is not sent again.
    let metadata = fields["metadata"].as_object_mut().context("metadata")?;
    metadata.retain(|field, _| matches!(field.as_str(), "name" | "namespace" | "labels" | "annotations"));
    Ok(object)
}

async fn send(lab: &Lab, name: &str) -> Result<()> {
    lab.apply_value(fixture(name)?).await.with_context(|| name.to_owned())?;
    Ok(())
}

/// What Rainbond itself brings: a description of the cluster, and the issuer.
async fn rainbond(lab: &Lab) -> Result<()> {
    let definition = json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {"name": "rainbondclusters.rainbond.io"},
        "spec": {"group": "rainbond.io", "scope": "Namespaced",
            "names": {"kind": "RainbondCluster", "plural": "rainbondclusters", "singular": "rainbondcluster"},
            "versions": [{"name": "v1alpha1", "served": true, "storage": true, "schema": {"openAPIV3Schema":
                {"type": "object", "x-kubernetes-preserve-unknown-fields": true}}}]}});
    let definition = lab.apply_value(definition).await?.remove(0);
    lab.wait_for_condition(&definition, "Established").await?;
    lab.namespace("rbd-system").await?;
    let solvers = json!([{"http01": {"ingress": {"ingressClassName": "apisix", "serviceType": "ClusterIP"}}}]);
    lab.apply_value(json!([
        {"apiVersion": "rainbond.io/v1alpha1", "kind": "RainbondCluster",
            "metadata": {"name": "rainbondcluster", "namespace": "rbd-system"},
            "spec": {"gatewayIngressIPs": [lab.ip()], "suffixHTTPHost": "203.0.113.10.nip.io"}},
        lab.pebble().cluster_issuer(ISSUER, solvers),
    ]))
    .await?;
    Ok(())
}

async fn start(version: CertManager) -> Result<Cluster> {
    let options =
        LabOptions { cert_manager: Some(version), gateway: Gateway::Apisix, audit_log: true, ..LabOptions::default() };
    let lab = Lab::start(options).await?;
    lab.dns().set_negative_ttl(1, 1);
    rainbond(&lab).await?;
    let mut policy = installed::policy(&lab, ISSUER);
    policy["autoIssue"] = json!("annotated");
    policy["gate"] = json!({"mode": "annotated"});
    policy["gateway"] = json!({"rainbond": true, "allowReserved": true});
    policy["rainbond"] = json!({"routes": true, "leftOverSeconds": 2});
    let app = installed::install(&lab, installed::chart(program(), &policy)).await?;
    Ok(Cluster { lab, app })
}

fn routes(team: &Team<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("apisix.apache.org", "v2", "ApisixRoute");
    Api::namespaced_with(team.client.clone(), TEAM, &ApiResource::from_gvk_with_plural(&kind, "apisixroutes"))
}

/// Waits until our condition on a Certificate says so; returns its message.
async fn until_said(team: &Team<'_>, certificate: &str, status: &str, reason: &str) -> Result<String> {
    team.lab
        .wait_for(&format!("{certificate} says {status} {reason}"), PATIENCE, async || {
            let object = team.certificates().get(certificate).await?;
            let said = certgate_lab::story::condition(&object, CONDITION).context("no condition of ours")?;
            ensure!(said["status"] == status && said["reason"] == reason, "it says {said}");
            Ok(Some(said["message"].as_str().unwrap_or_default().to_owned()))
        })
        .await
}

/// Waits until certgate has told of a Certificate for a reason.
async fn until_told(team: &Team<'_>, certificate: &str, reason: &str) -> Result<String> {
    let events: Api<Event> = Api::namespaced(team.client.clone(), TEAM);
    team.lab
        .wait_for(&format!("an Event {reason} on Certificate {certificate}"), PATIENCE, async || {
            let all = events.list(&ListParams::default()).await?.items;
            let told = all.into_iter().find(|event| {
                event.reporting_controller.as_deref() == Some("certgate.dev/controller")
                    && event.reason.as_deref() == Some(reason)
                    && event.regarding.as_ref().is_some_and(|object| {
                        object.kind.as_deref() == Some("Certificate") && object.name.as_deref() == Some(certificate)
                    })
            });
            Ok(told.map(|event| event.note.unwrap_or_default()))
        })
        .await
}

async fn until_issued(team: &Team<'_>, certificate: &str, revision: u64) -> Result<()> {
    team.lab
        .wait_for(&format!("{certificate} is Ready, revision {revision}"), PATIENCE, async || {
            let object = team.certificates().get(certificate).await?;
            let ready = certgate_lab::story::condition(&object, "Ready").is_some_and(|c| c["status"] == "True");
            let now = object.data.pointer("/status/revision").and_then(Value::as_u64).unwrap_or_default();
            Ok((ready && now >= revision).then_some(()))
        })
        .await
}

async fn check_now(team: &Team<'_>, host: &str) -> Result<()> {
    let patch = Patch::Merge(json!({"metadata": {"annotations": {"certgate.dev/check-now": "1"}}}));
    team.domains().patch(host, &PatchParams::default(), &patch).await?;
    Ok(())
}

/// Switched on before there is a record, issued, renewed late, and its route deleted.
async fn from_the_switch_to_a_left_over(cluster: &Cluster, team: &Team<'_>) -> Result<()> {
    let lab = &cluster.lab;
    send(lab, "apisixroute-custom-domain").await?;
    // In this order Rainbond does it.
    for name in ["certificate-custom-domain", "apisixtls-custom-domain", "apisixroute-labelled-custom-domain"] {
        send(lab, name).await?;
    }
    let note = until_told(team, SHOP_ROUTE, "DomainNotFound").await?;
    ensure!(note.contains("domain-owner"), "{note}");
    let message = until_said(team, SHOP_ROUTE, "False", "DomainNotFound").await?;
    ensure!(message.contains(&lab.ip().to_string()), "the address of Rainbond's gateway: {message}");
    team.until_domain(SHOP, "Ready", "False", Some("DomainNotFound")).await?;
    ensure!(team.orders(SHOP)? == 0, "held costs nothing");

    lab.dns().a(SHOP, lab.ip());
    until_issued(team, SHOP_ROUTE, 1).await?;
    until_said(team, SHOP_ROUTE, "True", "Verified").await?;
    ensure!(team.orders(SHOP)? == 1);

    // DNS breaks: warned of before the renewal, which is held, and recovers.
    lab.dns().nxdomain(SHOP);
    check_now(team, SHOP).await?;
    team.until_domain(SHOP, "Ready", "False", Some("RenewalAtRisk")).await?;
    until_said(team, SHOP_ROUTE, "False", "DomainNotFound").await?;
    let due = json!([{"op": "add", "path": "/status/conditions/-", "value": {"type": "Issuing", "status": "True",
        "reason": "ManuallyTriggered", "message": "renewal", "lastTransitionTime": "2026-01-01T00:00:00Z"}}]);
    let due: Patch<Value> = Patch::Json(serde_json::from_value(due)?);
    team.certificates().patch_status(SHOP_ROUTE, &PatchParams::default(), &due).await?;
    lab.wait_for("the renewal's request waits", PATIENCE, async || {
        let held = lab.audit_log()?.iter().any(|event| {
            event["objectRef"]["resource"] == "certificaterequests"
                && event["objectRef"]["name"].as_str().is_some_and(|name| name == format!("{SHOP_ROUTE}-2"))
                && event["responseStatus"]["code"].as_u64().is_some_and(|code| code >= 400)
        });
        Ok(held.then_some(()))
    })
    .await?;
    ensure!(team.orders(SHOP)? == 1 && team.secrets().get_opt(SHOP_ROUTE).await?.is_some());
    lab.dns().a(SHOP, lab.ip());
    until_issued(team, SHOP_ROUTE, 2).await?;
    until_said(team, SHOP_ROUTE, "True", "Verified").await?;
    ensure!(team.orders(SHOP)? == 2);

    // Rainbond leaves the Certificate when the route goes.
    routes(team).delete(SHOP_ROUTE, &DeleteParams::default()).await?;
    until_told(team, SHOP_ROUTE, "CertificateLeftOver").await?;
    until_said(team, SHOP_ROUTE, "False", "CertificateLeftOver").await?;
    team.until_domain(SHOP, "Ready", "False", Some("CertificateLeftOver")).await?;
    let leader = cluster.app.replicas_of(installed::CONTROLLER);
    lab.wait_for("it is counted", SOON, async || {
        let mut count = 0.0;
        for replica in &leader {
            count += cluster.app.metric(replica, r#"certgate_controller_hosts{reason="CertificateLeftOver"}"#).await?;
        }
        Ok((count == 1.0).then_some(()))
    })
    .await?;
    ensure!(team.certificates().get_opt(SHOP_ROUTE).await?.is_some(), "policy says to report");
    Ok(())
}

/// A host whose Certificate Rainbond misnames; once it is issued, another team switches the same host on.
async fn a_host_that_begins_with_a_digit(lab: &Lab, team: &Team<'_>) -> Result<()> {
    let (host, certificate) = ("3w.shop-example.com", "w.shop-example.comp-ps-s");
    let objects = ["apisixroute-digits-first", "certificate-digits-first", "apisixtls-digits-first"];
    for name in objects {
        send(lab, name).await?;
    }
    until_said(team, certificate, "False", "DomainNotFound").await?;
    team.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
    lab.dns().a(host, lab.ip());
    until_issued(team, certificate, 1).await?;
    team.until_domain(host, "Ready", "True", Some("Issued")).await?;
    ensure!(team.orders(host)? == 1);

    let rival = Team::new(lab, "rival").await?;
    for name in &objects[..2] {
        let mut object = fixture(name)?;
        object["metadata"]["namespace"] = json!(rival.name);
        lab.apply_value(object).await?;
    }
    until_said(&rival, certificate, "False", "HostTaken").await?;
    rival.until_domain(host, "Ready", "False", Some("HostTaken")).await?;
    ensure!(team.orders(host)? == 1, "the gate approves nothing for a host that is taken");
    Ok(())
}

/// The label without the Certificate: what Rainbond leaves when the switch fails half-way, or somebody deletes it.
async fn a_label_alone(lab: &Lab, team: &Team<'_>) -> Result<()> {
    let host = "root.shop-example.com";
    send(lab, "apisixroute-labelled-path-root").await?;
    send(lab, "apisixroute-labelled-default-domain").await?;
    team.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
    lab.dns().a(host, lab.ip());
    team.until_domain(host, "Ready", "False", Some("RouteWithoutCertificate")).await?;
    let platform = "gre1e1b8-5000-k3v8x1zq.203.0.113.10.nip.io";
    ensure!(team.domains().get_opt(platform).await?.is_none(), "a default domain is flagged by no label");
    ensure!(team.orders(host)? == 0);
    Ok(())
}

async fn story(version: CertManager) -> Result<()> {
    let cluster = start(version).await?;
    let lab = &cluster.lab;
    let team = Team::new(lab, TEAM).await?;
    let told = tokio::try_join!(
        from_the_switch_to_a_left_over(&cluster, &team),
        a_host_that_begins_with_a_digit(lab, &team),
        a_label_alone(lab, &team),
    );
    if told.is_err() {
        lab.print_log_tails();
    }
    told?;

    // The administrator has left-over Certificates removed.
    let maps: Api<ConfigMap> = Api::namespaced(team.client.clone(), installed::NAMESPACE);
    let mut map = maps.get("certgate-policy").await?;
    let text = map.data.as_mut().and_then(|data| data.get_mut("policy.yaml")).context("the policy")?;
    let mut policy: Value = serde_saphyr::from_str(text)?;
    policy["rainbond"]["leftOverCertificates"] = json!("remove");
    *text = policy.to_string();
    maps.replace("certgate-policy", &Default::default(), &map).await?;
    ensure!(cluster.app.sync_config_maps().await?);
    team.until_gone(&team.certificates(), SHOP_ROUTE).await?;
    ensure!(team.secrets().get_opt(SHOP_ROUTE).await?.is_some(), "its Secret stays");
    ensure!(team.certificates().get_opt("w.shop-example.comp-ps-s").await?.is_some(), "the other has a route");
    cluster.lab.stop()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_switch_is_held_explained_renewed_and_cleared_up_after() -> Result<()> {
    story(CertManager::V1_21).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_the_cert_manager_that_rainbond_installs() -> Result<()> {
    story(CertManager::V1_17).await
}
