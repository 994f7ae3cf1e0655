//! Objects that are there and cannot be read: nothing that hangs on one is withdrawn, deleted, ordered again or lost to
//! somebody else; whoever has nothing to do with it is served as ever; and when it can be read again all goes on.

use rstest::rstest;
use serde_json::{Value, json};

use super::{
    HOST, POLICY, SECRET, ingress, issued,
    routes::{SHOP, rainbond, v6},
    simulation::Cluster,
};
use crate::core::reason::Reason;

const COMPANION: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}, "rules": [{"match": {}, "issuance": "companion"}]}"#;
const OTHER: &str = "other.example.com";
const DAYS: i64 = 3 * 86_400;

/// Everything that hangs on the host, as names.
fn all(cluster: &Cluster) -> Vec<(&'static str, Vec<String>)> {
    let kinds = ["Ingress", "Domain", "Certificate", "Secret", "VerifiedHosts"];
    kinds.map(|kind| (kind, cluster.names(kind).into_iter().filter(|name| !name.contains("other")).collect())).into()
}

/// The TLS entry of the host on its Ingress.
fn tls(cluster: &Cluster) -> Value {
    cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0].clone()
}

/// Another host of the same namespace, flagged now, and served.
fn a_neighbour_is_served(cluster: &mut Cluster) {
    cluster.dns.insert(OTHER.into(), Reason::Verified);
    cluster.put("Ingress", ingress("other", OTHER));
    cluster.pass(120);
    assert_eq!(cluster.reason(OTHER, "Ready").as_deref(), Some("True Issued"));
    cluster.delete("Ingress", "other");
    cluster.collect_garbage();
}

/// Another namespace asks for the host, and is told that it is taken.
fn a_rival_gets_nothing(cluster: &mut Cluster) {
    cluster.put("Namespace", json!({"metadata": {"name": "team-b"}}));
    let mut rival = ingress("rival", HOST);
    rival["metadata"]["namespace"] = json!("team-b");
    cluster.put("Ingress", rival);
    cluster.pass(300);
    assert_eq!(cluster.reason_in("team-b", HOST, "Ready").as_deref(), Some("False HostTaken"));
    cluster.delete_in("Ingress", "team-b", "rival");
}

#[rstest]
#[case::ingress("Ingress", "team-a", "shop")]
#[case::domain("Domain", "team-a", HOST)]
#[case::certificate("Certificate", "team-a", SECRET)]
#[case::secret("Secret", "team-a", SECRET)]
#[case::verified_hosts("VerifiedHosts", "team-a", "certgate")]
#[case::namespace("Namespace", "", "team-a")]
#[case::issuer("ClusterIssuer", "", "le")]
fn what_hangs_on_an_object_that_cannot_be_read_stays(
    #[values(false, true)] anew: bool,
    #[values(POLICY, COMPANION)] policy: &str,
    #[case] kind: &'static str,
    #[case] namespace: &str,
    #[case] name: &str,
) {
    let mut cluster = Cluster::new(policy);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(120);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    let (before, entry) = (all(&cluster), tls(&cluster));
    let writes = cluster.writes.len();
    let odd = (kind, namespace, name);
    cluster.spoil(odd);
    if anew {
        // The controller starts with it, and has never known it.
        cluster.start_anew();
    }
    cluster.pass(DAYS);
    assert_eq!((all(&cluster), tls(&cluster)), (before, entry), "nothing is taken away");
    assert_eq!((cluster.orders.len(), cluster.writes.len()), (1, writes), "nothing is ordered or written for it");
    assert_eq!(cluster.told.iter().filter(|told| **told == format!("{name} unreadable")).count(), 1, "told once");
    a_rival_gets_nothing(&mut cluster);
    if !(anew && ["Namespace", "ClusterIssuer"].contains(&kind)) {
        a_neighbour_is_served(&mut cluster);
    }
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"][0]["secretName"], SECRET);

    cluster.mend(odd);
    cluster.pass(4_000);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True Issued"));
    assert_eq!(cluster.orders.iter().filter(|host| *host == HOST).count(), 1);
    // All goes on: off means off again.
    let mut off = cluster.get("Ingress", "shop").unwrap().clone();
    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(60);
    assert_eq!(cluster.get("Ingress", "shop").unwrap()["spec"]["tls"], Value::Null);
    assert_eq!((cluster.get("Domain", HOST), cluster.get("Certificate", SECRET)), (None, None));
}

