//! [`Checks`]: which of the hosts that wait for pre-flight is looked at next.
//!
//! Most checks are over in moments; one of a dead name server lasts until its deadline. So each host gets a short look
//! first, in the wide lane, and where that was left without an answer a long one in a narrow lane, where such hosts have
//! only each other to wait for. In each lane namespaces take turns, and in a namespace its domains; none of them, and no
//! operator of name servers as far as it is known, has more than a share of the lane. What a stranger can say about a
//! host (that its domain or its name servers are his, too) makes it wait in turn with him, and never sends it to the
//! narrow lane: that only its own last look does.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use super::{Ring, Tally};

/// How long a look may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Lane {
    /// A short look.
    Quick,
    /// A long one, for what a short one found no answer for.
    Slow,
}

/// How many checks run side by side in a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Width {
    /// All together.
    pub all: usize,
    /// Of one namespace.
    pub namespace: usize,
    /// Of one registered domain.
    pub domain: usize,
    /// Of domains with the same operator of name servers.
    pub servers: usize,
}

/// Whom a check is for, and whose servers it will ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Party {
    /// The namespace.
    pub namespace: Arc<str>,
    /// Where it leads.
    pub zone: Zone,
}

/// Whose servers a check will ask.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Zone {
    /// The host's registered domain.
    pub domain: Arc<str>,
    /// Who operates its name servers, where that is known.
    pub servers: Option<Arc<str>>,
}

/// The hosts that wait, and the checks that run.
#[derive(Debug)]
pub struct Checks<J> {
    quick: Track<J>,
    slow: Track<J>,
}

/// One lane.
#[derive(Debug)]
struct Track<J> {
    width: Width,
    /// By namespace. None is empty.
    lines: HashMap<Arc<str>, Ring<Zone, J>>,
    /// Each namespace with a line, once. The first is the next.
    order: VecDeque<Arc<str>>,
    running: usize,
    namespaces: Tally<Arc<str>>,
    domains: Tally<Arc<str>>,
    servers: Tally<Arc<str>>,
}

/// A place in a lane, to be given back by [`Checks::done`].
#[derive(Debug)]
#[must_use]
pub struct Place {
    /// The lane.
    pub lane: Lane,
    party: Party,
}

// === impl Width ===

impl Width {
    /// The wide lane for that many checks: half of it for a namespace, a domain, an operator of name servers.
    pub fn quick(all: usize) -> Self {
        let share = (all / 2).max(1);
        Self { all: all.max(1), namespace: share, domain: share, servers: share }
    }

    /// The narrow lane beside it: a quarter as wide, and a quarter of that for a namespace or a domain.
    pub fn slow(all: usize) -> Self {
        let all = (all / 4).max(1);
        let share = (all / 4).max(1);
        Self { all, namespace: share, domain: share, servers: (all / 2).max(1) }
    }
}

// === impl Checks ===

impl<J> Checks<J> {
    /// Nobody waits, nothing runs.
    pub fn new(quick: Width, slow: Width) -> Self {
        Self { quick: Track::new(quick), slow: Track::new(slow) }
    }

    /// Other widths are in force. What runs goes on.
    pub const fn set_widths(&mut self, quick: Width, slow: Width) {
        self.quick.width = quick;
        self.slow.width = slow;
    }

    /// Lets a host wait for its look.
    pub fn push(&mut self, lane: Lane, party: Party, job: J) {
        self.track(lane).push(party, job);
    }

    /// Who is looked at next, if there is room for anybody.
    #[expect(clippy::should_implement_trait, reason = "it ends for now, not for good")]
    pub fn next(&mut self) -> Option<(Place, J)> {
        for lane in [Lane::Quick, Lane::Slow] {
            if let Some((party, job)) = self.track(lane).take() {
                return Some((Place { lane, party }, job));
            }
        }
        None
    }

    /// A look has ended.
    pub fn done(&mut self, place: Place) {
        self.track(place.lane).give_back(&place.party);
    }

    /// Forgets those that wait in vain.
    pub fn retain(&mut self, mut keep: impl FnMut(&J) -> bool) {
        for track in [&mut self.quick, &mut self.slow] {
            track.lines.retain(|_, line| {
                line.retain(&mut keep);
                !line.is_empty()
            });
            let lines = &track.lines;
            track.order.retain(|namespace| lines.contains_key(namespace));
        }
    }

    /// How many wait in a lane.
    pub fn waiting(&self, lane: Lane) -> usize {
        let track = match lane {
            Lane::Quick => &self.quick,
            Lane::Slow => &self.slow,
        };
        track.lines.values().map(Ring::len).sum()
    }

    const fn track(&mut self, lane: Lane) -> &mut Track<J> {
        match lane {
            Lane::Quick => &mut self.quick,
            Lane::Slow => &mut self.slow,
        }
    }
}

// === impl Track ===

impl<J> Track<J> {
    fn new(width: Width) -> Self {
        Self {
            width,
            lines: HashMap::new(),
            order: VecDeque::new(),
            running: 0,
            namespaces: Tally::default(),
            domains: Tally::default(),
            servers: Tally::default(),
        }
    }

    fn push(&mut self, party: Party, job: J) {
        let Party { namespace, zone } = party;
        match self.lines.get_mut(&namespace) {
            Some(line) => line.push(zone, job),
            None => {
                let mut line = Ring::default();
                line.push(zone, job);
                self.lines.insert(namespace.clone(), line);
                self.order.push_back(namespace);
            }
        }
    }

    /// The first namespace in turn that has something for which there is room, and what it has.
    fn take(&mut self) -> Option<(Party, J)> {
        if self.running >= self.width.all {
            return None;
        }
        // Passes over no more namespaces than are busy, unless all that wait are after the same few zones.
        for at in 0..self.order.len() {
            let Some(namespace) = self.order.get(at).cloned() else { break };
            if self.namespaces.of(&*namespace) >= self.width.namespace {
                continue;
            }
            let (width, domains, servers) = (self.width, &self.domains, &self.servers);
            let has_room = |zone: &Zone| {
                domains.of(&*zone.domain) < width.domain
                    && zone.servers.as_ref().is_none_or(|one| servers.of(&**one) < width.servers)
            };
            let Some(line) = self.lines.get_mut(&namespace) else { continue };
            let Some((zone, job)) = line.take(has_room) else { continue };
            let is_over = line.is_empty();
            self.order.remove(at);
            if is_over {
                self.lines.remove(&namespace);
            } else {
                self.order.push_back(namespace.clone());
            }
            self.running += 1;
            self.namespaces.add(namespace.clone());
            self.domains.add(zone.domain.clone());
            if let Some(one) = &zone.servers {
                self.servers.add(one.clone());
            }
            return Some((Party { namespace, zone }, job));
        }
        None
    }

    fn give_back(&mut self, party: &Party) {
        self.running = self.running.saturating_sub(1);
        self.namespaces.remove(&*party.namespace);
        self.domains.remove(&*party.zone.domain);
        if let Some(one) = &party.zone.servers {
            self.servers.remove(&**one);
        }
    }
}

#[cfg(test)]
mod tests;
