//! Review bodies: an Ingress with two hosts as an API server sends it, plain and grown by paths.

use serde_json::{Value, json};

/// The namespace of the Ingress.
pub const NAMESPACE: &str = "team-a";
/// Its hosts, both verified.
pub const HOSTS: [&str; 2] = ["shop.example.com", "www.shop.example.com"];

/// A body and what to call it.
pub struct Body {
    pub name: &'static str,
    pub json: Vec<u8>,
}

/// The three sizes.
pub fn all() -> Vec<Body> {
    let bodies = [("2.4 KB", small()), ("64 KB", review(64 * 1024)), ("2 MB", review(2 * 1024 * 1024))];
    bodies.into_iter().map(|(name, json)| Body { name, json }).collect()
}

/// The smallest body.
pub fn small() -> Vec<u8> {
    review(0)
}

/// The object of the reviews.
pub fn ingress(paths: usize) -> Value {
    let path = |n: usize| json!({"path": format!("/{n}"), "pathType": "Prefix", "backend": {"service": {"name": "shop", "port": {"number": 80}}}});
    let rule =
        |host: &str, paths: usize| json!({"host": host, "http": {"paths": (0..=paths).map(path).collect::<Vec<_>>()}});
    let applied = json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
        "metadata": {"annotations": {}, "name": "shop", "namespace": NAMESPACE},
        "spec": {"ingressClassName": "nginx", "rules": [{"host": HOSTS[0]}]}});
    json!({
        "kind": "Ingress", "apiVersion": "networking.k8s.io/v1",
        "metadata": {
            "name": "shop", "namespace": NAMESPACE, "uid": "9c3b1c9e-1111-4f2e-8a3a-0123456789ab", "generation": 1,
            "creationTimestamp": "2026-11-24T07:00:00Z",
            "labels": {"app.kubernetes.io/name": "shop", "app.kubernetes.io/instance": "shop", "app.kubernetes.io/managed-by": "Helm"},
            "annotations": {
                "meta.helm.sh/release-name": "shop", "meta.helm.sh/release-namespace": NAMESPACE,
                "nginx.ingress.kubernetes.io/proxy-body-size": "8m",
                "kubectl.kubernetes.io/last-applied-configuration": applied.to_string(),
            },
            "managedFields": [{
                "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "networking.k8s.io/v1",
                "time": "2026-11-24T07:00:00Z", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:metadata": {"f:annotations": {".": {}, "f:kubectl.kubernetes.io/last-applied-configuration": {},
                    "f:nginx.ingress.kubernetes.io/proxy-body-size": {}}, "f:labels": {".": {}, "f:app.kubernetes.io/name": {}}},
                    "f:spec": {"f:ingressClassName": {}, "f:rules": {}}},
            }],
        },
        "spec": {"ingressClassName": "nginx", "rules": [rule(HOSTS[0], paths), rule(HOSTS[1], 0)]},
        "status": {"loadBalancer": {}},
    })
}

/// A CREATE; grown to about `size` octets: an UPDATE of an object with many paths, old and new.
fn review(size: usize) -> Vec<u8> {
    let kind = json!({"group": "networking.k8s.io", "version": "v1", "kind": "Ingress"});
    let resource = json!({"group": "networking.k8s.io", "version": "v1", "resource": "ingresses"});
    // A path is some hundred octets, and there are two objects.
    let paths = size / 2 / 97;
    let old = if paths > 0 { ingress(paths) } else { Value::Null };
    let review = json!({
        "kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "kind": kind, "resource": resource,
            "requestKind": kind, "requestResource": resource, "name": "shop", "namespace": NAMESPACE,
            "operation": if paths > 0 { "UPDATE" } else { "CREATE" },
            "userInfo": {"username": "system:serviceaccount:argocd:argocd-application-controller",
                "uid": "014fbff9-a07b-11e9-8c4f-000000000000",
                "groups": ["system:serviceaccounts", "system:serviceaccounts:argocd", "system:authenticated"]},
            "object": ingress(paths), "oldObject": old, "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1", "fieldManager": "kubectl-client-side-apply"},
        },
    });
    serde_json::to_vec(&review).unwrap()
}
