use serde_json::{Value, json};

use super::*;

fn read(status: Value) -> Result<Domain, serde_json::Error> {
    serde_json::from_value(json!({"metadata": {"name": "a.example.com", "namespace": "n"},
        "spec": {"host": "a.example.com", "issuerRef": {"name": "le", "profile": "shortlived"}, "priority": 7,
            "certificate": {"duration": "2160h", "privateKey": {"algorithm": "ECDSA", "curve": "P-256"}, "usages": []}},
        "status": status}))
}

#[test]
fn what_another_version_wrote_is_read_as_far_as_it_is_understood() {
    let status = json!({
        "conditions": [{"type": "Issued", "status": "True", "lastTransitionTime": "9999-12-31T23:59:59Z", "severity": "low"},
            {"type": "Shiny", "status": 7}, {"status": "True"}, "x"],
        "verdict": {"reason": "NotYetInvented", "issuer": {"name": "le", "kind": "ClusterIssuer", "account": "a"}, "score": 1},
        "place": "queued", "profile": "envoy", "orders": [{"order": "u"}, {"uid": 7}], "message": {"en": "x", "zh": "y"},
        "observed": ["198.51.100.7", {"address": "x"}], "nextCheckTime": 17, "released": true, "lead": "shop", "mood": "good",
        "certificate": {"name": "c", "secretName": "c", "notAfter": "9999-12-31T23:59:59Z", "serial": "01"},
        "bind": {"secretName": "s", "certificate": "c", "weight": 3},
    });
    let domain = read(status).unwrap();
    let facts = domain.facts();
    assert_eq!(facts.issuer, Some(IssuerRef::cluster("le")));
    let key = PrivateKey { algorithm: Some(KeyAlgorithm::Ecdsa), ..PrivateKey::default() };
    let settings = CertificateSettings {
        duration: Some("2160h".into()),
        private_key: Some(key),
        ..CertificateSettings::default()
    };
    assert_eq!(facts.settings.as_deref(), Some(&settings));
    assert!(facts.released && facts.issued);
    assert_eq!((facts.lead.as_deref(), facts.bind.map(|bind| bind.secret_name)), (Some("shop"), Some("s".into())));
    assert_eq!((facts.verdict, facts.profile), (None, None), "asked anew");
    assert_eq!(facts.place, Some(PlaceFacts::Unasked), "nobody orders for a word that is not understood");
    let status = domain.status.unwrap();
    assert_eq!((status.orders.len(), status.observed.len(), status.conditions.len()), (1, 1, 2));
}

#[test]
fn what_a_decision_hangs_on_is_not_guessed() {
    for status in [
        json!({"released": "yes"}),
        json!({"bind": {"secret": "s"}}),
        json!({"lead": {"name": "shop"}}),
        json!({"certificate": "c"}),
        json!({"bind": ["s", "c"]}),
        json!([]),
    ] {
        assert!(read(status.clone()).is_err(), "{status}");
    }
    for spec in [
        json!({}),
        json!({"host": 7}),
        json!({"host": "a", "autoIssue": "x"}),
        json!({"host": "a", "issuerRef": {}}),
        json!({"host": "a", "certificate": {"privateKey": {"algorithm": "NotYetInvented"}}}),
        json!({"host": "a", "certificate": {"privateKey": ["RSA"]}}),
    ] {
        assert!(serde_json::from_value::<Domain>(json!({"metadata": {}, "spec": spec})).is_err());
    }
}

#[test]
fn a_domain_is_written_as_it_is_read() {
    let mut domain = read(json!({"released": true, "profile": "standard"})).unwrap();
    let written = serde_json::to_value(&domain).unwrap();
    assert_eq!((&written["apiVersion"], &written["kind"]), (&json!("certgate.dev/v1alpha1"), &json!("Domain")));
    assert_eq!(serde_json::from_value::<Domain>(written).unwrap(), domain);
    domain.status = None;
    assert_eq!(serde_json::to_value(&domain).unwrap().get("status"), None);
}