#[test]
fn what_an_unreadable_ingress_wanted_goes_when_the_ingress_is_gone() {
    let mut cluster = issued("shop");
    cluster.spoil(("Ingress", "team-a", "shop"));
    cluster.start_anew();
    cluster.pass(DAYS);
    assert!(cluster.get("Domain", HOST).is_some() && cluster.get("Certificate", SECRET).is_some());
    cluster.delete("Ingress", "shop");
    cluster.collect_garbage();
    cluster.pass(40 * 86_400);
    assert_eq!(cluster.get("Domain", HOST), None, "gone is not unreadable");
}

#[test]
fn a_host_that_an_unreadable_certificate_may_cover_is_not_ordered_a_second_time() {
    let mut cluster = Cluster::new(POLICY);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.dns.insert(OTHER.into(), Reason::Verified);
    cluster.put("Secret", json!({"metadata": {"namespace": "team-a", "name": "bought", "annotations": {"cert-manager.io/certificate-name": "bought"}}}));
    let certificate = json!({"metadata": {"namespace": "team-a", "name": "bought", "labels": {}},
        "spec": {"secretName": "bought", "dnsNames": [HOST], "issuerRef": {"name": "theirs"}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}], "notAfter": "2027-01-01T00:00:00Z", "renewalTime": "2026-12-20T00:00:00Z"}});
    cluster.put("Certificate", certificate);
    cluster.spoil(("Certificate", "team-a", "bought"));
    cluster.start_anew();
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.put("Ingress", ingress("other", OTHER));
    cluster.pass(300);
    assert_eq!(cluster.orders, [OTHER], "it names its hosts, so that only those wait");
    cluster.mend(("Certificate", "team-a", "bought"));
    cluster.pass(300);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("True BoundExisting"));
    assert_eq!(cluster.orders, [OTHER]);
}

#[test]
fn no_domain_is_made_over_one_that_cannot_be_read() {
    let mut cluster = issued("shop");
    let uid = cluster.get("Domain", HOST).unwrap()["metadata"]["uid"].clone();
    cluster.spoil(("Domain", "team-a", HOST));
    cluster.start_anew();
    // As Rainbond writes an Ingress anew, without our parts.
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.pass(DAYS);
    assert_eq!(cluster.get("Domain", HOST).unwrap()["metadata"]["uid"], uid);
    assert_eq!(cluster.orders.len(), 1);
    cluster.mend(("Domain", "team-a", HOST));
    cluster.pass(60);
    assert_eq!(tls(&cluster)["secretName"], SECRET, "released as before");
    assert_eq!(cluster.orders.len(), 1);
}

#[test]
fn what_a_route_served_stays_while_the_route_cannot_be_read() {
    for anew in [false, true] {
        let mut cluster = rainbond(json!({"leftOverCertificates": "remove"}));
        cluster.dns.insert(SHOP.into(), Reason::Verified);
        let route = v6!("apisixroute-labelled-custom-domain");
        let (namespace, name) = ("team-a", route["metadata"]["name"].as_str().unwrap().to_owned());
        cluster.put("ApisixRoute", route);
        cluster.put("Certificate", v6!("certificate-custom-domain"));
        cluster.pass(120);
        let certificates = cluster.names("Certificate");
        assert_eq!(certificates.len(), 1);
        cluster.spoil(("ApisixRoute", namespace, &name));
        if anew {
            cluster.start_anew();
        }
        cluster.pass(DAYS);
        assert_eq!(cluster.names("Certificate"), certificates, "anew: {anew}");
        assert_eq!(cluster.names("Domain"), [SHOP], "anew: {anew}");
        cluster.mend(("ApisixRoute", namespace, &name));
        cluster.pass(300);
        assert_eq!(cluster.names("Certificate"), certificates);
    }
}

#[test]
fn a_request_that_cannot_be_read_is_not_approved() {
    let mut cluster = Cluster::new(
        r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]}, "gate": {"mode": "all"}}"#,
    );
    cluster.gated = true;
    cluster.put(
        "Certificate",
        json!({"metadata": {"namespace": "team-a", "name": "own"},
        "spec": {"secretName": "own", "dnsNames": [HOST], "issuerRef": {"kind": "ClusterIssuer", "name": "le"}}}),
    );
    cluster.pass(5);
    let requests = cluster.names("CertificateRequest");
    assert_eq!(requests.len(), 1, "held: {requests:?}");
    let odd = ("CertificateRequest", "team-a", requests[0].as_str());
    cluster.spoil(odd);
    cluster.dns.insert(HOST.into(), Reason::Verified);
    cluster.pass(3_600);
    assert!(cluster.orders.is_empty(), "{:?}", cluster.orders);
    cluster.mend(odd);
    cluster.pass(3_600);
    assert_eq!(cluster.orders, [HOST]);
}
