//! Within the CA's limits: who waits, what it is told, and who goes when.

use super::*;

/// One certificate of a registered domain in 1,000 seconds.
const TIGHT: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]},
    "limits": {"https://ca.example/dir": {"certificatesPerDomain": {"count": 1, "seconds": 1000}}}}"#;

fn two(policy: &str) -> Cluster {
    let mut cluster = Cluster::new(policy);
    for (name, host) in [("one", "one.example.com"), ("two", "two.example.com"), ("else", "www.example.net")] {
        cluster.dns.insert(host.into(), Reason::Verified);
        cluster.put("Ingress", ingress(name, host));
    }
    cluster.settle();
    cluster
}

fn sorted(cluster: &Cluster) -> Vec<String> {
    let mut orders = cluster.orders.clone();
    orders.sort();
    orders
}

fn place(cluster: &Cluster, host: &str) -> Value {
    cluster.get("Domain", host).unwrap()["status"]["place"].clone()
}

fn standing(cluster: &Cluster, host: &str) -> (String, String) {
    let words = |condition| cluster.reason(host, condition).unwrap();
    (words("Verified"), words("Ready"))
}

#[test]
fn who_finds_no_place_waits_verified_and_goes_when_its_turn_comes() {
    let mut cluster = two(TIGHT);
    assert_eq!(sorted(&cluster), ["one.example.com", "www.example.net"], "another domain has places of its own");
    assert_eq!(standing(&cluster, "two.example.com"), ("True Verified".into(), "False RateLimited".into()));
    let status = &cluster.get("Domain", "two.example.com").unwrap()["status"];
    assert_eq!((&status["place"], &status["whoActs"]), (&json!("waiting"), &json!("nobody")));
    assert_eq!(
        status["message"],
        "two.example.com waits so as not to exceed the CA's limit on certificates per registered domain (example.com); next free place 2026-11-24 12:17 UTC"
    );
    assert_eq!(
        cluster.told.iter().filter(|told| told.ends_with("RateLimited")).count(),
        2,
        "the Domain and its Ingress"
    );
    // Neither the webhook nor the policies may inject it meanwhile.
    let facts = &cluster.world.domain_object("team-a", &Host::parse("two.example.com").unwrap()).unwrap().facts;
    assert!(
        matches!(facts.gate(None, cluster.now), crate::core::knowledge::Gate::Closed(verdict) if verdict.finding.reason == Reason::RateLimited)
    );
    assert!(!cluster.world.verified("team-a").unwrap().hosts.contains_key("two.example.com"));

    cluster.pass(990);
    assert_eq!(cluster.orders.len(), 2);
    // With a margin for clocks that differ.
    cluster.pass(35);
    assert_eq!(sorted(&cluster), ["one.example.com", "two.example.com", "www.example.net"]);
    assert_eq!(cluster.reason("two.example.com", "Ready").as_deref(), Some("True Issued"));
}

#[test]
fn another_process_knows_what_was_used_from_objects_alone() {
    let mut cluster = two(TIGHT);
    cluster.pass(500);
    cluster.start_anew();
    cluster.settle();
    assert_eq!(standing(&cluster, "two.example.com").1, "False RateLimited");
    // Also when cert-manager's own objects are gone: the Domain remembers.
    let order = cluster.names("Order").into_iter().find(|name| name.contains("one.example.com")).unwrap();
    cluster.delete("Order", &order);
    cluster.start_anew();
    cluster.pass(490);
    assert_eq!(cluster.orders.len(), 2);
    cluster.pass(35);
    assert_eq!(cluster.orders.len(), 3);
}

/// The leader begins while the hosts' issuer is not there, and all that tells of orders are Domains.
fn begun_without_issuer() -> Cluster {
    let mut cluster = two(TIGHT);
    for order in cluster.names("Order") {
        cluster.delete("Order", &order);
    }
    cluster.delete_in("ClusterIssuer", "", "le");
    cluster
}

#[test]
fn what_was_ordered_is_not_forgotten_while_its_issuer_is_away() {
    let remembered = |cluster: &Cluster| cluster.get("Domain", "one.example.com").unwrap()["status"]["orders"].clone();
    for written_down in [true, false] {
        let mut cluster = begun_without_issuer();
        let mut domain = cluster.get("Domain", "one.example.com").unwrap().clone();
        if !written_down {
            // As versions before wrote it: whose the order was the host's issuer tells.
            let order = domain["status"]["orders"][0].as_object_mut().unwrap();
            assert!(order.remove("directory").is_some());
            order.remove("account");
            cluster.put("Domain", domain.clone());
        }
        let before = remembered(&cluster);
        assert_eq!(before.as_array().map(Vec::len), Some(1));
        cluster.start_anew();
        // Long enough for any plan; the issuer may be away for hours.
        cluster.pass(200);
        assert_eq!(remembered(&cluster), before, "{written_down}");
        cluster.start_anew();
        cluster.pass(200);

        cluster.put_issuer();
        cluster.settle();
        assert_eq!(standing(&cluster, "two.example.com").1, "False RateLimited", "{written_down}");
        cluster.pass(500);
        assert_eq!(cluster.orders.len(), 2, "{written_down}: 900 s after the first order of the domain");
        cluster.pass(120);
        assert_eq!(cluster.orders.len(), 3, "{written_down}: an order of long ago counts from its own time");
    }
}

