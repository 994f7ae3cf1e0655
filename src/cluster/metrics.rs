//! What the controller counts. Labels are bounded: reasons, and words listed here.

mod console;

use std::{
    sync::{Arc, atomic::AtomicU64},
    time::Instant,
};

use jiff::{SignedDuration, Timestamp};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric as _},
    metrics::{
        MetricType,
        counter::Counter,
        family::Family,
        gauge::{ConstGauge, Gauge},
        histogram::Histogram,
    },
    registry::{Registry, Unit},
};

pub use console::ConsoleMetrics;

use super::{apply::WriteError, health::Watches, queue::Depth, world::World};
use crate::{
    api::domain::{DomainStatus, ISSUED, VERIFIED},
    core::{
        certified,
        limits::Kind,
        reason::{Reason, WhoActs},
    },
};

/// Upper bounds in seconds: from at once to a day, for Kubernetes' times are whole seconds.
const PASSAGE_BUCKETS: [f64; 12] = [1.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3_600.0, 86_400.0];
/// Within how many days certificates that end are counted.
const ENDING: [(i64, &str); 3] = [(3, "3d"), (7, "7d"), (21, "21d")];

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

/// A kind that is watched as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByKind {
    kind: String,
}

/// A span of time as a label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Within {
    within: &'static str,
}

/// The controller's metrics; clones share them.
#[derive(Clone, Debug)]
pub struct ControllerMetrics {
    leading: Gauge,
    lost: Counter,
    reverted: Counter,
    contested: Gauge,
    hosts: Family<ByReason, Gauge>,
    checks: Family<ByReason, Counter>,
    plans: Family<ByOutcome, Counter>,
    queue: Family<ByState, Gauge>,
    lag: Gauge<f64, AtomicU64>,
    limit_left: Family<ByLimit, Gauge>,
    limit_waiting: Gauge,
    /// Of the looks at Rainbond's console.
    pub console: ConsoleMetrics,
    ready_to_injected: Histogram,
    injected_to_issued: Histogram,
    spared: Counter,
    watches: Arc<Watches>,
    soonest: Gauge,
    ending: Family<Within, Gauge>,
    overdue: Gauge,
}

impl Default for ControllerMetrics {
    fn default() -> Self {
        let passage = || Histogram::new(PASSAGE_BUCKETS);
        Self {
            leading: Gauge::default(),
            lost: Counter::default(),
            reverted: Counter::default(),
            contested: Gauge::default(),
            hosts: Family::default(),
            checks: Family::default(),
            plans: Family::default(),
            queue: Family::default(),
            lag: Gauge::default(),
            limit_left: Family::default(),
            limit_waiting: Gauge::default(),
            console: ConsoleMetrics::default(),
            ready_to_injected: passage(),
            injected_to_issued: passage(),
            spared: Counter::default(),
            watches: Arc::default(),
            soonest: Gauge::default(),
            ending: Family::default(),
            overdue: Gauge::default(),
        }
    }
}

// === impl ControllerMetrics ===

