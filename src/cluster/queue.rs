//! [`Queue`]: whose turn it is. A key is in it once, at the earliest time asked
//! for; while it is worked on it is given to nobody else, and asked for again
//! it comes back afterwards.
//!
//! Not kube's scheduler, which cannot tell how many wait and for how long.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    hash::Hash,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

/// A deduplicating delay queue. Shared by reference.
pub struct Queue<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    /// When each waiting key is due.
    due: HashMap<K, Instant>,
    /// The same by time.
    order: BTreeSet<(Instant, K)>,
    /// Keys being worked on.
    active: HashSet<K>,
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

impl<K: Clone + Ord + Hash> Default for Queue<K> {
    fn default() -> Self {
        let state = State { due: HashMap::new(), order: BTreeSet::new(), active: HashSet::new(), closed: false };
        Self { state: Mutex::new(state), changed: Notify::new() }
    }
}

impl<K: Clone + Ord + Hash> Queue<K> {
    fn lock(&self) -> MutexGuard<'_, State<K>> {
        // The state is whole between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a key at a time, or earlier if it was asked for earlier.
    pub fn add(&self, key: K, at: Instant) {
        let mut state = self.lock();
        match state.due.get(&key) {
            Some(earlier) if *earlier <= at => return,
            Some(later) => {
                let old = (*later, key.clone());
                state.order.remove(&old);
            }
            None => {}
        }
        state.order.insert((at, key.clone()));
        state.due.insert(key, at);
        drop(state);
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
                let now = Instant::now();
                let ready = state.order.iter().take_while(|(at, _)| *at <= now);
                let free = ready.filter(|(_, key)| !state.active.contains(key)).map(|(_, key)| key.clone()).next();
                if let Some(key) = free {
                    state.take(&key);
                    state.active.insert(key.clone());
                    drop(state);
                    // There may be more; one waiter wakes the next.
                    self.changed.notify_one();
                    return Some(key);
                }
                state.order.iter().map(|(at, _)| *at).find(|at| *at > now)
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
        self.lock().active.remove(key);
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
        let state = self.lock();
        let now = Instant::now();
        let ready = || state.order.iter().take_while(|(at, _)| *at <= now);
        let count = ready().count();
        Depth {
            ready: count,
            waiting: state.order.len() - count,
            active: state.active.len(),
            lag: ready().next().map_or(Duration::ZERO, |(at, _)| now - *at),
        }
    }
}

impl<K: Clone + Ord + Hash> State<K> {
    fn take(&mut self, key: &K) {
        if let Some(at) = self.due.remove(key) {
            self.order.remove(&(at, key.clone()));
        }
    }
}

#[cfg(test)]
mod tests;
