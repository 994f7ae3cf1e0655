//! A host that several namespaces claim, each in its own way.

use serde_json::{Value, json};

use super::{
    ingress,
    routes::{ROUTE, SHOP, rainbond, v6},
    simulation::Cluster,
};
use crate::core::{names, reason::Reason};

/// The same object in another namespace.
fn in_namespace(namespace: &str, mut object: Value) -> Value {
    object["metadata"]["namespace"] = json!(namespace);
    object
}

/// A cluster of Rainbond 6 with a second team, and the host's DNS in order.
fn two_teams(more: Value) -> Cluster {
    let mut cluster = rainbond(more);
    cluster.put("Namespace", json!({"metadata": {"name": "team-b"}}));
    cluster.dns.insert(SHOP.into(), Reason::Verified);
    cluster
}

/// Rainbond's switch, turned on for the host.
fn switch_on(cluster: &mut Cluster, namespace: &str) {
    cluster.put("ApisixRoute", in_namespace(namespace, v6!("apisixroute-labelled-custom-domain")));
    cluster.put("Certificate", in_namespace(namespace, v6!("certificate-custom-domain")));
}

fn ready(cluster: &Cluster, namespace: &str) -> Option<String> {
    cluster.reason_in(namespace, SHOP, "Ready")
}

#[test]
fn an_ingress_finds_the_host_of_a_route_taken_until_the_route_lets_go() {
    let mut cluster = two_teams(json!({}));
    // Its label alone claims the host.
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.pass(5);
    cluster.put("Ingress", in_namespace("team-b", ingress("shop", SHOP)));
    cluster.pass(120);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("False HostTaken"));
    assert!(cluster.orders.is_empty());
    let message = cluster.get_in("Domain", "team-b", SHOP).unwrap()["status"]["message"].to_string();
    assert!(!message.contains("team-a"), "not by whom: {message}");

    cluster.put("ApisixRoute", v6!("apisixroute-custom-domain"));
    cluster.pass(30);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders, [SHOP]);
}

#[test]
fn the_gate_approves_no_certificate_of_the_switch_for_a_host_that_another_namespace_holds() {
    let mut cluster = two_teams(json!({}));
    cluster.put("Ingress", ingress("shop", SHOP));
    cluster.pass(60);
    assert_eq!(cluster.orders.len(), 1);
    switch_on(&mut cluster, "team-b");
    cluster.pass(600);
    assert_eq!(cluster.orders.len(), 1, "held");
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("False HostTaken"));
    let certificate = cluster.get_in("Certificate", "team-b", ROUTE).unwrap();
    let conditions = certificate["status"]["conditions"].as_array().unwrap();
    let ours = conditions.iter().find(|one| one["type"] == names::CONDITION).unwrap();
    assert_eq!((&ours["status"], &ours["reason"]), (&json!("False"), &json!("HostTaken")));

    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.pass(120);
    assert_eq!(cluster.orders.len(), 1, "the host is kept for a component that is stopped");
    cluster.pass(7 * 86_400);
    assert_eq!(cluster.orders.len(), 2);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));
}

#[test]
fn of_two_switches_the_first_is_served_and_the_other_held() {
    let mut cluster = two_teams(json!({}));
    switch_on(&mut cluster, "team-b");
    cluster.pass(5);
    switch_on(&mut cluster, "team-a");
    cluster.pass(120);
    assert_eq!(cluster.orders.len(), 1);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("False HostTaken"));
}

#[test]
fn what_is_in_use_stays_with_whom_it_is_when_an_older_claim_turns_up() {
    let mut cluster = two_teams(json!({}));
    // The older route says nothing at first.
    cluster.put("ApisixRoute", v6!("apisixroute-custom-domain"));
    cluster.pass(5);
    switch_on(&mut cluster, "team-b");
    cluster.pass(60);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.pass(60);
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("False HostTaken"));
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));
}

