//! Random Ingresses through the real API server, with the real webhook and without: what is accepted and what is refused
//! is the same, what is stored is what the decision says, and deciding about it again gives nothing.

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
#[path = "support/random.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod random;

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use anyhow::{Context, Result, ensure};
use certgate::{
    api::domain::{Domain, DomainSpec, DomainStatus, ISSUED, VerdictStatus},
    core::{
        finding::Finding,
        host::Host,
        knowledge::{DomainFacts, VerdictFacts},
        policy::{IssuerRef, Policy, Profile},
        reason::Reason,
    },
};
use certgate_lab::{LabOptions, certgate as installed};
use cluster::{Cluster, SOON};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{
    Api, Client,
    api::{ApiResource, DynamicObject, GroupVersionKind, ObjectMeta, PostParams},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use random::Known;
use serde_json::{Value, json};

/// States of knowledge, each in a namespace of its own.
const STATES: usize = 6;
/// Random Ingresses for each.
const EACH: usize = 250;
/// Requests under way at a time.
const AT_ONCE: usize = 8;
/// The namespace that the webhook is not called for.
const UNSEEN: &str = "unseen";
/// The host whose Domain is written last.
const SENTINEL: &str = "sentinel.example.com";

/// A namespace with Domains.
struct State {
    namespace: String,
    known: Known,
}

fn policy_value() -> Value {
    json!([
        {"match": {"hosts": ["api.*"]}, "issuer": {"kind": "ClusterIssuer", "name": "zero"}},
        {"match": {"hosts": ["a.b.example.com"]}, "issuance": "companion"},
        {"match": {"hosts": ["8.*"]}, "http": "keep"},
    ])
}

fn ingresses(client: &Client, namespace: &str) -> Api<DynamicObject> {
    let kind = GroupVersionKind::gvk("networking.k8s.io", "v1", "Ingress");
    Api::namespaced_with(client.clone(), namespace, &ApiResource::from_gvk_with_plural(&kind, "ingresses"))
}

/// A status from which [`Domain::facts`] reads `facts`.
fn status(facts: &DomainFacts) -> DomainStatus {
    let issued = Condition {
        type_: ISSUED.to_owned(),
        status: if facts.issued { "True" } else { "False" }.to_owned(),
        reason: "Random".to_owned(),
        message: String::new(),
        last_transition_time: Time(Timestamp::UNIX_EPOCH),
        observed_generation: None,
    };
    DomainStatus {
        conditions: vec![issued],
        verdict: facts.verdict.as_ref().map(|verdict| VerdictStatus {
            reason: verdict.finding.reason.as_str().to_owned(),
            subject: verdict.finding.subject.clone(),
            note: verdict.finding.note.clone(),
            issuer: verdict.issuer.clone(),
            server: None,
            valid_until: Some(Time(verdict.valid_until)),
        }),
        released: facts.released,
        lead: facts.lead.as_deref().map(str::to_owned),
        bind: facts.bind.clone(),
        profile: facts.profile,
        ..DomainStatus::default()
    }
}

async fn write_domain(api: &Api<Domain>, host: &str, facts: &DomainFacts) -> Result<DomainFacts> {
    let host = Host::parse(host)?;
    let spec = DomainSpec {
        host: host.to_string(),
        auto_issue: facts.auto_issue,
        issuer_ref: facts.issuer.clone(),
        ..DomainSpec::default()
    };
    let domain =
        Domain { metadata: ObjectMeta { name: Some(host.object_name()), ..ObjectMeta::default() }, spec, status: None };
    let mut domain = api.create(&PostParams::default(), &domain).await?;
    domain.status = Some(status(facts));
    let name = domain.metadata.name.clone().unwrap_or_default();
    Ok(api.replace_status(&name, &PostParams::default(), &domain).await?.facts())
}

/// Writes the Domains of a random state. What is returned is read back from what the API server has stored.
async fn write_state(cluster: &Cluster, number: usize, known: Known) -> Result<State> {
    let namespace = format!("state-{number}");
    let mut labels = json!({});
    if let Some(flag) = known.namespace_flag.as_deref().filter(|flag| *flag != "?") {
        labels["certgate.dev/auto-issue"] = json!(flag);
    }
    let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
    cluster.lab.apply_value(object).await?;
    let client = cluster.lab.client().await?;
    let api: Api<Domain> = Api::namespaced(client, &namespace);
    let mut domains = BTreeMap::new();
    for (host, mut facts) in known.domains {
        if Host::parse(&host).is_err() {
            continue;
        }
        let now = Timestamp::now();
        if let Some(verdict) = &mut facts.verdict {
            let fresh = verdict.valid_until > now;
            let hour = SignedDuration::from_hours(1);
            // What is stale is so by the clock here and by the one of all random decisions.
            verdict.valid_until = if fresh { now + hour } else { random::now().min(now) - hour };
        }
        facts.profile = known.v5.then_some(Profile::RainbondV5);
        domains.insert(host.clone(), write_domain(&api, &host, &facts).await?);
    }
    let known = Known {
        namespace_flag: labels["certgate.dev/auto-issue"].as_str().map(str::to_owned),
        v5: known.v5 && !domains.is_empty(),
        domains,
    };
    Ok(State { namespace, known })
}

/// Waits until the webhook knows the Domain that was written last.
async fn until_known(cluster: &Cluster, policy: &Policy) -> Result<()> {
    cluster.lab.namespace("sentinel").await?;
    let client = cluster.lab.client().await?;
    let facts = DomainFacts {
        verdict: Some(VerdictFacts {
            finding: Finding::new(Reason::Verified, SENTINEL),
            issuer: policy.issuer.clone(),
            server: None,
            valid_until: Timestamp::now() + SignedDuration::from_hours(1),
        }),
        ..DomainFacts::default()
    };
    write_domain(&Api::namespaced(client.clone(), "sentinel"), SENTINEL, &facts).await?;
    let api = ingresses(&client, "sentinel");
    let object: DynamicObject = serde_json::from_value(cluster::plain("web", &[SENTINEL]))?;
    cluster
        .lab
        .wait_for("the webhook knows the last Domain", SOON, async || {
            let stored = api.create(&dry_run(), &object).await?;
            Ok((!stored.data["spec"]["tls"].is_null()).then_some(()))
        })
        .await
}

fn dry_run() -> PostParams {
    PostParams { dry_run: true, ..PostParams::default() }
}

/// Creates, as a dry run: the object as it would be stored, or the refusal.
async fn create(client: &Client, namespace: &str, object: &Value) -> Result<Result<Value, (u16, String)>> {
    let mut object = object.clone();
    object["metadata"]["namespace"] = json!(namespace);
    match ingresses(client, namespace).create(&dry_run(), &serde_json::from_value(object)?).await {
        Ok(stored) => {
            let mut stored = serde_json::to_value(stored)?;
            // What differs from write to write.
            if let Some(metadata) = stored["metadata"].as_object_mut() {
                metadata.retain(|key, _| !["uid", "creationTimestamp", "managedFields"].contains(&key.as_str()));
                metadata.insert("namespace".to_owned(), json!("team-a"));
            }
            Ok(Ok(stored))
        }
        Err(kube::Error::Api(status)) => {
            // A patch of any kind takes the object through JSON, after which the API server shows an empty list as none.
            Ok(Err((status.code, status.message.replace("spec: Invalid value: null:", "spec: Invalid value: []:"))))
        }
        Err(error) => Err(error.into()),
    }
}

/// The API server does not store an empty map or list.
fn drop_empty(object: &mut Value) {
    for (parent, key) in [("metadata", "annotations"), ("spec", "tls")] {
        let is_empty = object[parent][key].as_object().is_some_and(serde_json::Map::is_empty)
            || object[parent][key].as_array().is_some_and(Vec::is_empty);
        if is_empty && let Some(parent) = object[parent].as_object_mut() {
            parent.remove(key);
        }
    }
}

#[derive(Default)]
struct Counts {
    accepted: AtomicUsize,
    refused: AtomicUsize,
    patched: AtomicUsize,
}

/// Writes an Ingress where the webhook sees it and where it does not.
async fn compare(client: &Client, state: &State, policy: &Policy, object: &Value, counts: &Counts) -> Result<()> {
    let (with, without) = tokio::try_join!(create(client, &state.namespace, object), create(client, UNSEEN, object))?;
    match (with, without) {
        (Ok(with), Ok(without)) => {
            let (mut expected, patch, _) = random::step(&without, &state.known, policy);
            drop_empty(&mut expected);
            ensure!(with == expected, "stored:\n{with}\nexpected:\n{expected}\nby {patch:?}");
            let (_, again, _) = random::step(&with, &state.known, policy);
            ensure!(again.is_empty(), "{again:?} once more on {with}");
            counts.accepted.fetch_add(1, Ordering::Relaxed);
            counts.patched.fetch_add(usize::from(!patch.is_empty()), Ordering::Relaxed);
        }
        (Err(with), Err(without)) => {
            ensure!(with == without, "with the webhook: {with:?}, without: {without:?}");
            counts.refused.fetch_add(1, Ordering::Relaxed);
        }
        (with, without) => anyhow::bail!("with the webhook: {with:?}, without: {without:?}"),
    }
    Ok(())
}

/// Hosts that are all verified.
const MANY: usize = 150;
/// Kubernetes' bound on all annotations of an object.
const MAX_ANNOTATIONS: usize = 256 * 1024;

fn many_known() -> Known {
    let facts = |host: &str| DomainFacts {
        verdict: Some(VerdictFacts {
            finding: Finding::new(Reason::Verified, host),
            issuer: None,
            server: None,
            valid_until: Timestamp::MAX,
        }),
        auto_issue: Some(true),
        ..DomainFacts::default()
    };
    let hosts = (0..MANY).map(|number| format!("shop-{number:03}.bounds-example.com"));
    Known { domains: hosts.map(|host| (host.clone(), facts(&host))).collect(), ..Known::default() }
}

/// An Ingress with an annotation of that many octets, key included.
fn filled(hosts: &[&str], octets: usize, rainbond: bool) -> Value {
    let mut object = if rainbond { cluster::rainbond("web", hosts[0], "/") } else { cluster::plain("web", hosts) };
    object["metadata"]["annotations"] = json!({ "x": "y".repeat(octets - 1) });
    object
}

/// Writes near each bound of the API server, of one host and of many, with quotation marks and without.
fn at_the_bounds(state: &State) -> Vec<Value> {
    let hosts: Vec<&str> = state.known.domains.keys().map(String::as_str).collect();
    let mut objects = Vec::new();
    for octets in (MAX_ANNOTATIONS - 480..=MAX_ANNOTATIONS).step_by(16) {
        objects.push(filled(&hosts[..1], octets, false));
        objects.push(filled(&hosts[..1], octets, true));
    }
    objects.push(filled(&hosts, MAX_ANNOTATIONS - 20_000, false));
    objects.push(filled(&hosts, MAX_ANNOTATIONS - 160, false));
    objects.push(filled(&hosts, MAX_ANNOTATIONS, false));
    let mut quoted = filled(&hosts[..1], 100, false);
    quoted["metadata"]["annotations"]["q"] = json!("\"\\\n".repeat(87_000));
    objects.push(quoted);
    objects
}

/// An Ingress of about that many octets in JSON.
fn large(name: &str, hosts: &[&str], octets: usize) -> Value {
    let mut object = cluster::plain(name, hosts);
    let path = json!({"path": format!("/{}", "p".repeat(900)), "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}});
    let count = octets / path.to_string().len();
    object["spec"]["rules"][0]["http"]["paths"] = (0..count).map(|_| path.clone()).collect();
    object
}

/// Writes Ingresses of sizes about that which etcd takes, with the webhook and without: what is stored without is stored with.
async fn compare_large(client: &Client, state: &State) -> Result<()> {
    let hosts: Vec<&str> = state.known.domains.keys().map(String::as_str).collect();
    let (mut stored, mut injected, mut refused) = (0, 0, 0);
    // etcd takes 1.5 MiB of what the API server stores, which is a tenth less than its JSON.
    for octets in (1_500_000..1_900_000).step_by(20_000) {
        let write = async |namespace: &str| {
            let object = large(&format!("large-{octets}"), &hosts, octets);
            let api = ingresses(client, namespace);
            let written = api.create(&PostParams::default(), &serde_json::from_value(object)?).await;
            if written.is_ok() {
                api.delete(&format!("large-{octets}"), &Default::default()).await?;
            }
            anyhow::Ok(written)
        };
        match (write(UNSEEN).await?, write(&state.namespace).await?) {
            (Ok(_), Ok(with)) => {
                stored += 1;
                injected += usize::from(!with.data["spec"]["tls"].is_null());
            }
            (Err(_), _) => refused += 1,
            (Ok(_), Err(error)) => anyhow::bail!("of {octets} octets: refused with the webhook alone: {error}"),
        }
    }
    ensure!(stored > 2 && injected > 0 && refused > 2, "{stored} stored, {injected} injected, {refused} refused");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn random_writes_are_accepted_with_the_webhook_exactly_when_without_it() -> Result<()> {
    let mut settings = Value::Null;
    let options = LabOptions::bare();
    let cluster = Cluster::install(
        options,
        "le",
        |policy| {
            policy["rules"] = policy_value();
            policy["platformDomains"] = json!(["nip.io"]);
            settings = policy.clone();
        },
        // One replica, so that one that knows the last Domain is the one that answers.
        |chart| {
            chart.values(json!({"webhook": {"replicas": 1, "solverServices": true, "excludeNamespaces": [UNSEEN]}}))
        },
    )
    .await?;
    let policy: Policy = serde_json::from_value(settings).context("the policy")?;
    ensure!(policy.issuer == Some(IssuerRef::cluster("le")));
    cluster.lab.namespace(UNSEEN).await?;
    // The Domains below are ours to write.
    for controller in cluster.app.replicas_of(installed::CONTROLLER) {
        cluster.app.kill(&controller)?;
    }
    let mut runner = TestRunner::deterministic();
    let mut states = Vec::new();
    for number in 0..STATES {
        let mut known = random::known().new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        known.v5 = number % 2 == 0;
        states.push(Arc::new(write_state(&cluster, number, known).await?));
    }
    let bounds = write_state(&cluster, STATES, many_known()).await?;
    until_known(&cluster, &policy).await?;
    let client = cluster.lab.client().await?;
    let mut writes = Vec::new();
    let tree = (random::ingress(), any::<prop::sample::Index>());
    for _ in 0..STATES * EACH {
        let (object, which) = tree.new_tree(&mut runner).map_err(anyhow::Error::msg)?.current();
        writes.push((object, which.get(&states).clone()));
    }
    let counts = Counts::default();
    stream::iter(writes)
        .map(async |(object, state)| compare(&client, &state, &policy, &object, &counts).await)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await?;
    let [accepted, refused, patched] =
        [&counts.accepted, &counts.refused, &counts.patched].map(|count| count.load(Ordering::Relaxed));
    let told = format!("{accepted} accepted, {patched} of them patched, {refused} refused");
    let counts = Counts::default();
    let writes = at_the_bounds(&bounds);
    stream::iter(&writes)
        .map(async |object| compare(&client, &bounds, &policy, object, &counts).await)
        .buffer_unordered(AT_ONCE)
        .try_collect::<()>()
        .await
        .context("at the bounds")?;
    let near = counts.patched.load(Ordering::Relaxed);
    ensure!(counts.accepted.load(Ordering::Relaxed) == writes.len() && near > 20, "{near} of {} patched", writes.len());
    compare_large(&client, &bounds).await?;
    ensure!(accepted + refused == STATES * EACH && accepted > 400 && refused > 100 && patched > 100, "{told}");
    cluster.lab.stop()
}
