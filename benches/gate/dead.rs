//! Dead hosts beside good ones: with certgate, and with cert-manager alone.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use certgate_lab::{CertManager, Lab, LabOptions};
use k8s_openapi::api::{
    core::v1::{Pod, Service},
    networking::v1::Ingress,
};
use kube::{
    Api, Resource, ResourceExt as _,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::{Value, json};

use super::{
    Options,
    cluster::{Cluster, Team, plain},
};

/// How many dead hosts stall cert-manager alone: its scheduler runs this many challenges at once.
const DEAD: usize = 60;
/// The issuer as most people have it: cert-manager checks challenges itself before it asks the CA.
const ISSUER: &str = "pebble";
const SOLVER: &str = "acme.cert-manager.io/http01-solver=true";
/// Created together with the dead ones.
const AT_ONCE: &str = "at-once.example.com";
/// Created when the dead ones stand.
const AFTER: &str = "after.example.com";

/// How certificates are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Certificates,
    Ingresses,
}

/// What became of the good hosts, and what the dead ones cost.
struct Outcome {
    at_once: Option<Duration>,
    after: Option<Duration>,
    orders: usize,
    challenges: usize,
    pods: usize,
    services: usize,
    ingresses: usize,
}

pub async fn measure(options: &Options) -> Result<String> {
    let mut table = String::from(
        "| cert-manager | asked for by | | good host at once | good host after | orders | challenges | solver Pods | \
         solver Services | solver Ingresses |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for version in [CertManager::V1_17, CertManager::V1_21] {
        for way in [Way::Certificates, Way::Ingresses] {
            for with in [true, false] {
                let outcome = one(version, way, with, options.within).await?;
                let row = row(version, way, with, &outcome, options.within);
                eprint!("{row}");
                table.push_str(&row);
            }
        }
    }
    Ok(format!(
        "{DEAD} hosts that are not in DNS and one that is, created together; then, when the dead ones stand (as \
         challenges, or held), one more good host. Seconds from its creation to its certificate; what stands at the \
         end of a wait of {} s at most, all hosts together. Each row is a cluster of its own.\n\n{table}",
        options.within.as_secs()
    ))
}

fn row(version: CertManager, way: Way, with: bool, outcome: &Outcome, within: Duration) -> String {
    let took = |time: Option<Duration>| match time {
        Some(time) => format!("{:.1} s", time.as_secs_f64()),
        None => format!("**not within {} s**", within.as_secs()),
    };
    let version = match version {
        CertManager::V1_17 => "1.17.0",
        CertManager::V1_21 => "1.21.2",
    };
    format!(
        "| {version} | {} | {} | {} | {} | {} | {} | {} | {} | {} |\n",
        if way == Way::Certificates { "Certificates" } else { "Ingresses" },
        if with { "with certgate" } else { "alone" },
        took(outcome.at_once),
        took(outcome.after),
        outcome.orders,
        outcome.challenges,
        outcome.pods,
        outcome.services,
        outcome.ingresses,
    )
}

async fn one(version: CertManager, way: Way, with: bool, within: Duration) -> Result<Outcome> {
    let options = LabOptions { cert_manager: Some(version), audit_log: true, ..LabOptions::default() };
    if !with {
        let lab = Lab::start(options).await?;
        lab.dns().set_negative_ttl(1, 1);
        return run(&lab, way, false, within).await;
    }
    // Ingresses are held at admission; the second gate is for what does not come that way.
    let mode = if way == Way::Certificates { "all" } else { "off" };
    let cluster = Cluster::start(options, ISSUER, |policy| policy["gate"] = json!({"mode": mode})).await?;
    run(&cluster.lab, way, true, within).await
}

