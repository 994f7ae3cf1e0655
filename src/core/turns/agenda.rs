//! [`Agenda`]: the controller's work. A key is in it once, at the earliest time asked for; while it is worked on it is
//! given to nobody else, and asked for again it comes back afterwards. Namespaces take turns, and none has more than a
//! share of the workers.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    hash::Hash,
    sync::Arc,
};

/// What belongs to a namespace.
pub trait Grouped {
    /// The namespace.
    fn group(&self) -> &Arc<str>;
}

/// Work, by due time and in turns.
#[derive(Debug)]
pub struct Agenda<K, T> {
    /// The most keys of one namespace that are worked on at once.
    share: usize,
    /// When each key that waits is due.
    due: HashMap<K, T>,
    /// Keys whose time has not come.
    later: BTreeSet<(T, K)>,
    /// Namespaces with keys that are due or worked on.
    lines: HashMap<Arc<str>, Line<K, T>>,
    /// Namespaces that can be served, each once. The first is the next.
    order: VecDeque<Arc<str>>,
    /// Keys being worked on.
    active: HashSet<K>,
    /// Of those, the ones that come back, and when.
    again: HashMap<K, T>,
    ready: usize,
}

/// Keys of one namespace.
#[derive(Debug)]
struct Line<K, T> {
    /// Those that are due.
    ready: BTreeSet<(T, K)>,
    /// How many are worked on.
    active: usize,
    /// It stands in the order.
    queued: bool,
}

/// How full an agenda is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill<T> {
    /// Keys that are due and that nobody works on yet.
    pub ready: usize,
    /// Keys that wait for their time.
    pub waiting: usize,
    /// Keys being worked on.
    pub active: usize,
    /// When the first of those that are due was due.
    pub since: Option<T>,
}

// === impl Agenda ===

impl<K: Grouped + Clone + Ord + Hash, T: Copy + Ord> Agenda<K, T> {
    /// An empty one. `share`: the most keys of one namespace that are worked on at once.
    pub fn new(share: usize) -> Self {
        Self {
            share: share.max(1),
            due: HashMap::new(),
            later: BTreeSet::new(),
            lines: HashMap::new(),
            order: VecDeque::new(),
            active: HashSet::new(),
            again: HashMap::new(),
            ready: 0,
        }
    }

    /// Asks for a key at a time, or earlier if it was asked for earlier.
    pub fn add(&mut self, key: K, at: T) {
        if self.active.contains(&key) {
            let again = self.again.entry(key).or_insert(at);
            *again = at.min(*again);
            return;
        }
        match self.due.get(&key) {
            Some(earlier) if *earlier <= at => return,
            // One that is due already has an earlier time than any that may still be asked for, or stays in its line.
            Some(later) if !self.later.remove(&(*later, key.clone())) => return,
            _ => {}
        }
        self.later.insert((at, key.clone()));
        self.due.insert(key, at);
    }

    /// The next key that is due, which is worked on from now on.
    pub fn next(&mut self, now: T) -> Option<K> {
        self.promote(now);
        while let Some(group) = self.order.pop_front() {
            let Some(line) = self.lines.get_mut(&group) else { continue };
            line.queued = false;
            if line.active >= self.share {
                continue;
            }
            let Some((_, key)) = line.ready.pop_first() else { continue };
            line.active += 1;
            if line.active < self.share && !line.ready.is_empty() {
                line.queued = true;
                self.order.push_back(group);
            }
            self.ready -= 1;
            self.due.remove(&key);
            self.active.insert(key.clone());
            return Some(key);
        }
        None
    }

    /// Work on a key has ended.
    pub fn done(&mut self, key: &K) {
        if !self.active.remove(key) {
            return;
        }
        let group = key.group();
        if let Some(line) = self.lines.get_mut(group) {
            line.active = line.active.saturating_sub(1);
            if !line.ready.is_empty() && !line.queued {
                line.queued = true;
                self.order.push_back(group.clone());
            }
            if line.ready.is_empty() && line.active == 0 {
                self.lines.remove(group);
            }
        }
        if let Some(at) = self.again.remove(key) {
            self.add(key.clone(), at);
        }
    }

    /// When the next key becomes due.
    pub fn wake(&self) -> Option<T> {
        self.later.first().map(|(at, _)| *at)
    }

    /// How full it is.
    pub fn fill(&mut self, now: T) -> Fill<T> {
        self.promote(now);
        Fill {
            ready: self.ready,
            waiting: self.later.len() + self.again.len(),
            active: self.active.len(),
            since: self.lines.values().filter_map(|line| line.ready.first()).map(|(at, _)| *at).min(),
        }
    }

