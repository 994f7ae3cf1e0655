//! Certificates that no Ingress asked for: what becomes of them and of their requests where the approval gate is on.

use serde_json::{Value, json};

use super::{HOST, ingress, simulation::Cluster};
use crate::{
    api::domain::Domain,
    cluster::world::{Key, intake::Kept as _},
    core::reason::Reason,
};

const GATED: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}, "gate": {"mode": "all"}}"#;

fn certificate(name: &str, host: &str) -> Value {
    json!({"metadata": {"namespace": "team-a", "name": name},
        "spec": {"secretName": name, "dnsNames": [host], "issuerRef": {"kind": "ClusterIssuer", "name": "le"}}})
}

fn gated() -> Cluster {
    let mut cluster = Cluster::new(GATED);
    cluster.gated = true;
    cluster
}

/// One that was held and released.
fn issued() -> Cluster {
    let mut cluster = gated();
    cluster.put("Certificate", certificate("shop", HOST));
    cluster.settle();
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(120);
    cluster
}

#[test]
fn a_certificate_waits_for_its_names_and_goes_when_they_are_verified() {
    let mut cluster = gated();
    cluster.put("Certificate", certificate("shop", HOST));
    cluster.pass(600);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False DomainNotFound"));
    assert!(cluster.orders.is_empty(), "held costs nothing");
    assert_eq!(cluster.told, ["Domain DomainNotFound"], "told once");

    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(60);
    assert_eq!(cluster.orders, [HOST]);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    let status = &cluster.get("Domain", HOST).unwrap()["status"];
    assert_eq!(status["certificate"]["name"], "shop");
    assert_eq!((&status["lead"], &status["released"]), (&Value::Null, &Value::Null), "no Ingress wants it: {status}");
    assert!(cluster.writes.is_empty());
}

#[test]
fn a_renewal_whose_dns_broke_is_warned_of_held_and_recovers() {
    let mut cluster = issued();
    cluster.dns.insert(HOST.into(), Reason::WrongTarget);
    cluster.pass(3700);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False RenewalAtRisk"), "warned of before it is due");
    cluster.renew("shop");
    cluster.pass(600);
    assert_eq!(cluster.orders, [HOST], "held");
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.orders, [HOST, "shop renewed"]);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn a_renewal_is_let_through_before_the_certificate_runs_out() {
    let mut cluster = gated();
    // The certificate ends on 2027-02-22 12:00; policy lets through from seven days before.
    cluster.now = "2027-02-14T12:00:00Z".parse().unwrap();
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Certificate", certificate("shop", HOST));
    cluster.pass(60);
    cluster.dns.insert(HOST.into(), Reason::WrongTarget);
    cluster.pass(3700);
    cluster.renew("shop");
    cluster.pass(22 * 3600);
    assert_eq!(cluster.orders, [HOST], "{}", cluster.now);
    cluster.pass(3600);
    assert_eq!(cluster.orders, [HOST, "shop renewed"], "{}", cluster.now);
}

#[test]
fn an_issuer_that_becomes_another_cas_has_its_hosts_looked_at_anew() {
    let issuer = |spec: Value| json!({"metadata": {"name": "le"}, "spec": spec, "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    let acme = |server: &str| issuer(json!({"acme": {"server": server, "solvers": [{"http01": {"ingress": {}}}]}}));
    let mut cluster = gated();
    cluster.put("ClusterIssuer", issuer(json!({"selfSigned": {}})));
    cluster.put("Certificate", certificate("shop", HOST));
    cluster.pass(60);
    assert_eq!(cluster.orders, [HOST], "it needs no validation");
    // Edited in place, its verdict for a year is worth nothing.
    cluster.put("ClusterIssuer", acme("https://ca.example/dir"));
    cluster.renew("shop");
    cluster.pass(600);
    assert_eq!(cluster.orders, [HOST]);
    assert_eq!(cluster.get("Domain", HOST).unwrap()["status"]["verdict"]["reason"], "DomainNotFound");
    // So is what another CA would have validated, from the very moment.
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(60);
    assert_eq!(cluster.orders, [HOST, "shop renewed"]);
    let checks = cluster.checks.len();
    cluster.put("ClusterIssuer", acme("https://other.example/dir"));
    cluster.settle();
    let verdict = &cluster.get("Domain", HOST).unwrap()["status"]["verdict"];
    assert_eq!(verdict["server"], "https://other.example/dir");
    assert_eq!(cluster.checks.len(), checks + 1, "looked at anew");
}

#[test]
fn the_domain_of_a_certificate_goes_with_it_and_one_that_an_ingress_wants_stays() {
    let mut cluster = issued();
    cluster.put("Ingress", ingress("web", HOST));
    cluster.pass(30);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True BoundExisting"));
    cluster.delete("Ingress", "web");
    cluster.pass(7200);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"), "the Certificate is still there");
    cluster.delete("CertificateRequest", "shop-1");
    cluster.delete("Certificate", "shop");
    cluster.pass(7 * 86_400 + 60);
    assert_eq!(cluster.get("Domain", HOST), None);
}

#[test]
fn a_restarted_controller_goes_on_where_it_was_and_tells_nothing_twice() {
    let mut cluster = gated();
    cluster.put("Certificate", certificate("shop", HOST));
    cluster.pass(60);
    cluster.restart();
    cluster.pass(300);
    assert_eq!(cluster.told, ["Domain DomainNotFound"]);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(600);
    assert_eq!(cluster.orders, [HOST]);
}

#[test]
fn with_the_gate_off_certificates_are_their_makers_business_alone() {
    let mut cluster = Cluster::new(super::POLICY);
    cluster.put("Certificate", certificate("shop", HOST));
    cluster.pass(60);
    assert_eq!(cluster.orders, [HOST]);
    assert_eq!(cluster.get("Domain", HOST), None);
    assert!(cluster.checks.is_empty());
}

#[test]
fn a_changed_verdict_has_only_the_requests_of_its_host_planned_again() {
    let mut cluster = gated();
    for n in 0..10 {
        cluster.put("Certificate", certificate(&format!("c{n}"), &format!("h{n}.example.com")));
    }
    cluster.settle();
    let mut domain: Domain = serde_json::from_value(cluster.get("Domain", "h7.example.com").unwrap().clone()).unwrap();
    domain.metadata.resource_version = Some("1000000".to_owned());
    domain.spec.auto_issue = Some(true);
    let touched = domain.see(&mut cluster.world);
    let requests: Vec<_> = touched.keys.iter().filter(|key| matches!(key, Key::Request(..))).collect();
    assert_eq!(requests, [&Key::Request("team-a".into(), "c7-1".into())]);

    // Decided on or gone, nothing waits for the host any more.
    cluster.delete("CertificateRequest", "c7-1");
    let mut again: Domain = serde_json::from_value(cluster.get("Domain", "h7.example.com").unwrap().clone()).unwrap();
    again.metadata.resource_version = Some("1000001".to_owned());
    let touched = again.see(&mut cluster.world);
    assert!(!touched.keys.iter().any(|key| matches!(key, Key::Request(..))), "{touched:?}");
}
