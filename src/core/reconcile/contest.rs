//! [`Contest`]: somebody takes back what the controller writes. Writing it again at once would go on for ever, and each
//! write may have a gateway load its configuration anew. So the same is written more and more seldom, and something
//! else at once: what a user changes is answered as before.
//!
//! Times are those of one process, since whatever origin.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// So often the same is written at once: somebody may have replaced the object without knowing of it.
const AT_ONCE: u32 = 2;
/// The first wait after that; doubles up to the last.
const FIRST: Duration = Duration::from_secs(1);
const LAST: Duration = Duration::from_secs(300);
/// What has stood for so long, and longer than the last wait, is not contested.
const CALM: Duration = Duration::from_secs(60);
/// So many different writes are told apart: who takes things back by turns is no user who changes something.
const REMEMBERED: usize = 4;
/// So many different writes are made at once, and then one for each period: nobody changes an object by hand so often.
const CHANGES: u32 = 10;
const CHANGES_PERIOD: Duration = Duration::from_secs(6);

/// What was written to one object of late.
#[derive(Clone, Debug, Default)]
pub struct Contest {
    written: Vec<Written>,
    /// Different writes since `changes_since`, less one for each period.
    changes: u32,
    changes_since: Duration,
}

/// One thing that was written.
#[derive(Clone, Debug)]
struct Written {
    /// What, as a digest.
    what: u64,
    /// How often, without a calm.
    times: u32,
    /// When last.
    at: Duration,
}

/// Whether to write now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Yes.
    Write {
        /// The same was written before, and taken back.
        again: bool,
    },
    /// Not before then.
    Wait {
        /// When.
        until: Duration,
        /// How often the same was written before.
        times: u32,
    },
}

// === impl Contest ===

impl Contest {
    /// Whether `what` may be written now.
    pub fn turn(&self, what: u64, now: Duration) -> Turn {
        let Some(written) = self.written.iter().find(|written| written.what == what && !written.is_calm(now)) else {
            return self.change(now);
        };
        let until = written.at.saturating_add(wait(written.times));
        if until <= now { Turn::Write { again: true } } else { Turn::Wait { until, times: written.times } }
    }

    fn change(&self, now: Duration) -> Turn {
        let changes = self.changes_left_over(now);
        if changes < CHANGES {
            return Turn::Write { again: false };
        }
        let until = self.changes_since.saturating_add(CHANGES_PERIOD.saturating_mul(self.changes + 1 - CHANGES));
        Turn::Wait { until, times: changes }
    }

    fn changes_left_over(&self, now: Duration) -> u32 {
        let periods = now.saturating_sub(self.changes_since).as_secs() / CHANGES_PERIOD.as_secs();
        self.changes.saturating_sub(u32::try_from(periods).unwrap_or(u32::MAX))
    }

    /// `what` was written.
    pub fn wrote(&mut self, what: u64, now: Duration) {
        let times = match self.written.iter().position(|written| written.what == what) {
            Some(at) => {
                let before = self.written.remove(at);
                if before.is_calm(now) { 0 } else { before.times }
            }
            None => 0,
        };
        if times == 0 {
            self.changes = self.changes_left_over(now).saturating_add(1);
            self.changes_since = now;
        }
        self.written.push(Written { what, times: times.saturating_add(1), at: now });
        if self.written.len() > REMEMBERED {
            self.written.remove(0);
        }
    }

    /// Whether something that is written to the object is taken back again and again.
    pub fn is_contested(&self, now: Duration) -> bool {
        self.written.iter().any(|written| written.times > AT_ONCE && !written.is_calm(now))
    }

    /// Whether nothing is left to remember.
    pub fn is_over(&self, now: Duration) -> bool {
        self.written.iter().all(|written| written.is_calm(now)) && self.changes_left_over(now) == 0
    }

    /// When it is over, if nothing more happens.
    pub fn ends(&self) -> Duration {
        let calm = self.written.iter().map(Written::calm_from);
        let changes = self.changes_since.saturating_add(CHANGES_PERIOD.saturating_mul(self.changes));
        calm.max().unwrap_or_default().max(changes)
    }
}

// === impl Written ===

impl Written {
    fn calm_from(&self) -> Duration {
        // What is taken back only after a while is still taken back.
        self.at.saturating_add(CALM.max(wait(self.times).saturating_mul(2)))
    }

    fn is_calm(&self, now: Duration) -> bool {
        self.calm_from() <= now
    }
}

/// How long what was written so often is left alone.
fn wait(times: u32) -> Duration {
    match times.checked_sub(AT_ONCE + 1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST.saturating_mul(1 << doublings.min(16)).min(LAST),
    }
}

/// An entry of `metadata.managedFields`, as far as it tells who wrote when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldManager {
    /// Its name.
    pub name: String,
    /// When it last took fields.
    pub at: Option<Timestamp>,
    /// What it writes of, if not the object itself.
    pub subresource: Option<String>,
}

/// Who takes things back, as far as an object tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reverter {
    /// It wrote after us.
    Wrote(String),
    /// Nobody who is named wrote after us: who only removes fields leaves no trace. These write the object, the last
    /// one first.
    OneOf(Vec<String>),
}

/// Finds out who took back what was written at `written` by the managers whose name `is_ours`.
pub fn reverter(managers: &[FieldManager], is_ours: impl Fn(&str) -> bool, written: Timestamp) -> Reverter {
    /// Times there are whole seconds of another clock.
    const APART: SignedDuration = SignedDuration::from_secs(2);
    let mut others: Vec<&FieldManager> = managers
        .iter()
        .filter(|manager| manager.subresource.as_deref().unwrap_or_default().is_empty() && !is_ours(&manager.name))
        .collect();
    others.sort_by_key(|manager| std::cmp::Reverse(manager.at));
    match others.first() {
        Some(last) if last.at.is_some_and(|at| at.saturating_add(APART).is_ok_and(|at| at >= written)) => {
            Reverter::Wrote(last.name.clone())
        }
        _ => {
            let mut names: Vec<String> = Vec::new();
            for manager in others {
                if !names.contains(&manager.name) {
                    names.push(manager.name.clone());
                }
            }
            Reverter::OneOf(names)
        }
    }
}

#[cfg(test)]
mod tests;
