//! What is done about the Certificates of Rainbond 6's switch: each carries what certgate has found out as a condition,
//! and one that no route needs any more is told of and, if policy says so, removed.
//!
//! Rainbond's page shows the message of a Certificate's `Ready` condition. That is cert-manager's, which writes it anew
//! whenever it differs; so ours is a condition beside it.

use jiff::{SignedDuration, Timestamp};

use super::{CertificateView, Effect, HostInput, HostPlan};
use crate::core::{
    finding::{Finding, Lang},
    policy::{LeftOver, Rainbond},
    reason::Reason,
};

/// How a host stands with Rainbond's switch.
#[derive(Clone, Debug)]
pub struct Switch<'a> {
    /// What policy says.
    pub policy: Rainbond,
    /// The Certificates that the switch made for the host alone.
    pub certificates: Vec<Switched<'a>>,
    /// Whether a route serves the host; `None`: routes are not known.
    pub routed: Option<bool>,
    /// Whether a route of the host says that the switch is on.
    pub flagged: bool,
}

/// A Certificate that the switch made.
#[derive(Clone, Debug)]
pub struct Switched<'a> {
    /// The Certificate.
    pub view: CertificateView<'a>,
    /// cert-manager has looked at it. Before that our condition would be the first, and some pages show just that.
    pub looked_at: bool,
    /// Our condition on it.
    pub condition: Option<CertificateCondition>,
}

/// Our condition on a Certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateCondition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason's name.
    pub reason: String,
    /// In a sentence.
    pub message: String,
    /// Since when the status is that one.
    pub since: Option<Timestamp>,
}

// === impl Switch ===

impl Switch<'_> {
    /// What is to be said of a Certificate that no route needs any more, once that has been so for long enough. `told`: it
    /// has been told of before.
    pub fn left_over(&self, host: &str, told: bool, now: Timestamp, plan: &mut HostPlan) -> Option<Finding> {
        let Some(certificate) = self.certificates.first().filter(|_| self.routed == Some(false)) else {
            plan.notes.unrouted_since = None;
            return None;
        };
        let since = *plan.notes.unrouted_since.get_or_insert(now);
        let patience = SignedDuration::from_secs(i64::from(self.policy.left_over_seconds));
        let at = since.saturating_add(patience).unwrap_or(now);
        if at > now && !told {
            plan.wake_at(at);
            return None;
        }
        Some(Finding::new(Reason::CertificateLeftOver, host).note(certificate.view.name))
    }
}

/// Writes what was found out on the switch's Certificates, and sees to those left over. `told`: it has been told of before.
pub fn plan(input: &HostInput<'_>, verified: &Finding, left_over: Option<&Finding>, told: bool, plan: &mut HostPlan) {
    let Some(switch) = &input.switch else { return };
    let now = input.now;
    for certificate in &switch.certificates {
        let (name, uid) = (certificate.view.name, certificate.view.uid);
        if let Some(finding) = left_over.filter(|_| !told) {
            plan.effects.push(Effect::TellCertificate {
                name: name.to_owned(),
                uid: uid.to_owned(),
                reason: finding.reason,
                message: finding.sentence(Lang::En),
            });
        }
        if left_over.is_some() && switch.policy.left_over_certificates == LeftOver::Remove {
            plan.effects.push(Effect::DeleteCertificate { name: name.to_owned(), uid: uid.to_owned() });
            continue;
        }
        let wanted = condition(left_over.unwrap_or(verified), left_over.is_some(), certificate.condition.as_ref(), now);
        if certificate.looked_at && certificate.condition.as_ref() != Some(&wanted) {
            plan.effects.push(Effect::SetCondition {
                certificate: name.to_owned(),
                uid: uid.to_owned(),
                condition: wanted,
            });
        }
    }
}

fn condition(
    finding: &Finding,
    left_over: bool,
    before: Option<&CertificateCondition>,
    now: Timestamp,
) -> CertificateCondition {
    let status = match finding.reason {
        Reason::Pending | Reason::VerdictStale => "Unknown",
        reason if reason.opens_gate() && !left_over => "True",
        _ => "False",
    };
    let since = before.filter(|before| before.status == status).map_or(Some(now), |before| before.since);
    CertificateCondition {
        status: status.to_owned(),
        reason: finding.reason.as_str().to_owned(),
        message: finding.sentence(Lang::En),
        since,
    }
}

#[cfg(test)]
mod tests;
