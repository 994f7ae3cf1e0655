//! Properties of what ingress-shim makes of the Ingresses that certgate has decided about, by the model of it.

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
    decide::strip,
    host::Host,
    ingress::Ingress,
    knowledge::Gate,
    names,
    reason::Reason,
    record::Present,
    shim::{Defaults, Reading, Version, certificate::Certificate, read},
};
use proptest::{prelude::*, strategy::ValueTree};
use random::{Known, ingress, known, policy, step};
use serde_json::Value;

const VERSIONS: [Version; 5] = [Version::V1_12, Version::V1_15, Version::V1_16, Version::V1_20, Version::V1_21];

fn reading(object: &Value, version: Version, issuer: &str) -> Reading {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    read(&ingress, version, Defaults { issuer, ..Defaults::default() })
}

/// The object as it would be without certgate.
fn stripped(object: &Value) -> Value {
    let text = object.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    let patch: json_patch::Patch =
        serde_json::from_value(serde_json::to_value(strip(&ingress, &Present::claimed(&ingress))).unwrap())
            .expect("RFC 6902");
    let mut without = object.clone();
    json_patch::patch(&mut without, &patch).unwrap();
    without
}

/// Whether an issuer validates what it certifies for a host.
fn validates(known: &Known, host: &str) -> bool {
    let verdict = known.domains.get(host).and_then(|facts| facts.verdict.as_ref());
    verdict.is_none_or(|verdict| verdict.finding.reason != Reason::NoValidationNeeded)
}

/// The host that a Certificate of ours is for; `None`: it is none of ours.
fn own_host(certificate: &Certificate) -> Option<String> {
    let [host] = certificate.spec.dns_names.get(..1)? else { return None };
    (Host::parse(host).ok()?.secret_name() == certificate.metadata.name).then(|| host.clone())
}

/// Why the Certificates that there are with certgate are not those without it and one more for each host let through;
/// `None`: they are.
fn fault(
    object: &Value,
    known: &Known,
    policy: &certgate::core::policy::Policy,
    version: Version,
    default_issuer: &str,
) -> Option<String> {
    let mut before = stripped(object);
    let (after, _, _) = step(object, known, policy);
    // An Ingress that answers a challenge may get the label that its gateway asks for.
    before["metadata"]["labels"] = after["metadata"]["labels"].clone();
    let (before, now) = (reading(&before, version, default_issuer), reading(&after, version, default_issuer));
    let asked_before = before != Reading::Idle;
    match &now {
        Reading::Refused(why) if !asked_before => return Some(format!("refused: {why}")),
        Reading::Unreadable(fault) if !asked_before => return Some(format!("unreadable: {fault:?}")),
        Reading::Certificates { .. } | Reading::Idle => {}
        // It was refused without us too; what we add is not read either.
        _ => return None,
    }
    for certificate in before.certificates() {
        if !now.certificates().contains(certificate) {
            return Some(format!("{certificate:?} is gone or another in {after}"));
        }
    }
    // One that exists and is another's, ingress-shim passes over.
    let elsewhere: BTreeSet<&str> =
        known.domains.values().filter_map(|facts| Some(facts.bind.as_ref()?.certificate.as_str())).collect();
    for certificate in now.certificates() {
        if before.certificates().contains(certificate) || elsewhere.contains(certificate.metadata.name.as_str()) {
            continue;
        }
        let Some(host) = own_host(certificate) else { return Some(format!("{certificate:?} is not ours, in {after}")) };
        let wishes = &certificate.spec.wishes;
        let named_well = [String::new(), host.clone()].contains(&wishes.common_name);
        let alone = certificate.spec.dns_names.len() == 1
            && certificate.spec.ip_addresses.is_empty()
            && wishes.email_addresses.is_empty();
        if validates(known, &host) && !(named_well && alone) {
            return Some(format!("{certificate:?} has names that nobody checked, in {after}"));
        }
        let facts = known.domains.get(&host);
        if !facts.is_some_and(|facts| matches!(facts.gate(None, random::now()), Gate::Open(_))) {
            return Some(format!("{certificate:?} is ordered without a verdict, in {after}"));
        }
    }
    None
}

/// Whether the user forged or copied parts in our own reserved names.
fn uses_our_names(object: &Value) -> bool {
    object["metadata"]["annotations"].get(names::INJECTED).is_some()
        || object["spec"].to_string().contains("\"certgate-")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn ingress_shim_makes_what_it_made_and_one_for_each_host_let_through(
        object in ingress(), known in known(), policy in policy(),
        version in prop::sample::select(&VERSIONS[..]), default_issuer in prop::sample::select(&["", "default"][..]),
    ) {
        if uses_our_names(&object) {
            return Ok(());
        }
        prop_assert_eq!(fault(&object, &known, &policy, version, default_issuer), None);
    }

    /// The user's next edit meets parts of ours.
    #[test]
    fn nor_does_an_edit_of_what_is_injected_make_it_order_more(
        first in ingress(), second in ingress(), known in known(), policy in policy(),
        version in prop::sample::select(&VERSIONS[..]),
    ) {
        if uses_our_names(&first) || uses_our_names(&second) {
            return Ok(());
        }
        let (injected, _, _) = step(&first, &known, &policy);
        // Everything that the user wrote is another; everything that we wrote is still there.
        let mut edited = second.clone();
        edited["metadata"]["labels"] = injected["metadata"]["labels"].clone();
        for (key, value) in injected["metadata"]["annotations"].as_object().into_iter().flatten() {
            if first["metadata"]["annotations"].get(key).is_none() {
                edited["metadata"]["annotations"][key] = value.clone();
            }
        }
        let ours = injected["spec"]["tls"].as_array().cloned().unwrap_or_default();
        let ours = ours.into_iter().filter(|entry| entry["secretName"].as_str().is_some_and(|name| name.starts_with("certgate-")));
        let mut tls = second["spec"]["tls"].as_array().cloned().unwrap_or_default();
        tls.extend(ours);
        edited["spec"]["tls"] = Value::Array(tls);
        // A host without a verdict has parts of ours only by a forgery.
        prop_assert_eq!(fault(&edited, &known, &policy, version, ""), None);
    }
}

#[test]
fn the_random_ingresses_meet_ingress_shim_in_every_way() {
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let strategy = (ingress(), known(), policy());
    let mut counts = [0; 4];
    for _ in 0..4_000 {
        let (object, known, policy) = strategy.new_tree(&mut runner).unwrap().current();
        let (after, _, _) = step(&object, &known, &policy);
        let kind = match reading(&after, Version::NEWEST, "") {
            Reading::Idle => 0,
            Reading::Refused(_) => 1,
            Reading::Unreadable(_) => 2,
            Reading::Certificates { .. } => 3,
        };
        counts[kind] += 1;
    }
    let least = [1_000, 100, 2, 300];
    assert!(
        counts.iter().zip(least).all(|(count, least)| *count >= least),
        "idle, refused, unreadable, certificates: {counts:?}"
    );
}
