//! [`Stages`]: how far a replica of the controller has come, for its readiness.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU8, Ordering},
    },
    time::Instant,
};

use crate::core::finding::clean;

/// How far a replica has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Stage {
    /// The API server has not let it ask for the Lease yet.
    Asking,
    /// Another replica leads, and this one would take over.
    Waiting,
    /// It leads and lists; nothing is decided yet.
    Listing,
    /// It leads, and knows all there is.
    Reconciling,
}

/// The stage of this replica; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Stages(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    stage: AtomicU8,
    /// Since when the Lease cannot be asked for, and why.
    trouble: Mutex<Option<(Instant, String)>>,
}

// === impl Stages ===

impl Stages {
    /// It has come to this.
    pub fn enter(&self, stage: Stage) {
        self.0.stage.store(stage as u8, Ordering::Release);
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        let now = self.0.stage.load(Ordering::Acquire);
        let all = [Stage::Waiting, Stage::Listing, Stage::Reconciling];
        all.into_iter().find(|stage| *stage as u8 == now).unwrap_or(Stage::Asking)
    }

    /// The API server has answered about the Lease.
    pub fn asked(&self) {
        *self.trouble() = None;
        if self.stage() == Stage::Asking {
            self.enter(Stage::Waiting);
        }
    }

    /// The API server does not answer about the Lease, or refuses. Returns whether that is news.
    pub fn cannot_ask(&self, why: &str) -> bool {
        let mut trouble = self.trouble();
        let since = trouble.as_ref().map(|(since, _)| *since);
        *trouble = Some((since.unwrap_or_else(Instant::now), clean(why)));
        since.is_none()
    }

    /// What is wrong with the Lease, in a line; it keeps nobody from standing by.
    pub fn remarks(&self, now: Instant) -> Vec<String> {
        let trouble = self.trouble();
        let line = |(since, why): &(Instant, String)| {
            format!("the Lease cannot be asked for since {} s: {why}", now.saturating_duration_since(*since).as_secs())
        };
        trouble.iter().map(line).collect()
    }

    fn trouble(&self) -> MutexGuard<'_, Option<(Instant, String)>> {
        self.0.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether the replica does its part: leads with everything listed, or stands by.
    ///
    /// # Errors
    /// What it waits for, in a line.
    pub fn ready(&self) -> Result<(), String> {
        match self.stage() {
            Stage::Asking => Err("the API server has not let this replica ask for the Lease yet".to_owned()),
            Stage::Listing => Err("leading, but not everything is listed yet".to_owned()),
            Stage::Waiting | Stage::Reconciling => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_ready_when_it_stands_by_or_knows_all() {
        let stages = Stages::default();
        let shared = stages.clone();
        assert!(stages.ready().unwrap_err().contains("Lease"));
        for (stage, ready) in [(Stage::Waiting, true), (Stage::Listing, false), (Stage::Reconciling, true)] {
            shared.enter(stage);
            assert_eq!(stages.stage(), stage);
            assert_eq!(stages.ready().is_ok(), ready, "{stage:?}");
        }
    }

    #[test]
    fn trouble_with_the_lease_is_remarked_on_until_it_is_over() {
        let (stages, begun) = (Stages::default(), Instant::now());
        assert!(stages.cannot_ask("no answer") && !stages.cannot_ask("leases is forbidden"), "one news");
        assert!(stages.ready().is_err());
        let remarks = stages.remarks(begun + std::time::Duration::from_secs(61));
        assert!(
            matches!(&remarks[..], [line] if line.ends_with("s: leases is forbidden") && line.contains("since 6")),
            "{remarks:?}"
        );
        stages.asked();
        assert!(stages.remarks(begun).is_empty() && stages.ready().is_ok());
        // A leader goes on leading, whatever it hears of its Lease.
        stages.enter(Stage::Reconciling);
        stages.asked();
        assert_eq!(stages.stage(), Stage::Reconciling);
        assert!(stages.cannot_ask("no answer"));
    }
}
