//! What a visitor gets from Rainbond 5's gateway at each step of certgate's work.

use certgate::core::{host::Host, reason::Reason, reconcile::twin};
use serde_json::{Value, json};

use super::{
    cluster::Cluster,
    fixtures::{
        CHALLENGE, NAMESPACE, Solver, WWW, annotated, companion, document, endpoints_of, labelled, name, rule,
        second_rule, solver,
    },
    gateway::served::Answer,
};

const PLAIN: &str = "80 `www.shop-example.com`: /";
const SECURE: &str = "443 ssl `www.shop-example.com` [www 7fe8]: /; 80 `www.shop-example.com`: / → redirect to https";
const RENEWED: &str = "443 ssl `www.shop-example.com` [www 68d6]: /; 80 `www.shop-example.com`: / → redirect to https";
const SECRET: &str = "certgate-www.shop-example.com";

/// A rule whose host passed its check, as stored.
fn injected(cluster: &mut Cluster) -> Value {
    cluster.put(rule());
    assert_eq!(cluster.check(WWW, Reason::Verified, name(&rule())), [name(&rule())]);
    cluster.put(rule())
}

/// The companion of `www.shop-example.com`, named like the Secret.
fn companion_of_the_secrets_name() -> Value {
    companion(SECRET, WWW, SECRET)
}

/// A host with its certificate in use.
fn secure(cluster: &mut Cluster) -> Value {
    let ingress = injected(cluster);
    cluster.store(companion_of_the_secrets_name());
    cluster.issue(0x7fe8);
    assert!(cluster.learn(WWW, |domain| domain.issued = true).is_empty(), "Rainbond's Ingress is left alone");
    assert_eq!(cluster.served(), SECURE);
    ingress
}

#[test]
fn a_held_host_is_served_as_if_certgate_were_not_there() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.put(rule()), rule());
    assert!(cluster.check(WWW, Reason::DomainNotFound, name(&rule())).is_empty());
    assert_eq!(cluster.served(), PLAIN);
    assert_eq!(cluster.gateway().port80(WWW, "/any"), Answer::Served);
    assert_eq!(cluster.gateway().port443(WWW), None);
}

#[test]
fn an_injected_host_stays_plain_until_its_secret_is_there() {
    let mut cluster = Cluster::new();
    let ingress = injected(&mut cluster);
    assert_eq!(ingress["spec"]["tls"], json!([{"hosts": [WWW], "secretName": SECRET}]));
    assert_eq!(cluster.served(), PLAIN);
    assert_eq!(cluster.gateway().port80(WWW, "/"), Answer::Served);
}

#[test]
fn a_secret_is_not_noticed_until_a_companion_is_touched() {
    let mut cluster = Cluster::new();
    injected(&mut cluster);
    let companion = companion("companion", WWW, SECRET);
    cluster.store(companion.clone());
    for (serial, before, after) in [(0x7fe8, PLAIN, SECURE), (0x68d6, SECURE, RENEWED)] {
        assert_eq!(cluster.issue(serial), [SECRET]);
        assert_eq!(cluster.served(), before);
        cluster.store(annotated(labelled(companion.clone()), "certgate.dev/nudge", &serial.to_string()));
        assert_eq!(cluster.served(), after);
        assert!(cluster.gateway().port443(WWW).unwrap().covers(WWW));
    }
}

#[test]
fn a_companion_of_the_secrets_name_makes_the_gateway_notice_by_itself() {
    let mut cluster = Cluster::new();
    injected(&mut cluster);
    cluster.store(companion_of_the_secrets_name());
    cluster.issue(0x7fe8);
    assert_eq!(cluster.served(), SECURE);
    cluster.issue(0x68d6);
    assert_eq!(cluster.served(), RENEWED);
    cluster.restart_gateway();
    assert_eq!(cluster.served(), RENEWED);
}

#[test]
fn a_put_of_rainbond_without_our_parts_changes_nothing_for_visitors() {
    let mut cluster = Cluster::new();
    let before = secure(&mut cluster);
    let mut put = rule();
    put["metadata"]["labels"]["creater_id"] = json!("1795552723413027059");
    let after = cluster.put(put);
    assert_eq!(after["spec"], before["spec"]);
    assert_eq!(after["metadata"]["annotations"], before["metadata"]["annotations"]);
    assert_eq!(cluster.served(), SECURE);
}

#[test]
fn a_stopped_component_comes_back_with_its_certificate() {
    let mut cluster = Cluster::new();
    let ingress = secure(&mut cluster);
    cluster.delete(&ingress);
    assert_eq!(cluster.served(), "nothing");
    assert_eq!(cluster.put(rule()), ingress);
    assert_eq!(cluster.served(), SECURE);
}

#[test]
fn a_solver_answers_on_port_80_once_its_objects_have_the_label() {
    let mut cluster = Cluster::new();
    secure(&mut cluster);
    let Solver { ingress, service } = solver(WWW);
    let stored = cluster.put(ingress);
    assert_eq!(stored["metadata"]["labels"]["creator"], "Rainbond");
    cluster.store(endpoints_of(&service));
    cluster.store(service.clone());
    assert_eq!(cluster.gateway().port80(WWW, CHALLENGE), Answer::Redirected, "the Endpoints are not seen");
    // The endpoints controller copies the Service's labels.
    let service = labelled(service);
    cluster.store(endpoints_of(&service));
    cluster.store(service);
    assert_eq!(cluster.gateway().port80(WWW, CHALLENGE), Answer::Served);
    assert_eq!(cluster.gateway().port80(WWW, "/"), Answer::Redirected);
    cluster.delete(&stored);
    assert_eq!(cluster.served(), SECURE);
}

