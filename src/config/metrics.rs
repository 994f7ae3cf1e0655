//! What is counted about the policy file.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::Registry,
};

use super::watch::Reload;

const LOADED: &str = "loaded";
const REJECTED: &str = "rejected";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// Changes of the policy file; clones share them.
#[derive(Clone, Debug, Default)]
pub struct PolicyMetrics {
    reloads: Family<ByOutcome, Counter>,
    rejected: Gauge,
}

// === impl PolicyMetrics ===

impl PolicyMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("certgate_policy");
        registry.register("reloads", "Changes of the policy file, by what came of them", metrics.reloads.clone());
        registry.register(
            "rejected",
            "1 while the policy file is unusable, so that the policy before it is in force",
            metrics.rejected.clone(),
        );
        for outcome in [LOADED, REJECTED] {
            drop(metrics.reloads.get_or_create(&ByOutcome { outcome }));
        }
        metrics
    }

    /// Counts what came of a change.
    pub fn count(&self, reload: &Reload<'_>) {
        let (outcome, rejected) = match reload {
            Reload::Loaded(_) => (LOADED, 0),
            Reload::Rejected(_) => (REJECTED, 1),
        };
        self.reloads.get_or_create(&ByOutcome { outcome }).inc();
        self.rejected.set(rejected);
    }
}
