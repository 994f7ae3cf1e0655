//! Objects of every kind that is watched, broken in every way that chance finds, for as long as
//! `CERTGATE_FUZZ_SECONDS` says: no panic, no list or watch lost, and the neighbours in the list always read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    missing_docs,
    reason = "helpers of tests fail by panicking, like the tests"
)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::{Duration, Instant},
};

use certgate::{
    api::{
        domain::Domain,
        partial::{
            certificate::Certificate,
            certificate_request::CertificateRequest,
            gateway::{RainbondCluster, Service},
            ingress::Ingress,
            issuance::{Challenge, Order},
            issuer::{ClusterIssuer, Issuer},
            metadata::Metadata,
            route::ApisixRoute,
            whole::Whole,
        },
        read::Read,
        verified_hosts::VerifiedHosts,
    },
    cluster::{
        index::Index,
        world::{Key, World, intake::Kept},
    },
    core::{
        knowledge::Knowledge as _,
        policy::Policy,
        reconcile::{Checks, Notes},
    },
};
use fastrand::Rng;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{
    Resource,
    core::{ObjectList, WatchEvent},
    runtime::watcher::Event,
};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

const HOST: &str = "www.example.com";
/// Stands in a value for what `serde_json::Value` cannot hold.
const RAW: &str = "%raw%";
/// What is put there: valid JSON all the same.
const RAW_VALUES: &[&str] =
    &["1e999", "-1E400", "123456789012345678901234567890", "-0", "0.1e-999", r#""\ud83d\ude00""#, r#""\u0000""#];

fn policy() -> Policy {
    serde_json::from_value(json!({"issuer": {"name": "le"}, "autoIssue": "all", "gateway": {"addresses": ["203.0.113.7"], "ingressStatus": true},
        "gate": {"mode": "all"}, "rainbond": {"routes": true}})).unwrap()
}

fn meta(name: &str) -> Value {
    json!({"name": name, "namespace": "team-a", "uid": format!("uid-{name}"), "resourceVersion": "7", "generation": 2,
        "creationTimestamp": "2026-01-02T03:04:05Z", "deletionTimestamp": null, "labels": {"app_id": "1"}, "finalizers": ["x"],
        "annotations": {"certgate.dev/auto-issue": "true", "cert-manager.io/certificate-name": "certgate-www.example.com", "x": "y",
            "certgate.dev/injected": "{\"tls\":{\"www.example.com\":\"certgate-www.example.com\"}}"},
        "ownerReferences": [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "shop", "uid": "u", "controller": true}],
        "managedFields": [{"manager": "m", "operation": "Update", "time": "2026-01-02T03:04:05Z", "fieldsV1": {"f:spec": {}}}]})
}

