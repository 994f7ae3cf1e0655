use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, advance, timeout};

use super::*;

/// A key in a namespace of its own.
type Key = (Arc<str>, &'static str);

impl Grouped for Key {
    fn group(&self) -> &Arc<str> {
        &self.0
    }
}

fn key(name: &'static str) -> Key {
    (name.into(), name)
}

fn queue() -> Arc<Queue<Key>> {
    Arc::new(Queue::new(2))
}

async fn next(queue: &Queue<Key>) -> Option<&'static str> {
    queue.next().await.map(|key| key.1)
}

/// Whatever is ready now, without waiting.
async fn ready(queue: &Queue<Key>) -> Option<&'static str> {
    timeout(Duration::from_millis(1), next(queue)).await.ok().flatten()
}

#[tokio::test(start_paused = true)]
async fn a_key_is_in_it_once_at_the_earliest_time() {
    let queue = queue();
    let now = Instant::now();
    queue.add(key("a"), now + Duration::from_secs(60));
    queue.add(key("a"), now + Duration::from_secs(10));
    queue.add(key("a"), now + Duration::from_secs(90));
    assert_eq!(ready(&queue).await, None);
    assert_eq!(next(&queue).await, Some("a"));
    let waited = now.elapsed();
    assert!((Duration::from_secs(10)..Duration::from_secs(11)).contains(&waited), "{waited:?}");
    queue.done(&key("a"));
    assert!(timeout(Duration::from_secs(200), next(&queue)).await.is_err(), "once");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_worked_on_comes_back_only_afterwards() {
    let queue = queue();
    queue.add(key("a"), Instant::now());
    assert_eq!(next(&queue).await, Some("a"));
    queue.add(key("a"), Instant::now());
    queue.add(key("b"), Instant::now());
    assert_eq!(ready(&queue).await, Some("b"), "others are not held up");
    assert_eq!(ready(&queue).await, None);
    let waiter = tokio::spawn({
        let queue = queue.clone();
        async move { next(&queue).await }
    });
    advance(Duration::from_secs(1)).await;
    queue.done(&key("a"));
    assert_eq!(timeout(Duration::from_secs(1), waiter).await.unwrap().unwrap(), Some("a"));
}

#[tokio::test(start_paused = true)]
async fn every_waiting_worker_gets_its_share() {
    let queue = queue();
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let queue = queue.clone();
        workers.spawn(async move { next(&queue).await });
    }
    tokio::task::yield_now().await;
    for key in ["a", "b", "c", "d"] {
        queue.add(self::key(key), Instant::now() + Duration::from_secs(1));
    }
    let mut got: Vec<_> = workers.join_all().await.into_iter().flatten().collect();
    got.sort_unstable();
    assert_eq!(got, ["a", "b", "c", "d"]);
}

#[tokio::test(start_paused = true)]
async fn closing_lets_everybody_go() {
    let queue = queue();
    queue.add(key("later"), Instant::now() + Duration::from_secs(1000));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..3 {
        let queue = queue.clone();
        workers.spawn(async move { next(&queue).await });
    }
    tokio::task::yield_now().await;
    queue.close();
    assert_eq!(timeout(Duration::from_secs(1), workers.join_all()).await.unwrap(), [None, None, None]);
}

#[tokio::test(start_paused = true)]
async fn it_tells_how_full_it_is() {
    let queue = queue();
    let now = Instant::now();
    for (key, after) in [("a", 0), ("b", 0), ("c", 60)] {
        queue.add(self::key(key), now + Duration::from_secs(after));
    }
    assert_eq!(next(&queue).await, Some("a"));
    advance(Duration::from_secs(5)).await;
    let depth = queue.depth();
    assert_eq!((depth.ready, depth.waiting, depth.active, depth.lag), (1, 1, 1, Duration::from_secs(5)));
}
