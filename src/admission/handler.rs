//! [`Admission`]: the endpoint as the server sees it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Instant,
};

use arc_swap::ArcSwap;
use http::StatusCode;
use jiff::Timestamp;

use super::{
    answer::{Answer, Change, Outcome, allow},
    approve, review,
};
use crate::{
    cluster::index::Index,
    core::{policy::Policy, reason::Action},
    server::http::{Application, Reply},
    telemetry::{
        metrics::{AdmissionMetrics, ReviewOutcome},
        sample::Sampler,
        trace,
    },
};

/// Where the API server sends reviews of objects that may be changed.
pub const MUTATE_PATH: &str = "/mutate";
/// Where it sends reviews of approvals.
pub const APPROVE_PATH: &str = "/approve";

/// Changes that are told one by one: more than people make, and fewer than a loop of writes, which costs no more then.
const CHANGES_A_SECOND: u32 = 20;

/// Answers admission reviews from the index, by the policy.
pub struct Admission {
    index: Arc<Index>,
    policy: Arc<ArcSwap<Policy>>,
    metrics: AdmissionMetrics,
    complaints: Sampler,
    changes: Sampler,
    /// Whose approvals always stand: the user name of certgate's controller.
    approver: String,
}

// === impl Admission ===

impl Admission {
    /// An endpoint that answers from `index` by what `policy` is at the time.
    /// `approver`: the user name of certgate's controller.
    pub fn new(
        index: Arc<Index>,
        policy: Arc<ArcSwap<Policy>>,
        metrics: AdmissionMetrics,
        approver: impl Into<String>,
    ) -> Self {
        let (complaints, changes) = (Sampler::default(), Sampler::per_second(CHANGES_A_SECOND));
        Self { index, policy, metrics, complaints, changes, approver: approver.into() }
    }

    fn review_approval(&self, body: &[u8]) -> Answer {
        // The CSR is parsed before the index is held still.
        let reading = approve::read(body, &self.approver);
        let knowledge = self.index.read();
        reading.answer(&knowledge, &self.policy.load(), Timestamp::now())
    }

    fn review(&self, body: &[u8]) -> Answer {
        let reading = review::read(body);
        let knowledge = self.index.read();
        reading.answer(&knowledge, &self.policy.load(), Timestamp::now(), &self.changes)
    }

    /// What is answered after a fault of our own: the write goes through all the same.
    fn apologise(&self, body: &[u8]) -> Answer {
        let warning = "certgate: left alone, because of a fault of certgate's own".to_owned();
        match catch_unwind(|| review::find_uid(body).map(|uid| allow(&uid, Some(warning)))) {
            Ok(Some(bytes)) => Answer { bytes, outcome: Outcome::Unreadable },
            _ => Answer { bytes: b"internal error\n".to_vec(), outcome: Outcome::Malformed },
        }
    }

    /// Answers by `review`, whatever that does.
    fn contained(&self, body: &[u8], review: impl FnOnce() -> Answer) -> Reply {
        let start = Instant::now();
        let _traced = tracing::info_span!(target: trace::TARGET, "admission review", octets = body.len()).entered();
        let caught = catch_unwind(AssertUnwindSafe(review));
        let panicked = caught.is_err();
        let Answer { bytes, outcome } = caught.unwrap_or_else(|_| self.apologise(body));
        if panicked {
            self.metrics.review(ReviewOutcome::Panicked);
        } else {
            self.record(&outcome, body);
        }
        self.metrics.duration(start.elapsed());
        match outcome {
            Outcome::Malformed if panicked => Reply::text(StatusCode::INTERNAL_SERVER_ERROR, bytes),
            Outcome::Malformed => Reply::text(StatusCode::BAD_REQUEST, bytes),
            _ => Reply::json(StatusCode::OK, bytes),
        }
    }

    fn record(&self, outcome: &Outcome, body: &[u8]) {
        let kind = match outcome {
            Outcome::Decided { patched, hosts, change } => {
                for (action, reason) in hosts {
                    self.metrics.host(*action, *reason);
                }
                // The index is not held any more.
                if let Some(change) = change {
                    tell(change);
                }
                if *patched { ReviewOutcome::Patched } else { ReviewOutcome::Unchanged }
            }
            Outcome::Refused(reasons) => {
                for reason in reasons {
                    self.metrics.host(Action::Hold, *reason);
                }
                ReviewOutcome::Refused
            }
            Outcome::PassedBy => ReviewOutcome::PassedBy,
            Outcome::Unreadable => ReviewOutcome::Unreadable,
            Outcome::Malformed => ReviewOutcome::Malformed,
        };
        self.metrics.review(kind);
        if matches!(outcome, Outcome::Unreadable | Outcome::Malformed)
            && let Some(unsaid) = self.complaints.admit()
        {
            tracing::warn!(octets = body.len(), outcome = ?kind, unsaid, "a review could not be read");
        }
    }
}

/// A line for each host that gets or loses its parts; one at least.
fn tell(change: &Change) {
    let Change { namespace, name, is_ingress, hosts, unsaid } = change;
    if !is_ingress {
        return tracing::info!(namespace, service = name, unsaid, "solver labelled in admission");
    }
    if hosts.is_empty() {
        tracing::info!(namespace, ingress = name, unsaid, "Ingress changed in admission");
    }
    for (host, action, reason) in hosts {
        let (action, reason) = (action.as_str(), reason.as_str());
        tracing::info!(namespace, ingress = name, host, action, reason, unsaid, "Ingress changed in admission");
    }
}

impl Application for Admission {
    fn serves(&self, path: &str) -> bool {
        path == MUTATE_PATH || path == APPROVE_PATH
    }

    fn answer(&self, path: &str, body: &[u8]) -> Reply {
        self.contained(body, || if path == APPROVE_PATH { self.review_approval(body) } else { self.review(body) })
    }
}

#[cfg(test)]
mod tests;