/// An object of the kind as the API server sends it.
fn seed(kind: &str, name: &str) -> Value {
    let csr = "LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K";
    let issuer = json!({"kind": "ClusterIssuer", "name": "le", "group": "cert-manager.io"});
    let condition = |kind: &str| {
        json!({"type": kind, "status": "True", "reason": "Verified", "message": "m",
        "lastTransitionTime": "2026-01-02T03:04:05Z", "observedGeneration": 2})
    };
    let mut object = match kind {
        "Ingress" => {
            json!({"spec": {"ingressClassName": "nginx", "rules": [{"host": HOST, "http": {"paths": [{"path": "/"}]}}],
            "tls": [{"hosts": [HOST], "secretName": "certgate-www.example.com"}]}, "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}})
        }
        "Domain" => json!({"spec": {"host": HOST, "autoIssue": true, "issuerRef": {"name": "le"}},
            "status": {"conditions": [condition("Verified"), condition("Issued")], "message": "m", "whoActs": "nobody", "observed": ["a"],
                "required": ["b"], "verdict": {"reason": "Verified", "subject": HOST, "issuer": {"name": "le"}, "validUntil": "2026-12-01T00:00:00Z"},
                "issuance": {"reason": "Issued", "observed": [], "note": ""}, "place": "granted",
                "orders": [{"order": "o", "ordered": "2026-11-01T00:00:00Z", "failures": [HOST]}], "lastCheckTime": "2026-11-01T00:00:00Z",
                "nextCheckTime": "2026-12-01T00:00:00Z", "heldSince": "2026-11-01T00:00:00Z", "released": true, "lead": "shop",
                "releasedSince": "2026-11-01T00:00:00Z", "bind": {"secretName": "s", "certificate": "c"}, "profile": "standard",
                "certificate": {"name": "c", "secretName": "s", "notAfter": "2026-12-31T00:00:00Z"}, "checkedFor": "x"}}),
        "VerifiedHosts" => json!({"spec": {"hosts": {HOST: "certgate-www.example.com"}, "issuer": "le",
            "orders": [{"directory": "https://ca.example/dir", "host": HOST, "order": "o", "issued": "2026-11-01T00:00:00Z"}]}}),
        "Certificate" => json!({"spec": {"secretName": name, "dnsNames": [HOST, "*.example.com"], "issuerRef": issuer},
            "status": {"conditions": [condition("Ready"), condition("Issuing")], "notAfter": "2026-12-31T00:00:00Z",
                "renewalTime": "2026-12-01T00:00:00Z", "lastFailureTime": "2026-11-01T00:00:00Z"}}),
        "CertificateRequest" => {
            json!({"spec": {"request": csr, "issuerRef": issuer}, "status": {"conditions": [condition("Approved"), condition("Ready")]}})
        }
        "Order" => {
            json!({"spec": {"dnsNames": [HOST], "issuerRef": issuer}, "status": {"url": "https://ca.example/o", "state": "invalid", "reason": "429 rateLimited"}})
        }
        "Challenge" => json!({"spec": {"dnsName": HOST}, "status": {"state": "invalid", "reason": "r"}}),
        "Issuer" | "ClusterIssuer" => {
            json!({"spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}},
            "selector": {"matchLabels": {"a": "b"}, "dnsNames": [HOST], "dnsZones": ["example.com"]}}, {"dns01": {"webhook": {"config": {"a": [1]}}}}]}},
            "status": {"conditions": [condition("Ready")], "acme": {"uri": "https://ca.example/a"}}})
        }
        "ApisixRoute" => json!({"spec": {"http": [{"match": {"hosts": [HOST]}}]}}),
        "Service" => {
            json!({"status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}, {"hostname": "lb.example.com"}]}}})
        }
        "RainbondCluster" => {
            json!({"spec": {"gatewayIngressIPs": ["203.0.113.7"], "nodesForGateway": [{"externalIP": "203.0.113.8"}], "suffixHTTPHost": "x.example.com"}})
        }
        _ => json!({}),
    };
    object["metadata"] = meta(name);
    if ["Namespace", "ClusterIssuer"].contains(&kind) {
        object["metadata"].as_object_mut().unwrap().remove("namespace");
    }
    object["kind"] = json!(kind);
    object
}

/// A value of another type, out of range or odd.
fn odd(rng: &mut Rng) -> Value {
    let deep = (0..200).fold(json!({}), |inner, _| json!({"a": [inner]}));
    let pool = [
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5),
        json!(1e308),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(""),
        json!("x"),
        json!([]),
        json!({}),
        json!([[[]]]),
        json!({"a": {"b": 1}}),
        json!([null]),
        json!({"": null}),
        deep,
        json!("9999-12-31T23:59:59Z"),
        json!("0000-01-01T00:00:00Z"),
        json!("-9999-01-01T00:00:00Z"),
        json!("10000-01-01T00:00:00Z"),
        json!("2026-02-30T25:61:61Z"),
        json!("2026-01-01T00:00:00+99:99"),
        json!("9999-12-31T23:59:59.999999999-23:59"),
        json!("\u{1b}[31m\n\r\u{202e}"),
        json!("证".repeat(400)),
        json!("a.".repeat(300)),
        json!("*.*.example.com"),
        json!(RAW),
        json!(RAW),
    ];
    rng.choice(pool).unwrap()
}

/// Changes one place, chosen by chance.
fn mutate(rng: &mut Rng, value: &mut Value) {
    let inner = match value {
        Value::Object(fields) if !fields.is_empty() && rng.u8(..8) > 0 => {
            let at = rng.usize(..fields.len());
            let key = fields.keys().nth(at).unwrap().clone();
            match rng.u8(..10) {
                0 => return drop(fields.remove(&key)),
                1 => return drop(fields.insert("notYetInvented".to_owned(), odd(rng))),
                _ => fields.get_mut(&key),
            }
        }
        Value::Array(items) if !items.is_empty() && rng.u8(..4) > 0 => {
            let at = rng.usize(..items.len());
            match rng.u8(..8) {
                0 => return items.push(odd(rng)),
                1 => return drop(items.remove(at)),
                _ => items.get_mut(at),
            }
        }
        _ => None,
    };
    match inner {
        Some(inner) if rng.u8(..3) > 0 => mutate(rng, inner),
        Some(inner) => *inner = odd(rng),
        None => *value = odd(rng),
    }
}

