//! Ingresses as people have them, out of public reports of trouble, and what is right for each. Held together with the
//! installation that they meet: an ACME issuer, all hosts flagged, the gateway at 8.8.8.8, and DNS that is right.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use std::{fs, path::Path};

use certgate::{
    core::policy::Policy,
    explain::{documents::Documents, explain, render},
};
use rstest::rstest;
use serde_json::{Value, json};

fn policy() -> Policy {
    serde_json::from_value(json!({
        "issuer": {"kind": "ClusterIssuer", "name": "letsencrypt"},
        "autoIssue": "all",
        "gateway": {"addresses": ["8.8.8.8"]},
    }))
    .unwrap()
}

fn decisions(name: &str) -> Vec<Value> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cases").join(name).with_extension("yaml");
    let mut documents = Documents::default();
    documents.add(name, &fs::read_to_string(file).unwrap());
    let (explained, faults) = explain(&documents, &policy(), "2026-11-24T12:00:00Z".parse().unwrap(), true);
    assert!(faults.is_empty(), "{faults:?}");
    let told: Value = serde_json::from_str(&render::json(&explained).unwrap()).unwrap();
    told["decisions"].as_array().unwrap().clone()
}

/// Each host with action, reason and who acts; then the paths that the patch changes.
fn fates(decision: &Value) -> (Vec<String>, Vec<String>) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let hosts = decision["hosts"].as_array().unwrap().iter().map(|host| {
        format!(
            "{} {} {} {}",
            word(&host["host"]),
            word(&host["action"]),
            word(&host["reason"]),
            word(&host["whoActs"])
        )
    });
    let patch =
        decision["patch"].as_array().unwrap().iter().map(|op| format!("{} {}", word(&op["op"]), word(&op["path"])));
    (hosts.collect(), patch.collect())
}

const ISSUER: &str = "add /metadata/annotations";
const TLS: &str = "add /spec/tls";

#[rstest]
// A bought certificate beside: an issuer annotation would have it issued over.
#[case("bought-certificate-beside", &["pay.shop-acme.com skip UserTls nobody", "www.shop-acme.com hold AwaitingCertificate nobody"], &[])]
#[case("secretless-tls-twice", &["old-api.shop-acme.com skip TlsWithoutSecret app-developer", "new-api.shop-acme.com skip TlsWithoutSecret app-developer",
    "api.shop-acme.com hold AwaitingCertificate nobody"], &[])]
#[case("common-name-two-hosts", &["shop-acme.com inject Verified nobody", "www.shop-acme.com hold CommonNameConflict app-developer"],
    &["add /metadata/annotations/cert-manager.io~1cluster-issuer", "add /metadata/annotations/certgate.dev~1injected", TLS])]
#[case("wildcard-and-apex-http01", &["shop-acme.com inject Verified nobody", "*.shop-acme.com skip WildcardNeedsDns01 cluster-admin"], &[ISSUER, TLS])]
#[case("wildcard-solver-by-label", &["*.test.shop-acme.com hold SolverNeedsLabel app-developer", "www.shop-acme.com hold SolverNeedsLabel app-developer"], &[])]
#[case("tls-without-secret", &["www.shop-acme.com skip TlsWithoutSecret app-developer"], &[])]
#[case("empty-cluster-issuer", &["www.shop-acme.com skip IssuerAnnotationEmpty app-developer"], &[])]
#[case("cluster-issuer-plus-kind", &["www.shop-acme.com skip UserIssuerConflict app-developer"], &[])]
// The annotation is the user's from here on; the entry stays.
#[case("staging-to-production", &["www.shop-acme.com inject Issuing nobody"], &["replace /metadata/annotations/certgate.dev~1injected"])]
#[case("copied-new-host", &["blog.shop-acme.com skip TlsSecretOfOtherHost app-developer"], &["remove /metadata/annotations"])]
#[case("own-certificate-over-ours", &["www.shop-acme.com withdraw UserTls nobody"], &["remove /metadata/annotations", "remove /spec/tls/0"])]
#[case("second-host-beside-cert-manager", &["www.shop-acme.com skip UserTls nobody", "blog.shop-acme.com inject Verified nobody"],
    &["add /metadata/annotations/certgate.dev~1injected", "add /spec/tls/-"])]
