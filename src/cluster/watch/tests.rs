use futures::channel::mpsc;
use k8s_openapi::api::core::v1::Namespace;
use kube::core::PartialObjectMeta;

use super::*;
use crate::cluster::{
    apply::Writer,
    events::Teller,
    metrics::ControllerMetrics,
    scripted::{by_hand, empty_list, script, status, until},
    world::World,
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
    let kind = run::<PartialObjectMeta<Namespace>>(
        server.client.clone(),
        watcher::Config::default(),
        Presence::Required,
        shared,
        tell,
    );
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
