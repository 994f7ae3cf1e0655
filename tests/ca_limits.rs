//! A CA with limits: a front before Pebble refuses as Let's Encrypt does, at a scale at which a minute shows it. With
//! certgate it never has to; without, the same load is refused.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod cluster;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use certgate::{
    api::verified_hosts::{self, VerifiedHosts},
    core::{
        host::Host,
        limits::{Account, Names, refusal::Refusal},
    },
};
use certgate_lab::{AcmeFront, AcmeLimits, Lab, LabOptions, Limit, Totals};
use cluster::{Cluster, PATIENCE, Team, plain};
use kube::{
    Api,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams, Patch, PatchParams},
};
use serde_json::{Value, json};

const ISSUER: &str = "limited";
/// Let's Encrypt allows 300 orders in three hours and 50 certificates a week and domain; here it is seconds.
const ORDERS: (u32, u64) = (6, 12);
const CERTIFICATES: (u32, u64) = (3, 18);
/// How long all of the load may take. The limits alone make it 18 s: six hosts of one domain, three at once and then one in 6 s.
const WITHIN: Duration = Duration::from_secs(150);

/// Who wants what, all at once: twelve hosts in three domains.
fn load() -> Vec<(&'static str, String)> {
    let of = |namespace, count: usize, domain: &'static str| {
        (0..count).map(move |n| (namespace, format!("{namespace}-{n}.{domain}")))
    };
    of("crowd", 5, "busy-example.com")
        .chain(of("small", 1, "busy-example.com"))
        .chain(of("crowd", 2, "other-example.net"))
        .chain(of("small", 4, "calm-example.org"))
        .collect()
}

fn limits() -> AcmeLimits {
    let limit = |(count, seconds)| Some(Limit { count, within: Duration::from_secs(seconds) });
    AcmeLimits { new_orders: limit(ORDERS), certificates_per_domain: limit(CERTIFICATES), ..AcmeLimits::default() }
}

/// The front, and the issuer that orders through it.
async fn limited(lab: &Lab) -> Result<AcmeFront> {
    let front = lab.limit_acme(limits()).await?;
    let solver = json!({"http01": {"ingress": {"ingressClassName": "lab", "serviceType": "ClusterIP"}}, "waitInsteadOfSelfCheck": "200ms"});
    lab.apply_value(front.cluster_issuer(ISSUER, json!([solver]))).await?;
    Ok(front)
}

/// Makes all Ingresses at once and waits until all certificates are there. `change` is what their owners add.
async fn bear(lab: &Lab, change: impl Fn(&mut Value, &str)) -> Result<Duration> {
    let teams = [Team::new(lab, "crowd").await?, Team::new(lab, "small").await?];
    let load = load();
    for (_, host) in &load {
        lab.dns().a(host, lab.ip());
    }
    let begun = Instant::now();
    let team = |namespace: &str| teams.iter().find(|team| team.name == namespace).expect("a team");
    for (namespace, host) in &load {
        let mut ingress = plain(host, &[host]);
        change(&mut ingress, host);
        team(namespace).create(ingress).await?;
    }
    for (namespace, host) in &load {
        let name = format!("certgate-{host}");
        lab.wait_for(&format!("Certificate {name} is Ready"), WITHIN.saturating_sub(begun.elapsed()), async || {
            let certificate = team(namespace).certificates().get(&name).await?;
            let ready = certgate_lab::story::condition(&certificate, "Ready").is_some_and(|c| c["status"] == "True");
            Ok(ready.then_some(()))
        })
        .await?;
    }
    Ok(begun.elapsed())
}

/// What certgate reads of the first refusal that cert-manager writes into an Order.
async fn first_refusal(lab: &Lab) -> Result<Refusal> {
    let kind = GroupVersionKind::gvk("acme.cert-manager.io", "v1", "Order");
    let orders: Api<DynamicObject> =
        Api::all_with(lab.client().await?, &ApiResource::from_gvk_with_plural(&kind, "orders"));
    let (account, names) = (Account::new("", ""), Names::one(&Host::parse("x.example.com")?));
    lab.wait_for("an Order is refused", WITHIN, async || {
        let all = orders.list(&ListParams::default()).await?.items;
        let reasons = all.iter().filter_map(|order| order.data.pointer("/status/reason")?.as_str());
        Ok(reasons.filter_map(|reason| Refusal::read(reason, &account, &names, jiff::Timestamp::now())).next())
    })
    .await
}