fn what_is_right(#[case] file: &str, #[case] hosts: &[&str], #[case] patch: &[&str]) {
    let decisions = decisions(file);
    assert_eq!(decisions.len(), 1);
    let (told, changed) = fates(&decisions[0]);
    assert_eq!((told.as_slice(), changed.as_slice()), (&owned(hosts)[..], &owned(patch)[..]));
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn of_two_ingresses_of_a_host_one_orders_and_both_serve() {
    let decisions = decisions("two-ingresses-one-host");
    let leads: Vec<_> = decisions.iter().filter(|decision| decision["lead"] == true).collect();
    assert_eq!((decisions.len(), leads.len()), (2, 1));
    for decision in &decisions {
        let patch = decision["patch"].as_array().unwrap();
        assert!(patch.iter().any(|op| op["value"][0]["secretName"] == "certgate-www.shop-acme.com"), "{decision}");
    }
}

#[rstest]
#[case("secretless-tls-twice", 0, &["names no Secret", "remove the entry"])]
#[case("common-name-two-hosts", 1, &["cert-manager.io/common-name", "shop-acme.com", "an Ingress of its own"])]
#[case("wildcard-solver-by-label", 0, &["label use-dns01=true", "add it to the Ingress"])]
#[case("wildcard-solver-by-label", 1, &["label use-http01=true"])]
#[case("empty-cluster-issuer", 0, &["cert-manager.io/cluster-issuer", "empty"])]
#[case("cluster-issuer-plus-kind", 0, &["cert-manager.io/issuer-kind", "in cert-manager.io/issuer instead"])]
#[case("copied-new-host", 0, &["certgate-www.shop-acme.com", "another host"])]
fn what_is_said(#[case] file: &str, #[case] host: usize, #[case] words: &[&str]) {
    let message = decisions(file)[0]["hosts"][host]["message"].as_str().unwrap().to_owned();
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn a_secret_that_is_not_there_or_is_for_others_is_told() {
    let told = |secrets: &str| {
        let ingress = r#"
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web, namespace: team-a}
spec: {tls: [{hosts: [www.shop-acme.com], secretName: web-tls}], rules: [{host: www.shop-acme.com}]}
"#;
        let mut documents = Documents::default();
        documents.add("case", &format!("{ingress}---\n{secrets}"));
        let (explained, faults) = explain(&documents, &policy(), "2026-11-24T12:00:00Z".parse().unwrap(), true);
        assert!(faults.is_empty(), "{faults:?}");
        let told: Value = serde_json::from_str(&render::json(&explained).unwrap()).unwrap();
        fates(&told["decisions"][0]).0
    };
    let secret = |name: &str| {
        format!(
            "{{apiVersion: v1, kind: Secret, metadata: {{name: {name}, namespace: team-a, annotations: {{cert-manager.io/certificate-name: {name}}}}}}}\n"
        )
    };
    let certificate = |host: &str| {
        format!(
            "---\n{{apiVersion: cert-manager.io/v1, kind: Certificate, metadata: {{name: web-tls, namespace: team-a}}, spec: {{secretName: web-tls, dnsNames: [{host}], issuerRef: {{name: x}}}}}}\n"
        )
    };
    assert_eq!(told(&secret("other")), ["www.shop-acme.com skip TlsSecretMissing app-developer"]);
    assert_eq!(told(&secret("web-tls")), ["www.shop-acme.com skip UserTls nobody"]);
    let kept = |host: &str| told(&(secret("web-tls") + &certificate(host)));
    assert_eq!(kept("\"*.shop-acme.com\""), ["www.shop-acme.com skip UserTls nobody"]);
    assert_eq!(kept("shop-acme.com"), ["www.shop-acme.com skip TlsSecretOfOtherHost app-developer"]);
}
