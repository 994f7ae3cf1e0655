//! What the controller does about a CertificateRequest that nobody has decided on.

use jiff::Timestamp;

use super::limit;
use crate::core::{
    approval::{Approval, RequestFacts, held, judge},
    finding::Finding,
    host::Host,
    knowledge::Knowledge,
    limits::{Place, Wait},
    policy::Policy,
    reason::Reason,
};

/// What to do about a request.
#[derive(Clone, Debug, PartialEq)]
pub enum RequestPlan {
    /// Nothing: it is somebody else's, or somebody else approves.
    Leave,
    /// Ask for a place within the CA's limits, and plan anew.
    Ask,
    /// Approve it.
    Approve {
        /// For the condition.
        message: String,
        /// The names that wait all the same, where the certificate would run out.
        despite: Vec<Finding>,
    },
    /// Wait.
    Hold {
        /// What each name waits for.
        findings: Vec<Finding>,
        /// In a sentence.
        message: String,
        /// When it is let through whatever DNS shows, or its turn comes.
        until: Option<Timestamp>,
    },
}

/// Plans for a request. `place`: where it stands with the CA's limits; `next_check`: when a host is looked at again.
pub fn plan<K: Knowledge>(
    request: &RequestFacts<'_>,
    knowledge: &K,
    place: &Place,
    next_check: impl Fn(&Host) -> Option<Timestamp>,
    policy: &Policy,
    now: Timestamp,
) -> RequestPlan {
    let approve = |message: &str, despite| match policy.gate.approve {
        true => RequestPlan::Approve { message: message.to_owned(), despite },
        false => RequestPlan::Leave,
    };
    let judged = judge(request, knowledge, policy, now);
    if judged.approves() {
        match place {
            // Also one that is let through whatever DNS shows: the CA would only refuse it.
            Place::Unasked => return RequestPlan::Ask,
            Place::Waiting(wait) => return waits(request, wait),
            Place::Granted | Place::Free => {}
        }
    }
    match judged {
        Approval::NotGated(_) => RequestPlan::Leave,
        Approval::Allowed => approve("Every name is verified: the CA will be able to validate it.", Vec::new()),
        Approval::LetThrough(findings) => {
            approve("Not every name is verified, but the certificate in use would run out.", findings)
        }
        Approval::Held { findings, until } => {
            let hosts = || request.names.iter().flat_map(|names| &names.hosts);
            let mut message = held(&findings);
            if let Some(at) = hosts().filter_map(next_check).filter(|at| *at > now).min() {
                message.push_str(&format!(" Next check: {at}."));
            }
            RequestPlan::Hold { findings, message, until }
        }
    }
}

/// What waits for its turn within the CA's limits.
fn waits(request: &RequestFacts<'_>, wait: &Wait) -> RequestPlan {
    let first = request.names.iter().flat_map(|names| &names.hosts).next();
    let findings: Vec<Finding> = first.map(|host| limit::finding(host, wait)).into_iter().collect();
    RequestPlan::Hold { message: held(&findings), findings, until: Some(wait.until) }
}

/// Whether a hold is worth an Event: not while certgate itself is still looking.
pub fn tells(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| !matches!(finding.reason, Reason::Pending | Reason::VerdictStale))
}

#[cfg(test)]
mod tests;
