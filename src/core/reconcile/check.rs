//! When pre-flight is asked about a host, and how its answer becomes status.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use sha2::{Digest, Sha256};

use super::{Asked, Checks, Claim, DomainView, Fresh};
use crate::{
    api::domain::{DomainStatus, VerdictStatus},
    core::{finding::Finding, policy::IssuerRef, reason::Reason, verdict::Request},
};

/// How seldom a host that has its certificate is looked at: the renewal is weeks away.
const ISSUED_PERIOD: SignedDuration = SignedDuration::from_hours(1);
/// The same while its renewal would fail.
const AT_RISK_PERIOD: SignedDuration = SignedDuration::from_mins(5);
/// How close together edits of an Ingress may make checks follow each other.
const EDIT_PERIOD: SignedDuration = SignedDuration::from_secs(1);
/// The longest value of an annotation that is kept in status.
const MAX_TOKEN: usize = 128;
/// For how long a verdict holds that no DNS answer can change.
pub const SETTLED_VALIDITY: SignedDuration = SignedDuration::from_hours(365 * 24);

/// For how long at most looks at a held host that find nothing new go unwritten.
const LONGEST_UNWRITTEN: SignedDuration = SignedDuration::from_hours(1);
/// The share of the time that the host has been held for which they do: at first each is written, later ever fewer. Ten
/// thousand held hosts are looked at every minute, and need not be written as often.
const UNWRITTEN_SHARE: i32 = 8;

/// The times of a look that no status has, for it found nothing new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unwritten {
    checked_for: Option<String>,
    last: Option<Time>,
    next: Option<Time>,
    valid_until: Option<Time>,
}

/// What there is to do about checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Ask now.
    Now,
    /// Ask then.
    At(Timestamp),
    /// A check is under way; its end brings the next plan.
    Running,
}

/// What a request would be recorded as.
pub fn asked(request: &Request, check_now: Option<String>) -> Asked {
    // Plain data without maps: serialising cannot fail, and the same request gives the same text.
    let text = serde_json::to_vec(request).unwrap_or_default();
    let digest = Sha256::digest(&text).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    Asked { digest, check_now }
}

/// The `certgate.dev/check-now` values of a Domain and its Ingresses, as one text.
pub fn check_now(domain: &DomainView<'_>, claims: &[Claim<'_>]) -> Option<String> {
    let values: Vec<&str> = domain.check_now.into_iter().chain(claims.iter().filter_map(|c| c.check_now)).collect();
    if values.is_empty() {
        return None;
    }
    let joined = values.join(",");
    if joined.len() <= MAX_TOKEN {
        return Some(joined);
    }
    Some(Sha256::digest(joined.as_bytes()).iter().take(16).map(|byte| format!("{byte:02x}")).collect())
}

/// Whether pre-flight is to be asked. `issued`: the host has its certificate, so that only its renewal is at stake.
pub fn due(
    status: &DomainStatus,
    asked: &Asked,
    issuer: Option<&IssuerRef>,
    checks: &Checks,
    issued: bool,
    now: Timestamp,
) -> Due {
    // What is asked anew takes the place of what was asked before.
    if let Some(running) = &checks.running {
        return if running == asked { Due::Running } else { Due::Now };
    }
    let (Some(last), Some(next), Some(verdict)) = (&status.last_check_time, &status.next_check_time, &status.verdict)
    else {
        return Due::Now;
    };
    let pushed = asked.check_now.is_some() && asked.check_now != status.checked_now;
    let other = status.checked_for.as_deref() != Some(asked.digest.as_str()) || verdict.issuer.as_ref() != issuer;
    if pushed || other {
        return Due::Now;
    }
    let soon = after(last.0, EDIT_PERIOD);
    let good = Reason::from_name(&verdict.reason).is_some_and(Reason::opens_gate);
    let at = match (good, issued) {
        (true, true) => next.0.max(after(last.0, ISSUED_PERIOD)),
        (false, true) => next.0.max(after(last.0, AT_RISK_PERIOD)),
        _ => next.0,
    };
    let at = if checks.edited && !good { at.min(soon) } else { at };
    if at <= now { Due::Now } else { Due::At(at) }
}

