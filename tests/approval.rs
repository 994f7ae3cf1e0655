//! The approval gate with the real API server, cert-manager as it comes and CA: Certificates that no Ingress asked for
//! are held for free, released the moment their names are verified, and never worse off for certgate's being away.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use certgate_lab::{CertManager, LabOptions};
use cluster::{Cluster, PATIENCE, Team};
use kube::{
    Api, ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const READY: Duration = Duration::from_secs(90);
/// How many dead hosts stall cert-manager alone: its scheduler runs this many challenges at once.
const DEAD: usize = 60;

async fn gated(options: LabOptions, issuer: &str) -> Result<Cluster> {
    Cluster::start(options, issuer, |policy| policy["gate"] = json!({"mode": "all"})).await
}

fn certificate(namespace: &str, host: &str, issuer: &str) -> Value {
    json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
        "metadata": {"name": host, "namespace": namespace},
        "spec": {"secretName": host, "dnsNames": [host], "issuerRef": {"kind": "ClusterIssuer", "name": issuer}}})
}

fn requests(team: &Team<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("cert-manager.io", "v1", "CertificateRequest");
    let kind = ApiResource::from_gvk_with_plural(&kind, "certificaterequests");
    Api::namespaced_with(team.client.clone(), &team.name, &kind)
}

/// The requests of a host that nobody has approved.
async fn open(team: &Team<'_>, host: &str) -> Result<Vec<DynamicObject>> {
    let all = requests(team).list(&ListParams::default()).await?;
    let theirs = all.items.into_iter().filter(|request| request.name_any().starts_with(host));
    Ok(theirs.filter(|request| certgate_lab::story::condition(request, "Approved").is_none()).collect())
}

/// Waits until the Certificate of a host is Ready in a revision; tells how long that took.
async fn until_ready(team: &Team<'_>, host: &str, revision: u64, within: Duration) -> Result<Duration> {
    let start = Instant::now();
    team.lab
        .wait_for(&format!("Certificate {host} is Ready, revision {revision}"), within, async || {
            let object = team.certificates().get(host).await?;
            let ready = certgate_lab::story::condition(&object, "Ready").is_some_and(|c| c["status"] == "True");
            let now = object.data.pointer("/status/revision").and_then(Value::as_u64).unwrap_or_default();
            Ok((ready && now >= revision).then_some(()))
        })
        .await?;
    Ok(start.elapsed())
}

/// The Events about a host's Certificate: reason and note, certgate's alone.
async fn told(team: &Team<'_>, host: &str) -> Result<Vec<(String, String)>> {
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(team.client.clone(), &team.name);
    let all = events.list(&ListParams::default()).await?.items.into_iter();
    Ok(all
        .filter(|event| event.reporting_controller.as_deref() == Some("certgate.dev/controller"))
        .filter(|event| {
            event
                .regarding
                .as_ref()
                .is_some_and(|o| o.kind.as_deref() == Some("Certificate") && o.name.as_deref() == Some(host))
        })
        .map(|event| (event.reason.unwrap_or_default(), event.note.unwrap_or_default()))
        .collect())
}

async fn until_told(team: &Team<'_>, host: &str, reason: &str) -> Result<String> {
    team.lab
        .wait_for(&format!("an Event {reason} on Certificate {host}"), PATIENCE, async || {
            let all = told(team, host).await?;
            match all.iter().find(|(found, _)| found == reason) {
                Some((_, note)) => Ok(Some(note.clone())),
                None => anyhow::bail!("there are {all:?}"),
            }
        })
        .await
}

