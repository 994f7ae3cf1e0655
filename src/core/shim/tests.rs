use rstest::rstest;
use serde_json::{Value, json};

use super::*;

fn reading(annotations: &Value, tls: &Value, version: Version) -> Reading {
    let object = json!({"metadata": {"name": "web", "labels": {"a": "b", APPLYSET: "x"}, "annotations": annotations}, "spec": {"tls": tls}});
    let text = object.to_string();
    read(&serde_json::from_str(&text).unwrap(), version, Defaults::default())
}

fn one() -> Value {
    json!([{"hosts": ["www.example.com"], "secretName": "s"}])
}

#[test]
fn each_tls_entry_becomes_a_certificate() {
    let annotations = json!({names::CLUSTER_ISSUER: "le", names::DURATION: "2160h", names::HTTP01_INGRESS_CLASS: ""});
    let tls = json!([{"hosts": ["www.example.com"], "secretName": "s"}, {"secretName": "t"}, {"hosts": ["x"]}]);
    let Reading::Certificates { made, passed_over } = reading(&annotations, &tls, Version::NEWEST) else { panic!() };
    assert_eq!(
        serde_json::to_value(made).unwrap(),
        json!([{
            "metadata": {"name": "s", "labels": {"a": "b"}},
            "spec": {
                "dnsNames": ["www.example.com"], "secretName": "s", "duration": "2160h0m0s",
                "usages": ["digital signature", "key encipherment"],
                "issuerRef": {"name": "le", "kind": "ClusterIssuer", "group": "cert-manager.io"},
            },
        }])
    );
    assert_eq!(
        passed_over,
        [
            "Skipped a TLS block: spec.tls[1].hosts: Required value",
            "Skipped a TLS block: spec.tls[2].secretName: Required value"
        ]
    );
}

#[rstest]
#[case::nothing_asks(json!({}), one(), Reading::Idle)]
#[case::tls_acme_says_no(json!({names::TLS_ACME: "false"}), one(), Reading::Idle)]
#[case::no_issuer(json!({names::TLS_ACME: "true"}), one(), refused("failed to determine issuer name to be used for ingress resource"))]
#[case::empty(json!({names::ISSUER: ""}), one(), refused("failed to determine issuer name to be used for ingress resource"))]
#[case::two(json!({names::ISSUER: "a", names::CLUSTER_ISSUER: "b"}), one(), refused(r#"both "cert-manager.io/issuer" and "cert-manager.io/cluster-issuer" may not be set"#))]
#[case::kind(json!({names::CLUSTER_ISSUER: "b", names::ISSUER_KIND: "K"}), one(), refused(r#"both "cert-manager.io/cluster-issuer" and "cert-manager.io/issuer-kind" may not be set"#))]
#[case::no_secret_twice(json!({names::ISSUER: "a"}), json!([{"hosts": ["a"]}, {"hosts": ["b"]}]),
    Reading::Refused(r#"spec.tls[0].secretName: Invalid value: "": this secret name must only appear in a single TLS entry but is also used in spec.tls[1].secretName"#.to_owned()))]
fn refusals(#[case] annotations: Value, #[case] tls: Value, #[case] expected: Reading) {
    assert_eq!(reading(&annotations, &tls, Version::NEWEST), expected);
}

fn refused(why: &str) -> Reading {
    Reading::Refused(format!("Could not determine issuer for ingress due to bad annotations: {why}"))
}

#[test]
fn versions_read_more_and_more() {
    let names = |annotation: &str, value: &str, version| {
        let annotations = json!({names::ISSUER: "a", annotation: value});
        match reading(&annotations, &one(), version) {
            Reading::Certificates { made, .. } => serde_json::to_value(&made[0].spec).unwrap(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(names(names::ALT_NAMES, "b,c", Version::V1_20)["dnsNames"], json!(["www.example.com"]));
    assert_eq!(names(names::ALT_NAMES, "b,c", Version::V1_21)["dnsNames"], json!(["www.example.com", "b", "c"]));
    assert_eq!(names(names::RENEW_BEFORE_PERCENTAGE, "x", Version::V1_15)["renewBeforePercentage"], Value::Null);
    assert_eq!(names(names::SECRET_TEMPLATE, "{", Version::V1_12)["secretTemplate"], Value::Null);
    let template = names(names::SECRET_TEMPLATE, r#"{"Labels":{"a":"b"}} trailing"#, Version::V1_15);
    assert_eq!(template["secretTemplate"], json!({"labels": {"a": "b"}}));
}

#[test]
fn annotations_are_not_read_where_no_entry_is_good() {
    let annotations = json!({names::ISSUER: "a", names::DURATION: "90d"});
    assert!(matches!(
        reading(&annotations, &json!([{"secretName": "s"}]), Version::NEWEST),
        Reading::Certificates { .. }
    ));
    assert!(matches!(reading(&annotations, &one(), Version::NEWEST), Reading::Unreadable(_)));
}
