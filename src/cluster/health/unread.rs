//! The objects of a watch that cannot be read: counted, and named in the log, a few a second.

use std::{
    collections::BTreeMap,
    sync::{MutexGuard, PoisonError},
};

use super::Health;
use crate::{api::read::Unreadable, core::finding::clean, telemetry::sample::Sampler};

/// How many objects a second are named in the log, of each kind; the others are counted.
const TOLD_PER_SECOND: u32 = 5;

/// Those that cannot be read.
#[derive(Debug)]
pub(super) struct Unread {
    /// By namespace and name: why.
    errors: BTreeMap<(String, String), String>,
    told: Sampler,
}

impl Default for Unread {
    fn default() -> Self {
        Self { errors: BTreeMap::new(), told: Sampler::per_second(TOLD_PER_SECOND) }
    }
}

// === impl Health ===

impl Health {
    fn unreadable(&self) -> MutexGuard<'_, Unread> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An object is there and cannot be read. Told once for each reason.
    pub fn cannot_read(&self, found: &Unreadable) {
        let mut unread = self.unreadable();
        let id = (found.namespace().to_owned(), found.name().to_owned());
        if unread.errors.get(&id) == Some(&found.error) {
            return;
        }
        if let Some(unsaid) = unread.told.admit() {
            tracing::warn!(
                kind = self.kind,
                namespace = clean(&id.0),
                name = clean(&id.1),
                error = found.error,
                unsaid = (unsaid > 0).then_some(unsaid),
                "an object cannot be read: what hangs on it stays as it is"
            );
        }
        unread.errors.insert(id, found.error.clone());
    }

    /// An object can be read (again), or is gone.
    pub fn is_read(&self, namespace: &str, name: &str) {
        let mut unread = self.unreadable();
        if unread.errors.is_empty() {
            return;
        }
        if unread.errors.remove(&(namespace.to_owned(), name.to_owned())).is_some() {
            tracing::info!(kind = self.kind, namespace, name, "the object can be read again, or is gone");
        }
    }

    /// All was listed, and each object has a name.
    pub fn all_have_names(&self) {
        self.unreadable().errors.retain(|(_, name), _| !name.is_empty());
    }

    /// How many cannot be read.
    pub fn unread(&self) -> usize {
        self.unreadable().errors.len()
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::EnvFilter;

    use super::*;
    use crate::{
        api::{partial::ingress::Ingress, read::Read},
        telemetry::log::{LogFormat, captured},
    };

    fn odd(name: &str, labels: &str) -> Unreadable {
        let json = format!(r#"{{"metadata": {{"namespace": "n", "name": "{name}", "labels": {labels}}}}}"#);
        *Read::<Ingress>::decode(&json).result().unwrap_err()
    }

    #[test]
    fn what_cannot_be_read_is_named_once_and_counted_until_it_can_be() {
        let health = Health::new("Ingress");
        let text = captured(LogFormat::Text, EnvFilter::new("certgate=info"), || {
            (0..3).for_each(|_| health.cannot_read(&odd("a", "7")));
            assert_eq!(health.unread(), 1);
            health.cannot_read(&odd("a", "[]"));
            assert_eq!(health.unread(), 1);
            (0..2).for_each(|_| health.is_read("n", "a"));
            assert_eq!(health.unread(), 0);
        });
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3, "{text}");
        assert!(lines[0].contains("labels") && lines[0].contains("kind=\"Ingress\""), "{text}");
    }

    #[test]
    fn ten_thousand_of_them_do_not_fill_the_log() {
        let health = Health::new("Ingress");
        let before = std::time::Instant::now();
        let text = captured(LogFormat::Text, EnvFilter::new("certgate=info"), || {
            (0..10_000).for_each(|number| health.cannot_read(&odd(&format!("i-{number}"), "7")));
        });
        let seconds = usize::try_from(before.elapsed().as_secs()).unwrap() + 2;
        assert_eq!(health.unread(), 10_000);
        assert!(text.lines().count() <= seconds * TOLD_PER_SECOND as usize, "{}", text.lines().count());
    }
}
