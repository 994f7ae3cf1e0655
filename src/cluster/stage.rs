//! [`Stages`]: how far a replica of the controller has come, for its readiness.

use std::sync::{
    Arc,
    atomic::{AtomicU8, Ordering},
};

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
pub struct Stages(Arc<AtomicU8>);

// === impl Stages ===

impl Stages {
    /// It has come to this.
    pub fn enter(&self, stage: Stage) {
        self.0.store(stage as u8, Ordering::Release);
    }

    /// Where it is.
    pub fn stage(&self) -> Stage {
        let now = self.0.load(Ordering::Acquire);
        let all = [Stage::Waiting, Stage::Listing, Stage::Reconciling];
        all.into_iter().find(|stage| *stage as u8 == now).unwrap_or(Stage::Asking)
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
}
