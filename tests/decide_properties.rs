//! Properties of the decision, over random Ingresses and random states of knowledge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::collections::{BTreeMap, BTreeSet};

use certgate::core::{
    decide::decide,
    decision::Decision,
    finding::Finding,
    ingress::Ingress,
    knowledge::{Bind, DomainFacts, Knowledge, VerdictFacts},
    names,
    patch::PatchOp,
    policy::{AutoIssue, Issuance, IssuerRef, Match, PlainHttp, Policy, Profile, Rule},
    reason::{Action, Reason},
};
use jiff::Timestamp;
use proptest::{prelude::*, sample::select, strategy::ValueTree};
use serde_json::{Value, json};

const HOSTS: &[&str] = &[
    "www.example.com",
    "api.example.com",
    "*.example.com",
    "a.b.example.com",
    "xn--fsqu00a.com",
    "8.shop-example.com",
    "WWW.Example.COM",
    "intranet",
    "203.0.113.10",
    "x.nip.io",
    "bad_host.example.com",
    "",
];
const SECRETS: &[&str] = &["theirs", "certgate-www.example.com", "certgate-api.example.com", "wild-tls"];

#[derive(Clone, Debug, Default)]
struct Known {
    namespace_flag: Option<String>,
    domains: BTreeMap<String, DomainFacts>,
    v5: bool,
}

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, key: &str) -> Option<&str> {
        (key == names::AUTO_ISSUE).then_some(self.namespace_flag.as_deref()).flatten()
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.domains.get(host)
    }
    fn has_profile(&self, _: &str, profile: Profile) -> bool {
        self.v5 && profile == Profile::RainbondV5
    }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn optional<T: std::fmt::Debug + Clone + 'static>(values: &'static [T]) -> impl Strategy<Value = Option<T>> {
    proptest::option::of(select(values))
}

fn tls_entry() -> impl Strategy<Value = Value> {
    (proptest::collection::vec(select(HOSTS), 0..3), optional(SECRETS)).prop_map(|(hosts, secret)| {
        let mut entry = serde_json::Map::new();
        if !hosts.is_empty() {
            entry.insert("hosts".into(), json!(hosts));
        }
        if let Some(secret) = secret {
            entry.insert("secretName".into(), json!(secret));
        }
        Value::Object(entry)
    })
}

fn annotations() -> impl Strategy<Value = Option<Value>> {
    let pairs: &'static [(&str, &str)] = &[
        (names::AUTO_ISSUE, "true"),
        (names::AUTO_ISSUE, "false"),
        (names::AUTO_ISSUE, "perhaps"),
        (names::CLUSTER_ISSUER, "theirs"),
        (names::ISSUER, "theirs"),
        ("kubernetes.io/tls-acme", "true"),
        (names::SECRET_TEMPLATE, "{}"),
        (names::FORCE_SSL_REDIRECT, "false"),
        ("nginx.ingress.kubernetes.io/weight", "100"),
        ("a~b/c", "odd key"),
        (
            names::INJECTED,
            "{\"tls\":{\"www.example.com\":\"theirs\"},\"annotations\":{\"cert-manager.io/issuer\":\"theirs\"}}",
        ),
        (names::INJECTED, "garbage"),
    ];
    proptest::option::of(proptest::collection::vec(select(pairs), 0..5))
        .prop_map(|pairs| pairs.map(|pairs| json!(pairs.into_iter().collect::<BTreeMap<_, _>>())))
}

fn labels() -> impl Strategy<Value = Option<Value>> {
    select(vec![
        None,
        Some(json!({"app": "x"})),
        Some(json!({"creator": "Rainbond", "service_id": "s", "app_id": "a"})),
        Some(json!({"creator": "Rainbond", "belongTo": "rainbond-operator"})),
        Some(json!({"acme.cert-manager.io/http01-solver": "true"})),
    ])
}

fn ingress() -> impl Strategy<Value = Value> {
    (
        annotations(),
        labels(),
        proptest::collection::vec(select(HOSTS), 0..5),
        proptest::option::of(proptest::collection::vec(tls_entry(), 0..3)),
        optional(&["apisix", "nginx"]),
        any::<bool>(),
    )
        .prop_map(|(annotations, labels, hosts, tls, class, backend)| {
            let mut metadata = json!({"name": "web", "namespace": "team-a"});
            let mut spec = json!({});
            if let Some(annotations) = annotations {
                metadata["annotations"] = annotations;
            }
            if let Some(labels) = labels {
                metadata["labels"] = labels;
            }
            let path = json!([{"path": "/", "pathType": "Prefix", "backend": {"service": {"name": "web", "port": {"number": 80}}}}]);
            spec["rules"] = hosts.iter().map(|host| if host.is_empty() { json!({"http": {"paths": path}}) } else { json!({"host": host, "http": {"paths": path}}) }).collect();
            if let Some(tls) = tls {
                spec["tls"] = Value::Array(tls);
            }
            if let Some(class) = class {
                spec["ingressClassName"] = json!(class);
            }
            if backend {
                spec["defaultBackend"] = json!({"service": {"name": "web", "port": {"number": 80}}});
            }
            json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": spec})
        })
}

