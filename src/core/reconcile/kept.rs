//! For how long a namespace holds a host that nothing of it wants any more.
//!
//! Rainbond deletes a component's Ingresses when it stops and makes them again when it starts, be it after a weekend. So a
//! host that was found to lead here stays its namespace's for the days that policy gives. Nothing is ordered or renewed
//! meanwhile. Who only comes and goes does not prolong that: the time counts from when the host was last wanted *and*
//! verified. Switching automatic issuance off gives the host up at once.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::HostInput;
use crate::{api::domain::DomainStatus, core::reason::Reason};

/// How long a host is held that was never verified here: as long as a restart takes.
pub const IDLE: SignedDuration = SignedDuration::from_mins(1);

/// Writes down that the namespace holds a wanted host, or does not. `verified`: it leads here now.
pub fn hold(next: &mut DomainStatus, input: &HostInput<'_>, verified: bool) {
    let claimed = input.claimed.filter(|_| !input.taken);
    next.claimed_since = claimed.map(|since| next.claimed_since.take().unwrap_or(Time(since)));
    if verified || claimed.is_none() {
        next.kept_until = None;
    }
}

/// Writes down until when a host is held that nothing wants any more; returns that. `None`: it is not, as somebody gave it
/// up. `idle_since`: since when nothing wants it, as far as this process knows.
pub fn keep(
    next: &mut DomainStatus,
    before: &DomainStatus,
    input: &HostInput<'_>,
    gives_up: bool,
    idle_since: Timestamp,
) -> Option<Timestamp> {
    next.claimed_since.clone_from(&before.claimed_since);
    next.kept_until.clone_from(&before.kept_until);
    if gives_up || input.taken || (next.claimed_since.is_none() && !before.released) {
        (next.claimed_since, next.kept_until) = (None, None);
        return None;
    }
    // Released by a version that wrote no claims down.
    next.claimed_since.get_or_insert_with(|| before.released_since.clone().unwrap_or(Time(input.now)));
    let good =
        before.verdict.as_ref().and_then(|verdict| Reason::from_name(&verdict.reason)).is_some_and(Reason::opens_gate);
    if next.kept_until.is_none() && (before.released || good) {
        next.kept_until = Some(Time(after(input.now, input.kept_for)));
    }
    let restart = after(idle_since, IDLE);
    let until = next.kept_until.as_ref().map_or(restart, |until| until.0.max(restart));
    if until <= input.now {
        (next.claimed_since, next.kept_until) = (None, None);
    }
    Some(until)
}

fn after(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
