//! `http: keep` on Rainbond 5: the twin that keeps port 80 open.

use serde_json::{Value, json};

use super::{HOST, SECRET, rainbond, simulation::Cluster};
use crate::core::reason::Reason;

const KEEP: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}, "rules": [{"match": {}, "http": "keep"}]}"#;
const TWIN: &str = "rule-certgate-http";

fn kept() -> Cluster {
    let mut cluster = Cluster::new(KEEP);
    cluster.put("Ingress", rainbond("rule", HOST));
    cluster.settle();
    assert_eq!(cluster.get("Ingress", TWIN), None, "no twin while the host is held");
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(90);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    cluster
}

#[test]
fn a_host_whose_http_is_kept_has_a_twin_without_tls() {
    let cluster = kept();
    let real = cluster.get("Ingress", "rule").unwrap();
    assert_eq!(real["spec"]["tls"][0]["secretName"], SECRET);
    assert_eq!(real["metadata"]["annotations"]["nginx.ingress.kubernetes.io/force-ssl-redirect"], Value::Null);
    let twin = cluster.get("Ingress", TWIN).expect("a twin");
    assert_eq!(twin["spec"]["rules"], real["spec"]["rules"]);
    assert_eq!(twin["spec"]["tls"], Value::Null);
    assert_eq!(twin["metadata"]["labels"]["creator"], "Rainbond");
    assert_eq!(twin["metadata"]["labels"]["service_id"], Value::Null);
    assert_eq!(cluster.orders, [HOST], "the twin orders nothing");
    assert_eq!(cluster.get("Domain", HOST).unwrap()["status"]["lead"], "rule", "and leads nothing");
}

#[test]
fn a_twin_is_kept_in_step_and_comes_back() {
    let mut cluster = kept();
    let mut edited = cluster.get("Ingress", "rule").unwrap().clone();
    edited["spec"]["rules"][0]["http"] = json!({"paths": [{"path": "/new"}]});
    cluster.put("Ingress", edited.clone());
    cluster.settle();
    assert_eq!(cluster.get("Ingress", TWIN).unwrap()["spec"]["rules"], edited["spec"]["rules"]);
    cluster.delete("Ingress", TWIN);
    cluster.settle();
    assert!(cluster.get("Ingress", TWIN).is_some());
}

#[test]
fn a_twin_goes_with_its_ingress() {
    let mut cluster = kept();
    cluster.delete("Ingress", "rule");
    cluster.settle();
    assert_eq!(cluster.get("Ingress", TWIN), None);
}

#[test]
fn a_twin_goes_with_the_flag() {
    let mut cluster = kept();
    let mut off = cluster.get("Ingress", "rule").unwrap().clone();
    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.settle();
    assert_eq!(cluster.get("Ingress", TWIN), None);
}

#[test]
fn an_ingress_of_the_twins_name_is_left_alone() {
    let mut cluster = Cluster::new(KEEP);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    let mut theirs = rainbond(TWIN, "other.example.com");
    theirs["metadata"]["annotations"] = json!({});
    cluster.put("Ingress", theirs);
    cluster.put("Ingress", rainbond("rule", HOST));
    cluster.settle();
    assert_eq!(cluster.get("Ingress", TWIN).unwrap()["spec"]["rules"][0]["host"], "other.example.com");
    let (_, plan) = cluster.world.plan_ingress("team-a", "rule", cluster.now).unwrap();
    assert!(plan.trouble.iter().any(|trouble| trouble.reason == Reason::CompanionNameTaken), "{:?}", plan.trouble);
}

#[test]
fn elsewhere_there_is_no_twin() {
    let mut cluster = Cluster::new(KEEP);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", super::ingress("rule", HOST));
    cluster.settle();
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.get("Ingress", TWIN), None);
}
