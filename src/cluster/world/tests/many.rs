//! An Ingress of many hosts, and names by which things are found.

use super::*;
use crate::{
    api::{
        domain::Domain,
        partial::{certificate::Certificate, metadata::Metadata},
    },
    cluster::world::intake::Kept as _,
};

/// More than are read one by one.
const MANY: usize = FEW_HOSTS + 24;

fn host(number: usize) -> String {
    format!("h{number}.example.com")
}

fn big() -> Value {
    let rules: Vec<Value> = (0..MANY).map(|n| json!({"host": host(n)})).collect();
    json!({"metadata": {"namespace": "team-a", "name": "big", "annotations": {"certgate.dev/auto-issue": "true"}},
           "spec": {"rules": rules}})
}

#[test]
fn each_of_many_hosts_goes_its_own_way() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", big());
    cluster.settle();
    assert_eq!(cluster.names("Domain").len(), MANY);
    assert!(cluster.writes.is_empty());
    for number in 0..MANY / 2 {
        cluster.dns.insert(host(number), Reason::Verified);
    }
    cluster.pass(120);
    let spec = &cluster.get("Ingress", "big").unwrap()["spec"];
    assert_eq!(spec["tls"].as_array().map(Vec::len), Some(MANY / 2));
    assert_eq!(cluster.orders.len(), MANY / 2);
    assert_eq!(cluster.reason(&host(MANY - 1), "Ready").as_deref(), Some("False DomainNotFound"));

    // A Domain's own word, a namespace's label, another issuer: what is remembered of the Ingress is read anew.
    let mut off = cluster.get("Domain", &host(MANY - 1)).unwrap().clone();
    off["spec"]["autoIssue"] = json!(false);
    cluster.put("Domain", off);
    cluster.settle();
    // The Ingress' own word goes first.
    assert_eq!(cluster.reason(&host(MANY - 1), "Ready").as_deref(), Some("False DomainNotFound"));
    let mut plain = cluster.get("Ingress", "big").unwrap().clone();
    plain["metadata"]["annotations"].as_object_mut().unwrap().remove("certgate.dev/auto-issue");
    cluster.put("Namespace", json!({"metadata": {"name": "team-a", "labels": {"certgate.dev/auto-issue": "true"}}}));
    cluster.put("Ingress", plain);
    cluster.settle();
    assert_eq!(cluster.reason(&host(MANY - 1), "Ready").as_deref(), Some("False SwitchedOff"));
    assert_eq!(cluster.reason(&host(MANY - 2), "Ready").as_deref(), Some("False DomainNotFound"));
    cluster.put("Namespace", json!({"metadata": {"name": "team-a"}}));
    cluster.pass(30);
    assert_eq!(cluster.get("Ingress", "big").unwrap()["spec"]["tls"], Value::Null, "off for all of them");
}

#[test]
fn what_a_change_has_planned_anew_does_not_grow_with_the_hosts_beside() {
    let mut cluster = Cluster::new(POLICY);
    cluster.put("Ingress", big());
    cluster.settle();
    let read = |value: Value| serde_json::from_value::<Domain>(value).unwrap();
    let mut domain = cluster.get("Domain", &host(3)).unwrap().clone();
    domain["metadata"]["resourceVersion"] = json!("99999");
    domain["status"]["verdict"] =
        json!({"reason": "Verified", "subject": "h3.example.com", "validUntil": "2099-01-01T00:00:00Z"});
    let touched = read(domain).see(&mut cluster.world);
    assert_eq!(touched.keys.len(), 3, "the host, its Ingress, VerifiedHosts: {touched:?}");
    let waits = cluster.world.gathers(&Key::Ingress("team-a".into(), "big".into()));
    assert_eq!(waits, Duration::from_micros(500) * u32::try_from(MANY).unwrap());
}

/// Hosts of an Ingress, one of them so long that the names made of it are cut.
fn world() -> (World, Vec<Host>) {
    let label = "a".repeat(63);
    let texts = [
        "www.example.com".to_owned(),
        format!("{label}.{label}.{label}.{}.com", "b".repeat(50)),
        "*.example.org".into(),
    ];
    let hosts: Vec<Host> = texts.iter().map(|text| Host::parse(text).unwrap()).collect();
    let mut world = World::default();
    world.settle();
    let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host.as_str()})).collect();
    let object = json!({"metadata": {"namespace": "n", "name": "i", "uid": "u"}, "spec": {"rules": rules}});
    serde_json::from_value::<crate::api::partial::ingress::Ingress>(object).unwrap().see(&mut world);
    (world, hosts)
}

fn secret(world: &mut World, name: &str) -> BTreeSet<Key> {
    let object = json!({"metadata": {"namespace": "n", "name": name}});
    let secret: Metadata<k8s_openapi::api::core::v1::Secret> = serde_json::from_value(object).unwrap();
    secret.see(world).keys
}

#[test]
fn a_secret_touches_the_hosts_that_it_concerns_and_no_others() {
    let (mut world, hosts) = world();
    let key = |host: &Host| Key::Host("n".into(), host.clone());
    for host in &hosts {
        assert_eq!(secret(&mut world, &host.secret_name()), [key(host)].into(), "{host}");
    }
    assert_eq!(secret(&mut world, "certgate-other.example.com"), BTreeSet::new());
    assert_eq!(secret(&mut world, "bought"), BTreeSet::new());
    let certificate = json!({"metadata": {"namespace": "n", "name": "cert"},
        "spec": {"secretName": "bought", "dnsNames": ["*.example.com", "else.example.net"]}});
    let read = || serde_json::from_value::<Certificate>(certificate.clone()).unwrap();
    read().see(&mut world);
    let concerned =
        ["*.example.com", "else.example.net", "www.example.com"].map(|text| key(&Host::parse(text).unwrap()));
    assert_eq!(secret(&mut world, "bought"), concerned.clone().into());
    assert_eq!(secret(&mut world, "cert"), BTreeSet::new(), "it is kept elsewhere");
    let bind = json!({"metadata": {"namespace": "n", "name": "www.example.com"}, "spec": {"host": "www.example.com"},
        "status": {"bind": {"secretName": "bound", "certificate": "cert"}}});
    serde_json::from_value::<Domain>(bind).unwrap().see(&mut world);
    assert_eq!(secret(&mut world, "bound"), [key(&hosts[0])].into());
    Certificate::lose(&mut world, "n", "cert");
    assert_eq!(secret(&mut world, "bought"), BTreeSet::new());
    Domain::lose(&mut world, "n", "www.example.com");
    assert_eq!(secret(&mut world, "bound"), BTreeSet::new());
}

#[test]
fn a_domain_is_found_by_its_name_even_where_that_was_cut() {
    let (mut world, hosts) = world();
    for host in &hosts {
        let name = host.object_name();
        let object = json!({"metadata": {"namespace": "n", "name": name}, "spec": {"host": host.as_str()}});
        serde_json::from_value::<Domain>(object).unwrap().see(&mut world);
        assert!(world.domain_object("n", host).is_some());
        Domain::lose(&mut world, "n", &name);
        assert!(world.domain_object("n", host).is_none(), "{host}");
    }
}
