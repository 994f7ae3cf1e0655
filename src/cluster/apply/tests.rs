use super::*;
use crate::cluster::scripted::{script, status};

fn an_ingress() -> (u16, Value) {
    (
        200,
        json!({"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "shop", "namespace": "n"}, "spec": {}}),
    )
}

#[tokio::test(start_paused = true)]
async fn what_the_api_server_cannot_take_now_is_tried_again() {
    let script = script([
        status(429, "TooManyRequests", "slow down"),
        status(503, "ServiceUnavailable", "starting"),
        an_ingress(),
    ]);
    let writer = Writer::new(script.client.clone());
    writer.nudge("n", "shop", "u", "1").await.unwrap();
    let asked = script.asked.lock().await;
    assert_eq!(asked.len(), 3);
    assert!(asked.iter().all(|(method, _, body)| method == "PATCH" && body["metadata"]["uid"] == "u"));
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_not_tried_again_but_planned_anew() {
    for answer in [
        status(409, "Conflict", "the object has been modified"),
        status(422, "Invalid", "testing value /metadata/resourceVersion failed: test failed"),
    ] {
        let script = script([answer]);
        let patch = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": "1"}]);
        let result = Writer::new(script.client.clone()).patch_ingress("n", "shop", &patch).await;
        assert!(matches!(result, Err(WriteError::Conflict)), "{result:?}");
        assert_eq!(script.asked.lock().await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_going_is_final() {
    let terminating = "domains.certgate.dev \"a\" is forbidden: unable to create new content in namespace n because it is being terminated";
    for answer in [status(404, "NotFound", "not found"), status(403, "Forbidden", terminating)] {
        let script = script([answer]);
        let host = Host::parse("a.example.com").unwrap();
        let result = Writer::new(script.client.clone()).create_domain("n", &host).await;
        assert!(matches!(result, Err(WriteError::Gone)), "{result:?}");
    }
    let script = script([status(404, "NotFound", "not found")]);
    Writer::new(script.client.clone()).delete_certificate("n", "c", "u").await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_no_conflict_and_no_trouble_of_the_moment() {
    for answer in [status(403, "Forbidden", "no RBAC"), status(422, "Invalid", "spec.tls[0].hosts: Invalid value")] {
        let script = script([answer]);
        let result = Writer::new(script.client.clone()).nudge("n", "shop", "u", "1").await;
        assert!(matches!(result, Err(WriteError::Refused(_))), "{result:?}");
        assert_eq!(script.asked.lock().await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn deletions_name_exactly_what_they_mean() {
    let script = script([(200, json!({"kind": "Status", "status": "Success"}))]);
    Writer::new(script.client.clone()).delete_certificate("n", "c", "uid-7").await.unwrap();
    let asked = script.asked.lock().await;
    let (method, uri, body) = asked.first().unwrap();
    assert_eq!(method, "DELETE");
    assert!(uri.starts_with("/apis/cert-manager.io/v1/namespaces/n/certificates/c"), "{uri}");
    assert_eq!(body["preconditions"]["uid"], "uid-7");
}

#[tokio::test(start_paused = true)]
async fn a_companion_never_has_a_backend_that_crashes_a_gateway() {
    let script = script([an_ingress()]);
    let mut domain = Domain::new("shop.example.com", DomainSpec::default());
    domain.metadata.namespace = Some("n".into());
    domain.metadata.uid = Some("u".into());
    let companion = Companion {
        name: "certgate-shop.example.com".into(),
        host: "shop.example.com".into(),
        secret_name: "certgate-shop.example.com".into(),
        ..Companion::default()
    };
    Writer::new(script.client.clone()).write_companion(&domain, &companion).await.unwrap();
    let asked = script.asked.lock().await;
    let (method, uri, body) = asked.first().unwrap();
    assert_eq!(method, "PATCH");
    assert!(uri.contains("force=true") && uri.contains("fieldManager=certgate-controller"), "{uri}");
    assert_eq!(body["spec"]["defaultBackend"]["resource"], Value::Null);
    assert!(body["spec"]["defaultBackend"]["service"]["name"].is_string());
    assert_eq!(body["spec"]["ingressClassName"], "certgate-companion");
    assert_eq!(body["metadata"]["ownerReferences"][0]["kind"], "Domain");
    assert_eq!(body["metadata"]["ownerReferences"][0]["blockOwnerDeletion"], Value::Null);
}