/// Writes a verdict of pre-flight into a status.
pub fn adopt(status: &mut DomainStatus, fresh: &Fresh, issuer: Option<&IssuerRef>) {
    let Fresh { asked, verdict, at } = fresh;
    let later = |wait: Duration| {
        // Kubernetes keeps whole seconds; rounded up, so that the time has come when it is read back.
        let seconds =
            i64::try_from(wait.as_secs()).unwrap_or(i64::MAX).saturating_add(i64::from(wait.subsec_nanos() > 0));
        at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX)
    };
    let valid_until = later(verdict.validity);
    let mut next = later(verdict.next_check);
    if verdict.ready() {
        // Not past its validity: nobody would look while the gate is shut again.
        next = next.min(valid_until);
    }
    put(status, &verdict.finding, issuer, valid_until, *at);
    status.warnings = verdict.warnings.iter().map(|w| w.sentence(crate::core::finding::Lang::En)).collect();
    status.last_check_time = Some(Time(*at));
    status.next_check_time = Some(Time(next));
    status.checked_for = Some(asked.digest.clone());
    status.checked_now = asked.check_now.clone().or_else(|| status.checked_now.take());
}

/// Puts the times of a look that was not written into a status that has older ones of the same question.
pub fn recall(status: &mut DomainStatus, unwritten: Option<&Unwritten>) {
    let Some(unwritten) = unwritten.filter(|unwritten| unwritten.checked_for == status.checked_for) else { return };
    let Some(verdict) = status.verdict.as_mut().filter(|_| status.last_check_time < unwritten.last) else { return };
    verdict.valid_until.clone_from(&unwritten.valid_until);
    status.last_check_time.clone_from(&unwritten.last);
    status.next_check_time.clone_from(&unwritten.next);
}

/// What of `next` is only remembered: it differs from the status as it is written by the times of looks alone, and those
/// were written a short while ago. `None`: it is worth a write.
pub fn unwritten(written: &DomainStatus, next: &DomainStatus) -> Option<Unwritten> {
    let (verdict, last) = (next.verdict.as_ref()?, next.last_check_time.as_ref()?);
    // The time for which a good verdict holds is read by others.
    let held = Reason::from_name(&verdict.reason).is_some_and(|reason| !reason.opens_gate());
    let (since, before) = (next.held_since.as_ref().filter(|_| held)?, written.last_check_time.as_ref()?);
    let quiet = (since.0.duration_until(last.0) / UNWRITTEN_SHARE).min(LONGEST_UNWRITTEN);
    if before.0.duration_until(last.0) >= quiet {
        return None;
    }
    let with_old_times = DomainStatus {
        last_check_time: Some(before.clone()),
        next_check_time: written.next_check_time.clone(),
        verdict: Some(VerdictStatus { valid_until: written.verdict.as_ref()?.valid_until.clone(), ..verdict.clone() }),
        ..next.clone()
    };
    (with_old_times == *written).then(|| Unwritten {
        checked_for: next.checked_for.clone(),
        last: Some(last.clone()),
        next: next.next_check_time.clone(),
        valid_until: verdict.valid_until.clone(),
    })
}

/// Writes a verdict that needed no DNS into a status. It stays as it is while it says the same.
pub fn settle(status: &mut DomainStatus, finding: &Finding, issuer: Option<&IssuerRef>, now: Timestamp) {
    let same = status.verdict.as_ref().is_some_and(|old| {
        old.reason == finding.reason.as_str()
            && old.note == finding.note
            && old.issuer.as_ref() == issuer
            && old.valid_until.as_ref().is_some_and(|until| now.duration_until(until.0) > SETTLED_VALIDITY / 12)
    });
    if !same {
        put(status, finding, issuer, now.saturating_add(SETTLED_VALIDITY).unwrap_or(now), now);
        status.warnings = Vec::new();
    }
    status.last_check_time = None;
    status.next_check_time = None;
    status.checked_for = None;
}

fn after(time: Timestamp, wait: SignedDuration) -> Timestamp {
    time.saturating_add(wait).unwrap_or(Timestamp::MAX)
}

fn put(
    status: &mut DomainStatus,
    finding: &Finding,
    issuer: Option<&IssuerRef>,
    valid_until: Timestamp,
    now: Timestamp,
) {
    let unchanged = status.verdict.as_ref().is_some_and(|old| old.reason == finding.reason.as_str())
        && status.observed == finding.observed;
    if finding.reason.opens_gate() {
        status.held_since = None;
    } else if !unchanged || status.held_since.is_none() {
        status.held_since = Some(Time(now));
    }
    status.observed.clone_from(&finding.observed);
    status.required.clone_from(&finding.required);
    status.verdict = Some(VerdictStatus {
        reason: finding.reason.as_str().to_owned(),
        subject: finding.subject.clone(),
        note: finding.note.clone(),
        issuer: issuer.cloned(),
        server: None,
        valid_until: Some(Time(valid_until)),
    });
}

#[cfg(test)]
mod tests;
