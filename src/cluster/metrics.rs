//! What the controller counts. Labels are bounded: reasons, and words listed here.

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};

use super::{apply::WriteError, queue::Depth, world::World};
use crate::core::{limits::Kind, reason::Reason};

/// A reason as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByReason {
    reason: &'static str,
}

/// A place in the queue as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByState {
    state: &'static str,
}

/// A limit of the CA's as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByLimit {
    limit: &'static str,
}

/// How work on a key ended, as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    outcome: &'static str,
}

/// The controller's metrics; clones share them.
#[derive(Clone, Debug, Default)]
pub struct ControllerMetrics {
    leading: Gauge,
    hosts: Family<ByReason, Gauge>,
    checks: Family<ByReason, Counter>,
    plans: Family<ByOutcome, Counter>,
    queue: Family<ByState, Gauge>,
    lag: Gauge<f64, std::sync::atomic::AtomicU64>,
    limit_left: Family<ByLimit, Gauge>,
    limit_waiting: Gauge,
}

// === impl ControllerMetrics ===

impl ControllerMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("certgate_controller");
        registry.register("leading", "1 while this replica leads", metrics.leading.clone());
        registry.register("hosts", "Hosts by the reason of their Ready condition", metrics.hosts.clone());
        registry.register("checks", "Pre-flight checks by the reason they found", metrics.checks.clone());
        registry.register("plans", "Plans made and written, by how that ended", metrics.plans.clone());
        registry.register("queue", "Plans to be made, by what they wait for", metrics.queue.clone());
        registry.register_with_unit(
            "queue_lag",
            "How long the first plan that is due has been due",
            Unit::Seconds,
            metrics.lag.clone(),
        );
        registry.register(
            "limit_left",
            "Orders or certificates left in the fullest bucket of each of the CA's limits",
            metrics.limit_left.clone(),
        );
        registry.register(
            "limit_waiting",
            "Orders that wait for a place within the CA's limits",
            metrics.limit_waiting.clone(),
        );
        metrics
    }

    /// This replica leads, or no longer.
    pub fn leads(&self, leads: bool) {
        self.leading.set(i64::from(leads));
        if !leads {
            self.hosts.clear();
            self.queue.clear();
            self.lag.set(0.0);
            self.limit_left.clear();
            self.limit_waiting.set(0);
        }
    }

    /// A check found this.
    pub fn checked(&self, reason: Reason) {
        self.checks.get_or_create(&ByReason { reason: reason.as_str() }).inc();
    }

    /// Work on a key ended.
    pub fn planned(&self, result: Result<(), &WriteError>) {
        let outcome = match result {
            Ok(()) => "done",
            Err(WriteError::Conflict) => "conflict",
            Err(WriteError::Gone) => "gone",
            Err(WriteError::Transient(_)) => "unavailable",
            Err(WriteError::Refused(_)) => "refused",
        };
        self.plans.get_or_create(&ByOutcome { outcome }).inc();
    }

    /// How things stand.
    pub fn show(&self, world: &World, depth: Depth) {
        let counts = world.hosts_by_reason();
        for reason in Reason::ALL {
            let label = ByReason { reason: reason.as_str() };
            let count = counts.get(reason).copied().unwrap_or_default();
            // What never occurred is left out; what did goes to 0.
            if count > 0 || self.hosts.get(&label).is_some() {
                self.hosts.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
            }
        }
        for (state, count) in [("ready", depth.ready), ("waiting", depth.waiting), ("active", depth.active)] {
            self.queue.get_or_create(&ByState { state }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        self.lag.set(depth.lag.as_secs_f64());
        let now = jiff::Timestamp::now();
        for kind in Kind::ALL {
            let label = ByLimit { limit: kind.as_str() };
            match world.least_left(kind, now) {
                Some(left) => drop(self.limit_left.get_or_create(&label).set(i64::from(left))),
                // All of it is there again.
                None => drop(self.limit_left.remove(&label)),
            }
        }
        self.limit_waiting.set(i64::try_from(world.waiting_for_places()).unwrap_or(i64::MAX));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_read_as_prometheus_reads_them() {
        let mut registry = Registry::default();
        let metrics = ControllerMetrics::register(&mut registry);
        metrics.leads(true);
        metrics.checked(Reason::DomainNotFound);
        metrics.planned(Err(&WriteError::Conflict));
        metrics.show(&World::default(), Depth { ready: 2, ..Depth::default() });
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "certgate_controller_leading 1",
            "certgate_controller_checks_total{reason=\"DomainNotFound\"} 1",
            "certgate_controller_plans_total{outcome=\"conflict\"} 1",
            "certgate_controller_queue{state=\"ready\"} 2",
            "certgate_controller_queue_lag_seconds 0.0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} not in\n{text}");
        }
        metrics.leads(false);
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(!text.contains("queue{"), "who does not lead knows nothing of the queue");
    }
}
