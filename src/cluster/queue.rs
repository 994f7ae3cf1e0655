//! [`Queue`]: the workers' way to the [`Agenda`], which decides whose turn it is; here are the clock and the waiting.
//!
//! Not kube's scheduler, which knows no turns and cannot tell how many wait and for how long.

use std::{
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::core::turns::agenda::{Agenda, Grouped};

/// A deduplicating delay queue in which namespaces take turns. Shared by reference.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    agenda: Agenda<K, Instant>,
    closed: bool,
}

/// How full the queue is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Depth {
    /// Keys whose time has come and that nobody works on yet.
    pub ready: usize,
    /// Keys that wait for their time.
    pub waiting: usize,
    /// Keys being worked on.
    pub active: usize,
    /// How long the first of the ready ones has been ready.
    pub lag: Duration,
}

// === impl Queue ===

impl<K: Grouped + Clone + Ord + Hash> Queue<K> {
    /// An empty one. `share`: the most keys of one namespace that are worked on at once.
    pub fn new(share: usize) -> Self {
        let state = State { agenda: Agenda::new(share), closed: false };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // The state is whole between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a key at a time, or earlier if it was asked for earlier.
    pub fn add(&self, key: K, at: Instant) {
        self.lock().agenda.add(key, at);
        self.changed.notify_one();
    }

    /// The next key whose time has come; `None` once the queue is closed. To be followed by [`Queue::done`].
    pub async fn next(&self) -> Option<K> {
        loop {
            let changed = self.changed.notified();
            let wait = {
                let mut state = self.lock();
                if state.closed {
                    return None;
                }
                if let Some(key) = state.agenda.next(Instant::now()) {
                    drop(state);
                    // There may be more; one waiter wakes the next.
                    self.changed.notify_one();
                    return Some(key);
                }
                state.agenda.wake()
            };
            match wait {
                None => changed.await,
                Some(at) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(at) => {}
                },
            }
        }
    }

    /// Work on a key has ended.
    pub fn done(&self, key: &K) {
        self.lock().agenda.done(key);
        self.changed.notify_one();
    }

    /// Lets all that wait in [`Queue::next`] go.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_waiters();
        self.changed.notify_one();
    }

    /// How full the queue is.
    pub fn depth(&self) -> Depth {
        let now = Instant::now();
        let fill = self.lock().agenda.fill(now);
        Depth {
            ready: fill.ready,
            waiting: fill.waiting,
            active: fill.active,
            lag: fill.since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since)),
        }
    }
}

#[cfg(test)]
mod tests;