fn facts() -> impl Strategy<Value = DomainFacts> {
    // Good verdicts weigh more: what is held exercises little of the patch.
    let reasons = &[
        Reason::Verified,
        Reason::Verified,
        Reason::Verified,
        Reason::NoValidationNeeded,
        Reason::DomainNotFound,
        Reason::WrongTarget,
        Reason::WildcardNeedsDns01,
        Reason::HostTaken,
    ];
    (
        optional(&[true, true, true, false]),
        optional(reasons),
        any::<(bool, bool, bool)>(),
        optional(&["web", "other"]),
        proptest::option::weighted(0.2, select(&["le", "zero"][..])),
        proptest::option::weighted(0.2, select(&[("wild-tls", "wild-tls"), ("wild-tls", "wild")][..])),
    )
        .prop_map(|(auto_issue, reason, (issued, released, fresh), lead, issuer, bind)| {
            let issuer = issuer.map(IssuerRef::cluster);
            DomainFacts {
                auto_issue,
                verdict: reason.map(|reason| VerdictFacts {
                    finding: Finding::new(reason, "host"),
                    issuer: issuer.clone(),
                    valid_until: if fresh { Timestamp::MAX } else { Timestamp::MIN },
                }),
                issuer,
                issued,
                released,
                lead: lead.map(Into::into),
                bind: bind
                    .map(|(secret, certificate)| Bind { secret_name: secret.into(), certificate: certificate.into() }),
                profile: None,
                not_after: None,
            }
        })
}

fn known() -> impl Strategy<Value = Known> {
    (
        optional(&["true", "false", "?"]),
        proptest::collection::btree_map(select(HOSTS).prop_map(|host| host.to_lowercase()), facts(), 2..9),
        any::<bool>(),
    )
        .prop_map(|(flag, domains, v5)| Known { namespace_flag: flag.map(str::to_owned), domains, v5 })
}

fn policy() -> impl Strategy<Value = Policy> {
    let rule = (
        optional(&["*.example.com", "api*"]),
        optional(&[true, false]),
        optional(&["le", "zero"]),
        optional(&[Issuance::Inline, Issuance::Companion]),
        optional(&[PlainHttp::Keep, PlainHttp::Redirect]),
    )
        .prop_map(|(glob, auto_issue, issuer, issuance, http)| Rule {
            r#match: Match { hosts: glob.into_iter().map(str::to_owned).collect(), ..Match::default() },
            auto_issue,
            issuer: issuer.map(IssuerRef::cluster),
            profile: None,
            issuance,
            http,
        });
    (any::<bool>(), proptest::option::weighted(0.9, select(&["le"][..])), proptest::collection::vec(rule, 0..3))
        .prop_map(|(all, issuer, rules)| Policy {
            issuer: issuer.map(IssuerRef::cluster),
            auto_issue: if all { AutoIssue::All } else { AutoIssue::Annotated },
            platform_domains: vec!["nip.io".into()],
            rules,
            ..Policy::default()
        })
}

/// Decides on the object's text and applies the patch to the object.
fn step(object: &Value, known: &Known, policy: &Policy) -> (Value, Vec<PatchOp>, Vec<(String, Action, Reason)>) {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).expect("the object parses");
    let decision: Decision<'_> = decide(&ingress, known, policy, now());
    let mut result = object.clone();
    let patch: json_patch::Patch =
        serde_json::from_value(serde_json::to_value(&decision.patch).unwrap()).expect("RFC 6902");
    json_patch::patch(&mut result, &patch).unwrap_or_else(|error| panic!("{error}: {patch} on {object}"));
    let hosts = decision.hosts.iter().map(|d| (d.host.to_string(), d.action, d.reason())).collect();
    (result, decision.patch, hosts)
}

fn tls(object: &Value) -> Vec<Value> {
    object["spec"]["tls"].as_array().cloned().unwrap_or_default()
}

fn annotation_keys(object: &Value) -> BTreeSet<String> {
    object["metadata"]["annotations"].as_object().map(|map| map.keys().cloned().collect()).unwrap_or_default()
}

