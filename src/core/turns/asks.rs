//! [`Asks`]: which of the questions to one DNS server is put next. Namespaces take turns, none has more than a share of
//! the places, and questions that may have to wait long for an answer have places of their own.

use std::sync::Arc;

use super::{Ring, Tally, checks::Lane};

/// The questions to one server.
#[derive(Debug)]
pub struct Asks<W> {
    quick: Places<W>,
    slow: Places<W>,
}

/// The questions of one lane.
#[derive(Debug)]
struct Places<W> {
    all: usize,
    share: usize,
    waiting: Ring<Arc<str>, W>,
    busy: usize,
    namespaces: Tally<Arc<str>>,
}

/// A question's place, to be given back by [`Asks::done`].
#[derive(Debug)]
#[must_use]
pub struct Turn {
    lane: Lane,
    namespace: Arc<str>,
}

// === impl Asks ===

impl<W> Asks<W> {
    /// For a server that may be asked so many questions at once. Those of [`Lane::Slow`] come to a quarter of that
    /// beside them.
    pub fn new(at_once: usize) -> Self {
        Self { quick: Places::new(at_once.max(1)), slow: Places::new((at_once / 4).max(1)) }
    }

    /// Lets a question wait for its turn.
    pub fn push(&mut self, namespace: Arc<str>, lane: Lane, waiter: W) {
        self.places(lane).waiting.push(namespace, waiter);
    }

    /// Whether a question could be put.
    pub fn is_ready(&self) -> bool {
        self.quick.is_ready() || self.slow.is_ready()
    }

    /// The question that is put next, if there is a place for one.
    #[expect(clippy::should_implement_trait, reason = "it ends for now, not for good")]
    pub fn next(&mut self) -> Option<(Turn, W)> {
        for lane in [Lane::Quick, Lane::Slow] {
            if let Some((namespace, waiter)) = self.places(lane).take() {
                return Some((Turn { lane, namespace }, waiter));
            }
        }
        None
    }

    /// A question was answered, or is not asked any longer.
    pub fn done(&mut self, turn: &Turn) {
        let places = self.places(turn.lane);
        places.busy = places.busy.saturating_sub(1);
        places.namespaces.remove(&*turn.namespace);
    }

    const fn places(&mut self, lane: Lane) -> &mut Places<W> {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }
}

// === impl Places ===

impl<W> Places<W> {
    fn new(all: usize) -> Self {
        Self { all, share: (all / 2).max(1), waiting: Ring::default(), busy: 0, namespaces: Tally::default() }
    }

    fn may(&self, namespace: &Arc<str>) -> bool {
        self.namespaces.of(&**namespace) < self.share
    }

    fn is_ready(&self) -> bool {
        self.busy < self.all && self.waiting.has(|namespace| self.may(namespace))
    }

    fn take(&mut self) -> Option<(Arc<str>, W)> {
        if self.busy >= self.all {
            return None;
        }
        let (namespaces, share) = (&self.namespaces, self.share);
        let (namespace, waiter) = self.waiting.take(|namespace| namespaces.of(&**namespace) < share)?;
        self.busy += 1;
        self.namespaces.add(namespace.clone());
        Some((namespace, waiter))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn questions_without_answers_take_half_of_the_places_of_their_lane_and_none_of_the_other() {
        let mut asks = Asks::new(32);
        for n in 0..200 {
            asks.push("hostile".into(), Lane::Quick, n);
            asks.push("hostile".into(), Lane::Slow, 1000 + n);
        }
        let held: Vec<_> = std::iter::from_fn(|| asks.next()).collect();
        assert_eq!(held.iter().filter(|(turn, _)| turn.lane == Lane::Quick).count(), 16);
        assert_eq!(held.iter().filter(|(turn, _)| turn.lane == Lane::Slow).count(), 4);
        asks.push("team".into(), Lane::Quick, 9999);
        assert_eq!(asks.next().map(|(_, job)| job), Some(9999));
    }

    proptest! {
        #[test]
        fn places_and_shares_hold_and_turns_are_kept(
            steps in prop::collection::vec((0..4_u8, 0..5_u8, any::<bool>(), any::<usize>()), 1..300), at_once in 1..20_usize
        ) {
            let mut asks = Asks::new(at_once);
            let mut waiting: BTreeMap<(Lane, Arc<str>), usize> = BTreeMap::new();
            let mut held: Vec<Turn> = Vec::new();
            let mut passed: BTreeMap<(Lane, Arc<str>), usize> = BTreeMap::new();
            for (what, namespace, slow, index) in steps {
                let lane = if slow { Lane::Slow } else { Lane::Quick };
                match what {
                    0 | 1 => {
                        let namespace: Arc<str> = Arc::from(format!("n{namespace}"));
                        *waiting.entry((lane, namespace.clone())).or_default() += 1;
                        asks.push(namespace, lane, ());
                    }
                    2 => {
                        let all = |lane| if lane == Lane::Quick { at_once } else { (at_once / 4).max(1) };
                        let busy = |lane| held.iter().filter(|turn| turn.lane == lane).count();
                        let of = |lane, namespace: &Arc<str>| {
                            held.iter().filter(|turn| turn.lane == lane && turn.namespace == *namespace).count()
                        };
                        let able: Vec<(Lane, Arc<str>)> = waiting.keys().filter(|(lane, namespace)| {
                            busy(*lane) < all(*lane) && of(*lane, namespace) < (all(*lane) / 2).max(1)
                        }).cloned().collect();
                        prop_assert_eq!(asks.is_ready(), !able.is_empty());
                        match asks.next() {
                            None => prop_assert!(able.is_empty()),
                            Some((turn, ())) => {
                                let mine = (turn.lane, turn.namespace.clone());
                                prop_assert!(able.contains(&mine));
                                passed.retain(|one, _| able.contains(one) && *one != mine);
                                for one in able.iter().filter(|one| one.0 == mine.0 && **one != mine) {
                                    let count = passed.entry(one.clone()).or_default();
                                    *count += 1;
                                    prop_assert!(*count <= 5);
                                }
                                let count = waiting.get_mut(&mine).unwrap();
                                *count -= 1;
                                if *count == 0 {
                                    waiting.remove(&mine);
                                }
                                held.push(turn);
                            }
                        }
                    }
                    _ if !held.is_empty() => {
                        let turn = held.swap_remove(index % held.len());
                        asks.done(&turn);
                    }
                    _ => {}
                }
            }
            for _ in 0..2000 {
                if let Some((turn, ())) = asks.next() {
                    held.push(turn);
                } else if let Some(turn) = held.pop() {
                    asks.done(&turn);
                }
            }
            for places in [&asks.quick, &asks.slow] {
                prop_assert!(places.waiting.is_empty() && places.busy == 0 && places.namespaces.is_empty());
            }
        }
    }
}
