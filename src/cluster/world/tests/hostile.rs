//! What a tenant writes that looks like certgate's own.

use serde_json::{Value, json};

use super::{HOST, POLICY, SECRET, ingress, issued, simulation::Cluster};
use crate::core::{names, reason::Reason};

fn with_entry(name: &str) -> Value {
    let mut object = ingress(name, HOST);
    object["spec"]["tls"] = json!([{"hosts": [HOST], "secretName": SECRET}]);
    object
}

fn is_released(cluster: &Cluster, namespace: &str) -> bool {
    cluster.get_in("Domain", namespace, HOST).is_some_and(|domain| domain["status"]["released"] == true)
}

#[test]
fn an_entry_of_our_secrets_name_is_kept_and_ordered_for_once_its_host_is_verified() {
    let mut cluster = Cluster::new(POLICY);
    let written = with_entry("shop");
    cluster.put("Ingress", written.clone());
    cluster.pass(600);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False DomainNotFound"));
    let left = cluster.get("Ingress", "shop").unwrap();
    assert_eq!(
        (&left["spec"], &left["metadata"]["annotations"]),
        (&written["spec"], &written["metadata"]["annotations"])
    );
    assert!(cluster.orders.is_empty() && cluster.writes.is_empty() && !is_released(&cluster, "team-a"));
    assert_eq!(cluster.get("VerifiedHosts", "certgate"), None);

    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!((cluster.orders.len(), &cluster.get("Ingress", "shop").unwrap()["spec"]), (1, &written["spec"]));
}

#[test]
fn a_record_from_elsewhere_goes_on_ordering_nothing() {
    let mut cluster = Cluster::new(POLICY);
    cluster.shim_is_down = true;
    let mut dumped = with_entry("shop");
    dumped["metadata"]["annotations"][names::CLUSTER_ISSUER] = json!("le");
    let record = json!({"annotations": {names::CLUSTER_ISSUER: "le"}, "tls": {HOST: SECRET}});
    dumped["metadata"]["annotations"][names::INJECTED] = json!(record.to_string());
    cluster.put("Ingress", dumped.clone());
    cluster.pass(600);
    let left = cluster.get("Ingress", "shop").unwrap();
    assert_eq!(left["spec"], dumped["spec"]);
    assert_eq!(left["metadata"]["annotations"], json!({names::AUTO_ISSUE: "true"}));
    assert!(!is_released(&cluster, "team-a"));
}

#[test]
fn a_certificate_and_a_companion_of_a_tenants_release_nothing() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(60);
    cluster.shim_is_down = true;
    let uid = cluster.get("Ingress", "shop").unwrap()["metadata"]["uid"].clone();
    cluster.put(
        "Secret",
        json!({"metadata": {"namespace": "team-a", "name": SECRET, "annotations": {names::CERTIFICATE_NAME: SECRET}}}),
    );
    cluster.put("Certificate", json!({"metadata": {"namespace": "team-a", "name": SECRET,
            "ownerReferences": [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "shop", "uid": uid, "controller": true}]},
        "spec": {"secretName": SECRET, "dnsNames": [HOST], "issuerRef": {"kind": "Issuer", "name": "self-signed"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "notAfter": "2027-02-22T12:00:00Z"}}));
    let mut companion = with_entry("mine");
    companion["metadata"]["labels"] = json!({names::COMPANION_OF: HOST});
    companion["metadata"]["annotations"][names::CLUSTER_ISSUER] = json!("le");
    companion["spec"]["ingressClassName"] = json!(names::COMPANION_CLASS);
    cluster.put("Ingress", companion);
    cluster.pass(600);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"], Value::Null);
    assert!(!is_released(&cluster, "team-a") && cluster.get("VerifiedHosts", "certgate").is_none());
    assert!(cluster.get("Ingress", "mine").is_some(), "what bears our labels alone is the tenant's");
}

#[test]
fn a_tenant_who_deletes_the_domain_loses_no_tls_and_orders_nothing_anew() {
    let mut cluster = issued("shop");
    cluster.delete("Domain", HOST);
    cluster.settle();
    let tls = cluster.get("Ingress", "shop").unwrap()["spec"]["tls"].clone();
    assert_eq!(tls[0]["secretName"], SECRET);
    cluster.pass(120);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 1);
    // With DNS gone astray meanwhile too.
    cluster.dns.insert(HOST.into(), Reason::WrongTarget);
    cluster.delete("Domain", HOST);
    cluster.pass(600);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"], tls);
    assert!(cluster.get("Certificate", SECRET).is_some(), "it goes on renewing");
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn another_issuer_waits_for_its_own_verdict_and_what_stands_goes_on() {
    let mut cluster = issued("shop");
    cluster.dns.insert(HOST.into(), Reason::WrongTarget);
    let mut domain = cluster.get("Domain", HOST).unwrap().clone();
    domain["spec"]["issuerRef"] = json!({"kind": "ClusterIssuer", "name": "other"});
    cluster.put(
        "ClusterIssuer",
        json!({"metadata": {"name": "other"},
        "spec": {"acme": {"server": "https://other.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    cluster.put("Domain", domain);
    cluster.pass(600);
    let annotations = &cluster.get("Ingress", "shop").unwrap()["metadata"]["annotations"];
    assert_eq!(annotations[names::CLUSTER_ISSUER], "le", "what was let through was for this one");
    assert_eq!(cluster.orders.len(), 1);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(600);
    let annotations = &cluster.get("Ingress", "shop").unwrap()["metadata"]["annotations"];
    assert_eq!(annotations[names::CLUSTER_ISSUER], "other");
}

#[test]
fn a_companion_is_not_written_over_an_ingress_of_its_name() {
    let policy = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}, "rules": [{"match": {}, "issuance": "companion"}]}"#;
    let mut cluster = Cluster::new(policy);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    let mut theirs = ingress(SECRET, "other.example.com");
    theirs["metadata"]["annotations"] = json!({});
    cluster.put("Ingress", theirs);
    cluster.put("Ingress", ingress("web", HOST));
    cluster.pass(120);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False CompanionNameTaken"));
    assert_eq!(cluster.get("Ingress", SECRET).unwrap()["spec"]["rules"][0]["host"], "other.example.com");
    cluster.delete("Ingress", SECRET);
    cluster.pass(120);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
}
