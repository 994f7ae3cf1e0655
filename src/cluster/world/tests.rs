//! Stories: what becomes of a host, from the first Ingress to the last.

use serde_json::{Value, json};

use super::*;
use crate::core::reason::Reason;
use simulation::Cluster;

mod companion;
mod domains;
mod events;
mod gate;
mod hostile;
mod kept;
mod limits;
mod many;
mod off;
mod rivals;
mod routes;
pub(super) mod simulation;
mod twin;
mod unread;

const POLICY: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}}"#;
const HOST: &str = "www.example.com";
const SECRET: &str = "certgate-www.example.com";

/// An Ingress of a person's, flagged.
fn ingress(name: &str, host: &str) -> Value {
    json!({"metadata": {"namespace": "team-a", "name": name, "annotations": {"certgate.dev/auto-issue": "true"}},
           "spec": {"rules": [{"host": host}]}})
}

/// As Rainbond 5 emits it.
fn rainbond(name: &str, host: &str) -> Value {
    let mut object = ingress(name, host);
    object["metadata"]["labels"] = json!({"creator": "Rainbond", "service_id": "0d9c"});
    object
}

/// One whose DNS is right, all the way to its certificate.
fn issued(name: &str) -> Cluster {
    let mut cluster = Cluster::new(POLICY);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", ingress(name, HOST));
    cluster.settle();
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders, [HOST]);
    cluster
}

#[test]
fn from_no_dns_record_to_a_certificate_and_off_again() {
    let mut cluster = Cluster::new(POLICY);
    let plain = ingress("shop", HOST);
    cluster.put("Ingress", plain.clone());
    cluster.settle();
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False DomainNotFound"));
    assert_eq!(cluster.reason(HOST, "Verified").as_deref(), Some("False DomainNotFound"));
    let status = &cluster.get("Domain", HOST).unwrap()["status"];
    assert_eq!(status["whoActs"], "domain-owner");
    assert_eq!(status["required"], json!(["203.0.113.7"]));
    assert_eq!(status["lead"], "shop");
    assert!(cluster.writes.is_empty() && cluster.orders.is_empty(), "held costs nothing");
    assert_eq!(cluster.told, ["Domain DomainNotFound", "shop DomainNotFound"]);

    // Nothing changes for a while: nothing is told again, and checks follow the verdict's own pace.
    cluster.pass(300);
    assert_eq!(cluster.checks.len(), 6);
    assert_eq!(cluster.told.len(), 2);

    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(60);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders, [HOST]);
    assert_eq!(cluster.writes, ["shop"], "one write does it");
    assert_eq!(cluster.get("VerifiedHosts", "certgate").unwrap()["spec"]["hosts"][HOST], SECRET);
    assert!(cluster.told.contains(&"shop Issued".to_owned()));
    let tls = &cluster.get("Ingress", "shop").unwrap()["spec"]["tls"];
    assert_eq!(*tls, json!([{"hosts": [HOST], "secretName": SECRET}]));

    // Flag off: every trace goes, the Certificate that would renew for ever included; the Secret stays.
    let mut off = cluster.get("Ingress", "shop").unwrap().clone();
    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(30);
    let left = cluster.get("Ingress", "shop").unwrap();
    assert_eq!(left["spec"], plain["spec"]);
    assert_eq!(left["metadata"]["annotations"], json!({"certgate.dev/auto-issue": "false"}));
    for (kind, name) in [("Certificate", SECRET), ("Domain", HOST), ("VerifiedHosts", "certgate")] {
        assert_eq!(cluster.get(kind, name), None, "{kind}");
    }
    assert!(cluster.get("Secret", SECRET).is_some());
    assert!(cluster.told.contains(&"shop SwitchedOff".to_owned()));
}

