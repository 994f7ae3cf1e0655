//! [`Seats`]: who has a connection, and who has to go where there are too many.
//!
//! Anybody in the cluster may connect, and nobody is known before the request has come. So nobody is kept out because
//! others came first: who comes always gets a seat, and where there is none left it is another's. First it is that of
//! somebody who was never answered, the oldest of the address that has most of those; where all were answered, that of
//! the address with most connections whose peer has been silent longest. An API server that works is in no danger from
//! either: its new connections are answered in moments, and its kept ones are few beside those of whoever fills the house.

use std::{
    cmp::Reverse,
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

/// File descriptors that other things than connections need.
const OTHER_FILES: usize = 256;
/// However few descriptors there are.
const MIN_SEATS: usize = 64;

/// How many there may be.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Connections in all.
    pub all: usize,
    /// Connections of one address that were never answered.
    pub unanswered: usize,
}

/// The connections there are. Plain state, without a clock.
#[derive(Debug)]
pub struct Seats {
    bounds: Bounds,
    /// Numbers rise, so that a lesser one is older.
    next: u64,
    taken: HashMap<u64, IpAddr>,
    sources: HashMap<IpAddr, Source>,
    /// Addresses by how many of their connections were never answered, and the oldest of these.
    unanswered: BTreeSet<(usize, Reverse<u64>, IpAddr)>,
    /// Addresses by how many connections they have.
    crowds: BTreeSet<(usize, IpAddr)>,
}

/// The connections of an address.
#[derive(Debug, Default)]
struct Source {
    unanswered: BTreeSet<u64>,
    answered: BTreeSet<u64>,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { all: 2048, unanswered: 1024 }
    }
}

// === impl Bounds ===

impl Bounds {
    /// As many as so many file descriptors are enough for, with some left for everything else.
    #[must_use]
    pub fn within(self, files: usize) -> Self {
        let all = self.all.min(files.saturating_sub(OTHER_FILES)).max(MIN_SEATS);
        Self { all, unanswered: self.unanswered.min((all / 2).max(1)) }
    }
}

// === impl Seats ===

impl Seats {
    /// All are free.
    pub fn new(bounds: Bounds) -> Self {
        Self {
            bounds,
            next: 0,
            taken: HashMap::new(),
            sources: HashMap::new(),
            unanswered: BTreeSet::new(),
            crowds: BTreeSet::new(),
        }
    }

    /// Somebody comes: the seat's number, and whose seat it was, if it was one's. `silent`: for how long a connection has
    /// been waiting for its peer.
    pub fn take(&mut self, address: IpAddr, silent: impl Fn(u64) -> Duration) -> (u64, Option<u64>) {
        let pushy = self.sources.get(&address).map_or(0, |source| source.unanswered.len()) >= self.bounds.unanswered;
        let leaves = if pushy {
            self.sources.get(&address).and_then(|source| source.unanswered.first()).copied()
        } else if self.taken.len() >= self.bounds.all {
            self.dispensable(silent)
        } else {
            None
        };
        if let Some(seat) = leaves {
            self.leave(seat);
        }
        let seat = self.next;
        self.next += 1;
        self.taken.insert(seat, address);
        self.change(address, |source| {
            source.unanswered.insert(seat);
        });
        (seat, leaves)
    }

    /// Who would have to go. `silent`: as above.
    pub fn dispensable(&self, silent: impl Fn(u64) -> Duration) -> Option<u64> {
        if let Some((_, Reverse(oldest), _)) = self.unanswered.last() {
            return Some(*oldest);
        }
        let (_, address) = self.crowds.last()?;
        let seats = &self.sources.get(address)?.answered;
        seats.iter().copied().max_by_key(|seat| (silent(*seat), Reverse(*seat)))
    }

    /// A connection was answered.
    pub fn answered(&mut self, seat: u64) {
        if let Some(address) = self.taken.get(&seat).copied() {
            self.change(address, |source| {
                source.unanswered.remove(&seat);
                source.answered.insert(seat);
            });
        }
    }

    /// A connection is over.
    pub fn leave(&mut self, seat: u64) {
        if let Some(address) = self.taken.remove(&seat) {
            self.change(address, |source| {
                source.unanswered.remove(&seat);
                source.answered.remove(&seat);
            });
        }
    }

    fn change(&mut self, address: IpAddr, change: impl FnOnce(&mut Source)) {
        let source = self.sources.entry(address).or_default();
        if let Some(rank) = source.rank(address) {
            self.unanswered.remove(&rank);
        }
        self.crowds.remove(&(source.len(), address));
        change(source);
        if let Some(rank) = source.rank(address) {
            self.unanswered.insert(rank);
        }
        if source.len() > 0 {
            self.crowds.insert((source.len(), address));
        } else {
            self.sources.remove(&address);
        }
    }
}