impl ControllerMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let registry = registry.sub_registry_with_prefix("certgate_controller");
        let metrics = Self { console: ConsoleMetrics::register(registry), ..Self::default() };
        registry.register("leading", "1 while this replica leads", metrics.leading.clone());
        registry.register(
            "lost_leaderships",
            "How often this replica stopped leading because its Lease was not renewed or somebody else held it",
            metrics.lost.clone(),
        );
        registry.register(
            "reverted_writes",
            "Writes that were made again because somebody had taken the same back",
            metrics.reverted.clone(),
        );
        registry.register(
            "contested_ingresses",
            "Ingresses that are written to more and more seldom because somebody takes back what certgate adds",
            metrics.contested.clone(),
        );
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
        registry.register_with_unit(
            "ready_to_injected",
            "From a host's DNS being good to its Ingress asking for the certificate",
            Unit::Seconds,
            metrics.ready_to_injected.clone(),
        );
        registry.register_with_unit(
            "injected_to_issued",
            "From an Ingress asking for a certificate to the certificate being in place",
            Unit::Seconds,
            metrics.injected_to_issued.clone(),
        );
        registry.register(
            "orders_spared",
            "Hosts and requests held because their DNS would have failed the CA's validation, each an order not made",
            metrics.spared.clone(),
        );
        registry.register_collector(Box::new(FailingWatches(metrics.watches.clone())));
        registry.register(
            "soonest_not_after_timestamp_seconds",
            "When the first of the hosts' certificates ends; 0: there is none",
            metrics.soonest.clone(),
        );
        registry.register(
            "certificates_overdue",
            "Hosts' certificates that were not renewed though a sixth of their lifetime, or less, is left, and no more days \
             than policy's gate.letThroughDays",
            metrics.overdue.clone(),
        );
        registry.register("certificates_ending", "Hosts' certificates that end within", metrics.ending.clone());
        metrics
    }

    /// This replica leads no longer, though it would.
    pub fn lost(&self) {
        self.lost.inc();
    }

    /// Somebody had taken back what is written again.
    pub fn reverted(&self) {
        self.reverted.inc();
    }

    /// So many Ingresses are contested.
    pub fn contested(&self, count: usize) {
        self.contested.set(i64::try_from(count).unwrap_or(i64::MAX));
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
            self.contested.set(0);
            self.watches.clear();
            self.ending.clear();
            self.overdue.set(0);
            self.soonest.set(0);
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
            Err(WriteError::Unreadable(_)) => "unreadable",
            Err(WriteError::Refused(_)) => "refused",
        };
        self.plans.get_or_create(&ByOutcome { outcome }).inc();
    }

    /// A Domain's status changed from one to the other.
    pub fn passed(&self, before: &DomainStatus, after: &DomainStatus) {
        let seconds = |from: Timestamp, to: Timestamp| SignedDuration::as_secs_f64(&from.duration_until(to)).max(0.0);
        if let (None, Some(injected)) = (&before.released_since, &after.released_since)
            && let Some(ready) = true_since(after, VERIFIED)
        {
            self.ready_to_injected.observe(seconds(ready, injected.0));
        }
        if let (None, Some(issued)) = (true_since(before, ISSUED), true_since(after, ISSUED))
            && let Some(injected) = &after.released_since
        {
            self.injected_to_issued.observe(seconds(injected.0, issued));
        }
        let reason = after.verdict.as_ref().and_then(|verdict| Reason::from_name(&verdict.reason));
        let at_dns = matches!(reason.map(Reason::who_acts), Some(WhoActs::DomainOwner | WhoActs::DnsHost));
        if before.held_since.is_none() && after.held_since.is_some() && !after.released && at_dns {
            self.spared();
        }
    }

    /// An order was not made that the CA would have failed.
    pub fn spared(&self) {
        self.spared.inc();
    }

    /// How the watches are doing.
    pub fn watches(&self) -> &Watches {
        &self.watches
    }

    /// How things stand.
    pub fn show(&self, world: &World, depth: Depth, now: Timestamp) {
        let ends = || world.certificate_ends().map(|(_, end)| end);
        let days = world.policy().gate.let_through_days;
        let overdue = world.certificate_ends().filter(|(begin, end)| {
            end.checked_sub(certified::last_part(*begin, *end, days)).is_ok_and(|from| from <= now)
        });
        self.overdue.set(i64::try_from(overdue.count()).unwrap_or(i64::MAX));
        self.soonest.set(ends().min().map_or(0, Timestamp::as_second));
        for (days, within) in ENDING {
            let by = now.saturating_add(SignedDuration::from_hours(24 * days)).unwrap_or(now);
            let count = ends().filter(|end| *end <= by).count();
            self.ending.get_or_create(&Within { within }).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
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
        let now = Timestamp::now();
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

/// Shows for how long each watch has been failing, and how many of its objects cannot be read, read when it is scraped.
#[derive(Debug)]
struct FailingWatches(Arc<Watches>);

// === impl FailingWatches ===

impl Collector for FailingWatches {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let watches = self.0.failing_for(Instant::now());
        if watches.is_empty() {
            return Ok(());
        }
        let help = "For how long each watch has been failing; 0: all is well";
        let mut family = encoder.encode_descriptor("watch_failing", help, Some(&Unit::Seconds), MetricType::Gauge)?;
        for (kind, lasting) in watches {
            ConstGauge::new(lasting.as_secs_f64()).encode(family.encode_family(&ByKind { kind })?)?;
        }
        let help = "Objects that are there and cannot be read; what hangs on them stays as it is";
        let mut family = encoder.encode_descriptor("unreadable_objects", help, None, MetricType::Gauge)?;
        for (kind, count) in self.0.unread() {
            let count = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            count.encode(family.encode_family(&ByKind { kind })?)?;
        }
        Ok(())
    }
}

/// Since when a condition has been true; `None`: it is not.
fn true_since(status: &DomainStatus, kind: &str) -> Option<Timestamp> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind && condition.status == "True")?;
    Some(condition.last_transition_time.0)
}

