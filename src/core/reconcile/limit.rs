//! A host's place within the CA's limits: whether its plan needs one, and what its Domain says of it.

use jiff::Timestamp;

use super::{CertificateView, HostInput, released};
use crate::{
    api::domain::{DomainStatus, PlaceStatus, VERIFIED},
    core::{
        finding::Finding,
        host::Host,
        limits::{Place, Spent, Wait},
        policy::IssuerRef,
        reason::Reason,
    },
};

/// What a plan needs of the CA's limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Need {
    /// Nothing.
    #[default]
    None,
    /// A place, before anything orders.
    Ask {
        /// By whom it would be issued.
        issuer: IssuerRef,
        /// Since when it could be.
        since: Timestamp,
    },
    /// What was ordered, or soon will be, has its place.
    Keep {
        /// By whom it is issued.
        issuer: IssuerRef,
    },
}

/// What a host waits for.
pub fn finding(host: &Host, wait: &Wait) -> Finding {
    let observed = [wait.limit.as_str(), wait.of.as_str()].into_iter().filter(|word| !word.is_empty());
    Finding::new(Reason::RateLimited, host).observed(observed).note(wait.until_text())
}

/// What a host needs for whose names something else asks: a place that was given is kept while the order is under way.
pub(super) fn kept(input: &HostInput<'_>, certificate: Option<&CertificateView<'_>>, issuer: &IssuerRef) -> Need {
    let under_way = input.checks.place == Place::Granted && certificate.is_some_and(|certificate| certificate.issuing);
    if under_way { Need::Keep { issuer: issuer.clone() } } else { Need::None }
}

/// What a wanted host needs: `verified` says that nothing else keeps it.
pub(super) fn need(input: &HostInput<'_>, status: &DomainStatus, issuer: Option<&IssuerRef>, verified: bool) -> Need {
    let Some(issuer) = issuer.cloned().filter(|_| status.bind.is_none()) else { return Need::None };
    if released::is_released_for(status, Some(&issuer)) {
        return if is_under_way(status, input) {
            Need::Keep { issuer }
        } else {
            kept(input, input.certificate.as_ref(), &issuer)
        };
    }
    if !verified {
        return Need::None;
    }
    let verified = status.conditions.iter().find(|condition| condition.type_ == VERIFIED && condition.status == "True");
    Need::Ask { issuer, since: verified.map_or(input.now, |condition| condition.last_transition_time.0) }
}

/// Whether what a released host ordered has neither come nor failed.
fn is_under_way(status: &DomainStatus, input: &HostInput<'_>) -> bool {
    !input.certificate.is_some_and(|certificate| certificate.ready) && is_on_its_way(status)
}

/// The same by what its Domain says alone.
pub fn is_on_its_way(status: &DomainStatus) -> bool {
    let reason = status.issuance.as_ref().and_then(|issuance| Reason::from_name(&issuance.reason));
    matches!(reason, None | Some(Reason::Issuing | Reason::CertificateMissing | Reason::RateLimited))
}

/// Writes down the place, and what is remembered of orders.
pub(super) fn write(next: &mut DomainStatus, input: &HostInput<'_>) {
    next.place = match &input.checks.place {
        Place::Granted => Some(PlaceStatus::Granted),
        Place::Waiting(_) => Some(PlaceStatus::Waiting),
        Place::Unasked if input.limited => Some(PlaceStatus::Unasked),
        Place::Unasked | Place::Free => None,
    };
    next.orders = Spent::merged(&next.orders, &input.checks.spent, input.now);
}

#[cfg(test)]
mod tests;