#[test]
fn an_order_stays_with_the_ca_that_it_was_made_at() {
    let mut cluster = begun_without_issuer();
    let elsewhere = json!({"metadata": {"name": "le"},
        "spec": {"acme": {"server": "https://ca.example/other", "solvers": [{"http01": {"ingress": {}}}]}},
        "status": {"conditions": [{"type": "Ready", "status": "True"}]}});
    cluster.put("ClusterIssuer", elsewhere);
    cluster.start_anew();
    cluster.settle();
    let orders = &cluster.get("Domain", "one.example.com").unwrap()["status"]["orders"];
    assert_eq!(orders[0]["directory"], "https://ca.example/dir");
    assert_eq!(sorted(&cluster), ["one.example.com", "two.example.com", "www.example.net"], "no limit of that CA's");
}

/// One host has its certificate, then all that tells of its order goes.
fn gone() -> Cluster {
    let mut cluster = Cluster::new(TIGHT);
    cluster.dns.insert("one.example.com".into(), Reason::Verified);
    cluster.put("Ingress", ingress("one", "one.example.com"));
    cluster.settle();
    assert_eq!(cluster.orders, ["one.example.com"]);
    let mut off = cluster.get("Ingress", "one").unwrap().clone();
    off["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
    cluster.put("Ingress", off);
    cluster.pass(60);
    for order in cluster.names("Order") {
        cluster.delete("Order", &order);
    }
    cluster.pass(5);
    assert_eq!(cluster.get("Domain", "one.example.com"), None);
    cluster
}

#[test]
fn another_process_knows_of_orders_that_no_domain_tells_of_any_more() {
    let mut cluster = gone();
    let kept = cluster.get("VerifiedHosts", "certgate").unwrap()["spec"].clone();
    assert_eq!(kept["hosts"], json!({}));
    assert_eq!(
        (&kept["orders"][0]["host"], kept["orders"].as_array().map(Vec::len)),
        (&json!("one.example.com"), Some(1))
    );
    cluster.start_anew();
    cluster.dns.insert("two.example.com".into(), Reason::Verified);
    cluster.put("Ingress", ingress("two", "two.example.com"));
    cluster.settle();
    assert_eq!(standing(&cluster, "two.example.com").1, "False RateLimited");
    cluster.pass(1000);
    assert_eq!(cluster.orders, ["one.example.com", "two.example.com"]);
}

#[test]
fn an_order_is_kept_for_two_weeks_and_by_its_domain_where_that_comes_back() {
    let mut cluster = gone();
    cluster.put("Ingress", ingress("one", "one.example.com"));
    cluster.pass(30);
    let spec = cluster.get("VerifiedHosts", "certgate").unwrap()["spec"].clone();
    assert_eq!(spec["orders"], json!([]), "{spec}");
    assert_ne!(cluster.get("Domain", "one.example.com").unwrap()["status"]["orders"], Value::Null);

    let mut cluster = gone();
    cluster.pass(14 * 86_400 - 3600);
    assert!(cluster.get("VerifiedHosts", "certgate").is_some());
    cluster.pass(7200);
    assert_eq!(cluster.get("VerifiedHosts", "certgate"), None);
}

#[test]
fn who_no_longer_wants_a_place_leaves_it_to_the_next() {
    let mut cluster = Cluster::new(TIGHT);
    cluster.shim_is_down = true;
    for (name, host) in [("one", "one.example.com"), ("two", "two.example.com")] {
        cluster.dns.insert(host.into(), Reason::Verified);
        cluster.put("Ingress", ingress(name, host));
    }
    cluster.settle();
    assert_eq!(place(&cluster, "one.example.com"), "granted", "its place is kept until its order is seen");
    assert_eq!(standing(&cluster, "two.example.com").1, "False RateLimited");
    cluster.start_anew();
    cluster.pass(3600 * 3);
    assert_eq!(standing(&cluster, "two.example.com").1, "False RateLimited", "also by another process, however long");
    cluster.delete("Ingress", "one");
    cluster.pass(120);
    assert_eq!(place(&cluster, "two.example.com"), "granted");
}

#[test]
fn a_ca_without_known_limits_is_asked_at_once() {
    let cluster = two(POLICY);
    assert_eq!(cluster.orders.len(), 3);
    assert_eq!(cluster.get("Domain", "two.example.com").unwrap()["status"]["place"], Value::Null);
}

#[test]
fn a_refusal_holds_all_that_it_concerns() {
    let mut cluster = Cluster::new(POLICY);
    let refusal = "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many certificates (50) already issued for \"example.com\" in the last 168h0m0s, retry after 2026-11-24 13:00:00 UTC: see https://x";
    cluster.put(
        "Order",
        json!({"metadata": {"namespace": "team-a", "name": "theirs-1-2"},
        "spec": {"dnsNames": ["theirs.example.com"], "issuerRef": {"name": "le", "kind": "ClusterIssuer"}},
        "status": {"state": "errored", "reason": refusal}}),
    );
    for (name, host) in [("one", "one.example.com"), ("else", "www.example.net")] {
        cluster.dns.insert(host.into(), Reason::Verified);
        cluster.put("Ingress", ingress(name, host));
    }
    cluster.settle();
    assert_eq!(cluster.orders, ["www.example.net"]);
    assert_eq!(standing(&cluster, "one.example.com").1, "False RateLimited");
    cluster.pass(3600);
    assert_eq!(cluster.orders, ["www.example.net", "one.example.com"]);
}

#[test]
fn status_shows_what_is_waited_for_and_until_when() {
    let cluster = two(TIGHT);
    let host = Host::parse("two.example.com").unwrap();
    let row = crate::status::Row::of(&cluster.world.domain_object("team-a", &host).unwrap().domain);
    assert!(!row.ready && !row.needs_somebody());
    assert_eq!((row.finding.reason, row.finding.note.as_str()), (Reason::RateLimited, "2026-11-24 12:17 UTC"));
}
