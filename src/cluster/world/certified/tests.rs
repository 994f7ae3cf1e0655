use serde_json::{Value, json};

use super::*;
use crate::{
    api::domain::Domain,
    cluster::world::{intake::Kept as _, tests::simulation::cert_manager::chain},
    core::policy::Policy,
};

const HOST: &str = "www.example.com";
const BEGINS: &str = "2026-11-01T00:00:00Z";
const ENDS: &str = "2027-01-30T00:00:00Z";

fn read<K: serde::de::DeserializeOwned>(value: Value) -> K {
    serde_json::from_value(value).unwrap()
}

fn issuer(server: &str) -> crate::api::partial::issuer::ClusterIssuer {
    read(json!({"metadata": {"name": "le"}, "spec": {"acme": {"server": server}}, "status": {}}))
}

fn world() -> World {
    let policy: Policy = read(json!({"issuer": {"name": "le"}, "gate": {"mode": "all"}}));
    let mut world = World::new(policy.into());
    issuer("https://ca.example/dir").see(&mut world);
    let domain: Domain = read(json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
        "metadata": {"namespace": "n", "name": HOST}, "spec": {"host": HOST}}));
    domain.see(&mut world);
    world
}

/// An Order that brought a certificate for `certified`.
fn order(certified: &[&str]) -> Value {
    json!({"metadata": {"namespace": "n", "name": "o", "uid": "u"},
        "spec": {"dnsNames": [HOST], "issuerRef": {"name": "le", "kind": "ClusterIssuer"}},
        "status": {"url": "https://ca.example/order/1", "state": "valid",
            "certificate": chain(&json!(certified), BEGINS, ENDS)}})
}

fn see(world: &mut World, order: &Value) -> Touched {
    read::<Order>(order.clone()).see(world)
}

fn certified(world: &World, kept: &[Certified]) -> Vec<Certified> {
    let host = Host::parse(HOST).unwrap();
    world.known_certified("n", &world.namespaces["n"], &host, kept, "2026-12-01T00:00:00Z".parse().unwrap())
}

#[test]
fn what_an_order_brought_is_known_by_what_the_certificate_says() {
    let mut world = world();
    let touched = see(&mut world, &order(&[HOST, "other.example.com"]));
    assert_eq!(touched.keys, [Key::Host("n".into(), Host::parse(HOST).unwrap())].into());
    let found = certified(&world, &[]);
    let names = [HOST, "other.example.com"].map(|name| Host::parse(name).unwrap());
    assert_eq!((found.len(), found[0].names.as_str()), (1, certified::digest(&names).as_str()));
    assert_eq!((found[0].not_before.0.to_string(), found[0].not_after.0.to_string()), (BEGINS.into(), ENDS.into()));
    assert!(see(&mut world, &order(&[HOST])).keys.len() == 1 && see(&mut world, &order(&[HOST])).keys.is_empty());

    // It outlives the Order, and is replaced by a later one only.
    Order::lose(&mut world, "n", "o");
    assert_eq!((certified(&world, &found), certified(&world, &[])), (found.clone(), Vec::new()));
    // An issuer that became another CA's made none of them, one that is gone may come back.
    issuer("https://other.example/dir").see(&mut world);
    assert_eq!(certified(&world, &found), Vec::new());
    crate::api::partial::issuer::ClusterIssuer::lose(&mut world, "", "le");
    assert_eq!(certified(&world, &found), found);
}

#[test]
fn an_order_that_proves_nothing_is_not_believed() {
    let with = |path: &str, value: Value| {
        let mut order = order(&[HOST]);
        *order.pointer_mut(path).unwrap() = value;
        order
    };
    for (what, order) in [
        ("not over", with("/status/state", json!("pending"))),
        ("failed", with("/status/state", json!("invalid"))),
        ("without a certificate", with("/status/certificate", json!(""))),
        ("with garbage", with("/status/certificate", json!("QUJD"))),
        ("for other names", with("/status/certificate", json!(chain(&json!(["other.example.com"]), BEGINS, ENDS)))),
        ("of another CA", with("/status/url", json!("https://private.example/order/1"))),
        ("of nowhere", with("/status/url", json!(""))),
        ("of an issuer that there is not", with("/spec/issuerRef", json!({"name": "le", "kind": "Issuer"}))),
    ] {
        let mut world = world();
        see(&mut world, &order);
        assert_eq!(certified(&world, &[]), Vec::new(), "{what}");
    }
}

#[test]
fn an_order_is_its_first_issuers_whatever_is_made_of_it() {
    let mut world = world();
    let mut private = order(&[HOST]);
    private["spec"]["issuerRef"] = json!({"name": "private", "kind": "Issuer"});
    see(&mut world, &private);
    see(&mut world, &order(&[HOST]));
    assert_eq!(certified(&world, &[]), Vec::new());
    // Another Order of that name is another.
    let mut anew = order(&[HOST]);
    anew["metadata"]["uid"] = json!("another");
    see(&mut world, &anew);
    assert_eq!(certified(&world, &[]).len(), 1);
}

#[test]
fn nothing_is_kept_of_what_is_gone_or_where_the_gate_is_off() {
    let mut world = world();
    see(&mut world, &order(&[HOST]));
    let before = certified(&world, &[]);
    world.set_policy(Policy::default().into());
    assert_eq!(certified(&world, &before), Vec::new());
    Order::lose(&mut world, "n", "o");
    let shown = &world.namespaces["n"].shown;
    assert!(shown.is_empty() && shown.by_host.is_empty());
}