#[test]
fn a_restarted_component_loses_its_host_to_nobody() {
    let mut cluster = two_teams(json!({}));
    cluster.dns.remove(SHOP);
    cluster.put("Ingress", ingress("shop", SHOP));
    cluster.pass(5);
    cluster.put("ApisixRoute", in_namespace("team-b", v6!("apisixroute-labelled-custom-domain")));
    cluster.pass(60);
    // Rainbond deletes the Ingress as the component stops, and makes it again as it starts.
    cluster.delete("Ingress", "shop");
    cluster.pass(10);
    cluster.put("Ingress", ingress("shop", SHOP));
    cluster.pass(60);
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("False DomainNotFound"));
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("False HostTaken"));
}

#[test]
fn routes_that_policy_does_not_heed_claim_nothing() {
    let mut cluster = two_teams(json!({"routes": false}));
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.pass(5);
    cluster.put("Ingress", in_namespace("team-b", ingress("shop", SHOP)));
    cluster.pass(60);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));
}

#[test]
fn what_a_person_wrote_takes_no_host_away_and_waits_where_another_came_first() {
    let written = |namespace: &str| {
        json!({"metadata": {"namespace": namespace, "name": "own", "labels": {"certgate.dev/auto-issue": "true"}},
            "spec": {"secretName": "own", "dnsNames": [SHOP], "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt-http"}}})
    };
    let mut cluster = two_teams(json!({}));
    cluster.put("Certificate", written("team-a"));
    cluster.pass(60);
    switch_on(&mut cluster, "team-b");
    cluster.pass(60);
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("True Issued"));
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("True Issued"));

    let mut cluster = two_teams(json!({}));
    switch_on(&mut cluster, "team-b");
    cluster.pass(60);
    cluster.put("Certificate", written("team-a"));
    cluster.pass(60);
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("False HostTaken"));
    assert_eq!(cluster.orders.len(), 1);
}