#[test]
fn a_withdrawn_host_is_plain_again() {
    let mut cluster = Cluster::new();
    secure(&mut cluster);
    assert_eq!(cluster.learn(WWW, |domain| domain.auto_issue = Some(false)), [name(&rule())]);
    assert_eq!(cluster.served(), PLAIN);
    assert_eq!(cluster.put(rule()), rule());
    assert_eq!(cluster.gateway().port443(WWW), None);
}

#[test]
fn dns_trouble_later_takes_nothing_away() {
    let mut cluster = Cluster::new();
    secure(&mut cluster);
    assert!(cluster.check(WWW, Reason::DomainNotFound, name(&rule())).is_empty());
    cluster.put(rule());
    assert_eq!(cluster.served(), SECURE);
}

#[test]
fn kept_http_is_served_by_a_twin_beside_https() {
    const BOTH: &str = "443 ssl `www.shop-example.com` [www 7fe8]: /; 80 `www.shop-example.com`: /";
    let mut cluster = Cluster::new();
    cluster.keep_http();
    let ingress = injected(&mut cluster);
    let mut twin = twin::object(&ingress, &Host::parse(WWW).unwrap()).unwrap();
    twin["metadata"]["namespace"] = json!(NAMESPACE);
    assert_eq!(cluster.put(twin.clone()), twin, "no decision touches it");
    assert_eq!(cluster.served(), PLAIN, "both on one port while the Secret is missing");
    cluster.store(companion_of_the_secrets_name());
    assert_eq!(cluster.issue(0x7fe8), [SECRET], "the twin orders nothing");
    assert_eq!(cluster.served(), BOTH);
    assert_eq!(cluster.gateway().refused(), None);
    assert_eq!(cluster.gateway().port80(WWW, "/any"), Answer::Served);
    assert!(cluster.gateway().port443(WWW).unwrap().covers(WWW));
    cluster.restart_gateway();
    assert_eq!(cluster.served(), BOTH);
    // What the twin is for.
    cluster.delete(&twin);
    assert_eq!(cluster.served(), "443 ssl `www.shop-example.com` [www 7fe8]: /");
    cluster.put(twin.clone());
    // Withdrawn, the rule is plain by itself.
    cluster.learn(WWW, |domain| domain.auto_issue = Some(false));
    cluster.delete(&twin);
    assert_eq!(cluster.served(), PLAIN);
}

#[test]
fn all_ingresses_of_a_host_show_the_same_certificate() {
    let mut cluster = Cluster::new();
    cluster.put(second_rule("/api"));
    secure_with_followers(&mut cluster, 2);
    for path in ["/", "/api"] {
        assert_eq!(cluster.gateway().port80(WWW, path), Answer::Redirected, "{path}");
    }
    // One more comes while the certificate is in use.
    let mut third = second_rule("/docs");
    third["metadata"]["name"] = json!("3f1e0b7c");
    let third = cluster.put(third);
    assert_eq!(third["spec"]["tls"], json!([{"hosts": [WWW], "secretName": SECRET}]));
    assert_eq!(cluster.gateway().port80(WWW, "/docs"), Answer::Redirected);
    cluster.restart_gateway();
    assert_eq!(cluster.gateway().port443(WWW).unwrap().serial, "7fe8");
}

/// Gives the host its certificate, with `rule()` as the lead of that many Ingresses.
fn secure_with_followers(cluster: &mut Cluster, ingresses: usize) {
    cluster.put(rule());
    assert_eq!(cluster.check(WWW, Reason::Verified, name(&rule())).len(), ingresses);
    cluster.store(companion_of_the_secrets_name());
    assert_eq!(cluster.issue(0x7fe8), [SECRET], "one order");
    assert_eq!(cluster.gateway().refused(), None);
    assert!(cluster.gateway().port443(WWW).unwrap().covers(WWW));
}

#[test]
fn rules_by_header_and_cookie_leave_the_gateway_working() {
    let mut cluster = Cluster::new();
    for (condition, value) in [("header", "X-Env=canary"), ("cookie", "beta=1")] {
        let mut conditional = second_rule("/");
        conditional["metadata"]["name"] = json!(condition);
        cluster.put(annotated(conditional, &format!("nginx.ingress.kubernetes.io/{condition}"), value));
    }
    secure_with_followers(&mut cluster, 3);
    assert_eq!(cluster.served(), SECURE);
}

#[test]
fn all_rules_that_rainbond_makes_for_one_host_are_secured_together() {
    const HOST: &str = "m.shop-example.com";
    let mut cluster = Cluster::new();
    let api = document("service-outer-shop-api-2-8080out.yaml");
    cluster.store(endpoints_of(&api));
    cluster.store(api);
    let files = ["1-path-root", "2-path-api", "3-header", "4-cookie"];
    let rules = files.map(|file| document(&format!("http-same-host-{file}.yaml")));
    rules.iter().for_each(|rule| assert_eq!(cluster.put(rule.clone()), *rule));
    let plain = cluster.served();
    assert_eq!(cluster.check(HOST, Reason::Verified, name(&rules[0])).len(), 4);
    assert_eq!(cluster.served(), plain);
    let secret = format!("certgate-{HOST}");
    cluster.store(companion(&secret, HOST, &secret));
    assert_eq!(cluster.issue(0x7fe8), [secret]);
    assert_eq!(cluster.gateway().refused(), None);
    assert!(cluster.gateway().port443(HOST).unwrap().covers(HOST));
    for path in ["/", "/api"] {
        assert_eq!(cluster.gateway().port80(HOST, path), Answer::Redirected, "{path}");
    }
}