async fn run(lab: &Lab, way: Way, with: bool, within: Duration) -> Result<Outcome> {
    let team = Team::new(lab, "flood").await?;
    let names: Vec<String> = (0..DEAD).map(|n| format!("dead{n}.example.com")).collect();
    for host in &names {
        ask(&team, way, with, host).await?;
    }
    let at_once = good(&team, way, with, AT_ONCE).await?;
    stand(&team, with, names.len()).await?;
    let after = good(&team, way, with, AFTER).await?;
    let (at_once, after) =
        tokio::join!(ready(&team, way, with, AT_ONCE, at_once, within), ready(&team, way, with, AFTER, after, within));
    let client = &team.client;
    let all = ListParams::default();
    let solvers = ListParams::default().labels(SOLVER);
    let challenges = challenges(&team).list(&all).await?.items.len();
    Ok(Outcome {
        at_once,
        after,
        orders: lab.pebble().orders()?,
        challenges,
        pods: count::<Pod>(Api::namespaced(client.clone(), &team.name), &solvers).await?,
        services: count::<Service>(Api::namespaced(client.clone(), &team.name), &solvers).await?,
        ingresses: count::<Ingress>(Api::namespaced(client.clone(), &team.name), &solvers).await?,
    })
}

async fn count<K>(api: Api<K>, params: &ListParams) -> Result<usize>
where
    K: Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    Ok(api.list(params).await?.items.len())
}

/// A host that leads to the gateway, asked for now.
async fn good(team: &Team<'_>, way: Way, with: bool, host: &str) -> Result<Instant> {
    team.lab.dns().a(host, team.lab.ip());
    let start = Instant::now();
    ask(team, way, with, host).await?;
    Ok(start)
}

/// Asks for a certificate. Without certgate it is the user who annotates the Ingress.
async fn ask(team: &Team<'_>, way: Way, with: bool, host: &str) -> Result<()> {
    let mut object = match way {
        Way::Certificates => json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate",
            "metadata": {"name": host}, "spec": {"secretName": host, "dnsNames": [host],
                "issuerRef": {"kind": "ClusterIssuer", "name": ISSUER}}}),
        Way::Ingresses => plain(host, &[host]),
    };
    object["metadata"]["namespace"] = json!(team.name);
    if way == Way::Ingresses && !with {
        object["metadata"]["annotations"] = json!({"cert-manager.io/cluster-issuer": ISSUER});
        object["spec"]["tls"] = json!([{"hosts": [host], "secretName": host}]);
    }
    team.lab.apply_value(object).await?;
    Ok(())
}

fn challenges(team: &Team<'_>) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("acme.cert-manager.io", "v1", "Challenge");
    Api::namespaced_with(team.client.clone(), &team.name, &ApiResource::from_gvk_with_plural(&kind, "challenges"))
}

/// Waits until every dead host stands where it will stay: in a challenge under way, or held.
async fn stand(team: &Team<'_>, with: bool, dead: usize) -> Result<()> {
    team.lab
        .wait_for("the dead hosts stand", Duration::from_secs(120), async || {
            let all = ListParams::default();
            let standing = if with {
                let domains = team.domains().list(&all).await?.items;
                let held = |c: &k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition| {
                    c.type_ == "Verified" && c.reason == "DomainNotFound"
                };
                domains.iter().filter(|one| one.status.iter().flat_map(|s| &s.conditions).any(held)).count()
            } else {
                let under_way =
                    |one: &&DynamicObject| one.data.pointer("/status/processing") == Some(&Value::Bool(true));
                let dead = |one: &&DynamicObject| one.name_any().starts_with("dead");
                challenges(team).list(&all).await?.items.iter().filter(dead).filter(under_way).count()
            };
            anyhow::ensure!(standing >= dead.min(59), "{standing} of {dead}");
            Ok(Some(()))
        })
        .await
        .context("dead hosts")
}

/// How long a host's certificate took, if it came within the time.
async fn ready(
    team: &Team<'_>,
    way: Way,
    with: bool,
    host: &str,
    start: Instant,
    within: Duration,
) -> Option<Duration> {
    let name = if way == Way::Ingresses && with { format!("certgate-{host}") } else { host.to_owned() };
    let left = within.saturating_sub(start.elapsed());
    let wait = team.lab.wait_for(host, left, async || {
        let object = team.certificates().get(&name).await?;
        let is_ready = certgate_lab::story::condition(&object, "Ready").is_some_and(|c| c["status"] == "True");
        Ok(is_ready.then(|| start.elapsed()))
    });
    wait.await.ok()
}