    /// Lines up what has become due.
    fn promote(&mut self, now: T) {
        while self.later.first().is_some_and(|(at, _)| *at <= now) {
            let Some((at, key)) = self.later.pop_first() else { return };
            let group = key.group().clone();
            let line = self.lines.entry(group.clone()).or_insert_with(|| Line {
                ready: BTreeSet::new(),
                active: 0,
                queued: false,
            });
            line.ready.insert((at, key));
            self.ready += 1;
            if !line.queued && line.active < self.share {
                line.queued = true;
                self.order.push_back(group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Key = (Arc<str>, u8);

    impl Grouped for Key {
        fn group(&self) -> &Arc<str> {
            &self.0
        }
    }

    fn key(group: u8, number: u8) -> Key {
        (Arc::from(format!("n{group}")), number)
    }

    fn is_empty(agenda: &Agenda<Key, u32>) -> bool {
        agenda.due.is_empty()
            && agenda.later.is_empty()
            && agenda.lines.is_empty()
            && agenda.active.is_empty()
            && agenda.again.is_empty()
            && agenda.ready == 0
    }

    #[test]
    fn a_crowd_of_one_namespace_holds_up_nobody() {
        let mut agenda = Agenda::new(4);
        for number in 0..200 {
            agenda.add(key(0, number), 0);
        }
        assert_eq!((0..8).filter_map(|_| agenda.next(1)).count(), 4, "half of eight workers, and no more");
        agenda.add(key(1, 0), 1);
        assert_eq!(agenda.next(1), Some(key(1, 0)), "at once");
    }

    #[derive(Clone, Debug)]
    enum Step {
        Add(u8, u8, u32),
        Next,
        Done(usize),
        Pass(u32),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            3 => (0..5_u8, 0..6_u8, 0..20_u32).prop_map(|(group, number, after)| Step::Add(group, number, after)),
            3 => Just(Step::Next),
            2 => any::<usize>().prop_map(Step::Done),
            1 => (0..10_u32).prop_map(Step::Pass),
        ]
    }

    proptest! {
        /// Against a list of what was asked for: nothing is lost or given twice, shares hold, turns are kept.
        #[test]
        fn it_keeps_its_promises(steps in prop::collection::vec(step(), 1..200), share in 1..4_usize) {
            let mut agenda = Agenda::new(share);
            let mut now = 0;
            let mut wanted: BTreeMap<Key, u32> = BTreeMap::new();
            let mut active: Vec<Key> = Vec::new();
            // How many grants each namespace that could have been served has seen go elsewhere.
            let mut passed: BTreeMap<Arc<str>, usize> = BTreeMap::new();
            for step in steps {
                match step {
                    Step::Add(group, number, after) => {
                        let (key, at) = (key(group, number), now + after);
                        agenda.add(key.clone(), at);
                        let known = wanted.entry(key).or_insert(at);
                        *known = at.min(*known);
                    }
                    Step::Next => {
                        let busy = |group: &Arc<str>| active.iter().filter(|key| key.0 == *group).count();
                        let able: BTreeSet<Arc<str>> = wanted
                            .iter()
                            .filter(|(key, at)| **at <= now && !active.contains(key) && busy(&key.0) < share)
                            .map(|(key, _)| key.0.clone())
                            .collect();
                        match agenda.next(now) {
                            None => prop_assert!(able.is_empty(), "{able:?} could be served"),
                            Some(key) => {
                                prop_assert!(able.contains(&key.0), "{key:?} may not go");
                                prop_assert!(wanted.get(&key).is_some_and(|at| *at <= now));
                                passed.retain(|group, _| able.contains(group) && *group != key.0);
                                for group in able.iter().filter(|group| **group != key.0) {
                                    let count = passed.entry(group.clone()).or_default();
                                    *count += 1;
                                    prop_assert!(*count <= 5, "{group} waits though it has a turn in five");
                                }
                                wanted.remove(&key);
                                active.push(key);
                            }
                        }
                    }
                    Step::Done(index) if !active.is_empty() => {
                        let key = active.swap_remove(index % active.len());
                        agenda.done(&key);
                    }
                    Step::Done(_) => {}
                    Step::Pass(time) => now += time,
                }
                let fill = agenda.fill(now);
                prop_assert_eq!(fill.active, active.len());
                prop_assert_eq!(fill.ready + fill.waiting, wanted.len());
                for group in active.iter().map(|key| &key.0) {
                    prop_assert!(active.iter().filter(|key| key.0 == *group).count() <= share);
                }
            }
            // All that was asked for comes, and then no memory is kept.
            now += 100;
            for _ in 0..1000 {
                if let Some(key) = agenda.next(now) {
                    prop_assert!(wanted.remove(&key).is_some());
                    active.push(key);
                } else if let Some(key) = active.pop() {
                    agenda.done(&key);
                }
            }
            prop_assert!(wanted.is_empty() && is_empty(&agenda), "{agenda:?}");
        }
    }
}
