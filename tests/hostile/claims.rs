//! What tenants can write is no proof: not a TLS entry with our Secret's name, not a record, not a companion's labels. And
//! a host that one namespace holds, be it by a wildcard, is no other's.

use anyhow::{Context, Result, ensure};
use certgate::{
    api::verified_hosts::VerifiedHosts,
    cluster::apply::{WriteError, Writer},
    core::{host::Host, reconcile::companion::Companion},
};
use certgate_lab::LabOptions;
use kube::{
    Api,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams},
};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::cluster::{Cluster, SOON, Team, plain};

static CLUSTER: OnceCell<Cluster> = OnceCell::const_new();

/// Where the API server holds what orders against VerifiedHosts.
async fn cluster() -> Result<&'static Cluster> {
    CLUSTER
        .get_or_try_init(|| {
            let companion = json!([{"match": {"hosts": ["*.companion-example.com"]}, "issuance": "companion"}]);
            Cluster::install(
                LabOptions::default(),
                "pebble-fast",
                |policy| policy["rules"] = companion,
                |chart| chart.values(json!({"admissionPolicy": {"verifiedHosts": "deny"}})),
            )
        })
        .await
}

/// An Ingress with a TLS entry that names the Secret which certgate would choose.
fn with_our_entry(name: &str, host: &str) -> Value {
    let mut object = plain(name, &[host]);
    object["spec"]["tls"] = json!([{"hosts": [host], "secretName": format!("certgate-{host}")}]);
    object
}

/// The same with a record and an issuer, as a dump from elsewhere has them.
fn from_a_dump(name: &str, host: &str) -> Value {
    let mut object = with_our_entry(name, host);
    let record = json!({"annotations": {"cert-manager.io/cluster-issuer": "pebble-fast"},
        "tls": {host: format!("certgate-{host}")}, "made": {"annotations": true, "tls": true}});
    object["metadata"]["annotations"] =
        json!({"cert-manager.io/cluster-issuer": "pebble-fast", "certgate.dev/injected": record.to_string()});
    object
}

/// The hosts that may be given TLS in a namespace.
async fn verified(team: &Team<'_>) -> Result<Vec<String>> {
    let api: Api<VerifiedHosts> = Api::namespaced(team.client.clone(), &team.name);
    let found = api.get_opt("certgate").await?;
    Ok(found.map(|found| found.spec.hosts.into_keys().collect()).unwrap_or_default())
}

