//! Whatever is in a file: never a panic, and what can be read is explained.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::core::finding::Lang;

/// Documents of each kind that is read, as they are found.
fn samples() -> Vec<Value> {
    vec![
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "web", "namespace": "shop",
            "uid": "u", "creationTimestamp": "2026-01-02T03:04:05Z", "labels": {"creator": "Rainbond", "service_id": "s"},
            "annotations": {"certgate.dev/auto-issue": "true", "cert-manager.io/cluster-issuer": "le"}},
            "spec": {"ingressClassName": "nginx", "rules": [{"host": "www.example.com", "http": {"paths": [{"path": "/"}]}}],
                "tls": [{"hosts": ["www.example.com"], "secretName": "certgate-www.example.com"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "203.0.113.7"}]}}}),
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"generateName": "gen-", "namespace": "shop",
            "annotations": {"certgate.dev/auto-issue": "true"}}, "spec": {"rules": [{"host": "gen.example.com"}]}}),
        json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop", "labels": {"certgate.dev/auto-issue": "true"}}}),
        json!({"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain", "metadata": {"name": "www.example.com", "namespace": "shop"},
            "spec": {"host": "www.example.com", "autoIssue": true}, "status": {"released": true, "lead": "web"}}),
        json!({"apiVersion": "cert-manager.io/v1", "kind": "ClusterIssuer", "metadata": {"name": "le"},
            "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        json!({"apiVersion": "cert-manager.io/v1", "kind": "Certificate", "metadata": {"name": "certgate-www.example.com", "namespace": "shop",
            "ownerReferences": [{"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "name": "web", "uid": "u", "controller": true}]},
            "spec": {"secretName": "certgate-www.example.com", "dnsNames": ["www.example.com"], "issuerRef": {"name": "le", "kind": "ClusterIssuer"}},
            "status": {"notAfter": "2027-01-01T00:00:00Z", "conditions": [{"type": "Ready", "status": "True"}]}}),
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "certgate-www.example.com", "namespace": "shop",
            "annotations": {"cert-manager.io/certificate-name": "certgate-www.example.com"}}}),
        json!({"apiVersion": "apisix.apache.org/v2", "kind": "ApisixRoute", "metadata": {"name": "r", "namespace": "shop"},
            "spec": {"http": [{"match": {"hosts": ["www.example.com"]}}]}}),
        json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"operation": "CREATE", "namespace": "shop",
            "object": {"kind": "Ingress", "metadata": {"name": "new"}, "spec": {"rules": [{"host": "*.example.com"}]}}}}),
    ]
}

/// Something that does not belong there.
fn odd() -> impl Strategy<Value = Value> {
    let texts = [
        "",
        "true",
        "www.example.com",
        "*",
        "*.",
        "xn--",
        "例子.com",
        "9999-12-31T23:59:59Z",
        "-9999-01-01T00:00:00Z",
        "\u{0}\n",
        "gen-",
    ];
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(texts.to_vec()).prop_map(Value::from),
        ".{0,300}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!([null, {}, 7])),
    ]
}

/// The paths of all fields and items of a value, and of fields that are missing.
fn paths(value: &Value, at: &str, all: &mut Vec<String>) {
    all.push(at.to_owned());
    let step = |key: &str| format!("{at}/{}", key.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(fields) => fields.iter().for_each(|(key, field)| paths(field, &step(key), all)),
        Value::Array(items) => items.iter().enumerate().for_each(|(n, item)| paths(item, &step(&n.to_string()), all)),
        _ => {}
    }
}

fn explained(text: &str, assume_verified: bool) -> (usize, Vec<String>) {
    let policy: Policy =
        serde_json::from_value(json!({"issuer": {"name": "le"}, "gateway": {"addresses": ["203.0.113.7"]},
            "gate": {"mode": "all"}, "rainbond": {"routes": true}}))
        .unwrap();
    let mut documents = Documents::default();
    documents.add("in", text);
    let now = "2026-11-24T12:00:00Z".parse().unwrap();
    let (all, faults) = explain(&documents, &policy, now, assume_verified);
    for lang in [Lang::En, Lang::ZhCn] {
        render::person(&all, lang).unwrap();
    }
    render::json(&all).unwrap();
    render::yaml(&all).unwrap();
    (all.len(), documents.faults.iter().chain(&faults).map(ToString::to_string).collect())
}

#[test]
fn what_is_right_is_all_explained() {
    let all: Vec<Value> = samples();
    for text in [
        json!({"kind": "List", "items": all}).to_string(),
        serde_saphyr::to_string(&json!({"kind": "List", "items": all})).unwrap(),
    ] {
        for assume_verified in [false, true] {
            let (count, faults) = explained(&text, assume_verified);
            assert_eq!((count, faults), (4, Vec::new()), "three Ingresses and a route");
        }
    }
}

#[test]
fn an_object_whose_name_is_made_up_is_explained_by_itself() {
    let gen_ = samples().remove(1);
    let (count, faults) = explained(&json!([gen_, gen_, {"kind": "Ingress"}]).to_string(), true);
    assert_eq!((count, faults), (3, Vec::new()));
}

#[test]
fn what_nests_without_end_is_refused() {
    for depth in [60, 100, 120, 100_000] {
        let inner = format!("{}{}", "{\"a\":".repeat(depth), "1");
        let whole = format!("{{\"kind\": \"Ingress\", \"spec\": {inner}{}}}", "}".repeat(depth));
        let yaml = format!("kind: Ingress\nspec: {}", "[".repeat(depth) + &"]".repeat(depth));
        for text in [whole, inner, yaml] {
            let (count, faults) = explained(&text, true);
            assert_eq!((count, faults.len()), (0, 1), "{depth}: {faults:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn no_field_of_no_kind_makes_it_panic(changes in prop::collection::vec((any::<prop::sample::Index>(), any::<bool>(), odd()), 1..4), assume: bool) {
        let mut all = Value::Array(samples());
        for (index, remove, odd) in changes {
            let mut places = Vec::new();
            paths(&all, "", &mut places);
            let place = index.get(&places).clone();
            let (parent, key) = place.rsplit_once('/').unwrap_or_default();
            let key = key.replace("~1", "/").replace("~0", "~");
            match all.pointer_mut(parent) {
                Some(Value::Object(fields)) if remove => drop(fields.remove(&key)),
                _ => if let Some(target) = all.pointer_mut(&place) { *target = odd },
            }
        }
        explained(&all.to_string(), assume);
        if let Ok(yaml) = serde_saphyr::to_string(&all) {
            explained(&yaml, assume);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in "(---|kind: |Ingress|metadata:|\\{|\\}|\\[|\\]|\"|'|&a |\\*a|: |- |\n|  |\\||>|\\?|#|!!|%|\\PC){0,60}") {
        explained(&text, true);
    }

    #[test]
    fn no_octets_make_it_panic(octets in prop::collection::vec(any::<u8>(), 0..400)) {
        if let Ok(text) = text::decode(octets) {
            explained(&text, true);
        }
    }
}
