//! Whose a name is where a wildcard covers it: a wildcard and the names that it covers are one another's rivals, as equal
//! names are.
//!
//! Of all who claim names of a zone the foremost holds its name. Then the next whose name is not, and does not touch, one
//! that another namespace holds; and so on. So a claim that is itself kept out keeps out nobody. Whoever asks, and in
//! whatever order claims were seen, it comes out the same.
//!
//! Kept up to date claim by claim, and asked without going through all of them.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use super::Rank;
use crate::core::host::Host;

/// A wildcard and the names that it covers, with all who claim one of them.
#[derive(Clone, Debug)]
pub struct Zone {
    wildcard: Host,
    /// Who claims the wildcard: one for each namespace.
    wide: BTreeSet<Rank>,
    /// Who claims a name: one for each namespace.
    narrow: HashMap<Host, BTreeSet<Rank>>,
    /// The foremost claims of names, by namespace.
    foremost: BTreeMap<Arc<str>, BTreeSet<(Rank, Host)>>,
    /// The first of each namespace's.
    leaders: BTreeSet<Rank>,
}

// === impl Zone ===

impl Zone {
    /// The zone of a wildcard, without claims.
    pub fn new(wildcard: Host) -> Self {
        Self {
            wildcard,
            wide: BTreeSet::new(),
            narrow: HashMap::new(),
            foremost: BTreeMap::new(),
            leaders: BTreeSet::new(),
        }
    }

    /// A namespace claims a name of the zone, or no longer does. Whether that is news.
    pub fn set(&mut self, host: &Host, namespace: &str, claim: Option<Rank>) -> bool {
        if *host == self.wildcard {
            return put(&mut self.wide, namespace, claim);
        }
        let mut ranks = self.narrow.remove(host).unwrap_or_default();
        let before = ranks.first().cloned();
        let news = put(&mut ranks, namespace, claim);
        let after = ranks.first().cloned();
        if !ranks.is_empty() {
            self.narrow.insert(host.clone(), ranks);
        }
        if before != after {
            self.lead(before, host, false);
            self.lead(after, host, true);
        }
        news
    }

    /// Notes that a claim is, or is no longer, the foremost of a name.
    fn lead(&mut self, rank: Option<Rank>, host: &Host, leads: bool) {
        let Some(rank) = rank else { return };
        let of = self.foremost.entry(rank.namespace.clone()).or_default();
        let first = |of: &BTreeSet<(Rank, Host)>| of.first().map(|(rank, _)| rank.clone());
        let (namespace, before) = (rank.namespace.clone(), first(of));
        if leads {
            of.insert((rank, host.clone()));
        } else {
            of.remove(&(rank, host.clone()));
        }
        let after = first(of);
        if of.is_empty() {
            self.foremost.remove(&namespace);
        }
        if before != after {
            before.map(|rank| self.leaders.remove(&rank));
            self.leaders.extend(after);
        }
    }

    /// Who holds the wildcard.
    pub fn holder(&self) -> Option<&Rank> {
        self.wide.iter().find(|wide| self.against(&wide.namespace).is_none_or(|narrow| narrow > wide))
    }

    /// The foremost claim of a name by another namespace.
    fn against(&self, namespace: &str) -> Option<&Rank> {
        // One of the first two is another's.
        self.leaders.iter().find(|rank| *rank.namespace != *namespace)
    }

    /// Whether another namespace keeps a claim of a name out, be it one that [`Self::set`] knows or not.
    pub fn is_taken(&self, host: &Host, claim: &Rank) -> bool {
        let goes_before = |one: &Rank| one.namespace != claim.namespace && one < claim;
        let holder = self.holder();
        if holder.is_some_and(goes_before) {
            return true;
        }
        if *host == self.wildcard {
            return self.against(&claim.namespace).is_some_and(goes_before);
        }
        let kept_out = |one: &Rank| holder.is_some_and(|wide| wide.namespace != one.namespace && wide < one);
        self.narrow.get(host).into_iter().flatten().any(|one| goes_before(one) && !kept_out(one))
    }

    /// Whether nothing is claimed.
    pub fn is_empty(&self) -> bool {
        self.wide.is_empty() && self.narrow.is_empty()
    }
}

/// Puts a namespace's claim among those of one name. Whether that is news.
fn put(ranks: &mut BTreeSet<Rank>, namespace: &str, claim: Option<Rank>) -> bool {
    let before = ranks.iter().find(|rank| *rank.namespace == *namespace).cloned();
    if before == claim {
        return false;
    }
    before.map(|rank| ranks.remove(&rank));
    ranks.extend(claim);
    true
}

#[cfg(test)]
mod tests;