/// A cluster with a second team whose issuer solves DNS-01 too.
fn with_wildcards() -> Cluster {
    let mut cluster = Cluster::new(super::POLICY);
    cluster.put("Namespace", json!({"metadata": {"name": "team-b"}}));
    cluster.put(
        "ClusterIssuer",
        json!({"metadata": {"name": "le"},
        "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}, {"dns01": {}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    cluster
}

const WIDE: &str = "*.shop-example.com";
const WIDE_DOMAIN: &str = "wildcard.shop-example.com";

#[test]
fn a_wildcard_takes_no_name_that_another_namespace_holds() {
    let mut cluster = with_wildcards();
    cluster.put("Ingress", ingress("shop", SHOP));
    cluster.pass(5);
    cluster.put("Ingress", in_namespace("team-b", ingress("wide", WIDE)));
    cluster.dns.insert(WIDE.into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.reason_in("team-b", WIDE_DOMAIN, "Ready").as_deref(), Some("False HostTaken"));
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("False DomainNotFound"), "though it is not verified yet");
    let message = cluster.get_in("Domain", "team-b", WIDE_DOMAIN).unwrap()["status"]["message"].to_string();
    assert!(!message.contains("team-a"), "not by whom: {message}");
    assert!(cluster.orders.is_empty());
    // After a restart it is the same, whatever is seen first.
    cluster.start_anew();
    cluster.pass(120);
    assert_eq!(cluster.reason_in("team-b", WIDE_DOMAIN, "Ready").as_deref(), Some("False HostTaken"));

    let mut off = cluster.get("Ingress", "shop").unwrap().clone();
    off["metadata"]["annotations"][names::AUTO_ISSUE] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(120);
    assert_eq!(cluster.reason_in("team-b", WIDE_DOMAIN, "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn a_name_is_taken_by_a_wildcard_that_came_first_and_not_by_one_that_nobody_can_certify() {
    let mut cluster = with_wildcards();
    cluster.put("Ingress", in_namespace("team-b", ingress("wide", WIDE)));
    cluster.pass(5);
    cluster.dns.insert(SHOP.into(), Reason::Verified);
    cluster.put("Ingress", ingress("shop", SHOP));
    cluster.put("Ingress", ingress("deeper", "a.www.shop-example.com"));
    cluster.dns.insert("a.www.shop-example.com".into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("False HostTaken"));
    assert_eq!(cluster.orders, ["a.www.shop-example.com"], "a wildcard stands for one label");
    // Its issuer loses the solver: the wildcard is never certified, and keeps nobody out.
    cluster.put(
        "ClusterIssuer",
        json!({"metadata": {"name": "le"},
        "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    cluster.restart();
    cluster.pass(120);
    assert_eq!(ready(&cluster, "team-a").as_deref(), Some("True Issued"));
}

#[test]
fn the_gate_and_the_switch_are_held_to_wildcards_of_others_too() {
    let mut cluster = two_teams(json!({}));
    cluster.put(
        "ClusterIssuer",
        json!({"metadata": {"name": "letsencrypt-http"},
        "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}, {"dns01": {}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    cluster.put("Ingress", ingress("wide", WIDE));
    cluster.pass(5);
    switch_on(&mut cluster, "team-b");
    cluster.put(
        "Certificate",
        json!({"metadata": {"namespace": "team-b", "name": "own", "labels": {"certgate.dev/auto-issue": "true"}},
        "spec": {"secretName": "own", "dnsNames": ["api.shop-example.com"], "issuerRef": {"kind": "ClusterIssuer", "name": "letsencrypt-http"}}}),
    );
    cluster.dns.insert("api.shop-example.com".into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(ready(&cluster, "team-b").as_deref(), Some("False HostTaken"));
    let asked = cluster.reason_in("team-b", "api.shop-example.com", "Ready");
    assert_eq!(asked.as_deref(), Some("False HostTaken"));
    assert!(cluster.orders.is_empty(), "{:?}", cluster.orders);
}

#[test]
fn a_component_that_is_stopped_over_a_weekend_finds_its_host_as_it_left_it() {
    let mut cluster = super::issued("shop");
    cluster.put("Namespace", json!({"metadata": {"name": "team-b"}}));
    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.pass(60);
    assert_eq!(cluster.get("Certificate", super::SECRET), None, "nothing is renewed meanwhile");
    cluster.put("Ingress", in_namespace("team-b", ingress("rival", super::HOST)));
    cluster.pass(2 * 86_400 + 43_200);
    cluster.start_anew();
    cluster.pass(60);
    let rival = |cluster: &Cluster| cluster.reason_in("team-b", super::HOST, "Ready");
    assert_eq!(rival(&cluster).as_deref(), Some("False HostTaken"));
    cluster.put("Ingress", ingress("shop", super::HOST));
    cluster.settle();
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0]["secretName"], super::SECRET);
    cluster.pass(60);
    assert_eq!(cluster.reason(super::HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 1);

    // Gone for good, it is the other's after the days that policy gives.
    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.pass(7 * 86_400 - 60);
    assert_eq!(rival(&cluster).as_deref(), Some("False HostTaken"));
    cluster.pass(180);
    assert_eq!(rival(&cluster).as_deref(), Some("True Issued"));
}

#[test]
fn who_only_comes_and_goes_holds_no_host_for_ever() {
    let mut cluster = super::issued("shop");
    cluster.put("Namespace", json!({"metadata": {"name": "team-b"}}));
    cluster.put("Ingress", in_namespace("team-b", ingress("rival", super::HOST)));
    // The domain leads elsewhere from now on.
    cluster.dns.insert(super::HOST.into(), Reason::WrongTarget);
    for _ in 0..8 {
        cluster.delete("Ingress", "shop");
        cluster.collect_garbage();
        cluster.pass(86_400);
        cluster.put("Ingress", ingress("shop", super::HOST));
        cluster.pass(60);
    }
    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.dns.insert(super::HOST.into(), Reason::Verified);
    cluster.pass(3_600);
    assert_eq!(cluster.reason_in("team-b", super::HOST, "Ready").as_deref(), Some("True Issued"));
}
