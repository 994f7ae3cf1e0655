//! A Domain's status: conditions by the API conventions, and the sentence beside them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

use crate::{
    api::domain::{DomainStatus, ISSUED, READY, VERIFIED},
    core::{
        finding::{Finding, Lang},
        reason::{Action, Reason},
    },
};

/// What the three conditions are made of.
pub struct Findings<'a> {
    /// The verdict.
    pub verified: &'a Finding,
    /// What the Certificate says; `None`: there is none yet.
    pub issued: Option<&'a Finding>,
    /// Our parts are in place, so a Certificate is on its way.
    pub released: bool,
    /// What the whole comes down to, whatever the others say.
    pub instead: Option<&'a Finding>,
}

/// Writes conditions, message and who acts. Returns the finding that the
/// whole comes down to.
pub fn write(status: &mut DomainStatus, findings: &Findings<'_>, generation: i64, now: Timestamp) -> Finding {
    let effective = effective(findings);
    let verified = match findings.verified.reason {
        Reason::Pending | Reason::VerdictStale => "Unknown",
        reason if reason.opens_gate() => "True",
        _ => "False",
    };
    let has_certificate = findings.issued.is_some_and(|finding| in_place(finding.reason));
    let issued = findings.issued.unwrap_or(&effective);
    let mut set = |kind: &str, value: &str, finding: &Finding| {
        set_condition(&mut status.conditions, kind, value, finding, generation, now);
    };
    let word = |yes: bool| if yes { "True" } else { "False" };
    set(VERIFIED, verified, findings.verified);
    set(ISSUED, word(has_certificate), issued);
    set(READY, word(has_certificate && verified == "True" && findings.instead.is_none()), &effective);
    status.message = Some(effective.sentence(Lang::En));
    status.who_acts = Some(effective.who_acts().as_str().to_owned());
    effective
}

/// Writes the status of a host that nobody wants a certificate for.
pub fn write_unwanted(status: &mut DomainStatus, why: &Finding, generation: i64, now: Timestamp) {
    for kind in [VERIFIED, ISSUED, READY] {
        set_condition(&mut status.conditions, kind, "False", why, generation, now);
    }
    *status = DomainStatus {
        conditions: std::mem::take(&mut status.conditions),
        message: Some(why.sentence(Lang::En)),
        who_acts: Some(why.reason.who_acts().as_str().to_owned()),
        checked_now: status.checked_now.take(),
        // A component that is stopped and started again finds its verdict as it was.
        verdict: status.verdict.take(),
        last_check_time: status.last_check_time.take(),
        next_check_time: status.next_check_time.take(),
        checked_for: status.checked_for.take(),
        observed: std::mem::take(&mut status.observed),
        required: std::mem::take(&mut status.required),
        released: status.released,
        released_issuer: status.released_issuer.take(),
        claimed_since: status.claimed_since.take(),
        kept_until: status.kept_until.take(),
        // What was ordered counts at the CA, whoever wants it now.
        orders: std::mem::take(&mut status.orders),
        released_since: status.released_since.take(),
        ..DomainStatus::default()
    };
}

/// The reason of a condition, as last written.
pub fn reason_of(status: &DomainStatus, kind: &str) -> Option<Reason> {
    let condition = status.conditions.iter().find(|condition| condition.type_ == kind)?;
    Reason::from_name(&condition.reason)
}

fn in_place(reason: Reason) -> bool {
    matches!(reason, Reason::Issued | Reason::BoundExisting | Reason::RenewalAtRisk)
}

/// What verdict and issuance come down to.
fn effective(findings: &Findings<'_>) -> Finding {
    if let Some(instead) = findings.instead {
        return instead.clone();
    }
    let verified = findings.verified;
    let good = verified.reason.opens_gate();
    match findings.issued {
        // Asking anew takes moments and says nothing against the certificate.
        Some(issued) if good || verified.reason == Reason::Pending => issued.clone(),
        Some(issued) if in_place(issued.reason) => Finding::new(Reason::RenewalAtRisk, &issued.subject)
            .observed(&verified.observed)
            .required(&verified.required)
            .because(verified.clone()),
        _ if findings.released && good => Finding::new(Reason::Issuing, &verified.subject),
        _ => verified.clone(),
    }
}

fn set_condition(
    conditions: &mut Vec<Condition>,
    kind: &str,
    value: &str,
    finding: &Finding,
    generation: i64,
    now: Timestamp,
) {
    let before = conditions.iter().find(|condition| condition.type_ == kind);
    // The time of the last change of status, not of reason (Kubernetes API conventions).
    let since = before.filter(|old| old.status == value).map_or(Time(now), |old| old.last_transition_time.clone());
    let condition = Condition {
        type_: kind.to_owned(),
        status: value.to_owned(),
        reason: finding.reason.as_str().to_owned(),
        message: finding.sentence(Lang::En),
        observed_generation: Some(generation),
        last_transition_time: since,
    };
    match conditions.iter_mut().find(|condition| condition.type_ == kind) {
        Some(old) => *old = condition,
        None => conditions.push(condition),
    }
}

/// Whether an Event is a warning: something is wrong, or somebody must act.
pub fn is_warning(reason: Reason) -> bool {
    use crate::core::reason::WhoActs;
    reason.who_acts() != WhoActs::Nobody
        && (reason.action() != Action::Skip || reason.who_acts() == WhoActs::AppDeveloper)
}

#[cfg(test)]
mod tests;