#[cfg(test)]
mod tests {
    use kube::core::Status;
    use serde_json::json;

    use super::*;

    fn status(value: serde_json::Value) -> DomainStatus {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn the_way_of_a_host_is_timed_and_an_order_spared_is_counted_once() {
        let mut registry = Registry::default();
        let metrics = ControllerMetrics::register(&mut registry);
        let condition = |kind: &str, at: &str| json!({"type": kind, "status": "True", "reason": "x", "message": "", "lastTransitionTime": at});
        let (t0, t3, t9) = ("2026-11-24T12:00:00Z", "2026-11-24T12:00:03Z", "2026-11-24T12:00:09Z");
        let verdict = |reason: &str| json!({"reason": reason});
        let steps = [
            json!({}),
            json!({"verdict": verdict("DomainNotFound"), "heldSince": t0}),
            json!({"verdict": verdict("NoAddress"), "heldSince": t3}),
            json!({"verdict": verdict("Verified"), "conditions": [condition("Verified", t0)]}),
            json!({"conditions": [condition("Verified", t0)], "released": true, "releasedSince": t3}),
            json!({"conditions": [condition("Verified", t0), condition("Issued", t9)], "released": true, "releasedSince": t3}),
            json!({"conditions": [condition("Verified", t0), condition("Issued", t9)], "released": true, "releasedSince": t3,
                "verdict": verdict("DomainNotFound"), "heldSince": t9}),
        ];
        for pair in steps.windows(2) {
            metrics.passed(&status(pair[0].clone()), &status(pair[1].clone()));
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "certgate_controller_ready_to_injected_seconds_sum 3.0",
            "certgate_controller_ready_to_injected_seconds_count 1",
            "certgate_controller_injected_to_issued_seconds_sum 6.0",
            "certgate_controller_injected_to_issued_seconds_count 1",
            "certgate_controller_orders_spared_total 1",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} not in\n{text}");
        }
    }

    #[test]
    fn they_read_as_prometheus_reads_them() {
        let mut registry = Registry::default();
        let metrics = ControllerMetrics::register(&mut registry);
        metrics.leads(true);
        metrics.checked(Reason::DomainNotFound);
        metrics.planned(Err(&WriteError::Conflict));
        let ingresses = metrics.watches().of("Ingress");
        ingresses.failing(&Status::failure("forbidden", "Forbidden"));
        metrics.show(&World::default(), Depth { ready: 2, ..Depth::default() }, Timestamp::UNIX_EPOCH);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "certgate_controller_leading 1",
            "certgate_controller_checks_total{reason=\"DomainNotFound\"} 1",
            "certgate_controller_plans_total{outcome=\"conflict\"} 1",
            "certgate_controller_queue{state=\"ready\"} 2",
            "certgate_controller_queue_lag_seconds 0.0",
            "certgate_controller_certificates_ending{within=\"7d\"} 0",
            "certgate_controller_certificates_overdue 0",
            "certgate_controller_soonest_not_after_timestamp_seconds 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} not in\n{text}");
        }
        let failing = |text: &str| {
            let line = text.lines().find(|line| line.starts_with("certgate_controller_watch_failing_seconds{"));
            line.map(|line| {
                line.strip_prefix("certgate_controller_watch_failing_seconds{kind=\"Ingress\"} ")
                    .unwrap()
                    .parse::<f64>()
                    .unwrap()
            })
        };
        assert!(failing(&text).unwrap() > 0.0, "{text}");
        ingresses.well();
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(failing(&text), Some(0.0), "a scrape tells how it is then: {text}");
        metrics.leads(false);
        text.clear();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert_eq!(failing(&text), None, "who does not lead watches nothing");
        assert!(!text.contains("queue{"), "who does not lead knows nothing of the queue");
    }
}