/// From a Certificate for a dead host to a renewal that DNS no longer allows.
async fn a_certificate_from_dead_to_renewed(options: LabOptions, issuer: &str) -> Result<()> {
    let cluster = gated(options, issuer).await?;
    let team = Team::new(&cluster.lab, "direct").await?;
    let host = "direct.example.com";
    let lab = &cluster.lab;
    lab.apply_value(certificate("direct", host, issuer)).await?;
    let note = until_told(&team, host, "DomainNotFound").await?;
    ensure!(note.contains("domain-owner") && note.contains("Next check"), "{note}");
    team.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
    ensure!(!open(&team, host).await?.is_empty() && team.orders(host)? == 0, "held costs nothing");
    updates_that_approve_nothing_never_come(&cluster, &team, host).await?;

    lab.dns().a(host, lab.ip());
    let took = until_ready(&team, host, 1, PATIENCE).await?;
    eprintln!("{issuer}: issued {:.1} s after the record appeared", took.as_secs_f64());
    ensure!(team.orders(host)? == 1);
    team.until_domain(host, "Ready", "True", Some("Issued")).await?;
    let events = told(&team, host).await?;
    ensure!(events.iter().filter(|(reason, _)| reason == "DomainNotFound").count() == 1, "told once: {events:?}");
    ensure!(events.iter().any(|(reason, _)| reason == "Verified"), "the release is told: {events:?}");

    lab.dns().nxdomain(host);
    team.domains()
        .patch(
            host,
            &PatchParams::default(),
            &Patch::Merge(json!({"metadata": {"annotations": {"certgate.dev/check-now": "1"}}})),
        )
        .await?;
    team.until_domain(host, "Ready", "False", Some("RenewalAtRisk")).await?;
    // A renewal whose DNS is broken is held, told, and recovers.
    let issuing = json!({"status": {"conditions": [
        {"type": "Ready", "status": "True", "reason": "Ready", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "Issuing", "status": "True", "reason": "ManuallyTriggered", "message": "m",
         "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
    team.certificates().patch_status(host, &PatchParams::default(), &Patch::Merge(issuing)).await?;
    lab.wait_for("the renewal's request waits", PATIENCE, async || {
        Ok((!open(&team, host).await?.is_empty()).then_some(()))
    })
    .await?;
    lab.wait_for("the held renewal is told", PATIENCE, async || {
        let events = told(&team, host).await?;
        let held = events.iter().filter(|(reason, _)| reason == "DomainNotFound").count();
        // The series of an Event that is told again counts in one object.
        Ok((held >= 1 && !open(&team, host).await?.is_empty()).then_some(()))
    })
    .await?;
    ensure!(team.orders(host)? == 1 && team.secrets().get_opt(host).await?.is_some(), "the certificate in use stays");
    lab.dns().a(host, lab.ip());
    until_ready(&team, host, 2, PATIENCE).await?;
    ensure!(team.orders(host)? == 2);
    Ok(())
}

/// Everything that the webhook was asked but approvals that came too early: those go on coming.
async fn asked(cluster: &Cluster) -> Result<f64> {
    let mut sum = 0.0;
    for replica in cluster.app.replicas_of(certgate_lab::certgate::WEBHOOK) {
        for outcome in ["patched", "unchanged", "passed_by", "unreadable", "malformed", "panicked"] {
            let name = format!(r#"certgate_admission_reviews_total{{outcome="{outcome}"}}"#);
            sum += cluster.app.metric(&replica, &name).await?;
        }
    }
    Ok(sum)
}

/// Writes to a held request's status that add no approval stay within the API server.
async fn updates_that_approve_nothing_never_come(cluster: &Cluster, team: &Team<'_>, host: &str) -> Result<()> {
    let held = open(team, host).await?.first().context("a held request")?.name_any();
    let before = asked(cluster).await?;
    let condition = |kind: &str, status: &str| {
        json!({"type": kind, "status": status, "reason": "Test", "message": "m",
            "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    for status in [
        // Of a kind that means nothing to cert-manager.
        json!({"conditions": [condition("example.com/Seen", "False")]}),
        json!({"conditions": [condition("example.com/Seen", "True"), condition("example.com/Told", "True")]}),
        json!({"conditions": []}),
    ] {
        let patch = Patch::Merge(json!({"status": status}));
        requests(team)
            .patch_status(&held, &PatchParams::default(), &patch)
            .await
            .with_context(|| status.to_string())?;
    }
    ensure!(asked(cluster).await? == before, "the webhook was asked about updates that approve nothing");
    let early = Patch::Merge(json!({"status": {"conditions": [condition("Approved", "True")]}}));
    let refused = requests(team).patch_status(&held, &PatchParams::default(), &early).await;
    ensure!(refused.as_ref().is_err_and(|error| error.to_string().contains("certgate holds")), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_held_released_and_renewed() -> Result<()> {
    a_certificate_from_dead_to_renewed(LabOptions::default(), "pebble-fast").await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_with_the_cert_manager_that_rainbond_installs() -> Result<()> {
    let options = LabOptions { cert_manager: Some(CertManager::V1_17), ..LabOptions::default() };
    a_certificate_from_dead_to_renewed(options, "pebble").await
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_dead_hosts_do_not_keep_a_good_one_from_its_certificate() -> Result<()> {
    let cluster = gated(LabOptions::default(), "pebble-fast").await?;
    let team = Team::new(&cluster.lab, "flood").await?;
    let (lab, good) = (&cluster.lab, "good.example.com");
    for n in 0..DEAD {
        lab.apply_value(certificate(&team.name, &format!("dead{n}.example.com"), "pebble-fast")).await?;
    }
    lab.dns().a(good, lab.ip());
    lab.apply_value(certificate(&team.name, good, "pebble-fast")).await?;
    let took = until_ready(&team, good, 1, PATIENCE).await?;
    let pods: Api<k8s_openapi::api::core::v1::Pod> = Api::namespaced(team.client.clone(), &team.name);
    let (orders, pods) = (lab.pebble().orders()?, pods.list(&ListParams::default()).await?.items.len());
    eprintln!("with certgate: good after {:.1} s, {orders} order(s), {pods} pods", took.as_secs_f64());
    ensure!(orders == 1, "{orders} orders");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certgate_away_cert_manager_carries_on_and_back_again_it_holds_again() -> Result<()> {
    let cluster = gated(LabOptions::default(), "pebble-fast").await?;
    let team = Team::new(&cluster.lab, "away").await?;
    let lab = &cluster.lab;
    lab.apply_value(certificate("away", "held.example.com", "pebble-fast")).await?;
    until_told(&team, "held.example.com", "DomainNotFound").await?;
    let replicas = cluster.app.replicas();
    for replica in &replicas {
        cluster.app.kill(replica)?;
    }
    lab.apply_value(certificate("away", "free.example.com", "pebble-fast")).await?;
    lab.dns().a("good.example.com", lab.ip());
    lab.apply_value(certificate("away", "good.example.com", "pebble-fast")).await?;
    lab.wait_for("cert-manager orders by itself, also what was held", PATIENCE, async || {
        let (free, held) = (team.orders("free.example.com")?, team.orders("held.example.com")?);
        ensure!(free > 0 && held > 0, "{free} and {held} orders");
        Ok(Some(()))
    })
    .await?;
    until_ready(&team, "good.example.com", 1, PATIENCE).await?;
    for replica in &replicas {
        cluster.app.restart(replica, READY).await?;
    }
    lab.apply_value(certificate("away", "again.example.com", "pebble-fast")).await?;
    until_told(&team, "again.example.com", "DomainNotFound").await?;
    ensure!(team.orders("again.example.com")? == 0);
    // What was issued meanwhile is looked after again.
    team.until_domain("good.example.com", "Ready", "True", Some("Issued")).await?;
    Ok(())
}
