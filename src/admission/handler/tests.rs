use kube::runtime::watcher::Event;
use prometheus_client::{encoding::text::encode, registry::Registry};
use serde_json::{Value, json};
use tracing_subscriber::EnvFilter;

use super::*;
use crate::core::policy::IssuerRef;
use crate::telemetry::log::{LogFormat, captured};

fn admission(registry: &mut Registry) -> Admission {
    let policy = Policy::default();
    let index = Arc::new(Index::new(&policy));
    Admission::new(index, Arc::new(ArcSwap::from_pointee(policy)), AdmissionMetrics::register(registry), "certgate")
}

#[test]
fn a_fault_of_our_own_lets_the_write_through_and_is_counted() {
    let mut registry = Registry::default();
    let admission = admission(&mut registry);
    let reply = admission.contained(br#"{"request":{"uid":"u-7"}}"#, || panic!("a fault"));
    assert_eq!(reply.status, StatusCode::OK);
    let review: Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(review["response"]["uid"], "u-7");
    assert_eq!(review["response"]["allowed"], true);
    assert_eq!(admission.contained(b"", || panic!("a fault")).status, StatusCode::INTERNAL_SERVER_ERROR);
    let mut text = String::new();
    encode(&mut text, &registry).unwrap();
    assert!(text.contains(r#"certgate_admission_reviews_total{outcome="panicked"} 2"#), "{text}");
}

/// An endpoint that knows of a verified host in each of these namespaces.
fn knowing(namespaces: &[&str]) -> Admission {
    let policy = Policy { issuer: Some(IssuerRef::cluster("letsencrypt")), ..Policy::default() };
    let index = Arc::new(Index::new(&policy));
    for namespace in namespaces {
        let domain = json!({
            "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": {"namespace": namespace, "name": "www.example.com"},
            "spec": {"host": "www.example.com", "autoIssue": true},
            "status": {"verdict": {"reason": "Verified", "validUntil": "2100-01-01T00:00:00Z",
                "issuer": {"kind": "ClusterIssuer", "name": "letsencrypt"}}},
        });
        index.on_domain(Event::Apply(serde_json::from_value(domain).unwrap()));
    }
    let metrics = AdmissionMetrics::register(&mut Registry::default());
    Admission::new(index, Arc::new(ArcSwap::from_pointee(policy)), metrics, "certgate")
}

fn review(namespace: &str, name: &str, hosts: &[&str]) -> Vec<u8> {
    let rules: Vec<Value> = hosts.iter().map(|host| json!({"host": host})).collect();
    let body = json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": "u-1", "operation": "CREATE", "namespace": namespace, "name": name,
            "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "ingresses"},
            "object": {"metadata": {"name": name}, "spec": {"rules": rules}},
        },
    });
    serde_json::to_vec(&body).unwrap()
}

/// The lines that are logged for reviews, as objects.
fn lines(directives: &str, admission: &Admission, bodies: &[Vec<u8>]) -> Vec<Value> {
    let text = captured(LogFormat::Json, EnvFilter::new(directives), || {
        for body in bodies {
            assert_eq!(admission.answer(MUTATE_PATH, body).status, StatusCode::OK);
        }
    });
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_change_is_one_line_at_info_and_a_decision_one_at_debug() {
    let admission = knowing(&["team-a"]);
    let changed = review("team-a", "shop", &["www.example.com", "new.example.com"]);
    let unchanged = review("team-b", "other", &["www.example.com"]);
    let told = lines("certgate=info", &admission, &[changed.clone(), unchanged.clone()]);
    let [line] = &told[..] else { panic!("{told:?}") };
    let expected = [
        ("level", "INFO"),
        ("message", "Ingress changed in admission"),
        ("namespace", "team-a"),
        ("ingress", "shop"),
        ("host", "www.example.com"),
        ("action", "inject"),
        ("reason", "Verified"),
    ];
    for (field, value) in expected {
        assert_eq!(line[field], value, "{field} of {line}");
    }

    let told = lines("certgate=debug", &admission, &[changed, unchanged]);
    let decisions: Vec<[&str; 4]> = told
        .iter()
        .filter(|line| line["level"] == "DEBUG")
        .map(|line| ["message", "namespace", "ingress", "host"].map(|field| line[field].as_str().unwrap_or_default()))
        .collect();
    let expected = [
        ["decided", "team-a", "shop", "www.example.com"],
        ["decided", "team-a", "shop", "new.example.com"],
        ["decided", "team-b", "other", "www.example.com"],
    ];
    assert_eq!(decisions, expected);
    assert!(told.iter().all(|line| line["reason"].is_string()), "{told:?}");
}

#[test]
fn hostile_names_stay_within_their_line() {
    let namespace = "team-a\nERROR forged\u{1b}[31m";
    let admission = knowing(&[namespace]);
    let body = review(namespace, &"x\n".repeat(100_000), &["www.example.com"]);
    let text = captured(LogFormat::Text, EnvFilter::new("certgate=debug"), || {
        admission.answer(MUTATE_PATH, &body);
    });
    assert!(text.contains("Ingress changed in admission") && text.contains("decided"), "{text}");
    assert!(text.lines().all(|line| line.contains("certgate::admission") && line.len() < 1_000), "{text}");
    assert!(!text.contains('\u{1b}'), "{text}");
}

#[test]
fn a_loop_of_writes_does_not_fill_the_log() {
    let mut admission = knowing(&["team-a"]);
    admission.changes = Sampler::within_one_second(3);
    let body = review("team-a", "shop", &["www.example.com"]);
    let told = lines("certgate=info", &admission, &vec![body; 50]);
    assert_eq!(told.len(), 3, "{told:?}");
}
