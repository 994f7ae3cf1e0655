//! Whose turn it is. Work of many namespaces goes in turns between them, so that nobody waits behind a stranger's crowd.
//!
//! Plain state: time is an argument, and nothing here waits. [`agenda`] is the controller's work, [`checks`] what is
//! asked of pre-flight, [`asks`] the questions to one DNS server.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
};

pub mod agenda;
pub mod asks;
pub mod checks;

/// Jobs in groups that take turns. Within a group the first to come is the first to go.
#[derive(Debug)]
pub struct Ring<G, J> {
    /// None is empty.
    lines: HashMap<G, VecDeque<J>>,
    /// Each group with a line, once. The first is the next.
    order: VecDeque<G>,
    len: usize,
}

// === impl Ring ===

impl<G, J> Default for Ring<G, J> {
    fn default() -> Self {
        Self { lines: HashMap::new(), order: VecDeque::new(), len: 0 }
    }
}

impl<G: Clone + Eq + Hash, J> Ring<G, J> {
    /// Puts a job at the end of its group's line. A group without a line comes last.
    pub fn push(&mut self, group: G, job: J) {
        self.len += 1;
        match self.lines.get_mut(&group) {
            Some(line) => line.push_back(job),
            None => {
                self.lines.insert(group.clone(), VecDeque::from([job]));
                self.order.push_back(group);
            }
        }
    }

    /// Takes a job of the first group that may go, which comes last then. Who is passed over keeps its place.
    pub fn take(&mut self, may: impl Fn(&G) -> bool) -> Option<(G, J)> {
        let at = self.order.iter().position(may)?;
        let group = self.order.remove(at)?;
        let line = self.lines.get_mut(&group)?;
        let job = line.pop_front()?;
        self.len -= 1;
        if line.is_empty() {
            self.lines.remove(&group);
        } else {
            self.order.push_back(group.clone());
        }
        Some((group, job))
    }

    /// Forgets jobs.
    pub fn retain(&mut self, mut keep: impl FnMut(&J) -> bool) {
        self.lines.retain(|_, line| {
            line.retain(&mut keep);
            !line.is_empty()
        });
        let lines = &self.lines;
        self.order.retain(|group| lines.contains_key(group));
        self.len = lines.values().map(VecDeque::len).sum();
    }

    /// Whether a group that may go has a job.
    pub fn has(&self, may: impl Fn(&G) -> bool) -> bool {
        self.order.iter().any(may)
    }

    /// How many jobs wait.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether none waits.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// How many of each there are; what there is none of takes no memory.
#[derive(Debug)]
pub struct Tally<K>(HashMap<K, usize>);

// === impl Tally ===

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash> Tally<K> {
    /// One more.
    pub fn add(&mut self, key: K) {
        *self.0.entry(key).or_default() += 1;
    }

    /// One less.
    pub fn remove<Q>(&mut self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(count) = self.0.get_mut(key) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.0.remove(key);
            }
        }
    }

    /// How many.
    pub fn of<Q>(&self, key: &Q) -> usize
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key).copied().unwrap_or_default()
    }

    /// Whether there are none at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
