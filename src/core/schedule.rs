//! When a host is looked at again.
//!
//! From the TTL that was observed, so that a record is seen soon after it can be
//! and never asked for in vain; backing off for hosts that wait for days; never
//! giving up.

use ::core::time::Duration;

use super::{policy::Dns, reason::Reason, verdict::Verdict};

/// The first wait after a failure that is not the owner's to mend.
const FIRST_RETRY: Duration = Duration::from_secs(5);
/// The longest (RFC 9520 §3.2 has resolvers cache failures for at most five minutes).
const LAST_RETRY: Duration = Duration::from_secs(300);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);
/// The share by which waits are spread, so that hosts that arrived together part.
const JITTER: f64 = 0.1;

/// The wait until the next check, counted from the end of the last one.
///
/// `held_for`: how long the host has been waiting for a good verdict.
/// `failures_in_row`: checks up to and including this one that ended with a
/// failing server. `jitter`: a random number from -1 to 1.
pub fn next_check(verdict: &Verdict, held_for: Duration, failures_in_row: u32, jitter: f64, policy: &Dns) -> Duration {
    let least = Duration::from_secs(policy.min_recheck_seconds.max(1));
    let most = Duration::from_secs(policy.max_recheck_seconds).max(least);
    let reason = verdict.finding.reason;
    let wait = if verdict.ready() || is_settled(reason) {
        verdict.next_check.max(least)
    } else if is_transient(reason) {
        let doublings = failures_in_row.saturating_sub(1).min(16);
        FIRST_RETRY.saturating_mul(1 << doublings).min(LAST_RETRY)
    } else {
        verdict.next_check.clamp(least, most)
    };
    let wait = match held_for {
        _ if verdict.ready() => wait,
        week if week >= 7 * DAY => wait.max(DAY),
        day if day >= DAY => wait.max(HOUR),
        _ => wait,
    };
    let jitter = if jitter.is_finite() { jitter.clamp(-1.0, 1.0) } else { 0.0 };
    wait.mul_f64(1.0 + JITTER * jitter)
}

/// Whether it is a server that failed, so that looking again soon makes sense.
pub const fn is_transient(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::DnsServerFailure
            | Reason::DnsRefused
            | Reason::DnsTimeout
            | Reason::DnsMalformed
            | Reason::DnssecBogus
            | Reason::CaaLookupFailed
            | Reason::ServersDisagree
            | Reason::LameDelegation
            | Reason::CnameTargetFailure
            | Reason::RegistryFailure
            | Reason::ResolverUnreachable
            | Reason::ResolverRefuses
            | Reason::ResolverFaulty
            | Reason::ResolverNotValidating
    )
}

/// Whether no change in DNS makes a difference.
const fn is_settled(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::HostInvalid
            | Reason::HostIsIpAddress
            | Reason::NoHost
            | Reason::NotPublicName
            | Reason::IsPublicSuffix
            | Reason::WildcardNeedsDns01
            | Reason::NoGatewayAddress
            | Reason::NoValidationNeeded
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;
    use crate::core::finding::Finding;

    fn verdict(reason: Reason, seconds: u64) -> Verdict {
        Verdict {
            finding: Finding::new(reason, "www.example.com"),
            warnings: Vec::new(),
            checks: Vec::new(),
            next_check: Duration::from_secs(seconds),
            validity: Duration::ZERO,
        }
    }

    #[rstest]
    #[case::negative_ttl(Reason::DomainNotFound, 60, 0, 0, 60)]
    #[case::never_sooner_than_the_least(Reason::DomainNotFound, 1, 0, 0, 15)]
    #[case::never_later_than_the_most(Reason::DomainNotFound, 86_400, 0, 0, 900)]
    #[case::hourly_after_a_day(Reason::WrongTarget, 60, 24, 0, 3600)]
    #[case::daily_after_a_week(Reason::WrongTarget, 60, 24 * 7, 0, 86_400)]
    #[case::first_failure(Reason::DnsServerFailure, 60, 0, 1, 5)]
    #[case::second_failure(Reason::DnsTimeout, 60, 0, 2, 10)]
    #[case::many_failures(Reason::DnsTimeout, 60, 0, 40, 300)]
    #[case::failures_after_a_day(Reason::DnsTimeout, 60, 25, 40, 3600)]
    #[case::verified_slowly(Reason::Verified, 3600, 24 * 30, 0, 3600)]
    #[case::not_for_dns(Reason::NotPublicName, 86_400, 0, 0, 86_400)]
    fn waits(
        #[case] reason: Reason,
        #[case] ttl: u64,
        #[case] held_hours: u64,
        #[case] failures: u32,
        #[case] expected: u64,
    ) {
        let held = Duration::from_secs(held_hours * 3600);
        let wait = next_check(&verdict(reason, ttl), held, failures, 0.0, &Dns::default());
        assert_eq!(wait.as_secs(), expected);
    }

    proptest! {
        #[test]
        fn a_wait_is_never_zero_and_never_beyond_a_day_and_its_jitter(
            index in 0..Reason::ALL.len(), ttl: u32, held: u32, failures: u32, jitter: f64, least: u64, most: u64
        ) {
            let policy = Dns { min_recheck_seconds: least % 100_000, max_recheck_seconds: most % 100_000, ..Dns::default() };
            let verdict = verdict(Reason::ALL[index], (ttl % 86_400).into());
            let wait = next_check(&verdict, Duration::from_secs(held.into()), failures, jitter, &policy);
            prop_assert!(wait >= Duration::from_millis(900), "{wait:?}");
            prop_assert!(wait <= Duration::from_secs(100_000).mul_f64(1.11), "{wait:?}");
        }
    }
}