// === impl Source ===

impl Source {
    fn len(&self) -> usize {
        self.unanswered.len() + self.answered.len()
    }

    fn rank(&self, address: IpAddr) -> Option<(usize, Reverse<u64>, IpAddr)> {
        self.unanswered.first().map(|oldest| (self.unanswered.len(), Reverse(*oldest), address))
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, net::Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    fn seats(all: usize, unanswered: usize) -> Seats {
        Seats::new(Bounds { all, unanswered })
    }

    /// In order of their numbers: who came first is silent longest.
    fn by_age(seat: u64) -> Duration {
        Duration::from_secs(1_000_000 - seat)
    }

    #[test]
    fn who_was_never_answered_goes_first_and_of_these_the_oldest_of_who_has_most() {
        let mut seats = seats(6, 100);
        let (server, _) = seats.take(address(1), by_age);
        seats.answered(server);
        let (fresh, _) = seats.take(address(1), by_age);
        let crowd: Vec<u64> = (0..4).map(|_| seats.take(address(2), by_age).0).collect();
        assert_eq!(seats.take(address(3), by_age).1, Some(crowd[0]));
        assert_eq!(seats.take(address(2), by_age).1, Some(crowd[1]));
        seats.answered(fresh);
        for next in &crowd[2..] {
            assert_eq!(seats.take(address(2), by_age).1, Some(*next));
        }
    }

    #[test]
    fn one_that_only_asks_to_be_kept_gives_way_to_the_api_server() {
        let mut seats = seats(4, 100);
        let crowd: Vec<u64> = (0..4).map(|_| seats.take(address(2), by_age).0).collect();
        crowd.iter().for_each(|seat| seats.answered(*seat));
        let (server, gone) = seats.take(address(1), by_age);
        assert_eq!(gone, Some(crowd[0]), "silent longest");
        seats.answered(server);
        // However silent the API server itself is meanwhile.
        let silent = |seat| if seat == server { Duration::from_secs(9_999_999) } else { by_age(seat) };
        for expected in &crowd[1..3] {
            let (another, gone) = seats.take(address(1), silent);
            assert_eq!(gone, Some(*expected));
            seats.answered(another);
        }
    }

    #[test]
    fn one_address_has_no_more_than_so_many_that_were_never_answered() {
        let mut seats = seats(100, 3);
        let (first, _) = seats.take(address(1), by_age);
        let (second, _) = seats.take(address(1), by_age);
        seats.answered(first);
        seats.take(address(1), by_age);
        assert_eq!(seats.take(address(1), by_age).1, None);
        assert_eq!(seats.take(address(1), by_age).1, Some(second));
        assert_eq!(seats.take(address(2), by_age).1, None);
    }

    proptest! {
        #[test]
        fn everybody_gets_a_seat_bounds_hold_and_nothing_is_kept_of_who_left(
            steps in prop::collection::vec((0..4_u8, 0..5_u8, any::<usize>()), 1..300), all in 1..12_usize, unanswered in 1..6_usize
        ) {
            let mut seats = seats(all, unanswered);
            // By number: the address, and whether it was answered.
            let mut model: BTreeMap<u64, (u8, bool)> = BTreeMap::new();
            for (what, from, index) in steps {
                let some = model.keys().nth(index % model.len().max(1)).copied();
                match (what, some) {
                    (2, Some(seat)) => {
                        seats.answered(seat);
                        model.get_mut(&seat).unwrap().1 = true;
                    }
                    (3, Some(seat)) => {
                        seats.leave(seat);
                        model.remove(&seat);
                    }
                    _ => {
                        let (seat, gone) = seats.take(address(from), by_age);
                        if let Some(gone) = gone {
                            let (of, was_answered) = model[&gone];
                            let never = |of: u8| model.values().filter(|one| one.0 == of && !one.1).count();
                            if was_answered {
                                prop_assert!(model.values().all(|one| one.1), "while others were never answered");
                                let crowd = |of: u8| model.values().filter(|one| one.0 == of).count();
                                prop_assert!((0..5).all(|other| crowd(other) <= crowd(of)));
                            } else if never(from) < unanswered {
                                prop_assert_eq!(model.len(), all, "only where there is no seat left");
                                prop_assert!((0..5).all(|other| never(other) <= never(of)));
                            } else {
                                prop_assert_eq!(of, from);
                            }
                            model.remove(&gone);
                        }
                        model.insert(seat, (from, false));
                    }
                }
                prop_assert!(model.len() <= all);
                prop_assert_eq!(seats.taken.len(), model.len());
            }
            for seat in model.keys() {
                seats.leave(*seat);
            }
            prop_assert!(seats.taken.is_empty() && seats.sources.is_empty());
            prop_assert!(seats.unanswered.is_empty() && seats.crowds.is_empty());
        }
    }
}
