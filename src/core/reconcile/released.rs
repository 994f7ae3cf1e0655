//! What of a host is certgate's own doing, written down in its Domain's status, where no tenant writes: that it was let
//! through, for which issuer, and which TLS entries were put on Ingresses.
//!
//! A TLS entry with the name of our Secret, a record beside it, an Ingress with a companion's labels or a Certificate of
//! our name may be anybody's. None of them releases a host. The gate does, that stands open while our parts are there.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::HostInput;
use crate::{
    api::domain::{DomainStatus, PlaceStatus},
    core::{policy::IssuerRef, reason::Reason},
};

/// The most Secrets of TLS entries that are remembered for a host. One is usual; each exchange of a bound certificate
/// adds one, until the Ingresses have followed.
const MAX_SECRETS: usize = 8;

/// Whether the verdict in a status is good for an issuer, and recent enough.
pub fn is_verified(status: &DomainStatus, issuer: Option<&IssuerRef>, now: Timestamp) -> bool {
    status.verdict.as_ref().is_some_and(|verdict| {
        [Reason::Verified, Reason::NoValidationNeeded].iter().any(|reason| reason.as_str() == verdict.reason)
            && verdict.issuer.as_ref() == issuer
            && verdict.valid_until.as_ref().is_some_and(|until| until.0 > now)
    })
}

/// Whether the gate stands open by what a status says: what the webhook injects by.
pub fn stands_open(status: &DomainStatus, issuer: Option<&IssuerRef>, now: Timestamp) -> bool {
    is_verified(status, issuer, now) && matches!(status.place, None | Some(PlaceStatus::Granted))
}

/// Whether the host was let through for that issuer.
pub fn is_released_for(status: &DomainStatus, issuer: Option<&IssuerRef>) -> bool {
    let of = status.released_issuer();
    status.released && (of.is_none() || of == issuer)
}

/// Writes down that our parts are there while the gate is open for an issuer.
pub fn release(next: &mut DomainStatus, issuer: Option<&IssuerRef>, now: Timestamp) {
    next.released = true;
    next.released_since.get_or_insert(Time(now));
    next.released_issuer = issuer.cloned();
}

/// Carries over what was released before, or takes it back. `stays`: nothing speaks against it. What an earlier version
/// released belongs to the issuer of its verdict, or to `issuer` where there was none.
pub fn carry(next: &mut DomainStatus, before: &DomainStatus, stays: bool, issuer: Option<&IssuerRef>) {
    next.released = before.released && stays;
    next.released_since = before.released_since.clone().filter(|_| next.released);
    next.released_issuer = before.released_issuer().or(issuer).cloned().filter(|_| next.released);
}

/// Writes down which Secrets TLS entries of ours name that the rest of the status does not tell of. Kept for as long as an
/// Ingress has such an entry: by this it is known for one that is to be taken away.
pub fn remember_entries(next: &mut DomainStatus, before: &DomainStatus, input: &HostInput<'_>) {
    let own = input.host.secret_name();
    let bound = |status: &DomainStatus| status.bind.as_ref().map(|bind| bind.secret_name.clone());
    let told = |secret: &String| (next.released && *secret == own) || bound(next).as_ref() == Some(secret);
    let mut secrets = before.injected_secrets.clone();
    secrets.extend(bound(before));
    // The webhook injects while the gate is open, and may do so just before a flag goes.
    let of_verdict = before.verdict.as_ref().and_then(|verdict| verdict.issuer.as_ref());
    secrets.extend((before.released || stands_open(before, of_verdict, input.now)).then(|| own.clone()));
    secrets.retain(|secret| !told(secret) && input.claims.iter().any(|claim| claim.bears == Some(secret.as_str())));
    secrets.sort_unstable();
    secrets.dedup();
    secrets.truncate(MAX_SECRETS);
    next.injected_secrets = secrets;
}

#[cfg(test)]
mod tests;
