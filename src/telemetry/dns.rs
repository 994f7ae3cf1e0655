//! What is counted about questions to DNS.

use std::{net::SocketAddr, time::Duration};

use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::{Registry, Unit},
};

use crate::core::verdict::answers::{Outcome, Rcode};

/// Upper bounds in seconds: from a resolver next door to one that answers at the last moment.
const LATENCY_BUCKETS: [f64; 11] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5];
/// The name under which all servers of zones go: there is no end to them.
const AUTHORITATIVE: &str = "authoritative";

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByServer {
    server: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ByOutcome {
    server: String,
    outcome: &'static str,
}

/// Questions to DNS, by the resolver that policy names; clones share them.
#[derive(Clone, Debug)]
pub struct DnsMetrics {
    questions: Family<ByOutcome, Counter>,
    latency: Family<ByServer, Histogram, fn() -> Histogram>,
    validating: Family<ByServer, Gauge>,
}

impl Default for DnsMetrics {
    fn default() -> Self {
        Self {
            questions: Family::default(),
            latency: Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS)),
            validating: Family::default(),
        }
    }
}

// === impl DnsMetrics ===

impl DnsMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("certgate_dns");
        registry.register("questions", "Questions to DNS servers, by what came of them", metrics.questions.clone());
        registry.register_with_unit(
            "latency",
            "How long DNS servers took to answer, those that did",
            Unit::Seconds,
            metrics.latency.clone(),
        );
        registry.register(
            "resolver_validates",
            "Whether a resolver refuses what does not validate by DNSSEC: 1, or 0 where it answers all the same",
            metrics.validating.clone(),
        );
        metrics
    }

    /// A resolver was asked about a name that does not validate. `validates`: `None` where its answer does not tell.
    pub fn probed(&self, server: SocketAddr, validates: Option<bool>) {
        let server = ByServer { server: server.to_string() };
        match validates {
            Some(validates) => {
                self.validating.get_or_create(&server).set(validates.into());
            }
            None => {
                self.validating.remove(&server);
            }
        }
    }

    /// A server was asked. `resolver`: one that policy names, not one of a zone.
    pub fn asked(&self, server: SocketAddr, resolver: bool, outcome: &Outcome, took: Duration) {
        let server = if resolver { server.to_string() } else { AUTHORITATIVE.to_owned() };
        if matches!(outcome, Outcome::Reply(_)) {
            self.latency.get_or_create(&ByServer { server: server.clone() }).observe(took.as_secs_f64());
        }
        self.questions.get_or_create(&ByOutcome { server, outcome: word(outcome) }).inc();
    }
}

fn word(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Reply(reply) => match reply.rcode {
            Rcode::NO_ERROR => "noerror",
            Rcode::NAME_ERROR => "nxdomain",
            Rcode::SERVER_FAILURE => "servfail",
            Rcode::REFUSED => "refused",
            _ => "other_rcode",
        },
        Outcome::Timeout => "timeout",
        Outcome::Unreachable(_) => "unreachable",
        Outcome::Malformed(_) => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::verdict::answers::Reply;

    #[test]
    fn resolvers_are_told_apart_and_servers_of_zones_are_not() {
        let mut registry = Registry::default();
        let metrics = DnsMetrics::register(&mut registry);
        let took = Duration::from_millis(3);
        metrics.asked("203.0.113.1:53".parse().unwrap(), true, &Outcome::Reply(Reply::default()), took);
        metrics.asked("203.0.113.1:53".parse().unwrap(), true, &Outcome::Timeout, took);
        metrics.probed("203.0.113.1:53".parse().unwrap(), Some(false));
        for n in 1..100 {
            metrics.asked(([198, 51, 100, n], 53).into(), false, &Outcome::Malformed(String::new()), took);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "certgate_dns_questions_total{server=\"203.0.113.1:53\",outcome=\"noerror\"} 1",
            "certgate_dns_questions_total{server=\"203.0.113.1:53\",outcome=\"timeout\"} 1",
            "certgate_dns_questions_total{server=\"authoritative\",outcome=\"malformed\"} 99",
            "certgate_dns_latency_seconds_count{server=\"203.0.113.1:53\"} 1",
            "certgate_dns_resolver_validates{server=\"203.0.113.1:53\"} 0",
        ] {
            assert!(text.lines().any(|have| have == line), "{line} not in\n{text}");
        }
    }
}
