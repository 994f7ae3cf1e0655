//! [`Watches`]: how the watches of a role are doing. The log, `/readyz`, the
//! metrics and the status page tell it from here, and nothing else keeps count.

mod follow;
mod opened;
mod unread;

use std::{
    collections::BTreeMap,
    error::Error,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use kube::{core::Status, runtime::watcher};
use tokio::sync::watch;

pub use follow::follow;
pub use opened::heard_by;

use unread::Unread;

use crate::core::finding::{clean, in_one_line};

/// How each watch is doing, by the kind of its objects.
#[derive(Debug, Default)]
pub struct Watches(Mutex<BTreeMap<String, Arc<Health>>>);

/// How one watch is doing.
#[derive(Debug)]
pub struct Health {
    kind: String,
    failing: watch::Sender<Option<Failing>>,
    /// When the API server last said something; `None`: it never did.
    heard: Mutex<Option<Instant>>,
    unread: Mutex<Unread>,
}

/// A watch that is not open.
#[derive(Clone, Debug)]
pub struct Failing {
    /// When the API server was last heard before that; where it never was, when it was first seen not to be open.
    pub since: Instant,
    why: String,
}

// === impl Watches ===

impl Watches {
    /// The health of a kind's watch, to be kept up to date.
    pub fn of(&self, kind: &str) -> Arc<Health> {
        self.lock().entry(kind.to_owned()).or_insert_with(|| Arc::new(Health::new(kind))).clone()
    }

    /// Every watch, and for how long it has been failing; zero: all is well.
    pub fn failing_for(&self, now: Instant) -> Vec<(String, Duration)> {
        let since = |health: &Health| health.failing.borrow().as_ref().map(|failing| failing.since);
        let lasts =
            |health: &Health| since(health).map_or(Duration::ZERO, |since| now.saturating_duration_since(since));
        self.lock().iter().map(|(kind, health)| (kind.clone(), lasts(health))).collect()
    }

    /// A line for each watch that is failing.
    pub fn remarks(&self, now: Instant) -> Vec<String> {
        self.lock().values().filter_map(|health| health.remark(now)).collect()
    }

    /// How many objects of each kind are there and cannot be read.
    pub fn unread(&self) -> Vec<(String, usize)> {
        self.lock().iter().map(|(kind, health)| (kind.clone(), health.unread())).collect()
    }

    /// Forgets them all: nothing is watched any more.
    pub fn clear(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Arc<Health>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Health ===

impl Health {
    /// The health of a watch that belongs to no role's [`Watches`]; `kind` is what the log calls it.
    pub fn new(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            failing: watch::Sender::new(None),
            heard: Mutex::default(),
            unread: Mutex::default(),
        }
    }

    /// Is told whenever the watch begins to fail or is well again.
    pub fn subscribe(&self) -> watch::Receiver<Option<Failing>> {
        self.failing.subscribe()
    }

    /// The API server said something, if only that nothing happened.
    pub fn heard(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The watch is open, or its kind was listed.
    pub fn well(&self) {
        self.heard();
        if self.calm() {
            tracing::info!(kind = self.kind, "watching again");
        }
    }

    /// There is nothing to watch, so nothing fails.
    pub fn unwanted(&self) {
        self.calm();
    }

    /// The watch cannot be opened, or broke. One line of the log for a series of failures.
    pub fn failing(&self, error: &(dyn Error + 'static)) {
        let why = words(error);
        // A server that goes silent is found out only after a while, and what is known is as old as its last word.
        let heard = *self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        self.failing.send_if_modified(|failing| {
            let since = failing.as_ref().map(|failing| failing.since);
            if since.is_some() {
                tracing::debug!(kind = self.kind, why, "watch still failing");
            } else {
                tracing::warn!(kind = self.kind, why, "watch failed; trying again");
            }
            *failing = Some(Failing { since: since.or(heard).unwrap_or_else(Instant::now), why });
            since.is_none()
        });
    }

    fn remark(&self, now: Instant) -> Option<String> {
        let Failing { since, why } = self.failing.borrow().clone()?;
        let seconds = now.saturating_duration_since(since).as_secs();
        Some(format!("stale: {} objects cannot be watched for {seconds} s now: {why}", self.kind))
    }

    /// Whether it was failing until now.
    fn calm(&self) -> bool {
        self.failing.send_if_modified(|failing| failing.take().is_some())
    }
}

/// Whether the resource version to go on from is gone (HTTP 410). This is no trouble: one lists again.
/// kube's watcher does so by itself only where the API server says it within the stream.
pub fn is_gone(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        watcher::Error::WatchError(status) => status.code == 410,
        _ => false,
    }
}

/// The API server's own words where there are any: kube adds to them how the answer looks in Rust.
fn words(error: &(dyn Error + 'static)) -> String {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let status = error.downcast_ref::<Box<Status>>().map(AsRef::as_ref);
        if let Some(status) = status.or_else(|| error.downcast_ref::<Status>()) {
            return clean(if status.message.is_empty() { &status.reason } else { &status.message });
        }
        cause = error.source();
    }
    clean(&in_one_line(error))
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;

    use super::*;
    use crate::telemetry::log::{LogFormat, captured};

    fn forbidden() -> kube::Error {
        kube::Error::Api(Box::new(Status::failure("orders is forbidden:\nnot you", "Forbidden").with_code(403)))
    }

    #[test]
    fn a_watch_that_fails_says_so_in_the_servers_words_until_it_is_well() {
        let watches = Watches::default();
        let (order, _) = (watches.of("Order"), watches.of("Ingress"));
        assert!(watches.remarks(Instant::now()).is_empty());
        order.failing(&watcher::Error::InitialListFailed(forbidden()));
        let begun = Instant::now();
        order.failing(&watcher::Error::WatchStartFailed(forbidden()));
        let later = begun + Duration::from_secs(90);
        let [(ingress, none), (orders, long)] = &watches.failing_for(later)[..] else { panic!("two watches") };
        assert_eq!((ingress.as_str(), orders.as_str(), *none), ("Ingress", "Order", Duration::ZERO));
        assert!(*long >= Duration::from_secs(90), "counted from the first failure: {long:?}");
        let remarks = watches.remarks(later);
        assert_eq!(
            remarks,
            ["stale: Order objects cannot be watched for 90 s now: orders is forbidden:\u{fffd}not you"]
        );
        order.well();
        assert!(watches.remarks(later).is_empty());
        assert!(watches.failing_for(later).iter().all(|(_, long)| long.is_zero()));
        watches.clear();
        assert!(watches.failing_for(later).is_empty());
    }

    #[test]
    fn how_old_what_is_known_is_counts_from_the_servers_last_word() {
        let watches = Watches::default();
        let health = watches.of("Domain");
        health.well();
        let word = *health.heard.lock().unwrap();
        for _ in 0..2 {
            health.failing(&watcher::Error::InitialListFailed(forbidden()));
            assert_eq!(health.failing.borrow().as_ref().map(|failing| failing.since), word);
        }
        health.well();
        assert!(*health.heard.lock().unwrap() > word && watches.remarks(Instant::now()).is_empty());
    }

    #[test]
    fn a_series_of_failures_is_told_once_and_so_is_its_end() {
        let health = Health::new("Domain");
        let mut told = health.subscribe();
        let text = captured(LogFormat::Text, EnvFilter::new("certgate=info"), || {
            for failures in [1, 3] {
                (0..failures).for_each(|_| health.failing(&watcher::Error::InitialListFailed(forbidden())));
                let since = told.borrow_and_update().as_ref().map(|failing| failing.since);
                health.failing(&watcher::Error::InitialListFailed(forbidden()));
                assert!(!told.has_changed().unwrap() && told.borrow().as_ref().map(|failing| failing.since) == since);
                (0..2).for_each(|_| health.well());
                assert!(told.has_changed().unwrap() && told.borrow_and_update().is_none());
            }
        });
        let lines: Vec<_> = text.lines().map(|line| (line.contains("WARN"), line.contains("watching again"))).collect();
        assert_eq!(lines, [(true, false), (false, true), (true, false), (false, true)], "{text}");
    }

    #[test]
    fn trouble_on_the_way_to_the_server_is_told_with_its_cause_and_bounded() {
        let cause = std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "refused".repeat(1_000));
        let error = watcher::Error::WatchFailed(kube::Error::ReadEvents(cause));
        let words = words(&error);
        assert!(words.starts_with("watch stream failed: Error reading events stream: refused"), "{words}");
        assert!(words.len() < 300, "{words}");
    }
}