#[test]
fn a_put_that_drops_our_parts_gets_them_back_without_an_order() {
    let mut cluster = issued("shop");
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(60);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0]["secretName"], SECRET);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn dns_that_flaps_takes_nothing_away() {
    let mut cluster = issued("shop");
    cluster.dns.insert(HOST.into(), Reason::DnsServerFailure);
    cluster.pass(3700);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False RenewalAtRisk"));
    assert_eq!(cluster.reason(HOST, "Issued").as_deref(), Some("True Issued"));
    assert!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0].is_object());
    // Rainbond writes it anew meanwhile: back it comes, whatever DNS says today.
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(10);
    assert!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0].is_object());
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(600);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn a_second_ingress_of_the_host_shares_the_certificate() {
    let mut cluster = issued("shop");
    cluster.put("Ingress", ingress("blog", HOST));
    cluster.pass(60);
    let blog = cluster.get("Ingress", "blog").unwrap();
    assert_eq!(blog["spec"]["tls"][0]["secretName"], SECRET);
    assert_eq!(blog["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], Value::Null);
    assert_eq!(cluster.orders.len(), 1);
    assert!(cluster.told.contains(&"blog Issued".to_owned()), "{:?}", cluster.told);
}

#[test]
fn the_leads_deletion_hands_over_whenever_the_collector_comes() {
    for collector_first in [true, false] {
        let mut cluster = issued("shop");
        cluster.put("Ingress", ingress("blog", HOST));
        cluster.pass(60);
        cluster.delete("Ingress", "shop");
        if collector_first {
            cluster.collect_garbage();
        }
        cluster.pass(2);
        assert_eq!(
            cluster.get("Ingress", "blog").unwrap()["metadata"]["annotations"]["cert-manager.io/cluster-issuer"],
            "le"
        );
        cluster.collect_garbage();
        cluster.pass(60);
        let certificate = cluster.get("Certificate", SECRET).expect("brought back");
        assert_eq!(certificate["metadata"]["ownerReferences"][0]["name"], "blog");
        assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
        assert_eq!(cluster.orders.len(), 1, "the Secret is taken over");
        assert!(cluster.get("Ingress", "blog").unwrap()["spec"]["tls"][0].is_object());
    }
}

#[test]
fn a_collector_that_never_comes_is_not_waited_for_for_ever() {
    let mut cluster = issued("shop");
    cluster.put("Ingress", ingress("blog", HOST));
    cluster.pass(60);
    cluster.delete("Ingress", "shop");
    cluster.pass(120);
    let certificate = cluster.get("Certificate", SECRET).expect("brought back");
    assert_eq!(certificate["metadata"]["ownerReferences"][0]["name"], "blog");
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn the_lead_drops_the_host_and_another_takes_over() {
    let mut cluster = issued("shop");
    cluster.put("Ingress", ingress("blog", HOST));
    cluster.pass(60);
    let mut other = cluster.get("Ingress", "shop").unwrap().clone();
    other["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", other);
    cluster.pass(60);
    let certificate = cluster.get("Certificate", SECRET).expect("made anew");
    assert_eq!(certificate["metadata"]["ownerReferences"][0]["name"], "blog");
    assert_eq!(cluster.orders.len(), 1);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"], Value::Null);
}

#[test]
fn a_component_that_stops_and_starts_costs_no_order_and_goes_on_renewing() {
    for garbage_meanwhile in [true, false] {
        let mut cluster = issued("7d1f");
        cluster.delete("Ingress", "7d1f");
        cluster.pass(10);
        if garbage_meanwhile {
            cluster.collect_garbage();
        }
        cluster.pass(10);
        cluster.put("Ingress", ingress("7d1f", HOST));
        cluster.pass(5);
        cluster.collect_garbage();
        cluster.pass(120);
        assert_eq!(cluster.orders.len(), 1);
        let certificate = cluster.get("Certificate", SECRET).expect("renews on");
        let uid = &cluster.get("Ingress", "7d1f").unwrap()["metadata"]["uid"];
        assert_eq!(certificate["metadata"]["ownerReferences"][0]["uid"], *uid);
        assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    }
}

#[test]
fn a_deleted_certificate_is_brought_back_and_nudges_are_spaced() {
    let mut cluster = issued("shop");
    cluster.shim_is_down = true;
    cluster.delete("Certificate", SECRET);
    cluster.pass(120);
    let nudges = cluster.writes.iter().filter(|write| write.ends_with("nudged")).count();
    assert!((3..=5).contains(&nudges), "{nudges} in two minutes");
    assert_eq!(cluster.reason(HOST, "Issued").as_deref(), Some("False CertificateMissing"));
    cluster.pass(86_400);
    let in_a_day = cluster.writes.iter().filter(|write| write.ends_with("nudged")).count();
    assert!(in_a_day < 40, "{in_a_day} in a day");
    cluster.shim_is_down = false;
    cluster.pass(3700);
    assert!(cluster.get("Certificate", SECRET).is_some());
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn a_deleted_ingress_leaves_nothing_that_renews() {
    let mut cluster = issued("shop");
    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.pass(30);
    assert_eq!(cluster.get("Certificate", SECRET), None);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False HostRemoved"));
    // Made anew it would be injected as it is written, which must not be refused.
    assert_eq!(cluster.get("VerifiedHosts", "certgate").unwrap()["spec"]["hosts"][HOST], SECRET);
    cluster.pass(7 * 86_400);
    assert_eq!((cluster.get("Domain", HOST), cluster.get("VerifiedHosts", "certgate")), (None, None));
}

#[test]
fn the_first_namespace_has_the_host_until_it_lets_go() {
    let mut cluster = issued("shop");
    cluster.put("Namespace", json!({"metadata": {"name": "team-b"}}));
    cluster.pass(5);
    let mut rival = ingress("shop", HOST);
    rival["metadata"]["namespace"] = json!("team-b");
    cluster.put("Ingress", rival);
    cluster.pass(60);
    assert_eq!(cluster.reason_in("team-b", HOST, "Ready").as_deref(), Some("False HostTaken"));
    let message = cluster.get_in("Domain", "team-b", HOST).unwrap()["status"]["message"].as_str().unwrap();
    assert!(!message.contains("team-a"), "not by whom: {message}");
    assert_eq!(cluster.orders.len(), 1);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));

    let mut off = cluster.get("Ingress", "shop").unwrap().clone();
    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(60);
    assert_eq!(cluster.reason_in("team-b", HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.len(), 2);
}

#[test]
fn a_secret_that_is_not_ours_is_never_overwritten() {
    let mut cluster = Cluster::new(POLICY);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Secret", json!({"metadata": {"namespace": "team-a", "name": SECRET}}));
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(60);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False SecretNameTaken"));
    assert!(cluster.orders.is_empty() && cluster.checks.is_empty() && cluster.writes.is_empty());
    cluster.delete("Secret", SECRET);
    cluster.pass(5);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn an_existing_wildcard_is_bound_instead_of_ordering() {
    let mut cluster = Cluster::new(POLICY);
    let certificate = json!({"metadata": {"namespace": "team-a", "name": "wild"},
        "spec": {"secretName": "wild-tls", "dnsNames": ["*.example.com"], "issuerRef": {"name": "x"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "notAfter": "2027-02-22T12:00:00Z", "renewalTime": "2027-01-23T12:00:00Z"}});
    cluster.put("Secret", json!({"metadata": {"namespace": "team-a", "name": "wild-tls", "annotations": {"cert-manager.io/certificate-name": "wild"}}}));
    cluster.put("Certificate", certificate);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(5);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True BoundExisting"));
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0]["secretName"], "wild-tls");
    assert!(cluster.orders.is_empty() && cluster.checks.is_empty());

    // It is about to end and nobody renews it: an order of our own follows, once DNS is right.
    cluster.pass(75 * 86_400 + 5);
    assert!(cluster.orders.is_empty());
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False DomainNotFound"));
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(120);
    assert_eq!(cluster.orders, [HOST]);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0]["secretName"], SECRET);
}

#[test]
fn on_apisix_a_companion_orders_and_the_ingress_is_bound_after() {
    let mut cluster = Cluster::new(POLICY);
    let mut object = ingress("shop", HOST);
    object["spec"]["ingressClassName"] = json!("apisix");
    cluster.put("Ingress", object);
    cluster.settle();
    assert_eq!(cluster.get("Ingress", SECRET), None, "no companion before DNS is right");
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(70);
    let companion = cluster.get("Ingress", SECRET).expect("companion");
    assert_eq!(companion["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], "le");
    assert_eq!(companion["metadata"]["labels"]["creator"], Value::Null);
    let shop = cluster.get("Ingress", "shop").unwrap();
    assert_eq!(shop["metadata"]["annotations"]["cert-manager.io/cluster-issuer"], Value::Null);
    assert_eq!(shop["spec"]["tls"][0]["secretName"], SECRET);
    assert_eq!(cluster.writes, ["shop"]);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));

    // The application restarts: the companion's Certificate is not touched by that.
    cluster.delete("Ingress", "shop");
    cluster.pass(1);
    let mut off = ingress("shop", HOST);
    off["spec"]["ingressClassName"] = json!("apisix");
    cluster.put("Ingress", off.clone());
    cluster.pass(60);
    assert_eq!(cluster.orders.len(), 1);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));

    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(1);
    cluster.collect_garbage();
    cluster.pass(30);
    for (kind, name) in [("Certificate", SECRET), ("Ingress", SECRET), ("Domain", HOST)] {
        assert_eq!(cluster.get(kind, name), None, "{kind}");
    }
}

