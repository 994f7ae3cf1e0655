//! What the real API server says when it refuses, and what is made of it.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

use anyhow::{Context, Result, ensure};
use certgate::{
    cli::crd,
    cluster::apply::{WriteError, Writer},
    core::{
        host::Host,
        patch::{Json, PatchOp, annotation_path},
    },
};
use certgate_lab::{Lab, LabOptions};
use k8s_openapi::api::{
    core::v1::{ConfigMap, Namespace},
    networking::v1::Ingress,
};
use kube::{
    Api, Client,
    api::{DeleteParams, Patch, PatchParams, PostParams},
    core::Status,
};
use serde_json::json;

fn status<T: std::fmt::Debug>(result: kube::Result<T>) -> Result<Status> {
    match result {
        Err(kube::Error::Api(status)) => Ok(*status),
        other => anyhow::bail!("not refused: {other:?}"),
    }
}

/// A patch that applies, and gives a valid Ingress where the key is one.
fn annotate(key: &str) -> Vec<PatchOp> {
    vec![PatchOp::Add { path: annotation_path(key), value: Json::text("y") }]
}

async fn version(api: &Api<Ingress>) -> Result<String> {
    api.get("shop").await?.metadata.resource_version.context("no version")
}

async fn a_stale_patch_is_a_conflict_and_a_wrong_one_a_refusal(client: &Client) -> Result<()> {
    let api: Api<Ingress> = Api::namespaced(client.clone(), "default");
    let shop = json!({"metadata": {"name": "shop", "annotations": {"a": "0"}}, "spec": {"rules": [{"host": "shop.example.com"}]}});
    api.create(&PostParams::default(), &serde_json::from_value(shop)?).await?;
    let stale = version(&api).await?;
    let touch = Patch::Merge(json!({"metadata": {"annotations": {"a": "b"}}}));
    api.patch("shop", &PatchParams::default(), &touch).await?;

    // Both are said in the same way, or nearly: it is the object that tells.
    let test = json!([{"op": "test", "path": "/metadata/resourceVersion", "value": stale}]);
    let test = Patch::Json::<()>(serde_json::from_value(test)?);
    let failed_test = status(api.patch("shop", &PatchParams::default(), &test).await)?;
    ensure!((failed_test.code, &*failed_test.reason) == (422, "Invalid"), "{failed_test:?}");
    ensure!(failed_test.message == "the server rejected our request due to an error in our request", "{failed_test:?}");
    let absent = Patch::Json::<()>(serde_json::from_value(json!([{"op": "remove", "path": "/spec/tls/7"}]))?);
    let inapplicable = status(api.patch("shop", &PatchParams::default(), &absent).await)?;
    ensure!((inapplicable.code, &inapplicable.message) == (422, &failed_test.message), "{inapplicable:?}");

    let writer = Writer::new(client.clone());
    let good = annotate("certgate.dev/x");
    let result = writer.patch_ingress("default", "shop", &good, &stale).await;
    ensure!(matches!(result, Err(WriteError::Conflict)), "stale: {result:?}");
    let wrong = annotate("not a key!");
    let result = writer.patch_ingress("default", "shop", &wrong, &stale).await;
    ensure!(matches!(result, Err(WriteError::Conflict)), "stale and wrong: {result:?}");
    let result = writer.patch_ingress("default", "shop", &wrong, &version(&api).await?).await;
    ensure!(matches!(result, Err(WriteError::Refused(_))), "wrong: {result:?}");
    let inapplicable = vec![PatchOp::Remove { path: "/spec/tls/7".to_owned() }];
    let result = writer.patch_ingress("default", "shop", &inapplicable, &version(&api).await?).await;
    ensure!(matches!(result, Err(WriteError::Refused(_))), "inapplicable: {result:?}");
    let written = writer.patch_ingress("default", "shop", &good, &version(&api).await?).await;
    ensure!(written.is_ok(), "{written:?}");
    let result = writer.nudge("default", "shop", "another-uid", "1").await;
    ensure!(matches!(result, Err(WriteError::Conflict)), "another object of the name: {result:?}");
    api.delete("shop", &DeleteParams::default()).await?;
    let result = writer.patch_ingress("default", "shop", &good, &stale).await;
    ensure!(matches!(result, Err(WriteError::Gone)), "gone: {result:?}");
    Ok(())
}

async fn a_namespace_that_is_going_takes_nothing_and_is_asked_once(lab: &Lab, client: &Client) -> Result<()> {
    lab.apply_value(serde_json::to_value(crd::definitions())?).await?;
    lab.namespace("going").await?;
    let host = Host::parse("www.example.com")?;
    let writer = Writer::new(client.clone());
    lab.wait_for("Domains can be made", std::time::Duration::from_secs(60), async || {
        Ok(writer.create_domain("going", &host).await.is_ok().then_some(()))
    })
    .await?;
    let result = writer.create_domain("going", &host).await;
    ensure!(matches!(result, Err(WriteError::Conflict)), "there is one: {result:?}");
    // Something holds the namespace.
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), "going");
    let held = json!({"metadata": {"name": "held", "finalizers": ["example.com/held"]}});
    maps.create(&PostParams::default(), &serde_json::from_value(held)?).await?;
    let namespaces: Api<Namespace> = Api::all(client.clone());
    namespaces.delete("going", &DeleteParams::default()).await?;
    let other = Host::parse("other.example.com")?;
    let result = writer.create_domain("going", &other).await;
    ensure!(matches!(result, Err(WriteError::Gone)), "going: {result:?}");
    let another = json!({"metadata": {"name": "another"}});
    let refused = status(maps.create(&PostParams::default(), &serde_json::from_value(another)?).await)?;
    let causes: Vec<_> = refused.details.iter().flat_map(|details| &details.causes).collect();
    ensure!(refused.code == 403 && causes.iter().any(|c| c.reason == "NamespaceTerminating"), "{refused:?}");
    let result = writer.create_domain("never-was", &other).await;
    ensure!(matches!(result, Err(WriteError::Gone)), "no such namespace: {result:?}");
    let freed = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    maps.patch("held", &PatchParams::default(), &freed).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_refusal_means_is_told_without_its_words() -> Result<()> {
    Lab::with(LabOptions::bare(), async |lab| {
        let client = lab.client().await?;
        a_stale_patch_is_a_conflict_and_a_wrong_one_a_refusal(&client).await?;
        a_namespace_that_is_going_takes_nothing_and_is_asked_once(lab, &client).await
    })
    .await
}
