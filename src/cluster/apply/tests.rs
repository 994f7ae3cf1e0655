use super::*;
use crate::cluster::scripted::{script, status, terminating};

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

/// As kube-apiserver 1.36.3 answers a failed test of a JSON Patch, and many a patch that cannot be applied.
fn rejected() -> (u16, Value) {
    status(422, "Invalid", "the server rejected our request due to an error in our request")
}

fn of_version(version: &str) -> (u16, Value) {
    (
        200,
        json!({"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"name": "shop", "namespace": "n", "resourceVersion": version}}),
    )
}

#[tokio::test(start_paused = true)]
async fn a_conflict_is_told_from_a_refusal_by_the_object_and_not_by_words() {
    let modified = status(409, "Conflict", "the object has been modified");
    let invalid = status(422, "Invalid", "Ingress.networking.k8s.io \"shop\" is invalid: a test");
    let gone = || status(404, "NotFound", "not found");
    type Means = fn(&WriteError) -> bool;
    let (conflict, refused, is_gone): (Means, Means, Means) = (
        |error| matches!(error, WriteError::Conflict),
        |error| matches!(error, WriteError::Refused(kube::Error::Api(status)) if status.code == 422),
        |error| matches!(error, WriteError::Gone),
    );
    let transient: Means = |error| matches!(error, WriteError::Transient(_));
    for (answers, means) in [
        (vec![modified], conflict),
        (vec![rejected(), of_version("2")], conflict),
        (vec![rejected(), of_version("1")], refused),
        (vec![invalid.clone(), of_version("1")], refused),
        (vec![invalid, of_version("2")], conflict),
        (vec![rejected(), gone()], is_gone),
        (vec![rejected(), status(503, "ServiceUnavailable", "not now")], transient),
        (vec![gone()], is_gone),
    ] {
        let script = script(answers.clone());
        let result = Writer::new(script.client.clone()).patch_ingress("n", "shop", &[], "1").await;
        assert!(result.as_ref().is_err_and(means), "{answers:?} {result:?}");
        let asked = script.asked.lock().await;
        let methods: Vec<_> = asked.iter().map(|(method, _, _)| method.as_str()).collect();
        assert_eq!(methods, ["PATCH", "GET"].into_iter().take(answers.len()).collect::<Vec<_>>());
        assert_eq!(asked[0].2[0]["value"], "1", "the patch says what it was made for");
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_gone_or_going_is_final() {
    for answer in [status(404, "NotFound", "not found"), terminating()] {
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
    let invalid = || status(422, "Invalid", "metadata.uid: Invalid value: \"u\": field is immutable");
    let of_uid = |uid: &str| {
        let (code, mut object) = of_version("7");
        object["metadata"]["uid"] = json!(uid);
        (code, object)
    };
    for (answers, refused) in [
        (vec![status(403, "Forbidden", "no RBAC")], true),
        (vec![invalid(), of_uid("u")], true),
        // Another Ingress of the name.
        (vec![invalid(), of_uid("v")], false),
    ] {
        let script = script(answers.clone());
        let result = Writer::new(script.client.clone()).nudge("n", "shop", "u", "1").await;
        let as_told = if refused {
            matches!(result, Err(WriteError::Refused(_)))
        } else {
            matches!(result, Err(WriteError::Conflict))
        };
        assert!(as_told, "{result:?}");
        assert_eq!(script.asked.lock().await.len(), answers.len());
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
    assert_eq!(method, "POST", "never over one that is there");
    assert!(uri.contains("fieldManager=certgate-controller"), "{uri}");
    assert_eq!(body["spec"]["defaultBackend"]["resource"], Value::Null);
    assert!(body["spec"]["defaultBackend"]["service"]["name"].is_string());
    assert_eq!(body["spec"]["ingressClassName"], "certgate-companion");
    assert_eq!(body["metadata"]["ownerReferences"][0]["kind"], "Domain");
    assert_eq!(body["metadata"]["ownerReferences"][0]["blockOwnerDeletion"], Value::Null);
}
