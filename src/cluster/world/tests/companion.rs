//! `issuance: companion` for an Ingress that no profile asks it for: no moment with a gateway's default certificate.

use serde_json::Value;

use super::{HOST, SECRET, ingress, simulation::Cluster};
use crate::core::reason::Reason;

const COMPANION: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}, "rules": [{"match": {}, "issuance": "companion"}]}"#;

#[test]
fn by_policy_an_ingress_is_bound_only_once_its_certificate_is_there() {
    let mut cluster = Cluster::new(COMPANION);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    // For as long as there is no certificate, the Ingress stays as it is.
    cluster.shim_is_down = true;
    cluster.put("Ingress", ingress("web", HOST));
    cluster.pass(60);
    let companion = cluster.get("Ingress", SECRET).expect("a companion");
    assert_eq!(companion["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], "le");
    assert_eq!(cluster.get("Ingress", "web").unwrap()["spec"]["tls"], Value::Null);
    assert!(!cluster.writes.contains(&"web".to_owned()), "{:?}", cluster.writes);

    cluster.shim_is_down = false;
    cluster.pass(600);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    let bound = cluster.get("Ingress", "web").unwrap();
    assert_eq!(bound["spec"]["tls"][0]["secretName"], SECRET);
    assert_eq!(bound["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], Value::Null);
    assert_eq!(cluster.writes.iter().filter(|name| *name == "web").count(), 1, "{:?}", cluster.writes);

    // Rewritten without our parts it is bound again; deleted and made anew it costs no order.
    cluster.put("Ingress", ingress("web", HOST));
    cluster.settle();
    assert_eq!(cluster.get("Ingress", "web").unwrap()["spec"]["tls"][0]["secretName"], SECRET);
    cluster.delete("Ingress", "web");
    cluster.settle();
    cluster.put("Ingress", ingress("web", HOST));
    cluster.settle();
    assert_eq!(cluster.get("Ingress", "web").unwrap()["spec"]["tls"][0]["secretName"], SECRET);
    assert_eq!(cluster.orders, [HOST]);
}
