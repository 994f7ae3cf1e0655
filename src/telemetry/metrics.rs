//! Metrics: Prometheus names, labels from bounded enums only. Reading a metric
//! may cost something, counting on the admission path must not: its counters
//! are resolved once and are plain atomics from then on.

use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use prometheus_client::{
    encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::core::reason::{Action, Reason};

/// Upper bounds in seconds: fine below a millisecond, where answers are meant to stay.
const DURATION_BUCKETS: [f64; 16] =
    [10e-6, 25e-6, 50e-6, 75e-6, 100e-6, 150e-6, 250e-6, 500e-6, 750e-6, 1e-3, 2.5e-3, 5e-3, 10e-3, 50e-3, 250e-3, 1.0];

const ACTIONS: [Action; 4] = [Action::Inject, Action::Hold, Action::Skip, Action::Withdraw];

/// What became of an admission review.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ReviewOutcome {
    /// Decided about and changed.
    Patched,
    /// Decided about and left as it is.
    Unchanged,
    /// An approval that came too early.
    Refused,
    /// Nothing that is decided about.
    PassedBy,
    /// Only the uid could be read.
    Unreadable,
    /// No review.
    Malformed,
    /// A fault of our own, contained.
    Panicked,
}

/// Why a request or connection was turned away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// The path serves nothing.
    Path,
    /// Not POST.
    Method,
    /// Not JSON.
    ContentType,
    /// Over the body cap.
    TooLarge,
    /// The body did not come in time, or not at all.
    Body,
    /// The byte budget of all requests together is used up.
    Budget,
    /// Too many connections.
    Connections,
    /// The TLS handshake failed or took too long.
    Handshake,
    /// The client certificate is not of an allowed name.
    ClientName,
    /// The head of a request took too long.
    Head,
}

/// Declares the label text of an enum once.
macro_rules! label_values {
    ($($enum:ident { $($variant:ident => $text:literal),* $(,)? })*) => { $(
        impl $enum {
            const ALL: &[Self] = &[ $( Self::$variant, )* ];
            /// The text of the label.
            pub const fn as_str(self) -> &'static str {
                match self { $( Self::$variant => $text, )* }
            }
        }
        impl EncodeLabelValue for $enum {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                EncodeLabelValue::encode(&self.as_str(), encoder)
            }
        }
    )* };
}

label_values! {
    ReviewOutcome {
        Patched => "patched", Unchanged => "unchanged", Refused => "refused", PassedBy => "passed_by",
        Unreadable => "unreadable", Malformed => "malformed", Panicked => "panicked",
    }
    Refusal {
        Path => "path", Method => "method", ContentType => "content_type", TooLarge => "too_large", Body => "body",
        Budget => "budget", Connections => "connections", Handshake => "handshake", ClientName => "client_name",
        Head => "head",
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: ReviewOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RefusalLabels {
    why: Refusal,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct HostLabels {
    action: &'static str,
    reason: &'static str,
}

/// What is counted about admission.
#[derive(Clone)]
pub struct AdmissionMetrics {
    reviews: Arc<[Counter]>,
    hosts: Family<HostLabels, Counter>,
    /// By action and reason, resolved at first use: only what happens is shown.
    host_cells: Arc<[OnceLock<Counter>]>,
    duration: Histogram,
}

/// What is counted about connections and certificates.
#[derive(Clone, Debug)]
pub struct ServerMetrics {
    /// Connections that are open.
    pub connections: Gauge,
    refusals: Arc<[Counter]>,
    /// When the certificate in use ends, in seconds since 1970.
    pub certificate_expiry: Gauge,
    /// Certificates taken into use.
    pub certificate_swaps: Counter,
    /// Certificates that were offered and could not be used.
    pub certificate_faults: Counter,
}

// === impl AdmissionMetrics ===

impl AdmissionMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let reviews = Family::<OutcomeLabels, Counter>::default();
        registry.register("certgate_admission_reviews", "Admission reviews by what became of them", reviews.clone());
        let hosts = Family::<HostLabels, Counter>::default();
        registry.register("certgate_admission_hosts", "Hosts decided about in admission", hosts.clone());
        let duration = Histogram::new(DURATION_BUCKETS);
        registry.register_with_unit(
            "certgate_admission_duration",
            "Time to answer a review whose body has arrived",
            Unit::Seconds,
            duration.clone(),
        );
        Self {
            reviews: ReviewOutcome::ALL
                .iter()
                .map(|outcome| reviews.get_or_create(&OutcomeLabels { outcome: *outcome }).clone())
                .collect(),
            hosts,
            host_cells: std::iter::repeat_with(OnceLock::new).take(ACTIONS.len() * Reason::ALL.len()).collect(),
            duration,
        }
    }

    /// Counts a review.
    pub fn review(&self, outcome: ReviewOutcome) {
        if let Some(counter) = self.reviews.get(outcome as usize) {
            counter.inc();
        }
    }

    /// Counts a host.
    pub fn host(&self, action: Action, reason: Reason) {
        if let Some(cell) = self.host_cells.get(action as usize * Reason::ALL.len() + reason as usize) {
            let labels = || HostLabels { action: action.as_str(), reason: reason.as_str() };
            cell.get_or_init(|| self.hosts.get_or_create(&labels()).clone()).inc();
        }
    }

    /// Notes how long an answer took.
    pub fn duration(&self, elapsed: Duration) {
        self.duration.observe(elapsed.as_secs_f64());
    }
}

// === impl ServerMetrics ===

impl ServerMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let refusals = Family::<RefusalLabels, Counter>::default();
        let metrics = Self {
            connections: Gauge::default(),
            refusals: Refusal::ALL
                .iter()
                .map(|why| refusals.get_or_create(&RefusalLabels { why: *why }).clone())
                .collect(),
            certificate_expiry: Gauge::default(),
            certificate_swaps: Counter::default(),
            certificate_faults: Counter::default(),
        };
        registry.register("certgate_server_connections", "Open connections", metrics.connections.clone());
        registry.register("certgate_server_refusals", "Requests and connections that were turned away", refusals);
        registry.register(
            "certgate_serving_certificate_not_after_timestamp_seconds",
            "When the serving certificate ends",
            metrics.certificate_expiry.clone(),
        );
        registry.register(
            "certgate_serving_certificate_swaps",
            "Serving certificates taken into use",
            metrics.certificate_swaps.clone(),
        );
        registry.register(
            "certgate_serving_certificate_faults",
            "Serving certificates that were offered and could not be used",
            metrics.certificate_faults.clone(),
        );
        metrics
    }

    /// Counts something turned away.
    pub fn refuse(&self, why: Refusal) {
        if let Some(counter) = self.refusals.get(why as usize) {
            counter.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_and_reason_has_a_counter_of_its_own() {
        let mut registry = Registry::default();
        let metrics = AdmissionMetrics::register(&mut registry);
        for (index, action) in ACTIONS.iter().enumerate() {
            assert_eq!(*action as usize, index);
            for reason in Reason::ALL {
                metrics.host(*action, *reason);
            }
        }
        for outcome in ReviewOutcome::ALL {
            metrics.review(*outcome);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        let ones =
            text.lines().filter(|l| l.starts_with("certgate_admission_hosts_total{") && l.ends_with(" 1")).count();
        assert_eq!(ones, ACTIONS.len() * Reason::ALL.len());
        assert!(text.contains(r#"certgate_admission_reviews_total{outcome="panicked"} 1"#), "{text}");
    }
}
