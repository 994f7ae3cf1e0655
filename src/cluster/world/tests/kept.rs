//! What is kept of objects goes with them, and no longer than it matters.

use super::*;

const LIMITS: &str = r#"{"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]},
    "limits": {"https://ca.example/dir": {"newOrders": {"count": 1000, "seconds": 10800},
        "certificatesPerDomain": {"count": 50, "seconds": 604800}, "failedAuthorizations": {"count": 5, "seconds": 3600}}}}"#;

/// How much the world keeps: of namespaces, of hosts that several share, and of the budget.
fn kept(cluster: &Cluster) -> [usize; 3] {
    let world = &cluster.world;
    let of = |ns: &Namespace| {
        let objects = [ns.requests.is_empty(), ns.routes.is_empty(), ns.attempts.is_empty(), ns.verified.is_none()];
        ns.ingresses.len()
            + ns.by_host.len()
            + ns.companions.len()
            + ns.domains.len()
            + ns.strays.len()
            + ns.certificates.len()
            + ns.certificates_of.len()
            + ns.orders_kept()
            + ns.approved.len()
            + ns.secrets.len()
            + ns.issuers.len()
            + objects.iter().filter(|empty| !**empty).count()
    };
    [world.namespaces.values().map(of).sum(), world.shared.len(), world.budget.sizes().iter().sum()]
}

#[test]
fn hosts_that_come_and_go_leave_nothing_behind() {
    let mut cluster = Cluster::new(LIMITS);
    for n in 0..24 {
        let (name, host) = (format!("shop-{n}"), format!("www.shop-{n}.com"));
        match n % 4 {
            // Issued, held, switched off, and unflagged.
            0 => drop(cluster.dns.insert(host.clone(), Reason::Verified)),
            1 | 2 => {}
            _ => drop(cluster.dns.insert(host.clone(), Reason::Verified)),
        }
        let mut object = ingress(&name, &host);
        if n % 4 == 2 {
            object["metadata"]["annotations"]["certgate.dev/auto-issue"] = json!("false");
        }
        cluster.put("Ingress", object);
        cluster.settle();
        if n % 2 == 0 {
            cluster.delete("Ingress", &name);
            cluster.collect_garbage();
        }
        cluster.pass(30);
    }
    assert!(cluster.orders.len() >= 12, "{:?}", cluster.orders);
    assert!(kept(&cluster)[2] > 0, "orders count");
    cluster.delete_everything();
    assert_eq!(kept(&cluster), [0, 0, 0]);
    assert_eq!(cluster.remembered(), Vec::<&str>::new());
}

#[test]
fn orders_that_never_come_to_a_ca_are_forgotten_with_their_objects() {
    let mut cluster = Cluster::new(LIMITS);
    for n in 0..100 {
        let name = format!("raw-{n}");
        let order = |state: &str, url: &str| {
            json!({"metadata": {"namespace": "team-a", "name": name},
                "spec": {"dnsNames": [format!("h{n}.example.com")], "issuerRef": {"name": "le", "kind": "ClusterIssuer"}},
                "status": {"state": state, "url": url}})
        };
        cluster.put("Order", order("", ""));
        if n % 2 == 0 {
            cluster.put("Order", order("pending", "https://ca.example/order/1"));
        }
        cluster.delete("Order", &name);
    }
    let orders = cluster.world.budget.sizes()[0];
    assert_eq!(orders, 50, "what came to the CA counts for two weeks, and nothing else");
    cluster.delete_everything();
    assert_eq!(kept(&cluster), [0, 0, 0]);
}

#[test]
fn a_held_host_is_looked_at_as_often_as_ever_and_written_ever_more_seldom() {
    const DAY: i64 = 24 * 3600;
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", ingress("shop", HOST));
    cluster.settle();
    let begun = cluster.now;
    let mut behind = 0.0_f64;
    for _ in 0..(DAY / 600 - 1) {
        cluster.pass(600);
        let status = &cluster.get("Domain", HOST).unwrap()["status"];
        let last: Timestamp = status["lastCheckTime"].as_str().unwrap().parse().unwrap();
        let held = begun.duration_until(cluster.now).as_secs_f64();
        behind = behind.max((last.duration_until(cluster.now).as_secs_f64() - 120.0) / held);
    }
    assert!(cluster.checks.len() > 1300, "{} looks", cluster.checks.len());
    assert!(cluster.statuses.len() < 80, "{} writes", cluster.statuses.len());
    assert!(behind <= 0.125, "what is written is never older than an eighth of the time held: {behind}");
    // News is written when it is found.
    cluster.dns.insert(HOST.into(), Reason::WrongTarget);
    cluster.pass(120);
    assert_eq!(cluster.reason(HOST, "Ready").as_deref(), Some("False WrongTarget"));
    // Who asks for a look sees that it was made.
    let mut asked = cluster.get("Ingress", "shop").unwrap().clone();
    asked["metadata"]["annotations"]["certgate.dev/check-now"] = json!("1");
    cluster.pass(900);
    cluster.put("Ingress", asked);
    cluster.settle();
    let last = cluster.get("Domain", HOST).unwrap()["status"]["lastCheckTime"].clone();
    assert_eq!(last.as_str().unwrap().parse::<Timestamp>().unwrap(), cluster.now);
    // Another process begins by what is written, and looks at once where that has passed.
    let overdue = |cluster: &Cluster| {
        let next = &cluster.get("Domain", HOST).unwrap()["status"]["nextCheckTime"];
        next.as_str().unwrap().parse::<Timestamp>().unwrap() < cluster.now
    };
    while !overdue(&cluster) {
        cluster.pass(61);
    }
    let looks = cluster.checks.len();
    cluster.start_anew();
    cluster.settle();
    assert_eq!(cluster.checks.len(), looks + 1);
}
