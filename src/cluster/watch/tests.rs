use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Namespace;

use serde_json::json;

use super::*;
use crate::{
    api::partial::{ingress::Ingress, metadata::Metadata},
    cluster::{
        apply::Writer,
        events::Teller,
        metrics::ControllerMetrics,
        scripted::{by_hand, empty_list, script, status, until},
        world::World,
    },
};

#[tokio::test]
async fn a_watch_is_stale_from_its_failure_to_its_opening_and_not_when_a_version_is_gone() {
    let (writes, mut server) = (script([]), by_hand());
    let teller = Teller::new(writes.client.clone(), "test".into());
    let (jobs, _questions) = mpsc::unbounded();
    let metrics = ControllerMetrics::default();
    let writer = Writer::new(writes.client.clone());
    let shared = Arc::new(Shared::new(World::default(), writer, teller, metrics.clone(), jobs));
    let stale = || metrics.watches().remarks(std::time::Instant::now());
    let (tell, listed) = oneshot::channel();
    let kind =
        run::<Metadata<Namespace>>(server.client.clone(), watcher::Config::default(), Presence::Required, shared, tell);
    let watching = tokio::spawn(kind);

    server.next().await.answer(empty_list());
    tokio::time::timeout(Duration::from_secs(60), listed).await.unwrap().unwrap();
    server.next().await.answer(status(410, "Expired", "too old resource version"));
    let again = server.next().await;
    assert!(!again.is_watch(), "going on from a version that is gone is refused for ever: {}", again.uri);
    assert!(stale().is_empty(), "a version that is gone is no trouble: {:?}", stale());
    again.answer(empty_list());

    server.next().await.answer(status(403, "Forbidden", "not you"));
    until(|| !stale().is_empty()).await;
    let retried = server.next().await;
    assert!(retried.is_watch(), "{}", retried.uri);
    assert!(stale().iter().all(|line| line.ends_with(" s now: not you")), "{:?}", stale());
    retried.open();
    // Nothing changes and nothing is listed: the answer alone tells it.
    until(|| stale().is_empty()).await;
    watching.abort();
}

/// An object that neither has nor had a chance to be read keeps nobody waiting, and is not taken for gone.
#[tokio::test]
async fn an_object_that_cannot_be_read_costs_neither_the_list_nor_what_was_known_of_it() {
    let (writes, mut server) = (script([]), by_hand());
    let teller = Teller::new(writes.client.clone(), "test".into());
    let (jobs, _questions) = mpsc::unbounded();
    let metrics = ControllerMetrics::default();
    let writer = Writer::new(writes.client.clone());
    let shared = Arc::new(Shared::new(World::default(), writer, teller, metrics.clone(), jobs));
    let (tell, listed) = oneshot::channel();
    let kind =
        run::<Ingress>(server.client.clone(), watcher::Config::default(), Presence::Required, shared.clone(), tell);
    let watching = tokio::spawn(kind);
    let unread = || metrics.watches().unread().iter().map(|(_, count)| *count).sum::<usize>();
    let list = |items: serde_json::Value| {
        (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items}))
    };
    let ingress = |name: &str, labels: serde_json::Value| {
        json!({"metadata": {"namespace": "n", "name": name, "uid": name, "resourceVersion": "5",
        "labels": labels, "managedFields": [{"manager": "m", "time": "9999-12-31T23:59:59Z"}]}})
    };
    let there = |name: &str| shared.world().ingress("n", name).is_some();

    server.next().await.answer(list(json!([
        ingress("a", json!({})),
        ingress("odd", json!(7)),
        ingress("b", json!({}))
    ])));
    tokio::time::timeout(Duration::from_secs(60), listed).await.unwrap().unwrap();
    assert!(there("a") && there("b") && !there("odd"));
    assert!(shared.world().has_ingress("n", "odd"), "it is there all the same");
    assert_eq!(unread(), 1);
    // The same list again, in which now another one cannot be read, and one is gone.
    server.next().await.answer(status(410, "Expired", "too old resource version"));
    server.next().await.answer(list(json!([ingress("a", json!("x")), ingress("odd", json!({}))])));
    until(|| there("odd")).await;
    until(|| !there("b")).await;
    assert!(there("a"), "what was known of it holds");
    assert_eq!(unread(), 1);
    // One of which not even the name can be read may be any.
    server.next().await.answer(status(410, "Expired", "too old resource version"));
    server.next().await.answer(list(json!([7, ingress("c", json!({}))])));
    until(|| there("c")).await;
    let opened = server.next().await;
    assert!(opened.is_watch());
    assert!(there("a") && there("odd"));
    opened.answer(status(410, "Expired", "too old resource version"));
    server.next().await.answer(list(json!([ingress("c", json!({}))])));
    until(|| !there("a") && !there("odd")).await;
    assert!(!shared.world().has_ingress("n", "a"));
    assert_eq!(unread(), 0);
    watching.abort();
}