fn tell(who: &str, totals: &Totals, took: Duration) {
    let Totals { orders, certificates, refused, beyond } = totals;
    println!(
        "| {who} | {} | {} | {orders} | {certificates} | {beyond} | {:.1} s |",
        load().len(),
        refused.len(),
        took.as_secs_f64()
    );
    if let Some(first) = refused.first() {
        println!("  first: {}", first.detail);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certgate_the_ca_never_has_to_refuse() -> Result<()> {
    let rate = |(count, seconds): (u32, u64)| json!({"count": count, "seconds": seconds});
    let cluster = Cluster::start(LabOptions::default(), ISSUER, |policy| {
        // The gateway's address is the lab's, and so the front's.
        let directory = format!("https://{}:14001/dir", policy["gateway"]["addresses"][0].as_str().unwrap_or_default());
        policy["limits"] = json!({directory: {"newOrders": rate(ORDERS), "certificatesPerDomain": rate(CERTIFICATES)}});
        policy["gate"] = json!({"mode": "all"});
    })
    .await?;
    let front = limited(&cluster.lab).await?;
    let waited = async {
        // Somebody had to wait, and was told for what.
        let domains: Api<certgate::api::domain::Domain> = Api::all(cluster.lab.client().await?);
        cluster
            .lab
            .wait_for("a host waits for a place", WITHIN, async || {
                let all = domains.list(&ListParams::default()).await?.items;
                let messages = all.into_iter().filter_map(|domain| domain.status?.message);
                Ok(messages.into_iter().find(|message| message.contains("next free place")))
            })
            .await
    };
    let (took, message) = tokio::try_join!(bear(&cluster.lab, |_, _| {}), waited)?;
    let totals = front.totals();
    tell("certgate", &totals, took);
    ensure!(totals.refused.is_empty(), "refused: {:?}", totals.refused);
    ensure!(totals.beyond == 0 && totals.certificates == load().len(), "{totals:?}");
    ensure!(message.contains("the CA's limit on"), "{message}");
    a_deleted_domain_leaves_its_order_to_verified_hosts(&cluster.lab).await
}

/// A host is switched off: its Domain goes, and with the Certificate cert-manager's Order.
async fn a_deleted_domain_leaves_its_order_to_verified_hosts(lab: &Lab) -> Result<()> {
    let (team, host) = (Team::new(lab, "small").await?, "small-0.calm-example.org");
    let off = json!({"metadata": {"annotations": {"certgate.dev/auto-issue": "false"}}});
    team.ingresses().patch(host, &PatchParams::default(), &Patch::Merge(off)).await?;
    let all: Api<VerifiedHosts> = Api::namespaced(team.client.clone(), &team.name);
    lab.wait_for("VerifiedHosts tells of the order", PATIENCE, async || {
        let orders = all.get(verified_hosts::NAME).await?.spec.orders;
        let kept = orders.iter().find(|order| order.host == host);
        Ok(kept.filter(|order| order.spent.issued.is_some() && !order.spent.account.is_empty()).map(|_| ()))
    })
    .await?;
    ensure!(team.domains().get_opt(host).await?.is_none());
    Ok(())
}

/// For comparison (`make bench`): every Ingress has its annotation and TLS section from the start, and cert-manager orders.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "what cert-manager does alone is measured, not tested: make bench"]
async fn cert_manager_alone_is_refused() -> Result<()> {
    Lab::with(LabOptions::default(), async |lab| {
        let front = limited(lab).await?;
        let bear = bear(lab, |ingress, host| {
            ingress["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": ISSUER});
            ingress["spec"]["tls"] = json!([{"hosts": [host], "secretName": format!("certgate-{host}")}]);
        });
        let (took, refusal) = tokio::join!(bear, first_refusal(lab));
        let refusal = refusal?;
        ensure!(refusal.limit.is_some() && refusal.until > jiff::Timestamp::UNIX_EPOCH, "{refusal:?}");
        let totals = front.totals();
        tell("cert-manager alone", &totals, *took.as_ref().unwrap_or(&WITHIN));
        ensure!(!totals.refused.is_empty(), "nothing was refused: {totals:?}");
        Ok(())
    })
    .await
}
