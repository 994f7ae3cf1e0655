//! Traps of Rainbond 5's gateway that no row of the table shows. Each was seen in
//! its own code, run on the same objects.

use serde_json::json;

use super::{
    fixtures::{
        CHALLENGE, NAMESPACE, OTHER, SECRET, Solver, WWW, application, companion, document, endpoints_of, issue,
        labelled, rule, second_rule, secret, solver, with_redirect, with_tls,
    },
    gateway::{Gateway, Kind, Order, served::Answer},
};

fn gateway(order: Order) -> Gateway {
    let mut gateway = Gateway::listing(order);
    application().into_iter().for_each(|object| gateway.apply(object));
    gateway
}

#[test]
fn two_ingresses_that_redirect_the_same_path_freeze_the_gateway_for_everyone() {
    let mut gateway = gateway(Order::Forwards);
    gateway.apply(secret(SECRET, &issue(&[WWW], 0x7fe8)));
    gateway.apply(with_redirect(with_tls(rule(), WWW, SECRET)));
    let second = with_redirect(with_tls(second_rule("/"), WWW, SECRET));
    let before = gateway.served();
    gateway.apply(second.clone());
    assert_eq!(gateway.refused(), Some(r#"duplicate location "/" in server www.shop-example.com"#));
    assert_eq!(gateway.served(), before);

    let mut stranger = rule();
    stranger["metadata"]["name"] = json!("stranger");
    stranger["spec"]["rules"][0]["host"] = json!(OTHER);
    gateway.apply(stranger);
    assert_eq!(gateway.port80(OTHER, "/"), Answer::NoServer, "a change elsewhere is not taken");
    gateway.restart();
    assert_eq!(gateway.port443(WWW), None, "and a restart serves nobody");

    gateway.delete(Kind::Ingress, NAMESPACE, second["metadata"]["name"].as_str().unwrap());
    assert_eq!(gateway.refused(), None);
    assert_eq!(gateway.port80(OTHER, "/"), Answer::Served);
}

#[test]
fn ingresses_of_a_host_with_different_secrets_show_one_or_the_other() {
    let serial = |order| {
        let mut gateway = gateway(order);
        gateway.apply(secret(SECRET, &issue(&[WWW], 0x7fe8)));
        gateway.apply(secret("second", &issue(&[WWW], 0x68d6)));
        gateway.apply(with_tls(rule(), WWW, SECRET));
        gateway.apply(with_tls(second_rule("/api"), WWW, "second"));
        gateway.port443(WWW).unwrap().serial
    };
    assert_eq!([serial(Order::Forwards), serial(Order::Backwards)], ["7fe8", "68d6"]);
}

#[test]
fn a_plain_host_with_tls_in_its_name_is_served_under_another() {
    const HOST: &str = "mytls.shop-example.com";
    let mut gateway = gateway(Order::Forwards);
    let Solver { ingress, service } = solver(HOST);
    let service = labelled(service);
    gateway.apply(endpoints_of(&service));
    gateway.apply(labelled(ingress));
    assert_eq!(gateway.port80(HOST, CHALLENGE), Answer::NoServer, "no HTTP-01 challenge can pass");
    assert_eq!(gateway.port80("my.shop-example.com", CHALLENGE), Answer::Served);
}

#[test]
fn a_dead_gateway_comes_back_only_when_the_object_is_gone() {
    let mut gateway = Gateway::new();
    application().into_iter().chain([rule()]).for_each(|object| gateway.apply(object));
    let mut resource = companion("companion", WWW, SECRET);
    resource["spec"]["defaultBackend"] = json!({"resource": {"kind": "ConfigMap", "name": "none"}});
    gateway.apply(resource);
    gateway.restart();
    assert_eq!(gateway.port80(WWW, "/"), Answer::Down);
    gateway.delete(Kind::Ingress, NAMESPACE, "companion");
    gateway.restart();
    assert_eq!(gateway.port80(WWW, "/"), Answer::Served);
}

#[test]
fn a_tcp_rule_takes_no_part_in_http() {
    let mut gateway = gateway(Order::Forwards);
    let tcp = document("tcp-l4-mysql.yaml");
    let service = document("service-outer-shop-mysql-3-3306out.yaml");
    gateway.apply(endpoints_of(&service));
    gateway.apply(tcp);
    assert_eq!(gateway.served(), Ok(Vec::new()));
}