#[test]
fn on_rainbond_5_the_companion_is_touched_when_the_secret_comes_and_renews() {
    let mut cluster = Cluster::new(POLICY);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", rainbond("7d1f", HOST));
    cluster.pass(5);
    assert_eq!(cluster.writes, ["7d1f"], "Rainbond's own Ingress is written once");
    let companion = cluster.get("Ingress", SECRET).expect("companion").clone();
    assert_eq!(companion["metadata"]["labels"]["creator"], "Rainbond");
    assert_eq!(companion["metadata"]["labels"]["service_id"], Value::Null);
    assert_eq!(
        companion["metadata"]["annotations"]["cert-manager.io/cluster-issuer"],
        Value::Null,
        "it orders nothing"
    );
    assert!(companion["spec"]["defaultBackend"]["service"].is_object());

    let mut renewed = cluster.get("Secret", SECRET).unwrap().clone();
    renewed["data"] = json!({"tls.crt": "bmV3"});
    cluster.put("Secret", renewed);
    cluster.pass(1);
    let touched = cluster.get("Ingress", SECRET).unwrap();
    assert_ne!(
        touched["metadata"]["annotations"]["certgate.dev/nudge"],
        companion["metadata"]["annotations"]["certgate.dev/nudge"]
    );
    assert_eq!(cluster.writes, ["7d1f"]);
    cluster.pass(4000);
    assert_eq!(cluster.writes, ["7d1f"], "nothing else is written");
}

