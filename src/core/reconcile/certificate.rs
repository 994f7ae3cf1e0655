//! A host's Certificate: what it says about issuance, whether it is the one
//! that is wanted, and what brings the wanted one about.
//!
//! ingress-shim makes a Certificate when an Ingress changes and never else: if
//! the owner of the old one is just going away, the new owner is passed over
//! and nothing looks again. So a wanted Certificate that is missing is brought
//! about by a nudge, and one of a wrong owner is cleared away first. The Secret
//! stays, and cert-manager takes it over without a new order.

use jiff::{SignedDuration, Timestamp};

use super::{CertificateView, Claim, Effect, HostInput, HostPlan, Notes, Owner};
use crate::core::{finding::Finding, host::Host, issuance, reason::Reason};

/// How long ingress-shim is given before a missing Certificate is missed, and
/// our own watches to catch up with each other.
const PATIENCE: SignedDuration = SignedDuration::from_secs(3);
/// How long the garbage collector is given (2–5 s were seen).
const COLLECTOR_PATIENCE: SignedDuration = SignedDuration::from_secs(15);
/// The first wait after a nudge that brought nothing; doubles up to the last.
const FIRST_NUDGE_WAIT: SignedDuration = SignedDuration::from_secs(10);
const LAST_NUDGE_WAIT: SignedDuration = SignedDuration::from_hours(1);

/// The Ingress that is to own the Certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Carrier<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its uid.
    pub uid: &'a str,
}

/// What a Certificate and the latest attempt to issue it say. `None`: there is none.
pub fn finding(host: &Host, certificate: Option<&CertificateView<'_>>, now: Timestamp) -> Option<Finding> {
    let certificate = certificate?;
    let found = |reason| Finding::new(reason, host);
    let failure = certificate.failure.filter(|_| !certificate.issuing);
    let trouble = if certificate.issuing || failure.is_some() || !certificate.ready {
        issuance::trouble(host, &certificate.attempt, failure, now)
    } else {
        None
    };
    Some(match trouble {
        Some(trouble) if certificate.ready && trouble.reason == Reason::IssuanceFailed => {
            found(Reason::RenewalAtRisk).note(trouble.note)
        }
        Some(trouble) if certificate.ready => found(Reason::RenewalAtRisk).because(trouble),
        Some(trouble) => trouble,
        None if certificate.ready => found(Reason::Issued)
            .note(certificate.not_after.map(|at| at.strftime("%Y-%m-%d").to_string()).unwrap_or_default()),
        None => found(Reason::Issuing),
    })
}

/// Brings about the wanted Certificate: waits, clears away or nudges.
pub fn repair(input: &HostInput<'_>, carrier: Carrier<'_>, plan: &mut HostPlan) {
    let now = input.now;
    let Some(certificate) = &input.certificate else {
        let since = *plan.notes.amiss_since.get_or_insert(now);
        let ready_at = next_nudge(&plan.notes, since);
        if ready_at <= now {
            plan.effects.push(Effect::Nudge { ingress: carrier.name.to_owned(), uid: carrier.uid.to_owned() });
            plan.notes.nudges = plan.notes.nudges.saturating_add(1);
            plan.notes.nudged_at = Some(now);
            plan.wake_at(next_nudge(&plan.notes, since));
        } else {
            plan.wake_at(ready_at);
        }
        return;
    };
    match certificate.owner {
        Owner::Ingress { uid, .. } if uid == carrier.uid => {
            plan.notes.amiss_since = None;
            plan.notes.nudges = 0;
            plan.notes.nudged_at = None;
        }
        Owner::Ingress { exists, .. } => {
            let since = *plan.notes.amiss_since.get_or_insert(now);
            // While the old owner still carries our parts it would make the Certificate anew.
            let carried =
                input.asked_elsewhere || (exists && carriers(input).any(|claim| Owner::is(certificate, claim.uid)));
            let patience = if exists { PATIENCE } else { COLLECTOR_PATIENCE };
            clear_away(certificate, carried, since, patience, now, plan);
        }
        // Not ours to touch; the verdict says so.
        Owner::Nobody | Owner::Other => {}
    }
}

/// Clears away a Certificate that nobody wants: ingress-shim alone would leave it renewing.
pub fn withdraw(input: &HostInput<'_>, plan: &mut HostPlan) {
    let now = input.now;
    plan.notes.amiss_since = None;
    plan.notes.nudges = 0;
    plan.notes.nudged_at = None;
    match &input.certificate {
        Some(certificate) if matches!(certificate.owner, Owner::Ingress { .. }) => {
            let since = *plan.notes.unwanted_since.get_or_insert(now);
            // Whoever asks for it would make it anew, as often as it is deleted.
            let carried = input.asked_elsewhere || carriers(input).next().is_some();
            clear_away(certificate, carried, since, PATIENCE, now, plan);
        }
        _ => plan.notes.unwanted_since = None,
    }
}

/// The Ingresses of which ingress-shim makes the Certificate.
fn carriers<'i, 'a>(input: &'i HostInput<'a>) -> impl Iterator<Item = &'i Claim<'a>> {
    input.claims.iter().filter(|claim| claim.refers && claim.annotated)
}

fn clear_away(
    certificate: &CertificateView<'_>,
    carried: bool,
    since: Timestamp,
    patience: SignedDuration,
    now: Timestamp,
    plan: &mut HostPlan,
) {
    let at = since.saturating_add(patience).unwrap_or(now);
    if carried {
        // The Ingress' own change, under way, brings the next plan.
        return;
    }
    if at <= now {
        plan.effects
            .push(Effect::DeleteCertificate { name: certificate.name.to_owned(), uid: certificate.uid.to_owned() });
    } else {
        plan.wake_at(at);
    }
}

fn next_nudge(notes: &Notes, since: Timestamp) -> Timestamp {
    match notes.nudged_at {
        None => since.saturating_add(PATIENCE).unwrap_or(since),
        Some(last) => {
            let doublings = notes.nudges.saturating_sub(1).min(16);
            let wait = FIRST_NUDGE_WAIT.saturating_mul(1_i32 << doublings).min(LAST_NUDGE_WAIT);
            last.saturating_add(wait).unwrap_or(last)
        }
    }
}

// === impl Owner ===

impl Owner<'_> {
    fn is(certificate: &CertificateView<'_>, uid: &str) -> bool {
        matches!(certificate.owner, Owner::Ingress { uid: owner, .. } if owner == uid)
    }
}

#[cfg(test)]
mod tests;
