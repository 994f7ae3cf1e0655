//! When a host has a Domain, and whose it is.

use super::*;

#[test]
fn hosts_that_cannot_have_a_certificate_get_no_domain() {
    let mut cluster = Cluster::new(POLICY);
    for (name, host) in [("a", "10.0.0.1"), ("b", "shop.corp.internal"), ("c", "co.uk")] {
        cluster.put("Ingress", ingress(name, host));
    }
    let mut unflagged = ingress("d", HOST);
    unflagged["metadata"]["annotations"] = json!({});
    cluster.put("Ingress", unflagged);
    cluster.pass(60);
    assert!(cluster.world.all_keys().iter().all(|key| match key {
        Key::Host(namespace, host) => cluster.world.domain_object(namespace, host).is_none(),
        _ => true,
    }));
    assert!(cluster.writes.is_empty());
}

#[test]
fn a_domain_that_a_person_wrote_is_never_deleted() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put(
        "Domain",
        json!({"metadata": {"namespace": "team-a", "name": HOST}, "spec": {"host": HOST, "autoIssue": true}}),
    );
    cluster.dns.insert(HOST.into(), Reason::Verified);
    let mut plain = ingress("shop", HOST);
    plain["metadata"]["annotations"] = json!({});
    cluster.put("Ingress", plain);
    cluster.pass(10);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"), "the Domain flags the host");
    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.pass(10_000);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False HostRemoved"));
}

#[test]
fn a_namespace_on_its_way_out_is_left_alone() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.settle();
    cluster.put("Namespace", json!({"metadata": {"name": "team-a", "deletionTimestamp": "2026-11-24T12:00:00Z"}}));
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.delete("Domain", HOST);
    cluster.pass(120);
    assert_eq!(cluster.get("Domain", HOST), None);
    assert!(cluster.writes.is_empty());
}
