//! What is counted of the looks at Rainbond's console.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

/// How a look ended, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// What is counted of the looks at Rainbond's console; clones share it.
#[derive(Clone, Debug, Default)]
pub struct ConsoleMetrics {
    looks: Family<ByOutcome, Counter>,
    rules: Gauge,
    answered: Gauge,
}

// === impl ConsoleMetrics ===

impl ConsoleMetrics {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("console");
        registry.register("looks", "Looks at the console's flags, by how they ended", metrics.looks.clone());
        registry.register("flagged_rules", "Rules that the console flags in this cluster", metrics.rules.clone());
        registry.register_with_unit(
            "last_answer_timestamp",
            "When the console last answered, since 1970; 0: not yet",
            Unit::Seconds,
            metrics.answered.clone(),
        );
        metrics
    }

    /// The console answered with so many rules.
    pub fn succeeded(&self, rules: usize, at: jiff::Timestamp) {
        self.looks.get_or_create(&ByOutcome { outcome: "done" }).inc();
        self.rules.set(i64::try_from(rules).unwrap_or(i64::MAX));
        self.answered.set(at.as_second());
    }

    /// It did not, for that kind of reason.
    pub fn failed(&self, kind: &'static str) {
        self.looks.get_or_create(&ByOutcome { outcome: kind }).inc();
    }
}