/// Whether the user forged or copied parts in our own reserved names.
fn uses_our_names(object: &Value) -> bool {
    annotation_keys(object).contains(names::INJECTED)
        || tls(object)
            .iter()
            .any(|entry| entry["secretName"].as_str().is_some_and(|name| name.starts_with("certgate-")))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn patches_apply_and_deciding_again_gives_nothing(object in ingress(), known in known(), policy in policy()) {
        let (once, _, _) = step(&object, &known, &policy);
        let (twice, patch, _) = step(&once, &known, &policy);
        prop_assert!(patch.is_empty(), "{patch:?} on {once}");
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn the_users_parts_stay_and_ours_go_without_a_trace(object in ingress(), known in known(), policy in policy()) {
        if uses_our_names(&object) {
            return Ok(());
        }
        let (injected, _, _) = step(&object, &known, &policy);
        for entry in tls(&object) {
            prop_assert!(tls(&injected).contains(&entry), "{entry} is gone from {injected}");
        }
        if let Some(theirs) = object["metadata"]["annotations"].as_object() {
            for (key, value) in theirs {
                prop_assert_eq!(&injected["metadata"]["annotations"][key], value);
            }
        }
        // Everything outside of annotations, labels of solvers and TLS is byte for byte the same.
        let strip = |object: &Value| {
            let mut object = object.clone();
            if let Some(metadata) = object["metadata"].as_object_mut() { metadata.remove("annotations"); metadata.remove("labels"); }
            if let Some(spec) = object["spec"].as_object_mut() { spec.remove("tls"); }
            object.to_string()
        };
        prop_assert_eq!(strip(&object), strip(&injected));

        // The flag goes everywhere: what is left is the original, byte for byte.
        let mut off = known.clone();
        off.namespace_flag = Some("false".into());
        off.domains.values_mut().for_each(|facts| facts.auto_issue = Some(false));
        let off_policy = Policy { auto_issue: AutoIssue::Annotated, rules: Vec::new(), ..policy };
        let mut unflagged = injected;
        let had = object["metadata"]["annotations"].get(names::AUTO_ISSUE).is_some();
        if had {
            unflagged["metadata"]["annotations"][names::AUTO_ISSUE] = json!("false");
        }
        let (mut restored, _, _) = step(&unflagged, &off, &off_policy);
        if had {
            restored["metadata"]["annotations"][names::AUTO_ISSUE] = object["metadata"]["annotations"][names::AUTO_ISSUE].clone();
        }
        let mut original = object;
        // A solver's gateway label is not part of an injection.
        for object in [&mut original, &mut restored] {
            if let Some(metadata) = object["metadata"].as_object_mut() { metadata.remove("labels"); }
        }
        prop_assert_eq!(restored.to_string(), original.to_string());
    }

    #[test]
    fn no_secret_twice_and_one_issuer(object in ingress(), known in known(), policy in policy()) {
        let (injected, patch, _) = step(&object, &known, &policy);
        if patch.is_empty() {
            return Ok(());
        }
        let names_of = |object: &Value| tls(object).iter().filter_map(|e| e["secretName"].as_str().map(str::to_owned)).collect::<Vec<_>>();
        let (before, after) = (names_of(&object), names_of(&injected));
        for name in &after {
            let count = |list: &[String]| list.iter().filter(|n| *n == name).count();
            prop_assert!(count(&after) <= count(&before).max(1), "{name} twice in {injected}");
        }
        let issuers = |object: &Value| [names::CLUSTER_ISSUER, names::ISSUER].iter().filter(|k| annotation_keys(object).contains(**k)).count();
        prop_assert!(issuers(&injected) <= issuers(&object).max(1), "{injected}");
    }

    #[test]
    fn nothing_is_added_for_a_host_that_is_not_let_through(object in ingress(), known in known(), policy in policy()) {
        let (injected, _, hosts) = step(&object, &known, &policy);
        let before = tls(&object);
        for entry in tls(&injected).iter().filter(|entry| !before.contains(entry)) {
            for host in entry["hosts"].as_array().into_iter().flatten().filter_map(Value::as_str) {
                prop_assert!(hosts.iter().any(|(h, action, _)| h == host && *action == Action::Inject), "{host}: {hosts:?}");
            }
        }
    }

    #[test]
    fn every_host_gets_exactly_one_decision(object in ingress(), known in known(), policy in policy()) {
        let (_, _, hosts) = step(&object, &known, &policy);
        let distinct: BTreeSet<_> = hosts.iter().map(|(host, _, _)| host).collect();
        let written: BTreeSet<_> = object["spec"]["rules"].as_array().into_iter().flatten().filter_map(|r| r["host"].as_str()).map(str::to_lowercase).collect();
        prop_assert!(distinct.len() <= hosts.len() && hosts.len() <= distinct.len() + 1, "{hosts:?}");
        for host in written {
            prop_assert!(hosts.iter().any(|(h, _, _)| h.to_lowercase() == host), "{host} has no decision: {hosts:?}");
        }
    }
}

#[test]
fn the_random_ingresses_are_not_all_dull() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (ingress(), known(), policy());
    let (mut patched, mut clean) = (0, 0);
    for _ in 0..2_000 {
        let (object, known, policy) = strategy.new_tree(&mut runner).unwrap().current();
        let (_, patch, _) = step(&object, &known, &policy);
        patched += usize::from(!patch.is_empty());
        clean += usize::from(!patch.is_empty() && !uses_our_names(&object));
    }
    assert!(patched > 300 && clean > 150, "only {patched} patched, {clean} of them without forged parts, in 2000");
}
