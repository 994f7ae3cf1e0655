//! Rainbond 6: its switch for automatic issuance, told in its own objects.

use serde_json::{Value, json};

use super::simulation::Cluster;
use crate::{
    api::partial::route::ApisixRoute,
    cluster::{gateway::Found, world::intake::Kept as _},
    core::{names, reason::Reason},
};

pub(super) const SHOP: &str = "www.shop-example.com";
pub(super) const ROUTE: &str = "www.shop-example.comp-ps-s";

/// A cluster of Rainbond 6 with its routes known. `more`: what else policy says of the switch.
pub(super) fn rainbond(more: Value) -> Cluster {
    let mut policy = json!({"issuer": {"name": "letsencrypt-http"}, "gateway": {"addresses": ["203.0.113.7"]},
        "gate": {"mode": "annotated"}, "rainbond": {"routes": true}});
    policy["rainbond"].as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let mut cluster = Cluster::new(&policy.to_string());
    cluster.gated = true;
    cluster.put(
        "ClusterIssuer",
        json!({"metadata": {"name": "letsencrypt-http"},
        "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    ApisixRoute::listed(&mut cluster.world, true);
    cluster
}

/// An object that Rainbond's own code wrote.
pub(super) fn fixture(text: &str) -> Value {
    let mut object: Value = serde_saphyr::from_str(text).unwrap();
    object.as_object_mut().unwrap().remove("status");
    object
}

macro_rules! v6 {
    ($name:literal) => {
        $crate::cluster::world::tests::routes::fixture(include_str!(concat!(
            "../../../../tests/fixtures/v6/",
            $name,
            ".yaml"
        )))
    };
}
pub(super) use v6;

fn condition<'c>(cluster: &'c Cluster, certificate: &str) -> Option<&'c Value> {
    let conditions = cluster.get("Certificate", certificate)?["status"]["conditions"].as_array()?;
    conditions.iter().find(|one| one["type"] == names::CONDITION)
}

#[test]
fn the_switch_is_held_explained_on_its_certificate_and_released() {
    let mut cluster = rainbond(json!({}));
    cluster.put("ApisixRoute", v6!("apisixroute-custom-domain"));
    cluster.pass(60);
    assert_eq!(cluster.get("Domain", SHOP), None, "the switch is off");

    cluster.put("Certificate", v6!("certificate-custom-domain"));
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.pass(60);
    assert!(cluster.orders.is_empty());
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("False DomainNotFound"));
    let said = condition(&cluster, ROUTE).unwrap().clone();
    assert_eq!((&said["status"], &said["reason"]), (&json!("False"), &json!("DomainNotFound")));
    assert!(said["message"].as_str().unwrap().contains("203.0.113.7"), "{said}");
    cluster.pass(600);
    assert_eq!(condition(&cluster, ROUTE), Some(&said), "written once");

    cluster.dns.insert(SHOP.into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.orders, [SHOP]);
    let said = condition(&cluster, ROUTE).unwrap();
    assert_eq!((&said["status"], &said["reason"]), (&json!("True"), &json!("Verified")));
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn a_host_that_begins_with_a_digit_is_found_by_its_name_not_by_its_certificates() {
    let mut cluster = rainbond(json!({"leftOverSeconds": 60}));
    cluster.put("ApisixRoute", v6!("apisixroute-digits-first"));
    cluster.put("Certificate", v6!("certificate-digits-first"));
    cluster.pass(300);
    assert_eq!(cluster.reason("3w.shop-example.com", "Ready").as_deref(), Some("False DomainNotFound"));
    assert_eq!(condition(&cluster, "w.shop-example.comp-ps-s").unwrap()["reason"], "DomainNotFound");
    cluster.dns.insert("3w.shop-example.com".into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.orders, ["3w.shop-example.com"]);
}

#[test]
fn a_label_alone_is_checked_and_told_to_lack_its_certificate() {
    let mut cluster = rainbond(json!({}));
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.pass(60);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("False DomainNotFound"));
    cluster.dns.insert(SHOP.into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("False RouteWithoutCertificate"));
    assert_eq!(cluster.reason(SHOP, "Verified").as_deref(), Some("True Verified"));
    // Switched off, nobody wants it any more.
    cluster.put("ApisixRoute", v6!("apisixroute-custom-domain"));
    cluster.pass(7200);
    assert_eq!(cluster.get("Domain", SHOP), None);
}

