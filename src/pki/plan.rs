//! [`plan`]: the next step in the life of CA and leaf. Pure; time is an argument.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;

use super::Lifetimes;

/// The SHA-256 digest of a certificate.
pub type Id = [u8; 32];

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first moment.
    pub not_before: Timestamp,
    /// The moment after the last.
    pub not_after: Timestamp,
}

/// A CA certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ca {
    /// Which one.
    pub id: Id,
    /// How long.
    pub validity: Validity,
}

/// A serving certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Which one.
    pub id: Id,
    /// How long.
    pub validity: Validity,
    /// The CA that signed it, among those that are known.
    pub issuer: Option<Id>,
    /// Whether it is for the names of the Service.
    pub names_fit: bool,
}

/// What the cluster holds. What cannot be read counts as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// The CA that signs; its key is there and fits.
    pub current: Option<Ca>,
    /// The CA that will sign next; its key is there and fits.
    pub next: Option<Ca>,
    /// The CA that signed before.
    pub previous: Option<Ca>,
    /// The serving certificate; its key is there and fits.
    pub leaf: Option<Leaf>,
    /// The CA certificate that is kept beside the leaf, if it did sign it.
    pub carried: Option<Ca>,
    /// What each configuration publishes, sorted.
    pub published: Vec<Vec<Id>>,
    /// CAs that every configuration publishes, and since when that has been seen.
    pub trusted_since: BTreeMap<Id, Timestamp>,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Make a CA that signs, there being none of use.
    CreateCa,
    /// Make the CA that will sign next.
    StageNext,
    /// The next CA signs from now on; the current one becomes the previous.
    Promote,
    /// Write [`Observed::bundle`] into every configuration that has another.
    Publish,
    /// Sign a leaf with the current CA.
    IssueLeaf,
}

/// The next step in the life of CA and leaf; `None`: nothing to do now. To be
/// asked again after each step, each change and each minute.
pub fn plan(observed: &Observed, lifetimes: &Lifetimes, now: Timestamp) -> Option<Step> {
    let usable = |ca: &&Ca| ca.validity.holds(now);
    let next = observed.next.as_ref().filter(usable);
    let Some(current) = observed.current.as_ref().filter(usable) else {
        return Some(if next.is_some() { Step::Promote } else { Step::CreateCa });
    };
    if next.is_none() && current.validity.passed(2, 3) <= now {
        return Some(Step::StageNext);
    }
    let due = leaf_is_due(observed, current, now);
    // A CA that has signed what is being served is known already.
    let signs_already = observed.leaf.is_some_and(|leaf| leaf.issuer == Some(current.id));
    if due && (signs_already || observed.settled(current, lifetimes, now)) {
        return Some(Step::IssueLeaf);
    }
    let bundle = observed.bundle(now);
    if observed.published.iter().any(|published| *published != bundle) {
        return Some(Step::Publish);
    }
    if due && !observed.serves(now) {
        return Some(Step::IssueLeaf);
    }
    if next.is_some_and(|next| !observed.published.is_empty() && observed.settled(next, lifetimes, now)) {
        return Some(Step::Promote);
    }
    None
}

/// Whether another leaf is wanted than the one there is. One that lasts as long
/// as its CA cannot be bettered: what follows is the next CA's to sign.
fn leaf_is_due(observed: &Observed, current: &Ca, now: Timestamp) -> bool {
    observed.leaf.is_none_or(|leaf| {
        let renewable = leaf.validity.not_after < current.validity.not_after;
        !leaf.names_fit
            || leaf.issuer != Some(current.id)
            || !leaf.validity.holds(now)
            || (renewable && leaf.renewal() <= now)
    })
}

// === impl Observed ===

impl Observed {
    /// The CAs to publish, sorted: all that may have signed what is being
    /// served, or will sign, and have not ended.
    pub fn bundle(&self, now: Timestamp) -> Vec<Id> {
        let carried = self.carried.filter(|carried| self.leaf.is_some_and(|leaf| leaf.issuer == Some(carried.id)));
        let all = [self.previous, self.current, self.next, carried];
        let mut ids: Vec<Id> =
            all.into_iter().flatten().filter(|ca| now < ca.validity.not_after).map(|ca| ca.id).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// Whether API servers know the CA by now. Where there is no configuration, nobody calls.
    fn settled(&self, ca: &Ca, lifetimes: &Lifetimes, now: Timestamp) -> bool {
        self.published.is_empty()
            || self
                .trusted_since
                .get(&ca.id)
                .is_some_and(|since| now.duration_since(*since).unsigned_abs() >= lifetimes.settle() && *since <= now)
    }

    /// Whether calls can succeed with the leaf as it is, so that there is something to lose.
    fn serves(&self, now: Timestamp) -> bool {
        self.leaf.is_some_and(|leaf| {
            let issuer_is_published =
                leaf.issuer.is_some_and(|issuer| self.published.iter().all(|bundle| bundle.contains(&issuer)));
            leaf.names_fit && leaf.validity.holds(now) && issuer_is_published
        })
    }
}

// === impl Leaf ===

impl Leaf {
    /// When to renew: at two thirds of its life, up to a twentieth earlier. By
    /// its digest, so that each certificate has its own time and every leader knows it.
    pub fn renewal(&self) -> Timestamp {
        let [first, ..] = self.id;
        let life = self.validity.life();
        let early = life / 20 * u32::from(first) / 256;
        self.validity.passed(2, 3).checked_sub(early).unwrap_or(self.validity.not_before)
    }
}

// === impl Validity ===

impl Validity {
    /// Whether it holds at `now`.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.not_before <= now && now < self.not_after
    }

    fn life(&self) -> Duration {
        Duration::try_from(self.not_after.duration_since(self.not_before)).unwrap_or_default()
    }

    /// The moment when `part` of `of` parts of its life have passed.
    fn passed(&self, part: u32, of: u32) -> Timestamp {
        self.not_before.checked_add(self.life() / of * part).unwrap_or(self.not_after)
    }
}

#[cfg(test)]
mod tests;