#[test]
fn a_restart_asks_nothing_again_and_tells_nothing_again() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", ingress("held", "held.example.com"));
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(10);
    let (checks, told, orders, writes) =
        (cluster.checks.len(), cluster.told.len(), cluster.orders.len(), cluster.writes.len());
    cluster.restart();
    cluster.settle();
    assert_eq!(
        (cluster.checks.len(), cluster.told.len(), cluster.orders.len(), cluster.writes.len()),
        (checks, told, orders, writes)
    );
    cluster.pass(60);
    assert_eq!(cluster.checks.len(), checks + 1, "the held one, when its time has come");
}

#[test]
fn edits_and_check_now_are_acted_on_at_once() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(5);
    assert_eq!(cluster.checks.len(), 1);
    let mut edited = cluster.get("Ingress", "shop").unwrap().clone();
    edited["spec"]["rules"][0]["http"] = json!({"paths": []});
    cluster.put("Ingress", edited.clone());
    cluster.pass(1);
    assert_eq!(cluster.checks.len(), 2, "an edit");
    edited["metadata"]["annotations"]["certgate.dev/check-now"] = json!("1");
    cluster.put("Ingress", edited.clone());
    cluster.pass(1);
    assert_eq!(cluster.checks.len(), 3, "a new value");
    edited["metadata"]["annotations"]["other"] = json!("x");
    cluster.put("Ingress", edited);
    cluster.pass(1);
    assert_eq!(cluster.checks.len(), 3, "the same value, and nothing that concerns DNS");
}

