//! The CA and the serving certificate of the webhook, kept by the controller's leader.
//!
//! [`plan`] is the state machine, pure: from what the cluster holds and the
//! time to the next step. [`x509`] makes and reads certificates, [`store`] reads
//! and writes them in the cluster, [`maintain`] watches and does what the plan says.
//!
//! The order that keeps every call verifiable: a CA is published in each
//! caBundle, and has been for a while, before it signs; the one before it stays published until it ends.

pub mod maintain;
pub mod plan;
pub mod store;
pub mod x509;

use std::time::Duration;

pub use maintain::{PkiMetrics, maintain};

/// What the leader keeps, and where.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The namespace of the Secrets and of the Service.
    pub namespace: String,
    /// The Service that the API server calls.
    pub service: String,
    /// The Secret with the CA's keys.
    pub ca_secret: String,
    /// The Secret that the webhook's replicas serve with.
    pub tls_secret: String,
    /// MutatingWebhookConfigurations whose caBundle is kept.
    pub mutating: Vec<String>,
    /// ValidatingWebhookConfigurations whose caBundle is kept.
    pub validating: Vec<String>,
    /// How long certificates live.
    pub lifetimes: Lifetimes,
}

/// How long certificates live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The serving certificate.
    pub leaf: Duration,
    /// The CA.
    pub ca: Duration,
}

/// Lifetimes as flags.
#[derive(Clone, Debug, clap::Args)]
pub struct LifetimeArgs {
    /// How long a serving certificate lives; renewed at two thirds of it. [default: 7d]
    #[arg(long, env = "CERTGATE_LEAF_LIFETIME", value_name = "DURATION", default_value = "7d", value_parser = duration, hide_default_value = true)]
    pub leaf_lifetime: Duration,
    /// How long the CA lives; its successor is published at two thirds of it. [default: 365d]
    #[arg(long, env = "CERTGATE_CA_LIFETIME", value_name = "DURATION", default_value = "365d", value_parser = duration, hide_default_value = true)]
    pub ca_lifetime: Duration,
}

/// Why lifetimes cannot be kept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum LifetimeError {
    /// Too short to be renewed in time.
    #[error("--leaf-lifetime {0:?} is too short to be renewed in time; give at least 10s")]
    LeafTooShort(Duration),
    /// No room for the overlap.
    #[error("--ca-lifetime {ca:?} leaves no room for an overlap; give at least four times --leaf-lifetime ({leaf:?})")]
    CaTooShort {
        /// The CA's.
        ca: Duration,
        /// The leaf's.
        leaf: Duration,
    },
}

/// Reads "7d", "36h", "90s".
fn duration(text: &str) -> Result<Duration, String> {
    let hint = "write a duration such as 7d, 36h or 90s";
    let span: jiff::Span = text.parse().map_err(|_| hint.to_owned())?;
    let signed =
        span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|error| format!("{hint}: {error}"))?;
    Duration::try_from(signed).map_err(|_| hint.to_owned())
}

// === impl Settings ===

impl Settings {
    /// The DNS names of the Service, the one that the API server uses first.
    pub fn dns_names(&self) -> Vec<String> {
        let (service, namespace) = (&self.service, &self.namespace);
        vec![format!("{service}.{namespace}.svc"), format!("{service}.{namespace}.svc.cluster.local")]
    }
}

// === impl Lifetimes ===

impl Default for Lifetimes {
    fn default() -> Self {
        let day = Duration::from_secs(24 * 60 * 60);
        Self { leaf: day * 7, ca: day * 365 }
    }
}

impl TryFrom<&LifetimeArgs> for Lifetimes {
    type Error = LifetimeError;

    fn try_from(args: &LifetimeArgs) -> Result<Self, LifetimeError> {
        let (leaf, ca) = (args.leaf_lifetime, args.ca_lifetime);
        if leaf < Duration::from_secs(10) {
            Err(LifetimeError::LeafTooShort(leaf))
        } else if ca < leaf * 4 {
            Err(LifetimeError::CaTooShort { ca, leaf })
        } else {
            Ok(Self { leaf, ca })
        }
    }
}

impl Lifetimes {
    /// How long a CA must have been published before it signs: API servers
    /// learn of a changed configuration by watch, within a second or so.
    pub fn settle(&self) -> Duration {
        (self.leaf / 100).clamp(Duration::from_secs(2), Duration::from_secs(60))
    }

    /// How often to look at the clock. Wall-clock time, so short: nodes sleep, clocks are set.
    pub fn tick(&self) -> Duration {
        (self.leaf / 60).clamp(Duration::from_secs(1), Duration::from_secs(60))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("7d", 604_800)]
    #[case("36h", 129_600)]
    #[case("90s", 90)]
    #[case("1d12h", 129_600)]
    fn durations_are_read(#[case] text: &str, #[case] seconds: u64) {
        assert_eq!(duration(text), Ok(Duration::from_secs(seconds)));
    }

    #[rstest]
    #[case("")]
    #[case("7")]
    #[case("-7d")]
    #[case("soon")]
    #[case("1 month")]
    fn other_texts_are_refused_with_an_example(#[case] text: &str) {
        assert!(duration(text).unwrap_err().contains("such as 7d"));
    }

    #[test]
    fn lifetimes_that_leave_no_room_are_refused() {
        let args =
            |leaf, ca| LifetimeArgs { leaf_lifetime: Duration::from_secs(leaf), ca_lifetime: Duration::from_secs(ca) };
        assert!(Lifetimes::try_from(&args(60, 240)).is_ok());
        assert!(matches!(Lifetimes::try_from(&args(60, 239)), Err(LifetimeError::CaTooShort { .. })));
        assert!(matches!(Lifetimes::try_from(&args(5, 240)), Err(LifetimeError::LeafTooShort(_))));
    }
}
