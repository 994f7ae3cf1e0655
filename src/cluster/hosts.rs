//! [`follow`]: the hosts as the status page shows them. A watch of its own, since
//! a replica that does not lead shows them too, and has no world.

use std::{convert::Infallible, sync::Arc, time::Duration};

use futures::FutureExt as _;
use jiff::{SignedDuration, Timestamp};
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        reflector::{ObjectRef, Store, store},
        watcher::{self, Event, watcher},
    },
};
use tokio::sync::{Notify, watch};

use super::{
    health::{self, Failing, Health},
    watch::patience,
};
use crate::{
    api::{
        domain::Domain,
        read::{Read, Unreadable},
    },
    page::Seen,
    status::rows,
};

/// Changes that come together are shown together; and a watch that is open again by then was never away.
const SETTLE: Duration = Duration::from_secs(1);

/// Follows the Domains of the cluster for ever: what is seen, and the task that keeps it.
pub fn follow(client: Client) -> (watch::Receiver<Seen>, impl Future<Output = Infallible>) {
    let (tell, seen) = watch::channel(Seen::default());
    let task = async move {
        let health = Arc::new(Health::new("Domain (status page)"));
        let mut failing = health.subscribe();
        let (reader, mut writer) = store();
        let api = Api::<Read<Domain>>::all(health::heard_by(client, health.clone()));
        let start = move || watcher(api.clone(), watcher::Config::default()).backoff(patience());
        let (changed, never) = (Notify::new(), Notify::new());
        let mut listed = false;
        let noted = health.clone();
        let take = |event: Event<Read<Domain>>| {
            let Some(event) = known(event, &reader, &noted) else { return };
            writer.apply_watcher_event(&event);
            listed |= matches!(event, Event::InitDone);
            // A listing is taken in as a whole, when it is done.
            if listed && !matches!(event, Event::Init | Event::InitApply(_)) {
                changed.notify_one();
            }
        };
        let show = async {
            loop {
                let mut anew = tokio::select! {
                    () = changed.notified() => true,
                    // The health lives as long as the watch does.
                    _ = failing.changed() => false,
                };
                tokio::time::sleep(SETTLE).await;
                // What a listing brought is not called fresh before it is shown.
                anew |= changed.notified().now_or_never().is_some();
                let rows = anew.then(|| Arc::new(rows(reader.state().iter().map(Arc::as_ref))));
                let stale_since = failing.borrow_and_update().as_ref().map(began);
                tell.send_if_modified(|seen| {
                    let differs = rows.is_some() || seen.stale_since.is_some() != stale_since.is_some();
                    seen.rows = rows.or_else(|| seen.rows.take());
                    // Told once, a time stays: what follows counts from the same failure.
                    seen.stale_since = stale_since.map(|since| seen.stale_since.unwrap_or(since));
                    differs
                });
            }
        };
        tokio::select! {
            never = health::follow(start, take, health, &never) => never,
            never = show => never,
        }
    };
    (seen, task)
}

/// What an event says of a Domain: of one that cannot be read, that it is as it was.
pub fn known(event: Event<Read<Domain>>, seen: &Store<Domain>, health: &Health) -> Option<Event<Domain>> {
    let as_it_was = |found: &Unreadable| {
        health.cannot_read(found);
        let kept = seen.get(&ObjectRef::new(found.name()).within(found.namespace()));
        kept.map(|domain| Domain::clone(&domain))
    };
    let is_read = |domain: &Domain| {
        let meta = &domain.metadata;
        health.is_read(meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
    };
    match event {
        Event::Init => Some(Event::Init),
        Event::InitDone => Some(Event::InitDone),
        Event::InitApply(Read::Object(domain)) => {
            is_read(&domain);
            Some(Event::InitApply(domain))
        }
        Event::Apply(Read::Object(domain)) => {
            is_read(&domain);
            Some(Event::Apply(domain))
        }
        Event::Delete(Read::Object(domain)) => {
            is_read(&domain);
            Some(Event::Delete(domain))
        }
        Event::InitApply(Read::Unreadable(found)) => as_it_was(&found).map(Event::InitApply),
        Event::Apply(Read::Unreadable(found)) => as_it_was(&found).map(Event::Apply),
        Event::Delete(Read::Unreadable(found)) => {
            health.is_read(found.namespace(), found.name());
            let kept = seen.get(&ObjectRef::new(found.name()).within(found.namespace()));
            kept.map(|domain| Event::Delete(Domain::clone(&domain)))
        }
    }
}

/// When a watch began to fail, as people tell time.
fn began(failing: &Failing) -> Timestamp {
    let lasting = SignedDuration::try_from(failing.since.elapsed()).unwrap_or(SignedDuration::MAX);
    Timestamp::now().saturating_sub(lasting).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::scripted::{by_hand, status};

    fn list(hosts: &[&str]) -> (u16, serde_json::Value) {
        let item = |host: &&str| {
            json!({
                "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
                "metadata": {"namespace": "team-a", "name": host, "resourceVersion": "5"}, "spec": {"host": host},
            })
        };
        let items: Vec<_> = hosts.iter().map(item).collect();
        (200, json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": "7"}, "items": items}))
    }

    /// The hosts seen, `None` while they are not listed, and whether they are stale.
    fn told(seen: &Seen) -> (Option<Vec<&str>>, bool) {
        let hosts = seen.rows.as_ref().map(|rows| rows.iter().map(|row| row.host.as_str()).collect());
        (hosts, seen.stale_since.is_some())
    }

    /// What is seen once it is so.
    async fn once(seen: &mut watch::Receiver<Seen>, holds: impl Fn(&Seen) -> bool) -> Seen {
        let met = tokio::time::timeout(Duration::from_secs(60), seen.wait_for(holds)).await;
        met.expect("seen in time").unwrap().clone()
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_seen_is_stale_from_the_first_failure_until_the_watch_is_open_again() {
        let mut server = by_hand();
        let (mut seen, task) = follow(server.client.clone());
        let task = tokio::spawn(task);
        let begun = Timestamp::now();
        assert_eq!(told(&seen.borrow()), (None, false));

        server.next().await.answer(status(503, "ServiceUnavailable", "not yet"));
        let stale = once(&mut seen, |seen| seen.stale_since.is_some()).await;
        assert_eq!(told(&stale), (None, true), "nothing was listed");

        server.next().await.answer(list(&["www.example.com"]));
        let listed = once(&mut seen, |seen| seen.rows.is_some()).await;
        assert_eq!(told(&listed), (Some(vec!["www.example.com"]), false));

        // Refused twice: it stays the time of the first.
        server.next().await.answer(status(503, "ServiceUnavailable", "gone"));
        let first = once(&mut seen, |seen| seen.stale_since.is_some()).await;
        assert_eq!(told(&first), (Some(vec!["www.example.com"]), true), "what was seen is still shown");
        assert!(first.stale_since.is_some_and(|since| since >= begun && since <= Timestamp::now()), "{first:?}");
        server.next().await.answer(status(503, "ServiceUnavailable", "still gone"));
        let again = server.next().await;
        assert!(again.is_watch(), "{}", again.uri);
        assert_eq!(seen.borrow().stale_since, first.stale_since);

        again.open();
        let well = once(&mut seen, |seen| seen.stale_since.is_none()).await;
        assert_eq!(told(&well), (Some(vec!["www.example.com"]), false), "open, though it has nothing to tell");
        task.abort();
    }
}