#[test]
fn another_gateway_or_issuer_asks_for_a_check_at_once() {
    let mut cluster = issued("shop");
    let before = cluster.checks.len();
    let gateway = GatewayTarget { addresses: vec!["203.0.113.8".parse().unwrap()], ..GatewayTarget::default() };
    assert!(cluster.world.set_gateway(gateway));
    cluster.restart();
    cluster.settle();
    assert_eq!(cluster.checks.len(), before + 1);
}

#[test]
fn what_the_issuer_lacks_is_said_and_looked_at_again() {
    let mut cluster = Cluster::new(r#"{"issuer": {"name": "absent"}, "gateway": {"addresses": ["203.0.113.7"]}}"#);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(5);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False IssuerMissing"));
    let issuer = |ready| {
        json!({"metadata": {"name": "absent"}, "spec": {"acme": {"solvers": [{"http01": {}}]}},
        "status": {"conditions": [{"type": "Ready", "status": ready, "message": "m"}]}})
    };
    cluster.put("ClusterIssuer", issuer("False"));
    cluster.pass(1);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False IssuerNotReady"));
    cluster.put("ClusterIssuer", issuer("True"));
    cluster.pass(1);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn an_account_that_the_ca_refused_for_its_limits_says_when_who_must_do_what() {
    let mut cluster = Cluster::new(r#"{"issuer": {"name": "new"}, "gateway": {"addresses": ["203.0.113.7"]}}"#);
    let issuer = |ready: &str, message: &str| {
        json!({"metadata": {"name": "new"}, "spec": {"acme": {"solvers": [{"http01": {}}]}},
        "status": {"conditions": [{"type": "Ready", "status": ready, "message": message}]}})
    };
    let until = cluster.now.checked_add(jiff::SignedDuration::from_mins(30)).unwrap();
    let words = until.strftime("%Y-%m-%d %H:%M:%S UTC");
    let refused = format!(
        "Failed to register ACME account: 429 urn:ietf:params:acme:error:rateLimited: too many new registrations (10) from this IP address in the last 3h0m0s, retry after {words}: see https://x"
    );
    cluster.put("ClusterIssuer", issuer("False", &refused));
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(5);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False AccountRateLimited"));
    let status = cluster.get("Domain", HOST).unwrap()["status"].clone();
    assert_eq!((&status["whoActs"], &status["nextCheckTime"]), (&json!("cluster-admin"), &json!(until.to_string())));
    assert!(status["message"].as_str().unwrap().contains("kubectl annotate clusterissuer new retry="), "{status}");

    // The time alone changes nothing: cert-manager does not ask again.
    cluster.pass(3600);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False AccountRateLimited"));
    assert_eq!(cluster.get("Domain", HOST).unwrap()["status"]["nextCheckTime"], Value::Null);
    assert_eq!(cluster.told, ["Domain AccountRateLimited", "shop AccountRateLimited"], "told once");
    cluster.put("ClusterIssuer", issuer("True", "ok"));
    cluster.pass(1);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn an_issuer_that_asks_no_dns_needs_no_verdict_of_it() {
    let mut cluster = Cluster::new(r#"{"issuer": {"name": "internal"}}"#);
    cluster.put(
        "ClusterIssuer",
        json!({"metadata": {"name": "internal"}, "spec": {"ca": {"secretName": "x"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
    );
    cluster.put("Ingress", ingress("shop", "shop.corp.internal"));
    cluster.pass(5);
    assert_eq!(cluster.reason("shop.corp.internal", "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.reason("shop.corp.internal", "Verified").as_deref(), Some("True NoValidationNeeded"));
    assert!(cluster.checks.is_empty());
}
