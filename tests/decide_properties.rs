//! Properties of the decision, over random Ingresses and random states of knowledge.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/random.rs"]
#[allow(dead_code, unreachable_pub, reason = "each test binary uses its part of it")]
mod random;

use std::collections::BTreeSet;

use certgate::core::{
    knowledge::DomainFacts,
    names,
    policy::{AutoIssue, Policy},
    reason::Action,
};
use proptest::{prelude::*, strategy::ValueTree};
use random::{ingress, known, policy, step};
use serde_json::{Value, json};

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

/// An Ingress with parts that look like ours.
fn our_looks() -> impl Strategy<Value = Value> {
    let entry = (random::host(), any::<bool>()).prop_map(|(host, bare)| (host, bare));
    (ingress(), proptest::collection::vec(entry, 0..3), any::<[bool; 3]>()).prop_map(|(mut object, entries, [record, issuer, lost])| {
        let secret = |host: &str| format!("certgate-{}", host.replace("*.", "wildcard."));
        let mut tls = tls(&object);
        tls.extend(entries.iter().map(|(host, _)| json!({"hosts": [host], "secretName": secret(host)})));
        if !tls.is_empty() {
            object["spec"]["tls"] = Value::Array(tls);
        }
        if issuer {
            object["metadata"]["annotations"][names::CLUSTER_ISSUER] = json!("le");
        }
        if record && !lost {
            let told: serde_json::Map<String, Value> =
                entries.iter().filter(|(_, told)| *told).map(|(host, _)| (host.clone(), json!(secret(host)))).collect();
            let text = json!({"annotations": {names::CLUSTER_ISSUER: "le"}, "tls": told, "made": {"tls": true, "annotations": true}});
            object["metadata"]["annotations"][names::INJECTED] = json!(text.to_string());
        }
        object
    })
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
        off.domains.values_mut().for_each(|facts| {
            facts.auto_issue = Some(false);
            // The controller has seen what was injected.
            facts.released = true;
        });
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
    fn what_tenants_write_orders_nothing(object in our_looks(), known in known(), policy in policy()) {
        // Nothing guarded: no Domain, or such as say nothing of a verdict.
        let mut known = known;
        known.domains.values_mut().for_each(|facts| {
            let (auto_issue, issuer, lead, issued) = (facts.auto_issue, facts.issuer.take(), facts.lead.take(), facts.issued);
            *facts = DomainFacts { auto_issue, issuer, lead, issued, ..DomainFacts::default() };
        });
        let (after, _, _) = step(&object, &known, &policy);
        let record: Value = object["metadata"]["annotations"][names::INJECTED].as_str().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        for key in [names::CLUSTER_ISSUER, names::ISSUER, names::ISSUER_KIND, names::ISSUER_GROUP] {
            let (before, now) = (&object["metadata"]["annotations"][key], &after["metadata"]["annotations"][key]);
            // The user's own stays; nothing is added, and what the record calls ours goes.
            prop_assert!(now.is_null() || now == before, "{key} in {after}");
            let exempt = object["metadata"]["labels"]["acme.cert-manager.io/http01-solver"].is_string()
                || object["metadata"]["labels"]["belongTo"].is_string();
            prop_assert!(exempt || now.is_null() || record["annotations"][key] != *before, "{key} goes on in {after}");
        }
        // Entries stay as they are, byte for byte.
        prop_assert_eq!(object["spec"]["tls"].to_string(), after["spec"]["tls"].to_string());
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