#[test]
fn the_platforms_default_domains_are_flagged_by_no_label() {
    let mut cluster = rainbond(json!({}));
    let suffix = Found { suffix: Some("203.0.113.10.nip.io".to_owned()), ..Found::default() };
    cluster.world.set_found(crate::cluster::gateway::Source::Rainbond, suffix);
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-default-domain"));
    cluster.pass(60);
    assert!(cluster.checks.is_empty());
    assert_eq!(cluster.get("Domain", "gre1e1b8-5000-k3v8x1zq.203.0.113.10.nip.io"), None);
}

/// Switched on, issued, and then the route deleted.
fn left_over(more: Value) -> Cluster {
    let mut cluster = rainbond(more);
    cluster.dns.insert(SHOP.into(), Reason::Verified);
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.put("Certificate", v6!("certificate-custom-domain"));
    cluster.pass(60);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("True Issued"));
    cluster.told.clear();
    cluster.delete("ApisixRoute", ROUTE);
    cluster.pass(500);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("True Issued"), "it may come back");
    assert!(cluster.told.is_empty());
    cluster
}

#[test]
fn a_certificate_that_no_route_needs_is_reported() {
    let mut cluster = left_over(json!({}));
    cluster.pass(600);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("False CertificateLeftOver"));
    assert_eq!(cluster.reason(SHOP, "Issued").as_deref(), Some("True Issued"));
    assert_eq!(condition(&cluster, ROUTE).unwrap()["reason"], "CertificateLeftOver");
    cluster.pass(3600);
    cluster.restart();
    cluster.pass(60);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("False CertificateLeftOver"));
    cluster.told.sort();
    assert_eq!(cluster.told, ["Domain CertificateLeftOver", &format!("{ROUTE} CertificateLeftOver")], "once");
    // The route comes back: all is as it was.
    cluster.put("ApisixRoute", v6!("apisixroute-labelled-custom-domain"));
    cluster.pass(60);
    assert_eq!(cluster.reason(SHOP, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(condition(&cluster, ROUTE).unwrap()["status"], "True");
}

#[test]
fn a_certificate_that_no_route_needs_is_removed_where_policy_says_so() {
    let mut cluster = left_over(json!({"leftOverCertificates": "remove"}));
    cluster.pass(600);
    assert_eq!(cluster.get("Certificate", ROUTE), None);
    assert!(cluster.told.contains(&format!("{ROUTE} CertificateLeftOver")), "{:?}", cluster.told);
    assert!(cluster.get("Secret", ROUTE).is_some(), "the Secret stays");
    cluster.pass(7 * 86_400);
    assert_eq!(cluster.get("Domain", SHOP), None);
}

#[test]
fn what_people_wrote_is_never_left_over() {
    let mut cluster = rainbond(json!({"leftOverCertificates": "remove", "leftOverSeconds": 1}));
    cluster.dns.insert(SHOP.into(), Reason::Verified);
    // Rainbond labels a user's own YAML too.
    let mut own = v6!("certificate-custom-domain");
    own["metadata"]["name"] = json!("shop-tls");
    own["spec"]["secretName"] = json!("shop-tls");
    cluster.put("Certificate", own);
    cluster.pass(3600);
    assert!(cluster.get("Certificate", "shop-tls").is_some());
    assert_eq!(condition(&cluster, "shop-tls"), None);
}

#[test]
fn nothing_is_left_over_where_routes_are_not_known_or_a_wildcard_serves_the_host() {
    let mut cluster = rainbond(json!({"leftOverCertificates": "remove", "leftOverSeconds": 1}));
    cluster.dns.insert(SHOP.into(), Reason::Verified);
    ApisixRoute::listed(&mut cluster.world, false);
    cluster.put("Certificate", v6!("certificate-custom-domain"));
    cluster.pass(3600);
    assert!(cluster.get("Certificate", ROUTE).is_some(), "the kind is not installed");
    cluster.put("ApisixRoute", v6!("apisixroute-wildcard"));
    ApisixRoute::listed(&mut cluster.world, true);
    cluster.pass(3600);
    assert!(cluster.get("Certificate", ROUTE).is_some(), "a wildcard serves it");
}