/// That nothing was ordered, released or let through for a host.
async fn is_held(team: &Team<'_>, host: &str) -> Result<()> {
    ensure!(team.orders(host)? == 0, "an order");
    ensure!(team.certificates().list(&Default::default()).await?.items.is_empty(), "a Certificate");
    let verified = verified(team).await?;
    ensure!(verified.is_empty(), "verified: {verified:?}");
    let status = team.domains().get(host).await?.status.unwrap_or_default();
    ensure!(!status.released, "released: {status:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_our_secrets_name_orders_nothing_until_its_host_is_verified() -> Result<()> {
    let team = cluster().await?.team("claims-entry").await?;
    let (host, dumped) = ("entry.claims-example.com", "dump.claims-example.com");
    let entry = |host: &str| json!([{"hosts": [host], "secretName": format!("certgate-{host}")}]);
    team.create(with_our_entry("entry", host)).await?;
    let stored = team.create(from_a_dump("dump", dumped)).await?;
    ensure!(stored.metadata.annotations.unwrap_or_default().is_empty(), "what made it order is gone as it is written");
    for (name, host) in [("entry", host), ("dump", dumped)] {
        team.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
        is_held(&team, host).await?;
        let object = team.ingresses().get(name).await?;
        ensure!(object.data["spec"]["tls"] == entry(host), "kept as it is: {}", object.data);
        ensure!(object.metadata.annotations.unwrap_or_default().is_empty());
    }
    // Really verified, it is ours.
    team.lab.dns().a(host, team.lab.ip());
    team.until_certificate(host).await?;
    ensure!(team.ingresses().get("entry").await?.data["spec"]["tls"] == entry(host));
    ensure!(team.orders(host)? == 1 && team.orders(dumped)? == 0);
    // And goes when the flag does.
    team.annotate("entry", json!({"certgate.dev/auto-issue": "false"})).await?;
    team.until_gone(&team.certificates(), &format!("certgate-{host}")).await?;
    ensure!(team.tls("entry").await?.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_with_our_secrets_name_takes_no_host_from_who_came_first() -> Result<()> {
    let (first, thief) = (cluster().await?.team("claims-first").await?, cluster().await?.team("claims-thief").await?);
    let host = "stolen.claims-example.com";
    first.create(plain("web", &[host])).await?;
    first.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
    thief.create(with_our_entry("evil", host)).await?;
    // A companion by its labels alone, and a Certificate that calls itself an Ingress'.
    let mut companion = with_our_entry("certgate-companion-of-mine", host);
    companion["metadata"]["labels"] = json!({"certgate.dev/companion-of": host});
    companion["spec"]["ingressClassName"] = json!("certgate-companion");
    thief.create(companion).await?;
    thief.until_domain(host, "Ready", "False", Some("HostTaken")).await?;
    is_held(&thief, host).await?;
    first.until_domain(host, "Ready", "False", Some("DomainNotFound")).await?;
    first.lab.dns().a(host, first.lab.ip());
    first.until_certificate(host).await?;
    let told = thief.until_domain(host, "Ready", "False", Some("HostTaken")).await?;
    let message = told.status.and_then(|status| status.message).unwrap_or_default();
    ensure!(!message.contains("claims-first"), "not by whom: {message}");
    is_held_beside(&thief, &first, host).await
}

/// The same where another namespace has its certificate for the host.
async fn is_held_beside(thief: &Team<'_>, first: &Team<'_>, host: &str) -> Result<()> {
    ensure!(first.orders(host)? == 1);
    ensure!(thief.certificates().list(&Default::default()).await?.items.is_empty());
    ensure!(verified(thief).await?.is_empty());
    ensure!(!thief.domains().get(host).await?.status.unwrap_or_default().released);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_component_keeps_its_host_and_finds_it_as_it_left_it() -> Result<()> {
    let (team, rival) = (cluster().await?.team("claims-stopped").await?, cluster().await?.team("claims-rival").await?);
    let host = "stopped.claims-example.com";
    team.lab.dns().a(host, team.lab.ip());
    team.create(plain("web", &[host])).await?;
    team.until_certificate(host).await?;
    team.ingresses().delete("web", &DeleteParams::default()).await?;
    team.until_gone(&team.certificates(), &format!("certgate-{host}")).await?;
    let gone = team.until_domain(host, "Ready", "False", Some("HostRemoved")).await?;
    ensure!(gone.status.and_then(|status| status.kept_until).is_some(), "it says until when");
    rival.create(plain("web", &[host])).await?;
    rival.until_domain(host, "Ready", "False", Some("HostTaken")).await?;
    // Started again it is injected as it is written, and orders nothing.
    let stored = team.create(plain("web", &[host])).await?;
    ensure!(stored.data["spec"]["tls"][0]["secretName"] == format!("certgate-{host}"), "{}", stored.data);
    team.until_certificate(host).await?;
    ensure!(team.orders(host)? == 1);
    // Switched off, it is the other's at once.
    team.annotate("web", json!({"certgate.dev/auto-issue": "false"})).await?;
    rival.until_certificate(host).await?;
    Ok(())
}

/// An issuer that solves DNS-01, so that wildcards may be claimed; it is never asked to.
async fn wildcard_issuer(team: &Team<'_>, name: &str) -> Result<()> {
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"));
    let api: Api<DynamicObject> = Api::all_with(team.client.clone(), &kind);
    let mut object = api.get("pebble-fast").await?;
    object.metadata = kube::api::ObjectMeta { name: Some(name.to_owned()), ..Default::default() };
    let spec = object.data.pointer_mut("/spec/acme").context("an ACME issuer")?;
    spec["privateKeySecretRef"]["name"] = json!(name);
    spec["solvers"] = json!([{"dns01": {"rfc2136": {"nameserver": format!("{}:53", team.lab.ip())}}}]);
    if let Some(data) = object.data.as_object_mut() {
        data.remove("status");
    }
    let made = api.create(&PostParams::default(), &object).await?;
    team.lab.wait_for_condition(&made, "Ready").await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_and_a_name_that_it_covers_are_one_namespaces_alone() -> Result<()> {
    let (narrow, wide) = (cluster().await?.team("claims-narrow").await?, cluster().await?.team("claims-wide").await?);
    wildcard_issuer(&wide, "claims-dns").await?;
    let of_wildcard = |name: &str, host: &str| {
        let mut object = plain(name, &[host]);
        object["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": "claims-dns"});
        object
    };
    // A name that is in use keeps a wildcard out.
    let host = "www.wide-example.com";
    narrow.lab.dns().a(host, narrow.lab.ip());
    narrow.create(plain("web", &[host])).await?;
    narrow.until_certificate(host).await?;
    wide.create(of_wildcard("wide", "*.wide-example.com")).await?;
    wide.until_domain_named("wildcard.wide-example.com", "Ready", "False", Some("HostTaken")).await?;
    // And a wildcard that came first keeps a name out.
    wide.create(of_wildcard("first", "*.first-example.com")).await?;
    wide.lab
        .wait_for("the wildcard is claimed", SOON, async || {
            let domain = wide.domains().get_opt("wildcard.first-example.com").await?;
            Ok(domain.and_then(|domain| domain.status?.claimed_since).map(|_| ()))
        })
        .await?;
    let host = "www.first-example.com";
    narrow.lab.dns().a(host, narrow.lab.ip());
    narrow.create(plain("under", &[host])).await?;
    narrow.until_domain(host, "Ready", "False", Some("HostTaken")).await?;
    ensure!(narrow.orders(host)? == 0);
    // Once the wildcard is given up, the name is free.
    wide.annotate("first", json!({"certgate.dev/auto-issue": "false"})).await?;
    narrow.until_certificate(host).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ingress_of_the_users_with_a_companions_name_is_never_written_over() -> Result<()> {
    let team = cluster().await?.team("claims-name").await?;
    let host = "web.companion-example.com";
    let name = format!("certgate-{host}");
    team.lab.dns().a(host, team.lab.ip());
    let theirs = team.create(plain(&name, &["other.companion-example.com"])).await?;
    team.create(plain("web", &[host])).await?;
    let told = team.until_domain(host, "Ready", "False", Some("CompanionNameTaken")).await?;
    ensure!(told.status.clone().and_then(|status| status.who_acts).as_deref() == Some("app-developer"));
    let same = |after: &DynamicObject| {
        after.metadata.uid == theirs.metadata.uid && after.metadata.generation == theirs.metadata.generation
    };
    ensure!(same(&team.ingresses().get(&name).await?), "written over");

    // The race: as if the watch had not shown it yet, or had shown another one of the name.
    let writer = Writer::new(team.client.clone());
    let companion = |uid: &str| Companion {
        name: name.clone(),
        uid: uid.to_owned(),
        host: host.to_owned(),
        secret_name: name.clone(),
        ..Companion::default()
    };
    for uid in ["", "00000000-0000-0000-0000-000000000000"] {
        let refused = writer.write_companion(&told, &companion(uid)).await;
        ensure!(matches!(refused, Err(WriteError::Conflict)), "{uid:?}: {refused:?}");
        ensure!(same(&team.ingresses().get(&name).await?), "written over");
    }
    let twin = team.create(plain("web-certgate-http", &["twin.companion-example.com"])).await?;
    let twins_host = Host::parse(host)?;
    for uid in [None, Some("00000000-0000-0000-0000-000000000000")] {
        let refused = writer.write_twin(&told, "web", &twins_host, uid).await;
        ensure!(matches!(refused, Err(WriteError::Conflict)), "{uid:?}: {refused:?}");
    }
    let after = team.ingresses().get("web-certgate-http").await?;
    ensure!(after.metadata.resource_version == twin.metadata.resource_version, "written over");

    // Its owner makes room: the host gets its companion, and its certificate.
    team.ingresses().delete(&name, &DeleteParams::default()).await?;
    team.until_injected("web", host).await?;
    ensure!(team.orders(host)? == 1);
    Ok(())
}
