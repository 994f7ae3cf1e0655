//! [`Candidate`]: who may lead by a Lease, and for how long.
//!
//! The rules of client-go's `leaderelection`: nobody's clock is compared with another's. Who waits counts a leader's
//! term from when it saw the Lease change itself; a leader counts its own time from when it *asked* for its last
//! renewal, which is before anybody can have seen it, and ends it well before that term. Times are those of one
//! process, since whatever origin.

use std::time::Duration;

/// How a Lease is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// How long a leader that went without a word is waited for (`spec.leaseDurationSeconds`).
    pub term: Duration,
    /// How long a leader leads after it asked for a renewal that was granted. What is missing to the term is for
    /// requests under way: the API server may be a while at them.
    pub lead: Duration,
    /// How often a leader renews, and at most how often one who waits looks.
    pub period: Duration,
    /// How long one request about the Lease may take.
    pub patience: Duration,
}

/// A Lease as read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its resourceVersion.
    pub version: String,
    /// Who holds it; `None`: it was released.
    pub holder: Option<String>,
    /// How long its holder wants to be waited for.
    pub term: Option<Duration>,
}

/// What to do about the Lease next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// There is none: make it, oneself the holder.
    Create,
    /// Write oneself into the version that was read.
    Take {
        /// Whether somebody else held it last, or nobody did.
        anew: bool,
    },
    /// Somebody else leads.
    Wait {
        /// Who.
        holder: String,
        /// When to look again.
        look_after: Duration,
    },
}

/// One who would lead.
#[derive(Clone, Debug)]
pub struct Candidate {
    identity: String,
    timing: Timing,
    /// The last change of the Lease that was seen.
    last: Option<Change>,
}

/// A change of the Lease.
#[derive(Clone, Debug)]
struct Change {
    seen: Seen,
    at: Duration,
}

// === impl Timing ===

impl Default for Timing {
    fn default() -> Self {
        Self {
            term: Duration::from_secs(10),
            lead: Duration::from_secs(7),
            period: Duration::from_secs(2),
            patience: Duration::from_secs(2),
        }
    }
}

// === impl Candidate ===

impl Candidate {
    /// One of that identity, who has seen nothing yet.
    pub const fn new(identity: String, timing: Timing) -> Self {
        Self { identity, timing, last: None }
    }

    /// What follows from the Lease as read at `now`; `None`: there is none.
    pub fn look(&mut self, seen: Option<Seen>, now: Duration) -> Next {
        let Some(seen) = seen else { return self.absent(now) };
        let changed = self.last.as_ref().is_none_or(|last| last.seen.version != seen.version);
        let at = self.last.as_ref().filter(|_| !changed).map_or(now, |last| last.at);
        let next = match &seen.holder {
            None => Next::Take { anew: true },
            Some(holder) if *holder == self.identity => Next::Take { anew: false },
            Some(holder) => self.other(holder, seen.term, at, now),
        };
        self.last = Some(Change { seen, at });
        next
    }

    /// Somebody deleted the Lease. Its holder need not know yet, so it is still waited for.
    fn absent(&self, now: Duration) -> Next {
        match &self.last {
            Some(Change { seen: Seen { holder: Some(holder), term, .. }, at }) if *holder != self.identity => {
                match self.other(holder, *term, *at, now) {
                    Next::Take { .. } => Next::Create,
                    wait => wait,
                }
            }
            _ => Next::Create,
        }
    }

    fn other(&self, holder: &str, term: Option<Duration>, since: Duration, now: Duration) -> Next {
        let end = since + term.unwrap_or(self.timing.term);
        match end.checked_sub(now).filter(|left| !left.is_zero()) {
            None => Next::Take { anew: true },
            Some(left) => Next::Wait { holder: holder.to_owned(), look_after: left.min(self.timing.period) },
        }
    }

    /// Until when one may lead, by a write of the Lease that was asked for at `asked` and granted.
    pub fn leads_until(&self, asked: Duration) -> Duration {
        asked + self.timing.lead
    }

    /// How the Lease is kept.
    pub const fn timing(&self) -> &Timing {
        &self.timing
    }
}

#[cfg(test)]
mod tests;
