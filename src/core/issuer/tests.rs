use rstest::rstest;
use serde_json::json;

use super::*;

fn issuer(solvers: serde_json::Value) -> IssuerFacts {
    serde_json::from_value(json!({
        "apiVersion": "cert-manager.io/v1",
        "kind": "ClusterIssuer",
        "metadata": { "name": "letsencrypt" },
        "spec": { "acme": {
            "server": "https://acme-v02.api.letsencrypt.org/directory",
            "email": "a@example.com",
            "privateKeySecretRef": { "name": "key" },
            "solvers": solvers,
        } },
        "status": {
            "acme": { "uri": "https://acme-v02.api.letsencrypt.org/acme/acct/1", "lastRegisteredEmail": "a@example.com" },
            "conditions": [{ "type": "Ready", "status": "True", "reason": "ACMEAccountRegistered", "message": "ok" }],
        },
    }))
    .unwrap()
}

fn picked(facts: &IssuerFacts, host: &str, labels: &[(&str, &'static str)]) -> Result<Method, Reason> {
    let label = |key: &str| labels.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
    match facts.validation(&Host::parse(host).unwrap(), label, &BTreeMap::new()).map_err(|unsolved| unsolved.reason)? {
        Validation::Acme { method, .. } => Ok(method),
        Validation::NotNeeded => panic!("{facts:?}"),
    }
}

/// Whether a host gets the `dns01` solver with this selector, listed after an HTTP-01 solver with the other.
#[rstest]
#[case::first_of_equals(json!(null), json!(null), Method::Http01)]
#[case::empty_selector_is_no_closer(json!(null), json!({}), Method::Http01)]
#[case::zone_before_all(json!(null), json!({ "dnsZones": ["example.com"] }), Method::Dns01)]
#[case::nearer_zone(json!({ "dnsZones": ["com"] }), json!({ "dnsZones": ["example.com"] }), Method::Dns01)]
#[case::zone_of_any_case(json!(null), json!({ "dnsZones": ["Example.COM."] }), Method::Dns01)]
#[case::farther_zone(json!({ "dnsZones": ["example.com"] }), json!({ "dnsZones": ["com"] }), Method::Http01)]
#[case::another_zone(json!(null), json!({ "dnsZones": ["ample.com"] }), Method::Http01)]
#[case::the_root_is_no_zone(json!(null), json!({ "dnsZones": ["."] }), Method::Http01)]
#[case::name_before_zone(json!({ "dnsZones": ["www.example.com"] }), json!({ "dnsNames": ["www.example.com"] }), Method::Dns01)]
#[case::another_name(json!(null), json!({ "dnsNames": ["example.com"] }), Method::Http01)]
#[case::name_and_another_zone(json!(null), json!({ "dnsNames": ["www.example.com"], "dnsZones": ["example.net"] }), Method::Http01)]
#[case::label(json!(null), json!({ "matchLabels": { "tier": "a" } }), Method::Dns01)]
#[case::another_label(json!(null), json!({ "matchLabels": { "tier": "b" } }), Method::Http01)]
#[case::zone_before_label(json!({ "matchLabels": { "tier": "a" } }), json!({ "dnsZones": ["example.com"] }), Method::Dns01)]
#[case::label_breaks_a_tie(json!({ "dnsZones": ["example.com"] }), json!({ "dnsZones": ["example.com"], "matchLabels": { "tier": "a" } }), Method::Dns01)]
#[case::more_labels(json!({ "matchLabels": { "tier": "a" } }), json!({ "matchLabels": { "tier": "a", "team": "x" } }), Method::Dns01)]
fn the_closest_solver_is_picked(
    #[case] first: serde_json::Value,
    #[case] second: serde_json::Value,
    #[case] expected: Method,
) {
    let facts = issuer(json!([
        { "http01": { "ingress": { "class": "nginx" } }, "selector": first },
        { "dns01": { "webhook": {} }, "selector": second },
    ]));
    assert_eq!(picked(&facts, "www.example.com", &[("tier", "a"), ("team", "x")]), Ok(expected));
}

#[test]
fn a_wildcard_gets_dns01_or_nothing() {
    let http = json!({ "http01": { "ingress": {} }, "selector": { "dnsNames": ["*.example.com"] } });
    let dns = json!({ "dns01": {}, "selector": { "dnsZones": ["example.com"] } });
    assert_eq!(picked(&issuer(json!([http, dns])), "*.example.com", &[]), Ok(Method::Dns01));
    assert_eq!(picked(&issuer(json!([http])), "*.example.com", &[]), Err(Reason::WildcardNeedsDns01));
    assert_eq!(picked(&issuer(json!([dns])), "*.example.net", &[]), Err(Reason::WildcardNeedsDns01));
}

#[test]
fn without_a_fitting_solver_a_host_is_told_so() {
    let facts = issuer(json!([{ "dns01": {}, "selector": { "dnsZones": ["example.net"] } }]));
    assert_eq!(picked(&facts, "www.example.com", &[]), Err(Reason::NoSolver));
    assert_eq!(picked(&issuer(json!(null)), "www.example.com", &[]), Err(Reason::NoSolver));
}

#[test]
fn the_account_and_the_condition_are_read() {
    let facts = issuer(json!([{ "http01": {} }]));
    assert_eq!(facts.ready, Some(true));
    assert_eq!(facts.message, "ok");
    let validation = facts.validation(&Host::parse("example.com").unwrap(), |_| None, &BTreeMap::new()).unwrap();
    let Validation::Acme { ca, .. } = validation else { panic!("{validation:?}") };
    assert_eq!(ca.names, ["letsencrypt.org"]);
    assert_eq!(ca.account_uri.as_deref(), Some("https://acme-v02.api.letsencrypt.org/acme/acct/1"));
}

#[rstest]
#[case(json!({ "spec": { "selfSigned": {} } }))]
#[case(json!({ "spec": { "ca": { "secretName": "ca" } } }))]
#[case(json!({ "spec": { "vault": { "server": "https://vault" } } }))]
#[case(json!({ "spec": { "venafi": { "zone": "x" } } }))]
#[case(json!({ "spec": { "anything": "else" }, "status": {} }))]
#[case(json!({ "spec": null, "status": null }))]
#[case(json!({}))]
fn issuers_other_than_acme_need_no_dns(#[case] object: serde_json::Value) {
    let facts: IssuerFacts = serde_json::from_value(object).unwrap();
    let host = Host::parse("example.com").unwrap();
    assert_eq!(facts.validation(&host, |_| None, &BTreeMap::new()), Ok(Validation::NotNeeded));
    assert_eq!(facts.ready, None);
}

#[rstest]
#[case("https://acme-v02.api.letsencrypt.org/directory", "letsencrypt.org")]
#[case("https://acme-staging-v02.api.letsencrypt.org/directory", "letsencrypt.org")]
#[case("https://acme.zerossl.com/v2/DV90", "sectigo.com")]
#[case("https://dv.acme-v02.api.pki.goog/directory", "pki.goog")]
#[case("https://api.buypass.com/acme/directory", "buypass.com")]
fn known_directories_have_identities(#[case] url: &str, #[case] first: &str) {
    assert_eq!(caa_names(url, &BTreeMap::new()).first().map(String::as_str), Some(first));
}

#[test]
fn policy_adds_identities() {
    let url = "https://ca.corp.example/acme/directory";
    assert_eq!(caa_names(url, &BTreeMap::new()), Vec::<String>::new());
    let policy = BTreeMap::from([(format!("{url}/"), vec!["corp.example".to_owned()])]);
    assert_eq!(caa_names(url, &policy), ["corp.example"]);
}
