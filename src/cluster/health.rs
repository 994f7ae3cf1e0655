//! [`Health`]: how one watch is doing.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// Watches that fail say so again at latest after this: the longest pause between attempts, and the attempt itself.
const RETRIED_WITHIN: Duration = Duration::from_secs(60);

/// How one watch is doing.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Failing>>);

#[derive(Clone, Copy, Debug)]
struct Failing {
    since: Instant,
    last: Instant,
}

// === impl Health ===

impl Health {
    /// All is well.
    pub fn well(&self) {
        *self.lock() = None;
    }

    /// Notes a failure; true if it is the first in a row.
    pub fn failing(&self) -> bool {
        let now = Instant::now();
        let mut failing = self.lock();
        let since = failing.filter(|f| now.duration_since(f.last) < RETRIED_WITHIN).map(|f| f.since);
        *failing = Some(Failing { since: since.unwrap_or(now), last: now });
        since.is_none()
    }

    /// For how long it has been failing.
    ///
    /// A watch that resumes and has nothing to report gives no sign of it; one
    /// that still fails does. So silence after the time of a retry means that all is well.
    pub fn failing_for(&self, now: Instant) -> Option<Duration> {
        let failing = (*self.lock())?;
        (now.saturating_duration_since(failing.last) < RETRIED_WITHIN)
            .then(|| now.saturating_duration_since(failing.since))
    }

    fn lock(&self) -> MutexGuard<'_, Option<Failing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
