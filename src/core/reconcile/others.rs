//! The issuers that Certificates for a host name beside the one that the host is kept for: each has a verdict of its own,
//! for what one CA would do says nothing about another.

use super::{
    DomainView, HostInput, HostPlan, gate,
    host::{self, By},
};
use crate::api::domain::{DomainStatus, OtherVerdict};

/// The most of them that are looked at; policy names few.
pub const MOST: usize = 4;

/// Brings their verdicts up to date. Those that nobody waits for any more go.
pub(super) fn look(input: &HostInput<'_>, domain: DomainView<'_>, next: &mut DomainStatus, plan: &mut HostPlan) {
    let before = std::mem::take(&mut next.other_verdicts);
    for other in &input.other_issuers {
        let known = before.iter().find(|known| known.verdict.issuer.as_ref() == Some(&other.issuer)).cloned();
        let known = known.unwrap_or_default();
        let mut status = DomainStatus {
            verdict: known.verdict.issuer.is_some().then_some(known.verdict),
            observed: known.observed,
            required: known.required,
            last_check_time: known.last_check_time,
            next_check_time: known.next_check_time,
            checked_for: known.checked_for,
            checked_now: known.checked_now,
            ..DomainStatus::default()
        };
        let by = By { issuer: Some(&other.issuer), server: other.server.as_deref(), issued: false };
        host::look(input, domain, gate::by(input, &other.view), by, &mut status, plan);
        next.other_verdicts.extend(status.verdict.map(|verdict| OtherVerdict {
            verdict,
            observed: status.observed,
            required: status.required,
            last_check_time: status.last_check_time,
            next_check_time: status.next_check_time,
            checked_for: status.checked_for,
            checked_now: status.checked_now,
        }));
    }
}