/// The text, with what no `Value` can hold put in.
fn text(rng: &mut Rng, value: &Value) -> String {
    let quoted = format!("\"{RAW}\"");
    let mut text = value.to_string();
    while let Some(at) = text.find(&quoted) {
        text.replace_range(at..at + quoted.len(), rng.choice(RAW_VALUES).unwrap());
    }
    text
}

/// What is fed beside reading.
struct Fed {
    world: World,
    index: Index,
    unread: u64,
}

/// A list with a broken object among good ones, and the same object in a watch.
fn list<K>(rng: &mut Rng, kind: &str) -> (Vec<Read<K>>, Read<K>)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
    K::Scope: 'static,
{
    let mut broken = seed(kind, "broken");
    for _ in 0..rng.usize(1..4) {
        mutate(rng, &mut broken);
    }
    let broken = text(rng, &broken);
    let (before, after) = (seed(kind, "before"), seed(kind, "after"));
    let json = format!(
        r#"{{"kind": "{kind}List", "apiVersion": "v1", "metadata": {{"resourceVersion": "9"}}, "items": [{before},{broken},{after}]}}"#
    );
    let listed: ObjectList<Read<K>> = serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {broken}"));
    assert_eq!(listed.items.len(), 3);
    for (at, name) in [(0, "before"), (2, "after")] {
        let neighbour = &listed.items[at];
        assert!(matches!(neighbour, Read::Object(_)), "{kind} {name} {:?}", neighbour.meta());
        assert_eq!(neighbour.meta().name.as_deref(), Some(name));
    }
    let line = format!(r#"{{"type": "MODIFIED", "object": {broken}}}"#);
    let event: WatchEvent<Read<K>> = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {broken}"));
    let WatchEvent::Modified(changed) = event else { panic!("an event that is none: {line}") };
    if let Read::Unreadable(found) = &changed {
        assert!(!found.error.is_empty() && found.error.len() < 400, "{}", found.error);
        assert!(!found.error.contains(char::is_control), "{:?}", found.error);
    }
    (listed.items, changed)
}

fn feed<K>(rng: &mut Rng, kind: &str, fed: &mut Fed)
where
    K: Kept + Clone + DeserializeOwned + std::fmt::Debug,
    K::Scope: 'static,
{
    let (listed, changed) = list::<K>(rng, kind);
    for object in listed.into_iter().chain([changed]) {
        match object {
            Read::Object(object) => {
                let meta = object.meta();
                let id = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
                fed.world.is_read::<K>(&id.0, &id.1);
                object.see(&mut fed.world);
            }
            Read::Unreadable(found) => {
                fed.unread += 1;
                fed.world.cannot_read::<K>(&found);
            }
        }
    }
    if rng.u8(..4) == 0 {
        fed.world.is_read::<K>("team-a", "broken");
        K::lose(&mut fed.world, "team-a", "broken");
    }
}

fn only<K>(rng: &mut Rng, kind: &str)
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned,
    K::Scope: 'static,
{
    list::<K>(rng, kind);
}

const KINDS: &[&str] = &[
    "Ingress",
    "Namespace",
    "Secret",
    "Domain",
    "VerifiedHosts",
    "Certificate",
    "CertificateRequest",
    "Order",
    "Challenge",
    "Issuer",
    "ClusterIssuer",
    "ApisixRoute",
    "Service",
    "RainbondCluster",
    "Whole",
    "index of Domains",
    "index of Namespaces",
];

fn one(rng: &mut Rng, kind: &str, fed: &mut Fed) {
    match kind {
        "Ingress" => feed::<Ingress>(rng, kind, fed),
        "Namespace" => feed::<Metadata<Namespace>>(rng, kind, fed),
        "Secret" => feed::<Metadata<Secret>>(rng, kind, fed),
        "Domain" => feed::<Domain>(rng, kind, fed),
        "VerifiedHosts" => feed::<VerifiedHosts>(rng, kind, fed),
        "Certificate" => feed::<Certificate>(rng, kind, fed),
        "CertificateRequest" => feed::<CertificateRequest>(rng, kind, fed),
        "Order" => feed::<Order>(rng, kind, fed),
        "Challenge" => feed::<Challenge>(rng, kind, fed),
        "Issuer" => feed::<Issuer>(rng, kind, fed),
        "ClusterIssuer" => feed::<ClusterIssuer>(rng, kind, fed),
        "ApisixRoute" => feed::<ApisixRoute>(rng, kind, fed),
        "Service" => only::<Service>(rng, kind),
        "RainbondCluster" => only::<RainbondCluster>(rng, kind),
        "Whole" => only::<Whole<Secret>>(rng, kind),
        "index of Domains" => {
            let (listed, changed) = list::<Domain>(rng, "Domain");
            fed.index.on_domain(Event::Init);
            listed.into_iter().for_each(|domain| fed.index.on_domain(Event::InitApply(domain)));
            fed.index.on_domain(Event::InitDone);
            fed.index.on_domain(Event::Apply(changed));
        }
        _ => {
            let (listed, changed) = list::<Metadata<Namespace>>(rng, "Namespace");
            fed.index.on_namespace(Event::Init);
            listed.into_iter().for_each(|namespace| fed.index.on_namespace(Event::InitApply(namespace)));
            fed.index.on_namespace(Event::InitDone);
            fed.index.on_namespace(Event::Apply(changed));
        }
    }
}

/// Plans all that there is to plan.
fn plan(world: &mut World, now: Timestamp) {
    for key in world.all_keys() {
        match key {
            Key::Host(namespace, host) => {
                let mut checks = Checks::default();
                let plan = world.plan_placed(&namespace, &host, &mut checks, &Notes::default(), now);
                world.settle_need(&namespace, &host, &plan.need, now);
            }
            Key::Ingress(namespace, name) => drop(world.plan_ingress(&namespace, &name, now)),
            Key::Verified(namespace) => drop(world.plan_verified(&namespace, now)),
            Key::Request(namespace, name) => {
                if let Some(seen) = world.request(&namespace, &name).cloned() {
                    let place = world.place_of_request(&namespace, &seen, now);
                    world.plan_request(&namespace, &seen, &place, now);
                }
            }
            Key::Unread(kind, namespace, name) => drop(world.unread_news(kind, &namespace, &name)),
            Key::Stray(..) => {}
        }
    }
}

fn fed() -> Fed {
    let policy = policy();
    let mut world = World::new(Arc::new(policy.clone()));
    world.settle();
    world.settle_limits(Timestamp::UNIX_EPOCH);
    Fed { world, index: Index::new(&policy), unread: 0 }
}

#[test]
fn broken_objects_cost_themselves_alone() {
    let seconds = std::env::var("CERTGATE_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2.0);
    let seed = std::env::var("CERTGATE_FUZZ_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or_else(|| fastrand::u64(..));
    let (mut rng, start, time) = (Rng::with_seed(seed), Instant::now(), Duration::from_secs_f64(seconds));
    let now: Timestamp = "2026-11-24T12:00:00Z".parse().unwrap();
    let (mut rounds, mut unread, mut fed) = (0_usize, 0, fed());
    while start.elapsed() < time || rounds < 10 * KINDS.len() {
        // Each kind in its turn, and now and then a world of which nothing is known yet.
        let kind = KINDS[rounds % KINDS.len()];
        if rng.u8(..16) == 0 {
            unread += fed.unread;
            fed = self::fed();
        }
        let survived = catch_unwind(AssertUnwindSafe(|| {
            one(&mut rng, kind, &mut fed);
            if rounds.is_multiple_of(8) {
                plan(&mut fed.world, now);
                let host = certgate::core::host::Host::parse(HOST).unwrap();
                fed.index.read().is_unknown("team-a", &host);
            }
        }));
        assert!(survived.is_ok(), "CERTGATE_FUZZ_SEED={seed}, round {rounds}: {kind}");
        rounds += 1;
    }
    unread += fed.unread;
    println!(
        "{rounds} lists and events with a broken object in {seconds} s, {unread} of them unreadable (seed {seed})"
    );
    assert!(unread > 0, "something is broken enough");
}
