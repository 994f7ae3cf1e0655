//! Who of those that wait goes next: what is not served yet before what is,
//! and in turns between namespaces, so that nobody's crowd holds up the others.
//!
//! Each order waits at one bucket, the one that has a place for it last. So
//! looking again costs what can go, not all that waits.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::{SignedDuration, Timestamp};

use super::{Ask, Class, Id, Key};

/// How long a re-issue lets first certificates go before it.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// An order that waits.
pub(super) struct Waiting {
    pub(super) ask: Ask,
    /// All buckets in which it needs a place.
    pub(super) keys: Vec<Key>,
    /// The one it waits at.
    at: Key,
}

/// All that wait.
#[derive(Default)]
pub(super) struct Queue {
    waiting: HashMap<Id, Waiting>,
    crowds: HashMap<Key, Crowd>,
    turn: u64,
}

/// Those that wait at one bucket.
struct Crowd {
    /// Before that time nobody here can go.
    wake: Timestamp,
    lines: BTreeMap<Arc<str>, Line>,
}

/// Those of one namespace.
#[derive(Default)]
struct Line {
    /// When it was last its turn.
    served: u64,
    first: BTreeSet<(Timestamp, Id)>,
    again: BTreeSet<(Timestamp, Id)>,
}

/// Lesser goes first.
type Rank = (Class, u64, Timestamp);

// === impl Queue ===

impl Queue {
    pub(super) fn get(&self, id: &Id) -> Option<&Waiting> {
        self.waiting.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Lets an order wait at a bucket where nobody can go before `wake`.
    pub(super) fn park(&mut self, ask: Ask, keys: Vec<Key>, at: Key, wake: Timestamp) {
        let id = ask.id();
        let crowd = self.crowds.entry(at.clone()).or_insert_with(|| Crowd { wake, lines: BTreeMap::new() });
        crowd.wake = wake;
        // Who comes anew goes before nobody that was here.
        let served = crowd.lines.values().map(|line| line.served).min().unwrap_or_default();
        let line = crowd.lines.entry(ask.namespace.clone()).or_insert_with(|| Line { served, ..Line::default() });
        line.of(ask.class).insert((ask.since, id.clone()));
        self.waiting.insert(id, Waiting { ask, keys, at });
    }

    /// Takes an order out.
    pub(super) fn remove(&mut self, id: &Id) -> Option<Waiting> {
        let waiting = self.waiting.remove(id)?;
        if let Some(crowd) = self.crowds.get_mut(&waiting.at) {
            if let Some(line) = crowd.lines.get_mut(&id.0) {
                line.of(waiting.ask.class).remove(&(waiting.ask.since, id.clone()));
            }
            if crowd.lines.values().all(Line::is_empty) {
                self.crowds.remove(&waiting.at);
            }
        }
        Some(waiting)
    }

    /// An order went: its namespace comes last where others wait for the same.
    pub(super) fn served(&mut self, namespace: &Arc<str>, keys: &[Key]) {
        self.turn += 1;
        for key in keys {
            if let Some(line) = self.crowds.get_mut(key).and_then(|crowd| crowd.lines.get_mut(namespace)) {
                line.served = self.turn;
            }
        }
    }

    /// There may be places again in a bucket.
    pub(super) fn open(&mut self, key: &Key) {
        if let Some(crowd) = self.crowds.get_mut(key) {
            crowd.wake = Timestamp::MIN;
        }
    }

    /// There may be places again anywhere.
    pub(super) fn open_all(&mut self) {
        for crowd in self.crowds.values_mut() {
            crowd.wake = Timestamp::MIN;
        }
    }

    /// Who is next of those that may be able to go.
    pub(super) fn next(&self, now: Timestamp) -> Option<Id> {
        let open = self.crowds.values().filter(|crowd| crowd.wake <= now);
        let heads = open.flat_map(|crowd| crowd.lines.values()).filter_map(|line| line.head(now));
        heads.min().map(|(_, id)| id.clone())
    }

    /// Forgets namespaces of which nobody waits any more, and that would not come later than others for what they had.
    pub(super) fn tidy(&mut self) {
        for crowd in self.crowds.values_mut() {
            let waiting = crowd.lines.values().filter(|line| !line.is_empty());
            let least = waiting.map(|line| line.served).min().unwrap_or(u64::MAX);
            crowd.lines.retain(|_, line| !line.is_empty() || line.served > least);
        }
    }

    /// How many wait, and at how many buckets.
    #[cfg(test)]
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.waiting.len(), self.crowds.len()]
    }

    /// When somebody may be able to go.
    pub(super) fn wake(&self) -> Option<Timestamp> {
        self.crowds.values().map(|crowd| crowd.wake).min()
    }

    /// At which bucket an order waits, and how many go before it there.
    pub(super) fn standing(&self, id: &Id) -> Option<(&Key, u32)> {
        let waiting = self.waiting.get(id)?;
        let crowd = self.crowds.get(&waiting.at)?;
        let own = crowd.lines.get(&id.0)?;
        let entry = (waiting.ask.since, id.clone());
        let mine = match waiting.ask.class {
            Class::First => own.first.range(..&entry).count(),
            Class::Again => own.first.len() + own.again.range(..&entry).count(),
        };
        // In turns: as many of each other namespace as of one's own, and one more of those that come before.
        let ahead = |(namespace, line): (&Arc<str>, &Line)| {
            let len = match waiting.ask.class {
                Class::First => line.first.len(),
                Class::Again => line.first.len() + line.again.len(),
            };
            len.min(mine + usize::from(line.served < own.served || (line.served == own.served && *namespace < id.0)))
        };
        let others: usize = crowd.lines.iter().filter(|(namespace, _)| **namespace != id.0).map(ahead).sum();
        Some((&waiting.at, u32::try_from(mine + others).unwrap_or(u32::MAX)))
    }
}

// === impl Line ===

impl Line {
    const fn of(&mut self, class: Class) -> &mut BTreeSet<(Timestamp, Id)> {
        match class {
            Class::First => &mut self.first,
            Class::Again => &mut self.again,
        }
    }

    fn is_empty(&self) -> bool {
        self.first.is_empty() && self.again.is_empty()
    }

    /// Who of the namespace is next.
    fn head(&self, now: Timestamp) -> Option<(Rank, &Id)> {
        let first = self.first.first().map(|(since, id)| ((Class::First, self.served, *since), id));
        let again = self.again.first().map(|(since, id)| {
            let class = if since.duration_until(now) >= PATIENCE { Class::First } else { Class::Again };
            ((class, self.served, *since), id)
        });
        first.into_iter().chain(again).min()
    }
}
