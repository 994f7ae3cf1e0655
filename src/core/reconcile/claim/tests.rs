use rstest::rstest;
use serde_json::json;

use super::*;
use crate::core::policy::Issuance;

/// A namespace with one Domain, which knows more than flags.
#[derive(Default)]
struct Known {
    label: Option<&'static str>,
    domain: Option<DomainFacts>,
}

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, key: &str) -> Option<&str> {
        self.label.filter(|_| key == "certgate.dev/auto-issue")
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.domain.as_ref().filter(|_| host == "www.example.com")
    }
    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

fn asks(ingress: &serde_json::Value, known: &Known, policy: serde_json::Value, acme: bool) -> Want {
    let text = ingress.to_string();
    let ingress: Ingress<'_> = serde_json::from_str(&text).unwrap();
    let policy: Policy = serde_json::from_value(policy).unwrap();
    let host = ingress.rule_hosts().next().and_then(|host| Host::parse(host).ok()).unwrap();
    let stated = survey(&ingress, &[host], known, &policy, |_| acme);
    stated.into_iter().next().unwrap().want
}

fn flagged(host: &str) -> serde_json::Value {
    json!({"metadata": {"name": "a", "namespace": "n", "annotations": {"certgate.dev/auto-issue": "true"}},
           "spec": {"rules": [{"host": host}]}})
}

fn le() -> serde_json::Value {
    json!({"issuer": {"name": "le"}})
}

#[test]
fn a_flagged_host_is_wanted_on_the_policys_terms() {
    let terms = Terms::new(Some(IssuerRef::cluster("le")), Profile::Standard, Issuance::Inline);
    assert_eq!(asks(&flagged("www.example.com"), &Known::default(), le(), true), Want::Yes(terms));
}

#[rstest]
#[case::the_domain("/spec", json!({}), Some(IssuerRef::cluster("own")), None, "ClusterIssuer/own")]
#[case::the_user("/metadata/annotations/cert-manager.io~1issuer", json!("mine"), None, None, "Issuer/mine")]
#[case::a_rule("/spec", json!({}), None, Some(json!([{"match": {"hosts": ["*.example.com"]}, "issuer": {"name": "ruled"}}])), "ClusterIssuer/ruled")]
fn the_issuer_is_named_by(
    #[case] pointer: &str,
    #[case] value: serde_json::Value,
    #[case] of_domain: Option<IssuerRef>,
    #[case] rules: Option<serde_json::Value>,
    #[case] expected: &str,
) {
    let mut ingress = flagged("www.example.com");
    if let Some(key) = pointer.strip_prefix("/metadata/annotations/") {
        ingress["metadata"]["annotations"][key.replace("~1", "/")] = value;
    }
    let known = Known {
        domain: of_domain.map(|issuer| DomainFacts { issuer: Some(issuer), ..DomainFacts::default() }),
        ..Known::default()
    };
    let mut policy = le();
    if let Some(rules) = rules {
        policy["rules"] = rules;
    }
    match asks(&ingress, &known, policy, true) {
        Want::Yes(terms) => assert_eq!(terms.issuer.map(|issuer| issuer.to_string()).as_deref(), Some(expected)),
        Want::No(finding) => panic!("{finding:?}"),
    }
}

#[rstest]
#[case::no_flag(json!({"metadata": {"annotations": {}}, "spec": {"rules": [{"host": "www.example.com"}]}}), Reason::NotFlagged)]
#[case::switched_off(json!({"metadata": {"annotations": {"certgate.dev/auto-issue": "false"}}, "spec": {"rules": [{"host": "www.example.com"}]}}), Reason::SwitchedOff)]
#[case::own_tls(json!({"metadata": {"annotations": {"certgate.dev/auto-issue": "true"}}, "spec": {"rules": [{"host": "www.example.com"}], "tls": [{"hosts": ["www.example.com"], "secretName": "mine"}]}}), Reason::UserTls)]
#[case::going(json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z", "annotations": {"certgate.dev/auto-issue": "true"}}, "spec": {"rules": [{"host": "www.example.com"}]}}), Reason::BeingDeleted)]
fn what_is_not_wanted_says_why(#[case] ingress: serde_json::Value, #[case] expected: Reason) {
    assert_eq!(asks(&ingress, &Known::default(), le(), true).refusal(), Some(expected));
}

#[test]
fn what_the_controller_has_yet_to_find_out_does_not_count() {
    // A verdict that skips (a wildcard without solver) must not make the Domain unwanted, or it would come and go.
    let verdict = crate::core::knowledge::VerdictFacts {
        finding: Finding::new(Reason::WildcardNeedsDns01, "www.example.com"),
        issuer: None,
        server: None,
        valid_until: Timestamp::MAX,
    };
    let domain = DomainFacts { verdict: Some(verdict), ..DomainFacts::default() };
    let known = Known { domain: Some(domain), ..Known::default() };
    assert!(matches!(asks(&flagged("www.example.com"), &known, le(), true), Want::Yes(_)));
}

#[test]
fn names_that_no_public_ca_knows_are_for_others() {
    let ingress = flagged("shop.corp.internal");
    assert_eq!(asks(&ingress, &Known::default(), le(), true).refusal(), Some(Reason::NotPublicName));
    assert!(matches!(asks(&ingress, &Known::default(), le(), false), Want::Yes(_)));
}

#[test]
fn the_namespaces_label_flags_too() {
    let mut ingress = flagged("www.example.com");
    ingress["metadata"]["annotations"] = json!({});
    let known = Known { label: Some("true"), ..Known::default() };
    assert!(matches!(asks(&ingress, &known, le(), true), Want::Yes(_)));
}
