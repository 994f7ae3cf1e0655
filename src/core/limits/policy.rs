//! `limits:` of the policy file, and the limits that are known without it.

use std::collections::BTreeMap;

use jiff::SignedDuration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Kind, Rate};

/// A CA's limits, as far as they are other than the built-in ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct LimitsPolicy {
    /// Whether the limits are kept to at all.
    pub enabled: bool,
    /// How many percent of each limit this cluster may use, where others share the account or the domains.
    #[schemars(range(min = 1, max = 100))]
    pub share: u8,
    /// Whether cert-manager renews with ARI (feature gate `ACMEUseARI`): within the time that the CA suggests for a
    /// certificate, which stands in its status, the CA exempts its renewal from all limits.
    pub ari: bool,
    /// New orders of the account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub new_orders: Option<RatePolicy>,
    /// Certificates for names below one registered domain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates_per_domain: Option<RatePolicy>,
    /// Certificates for exactly the same names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificates_per_set: Option<RatePolicy>,
    /// Failed authorizations of a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_authorizations: Option<RatePolicy>,
    /// Failures of a name in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consecutive_failures: Option<RatePolicy>,
}

/// One limit: so many within a time, of which each comes back after its part of the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RatePolicy {
    /// How many; 0: this limit is not kept to.
    pub count: u32,
    /// Within how many seconds.
    #[schemars(range(min = 1))]
    pub seconds: u32,
    /// How many percent of it this cluster may use, where that differs from the other limits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub share: Option<u8>,
}

/// The limits of one CA, as they are kept to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CaLimits {
    rates: [Option<Rate>; 5],
    /// Whether renewals say what they replace.
    pub ari: bool,
}

const fn rate(count: u32, seconds: u32) -> Option<RatePolicy> {
    Some(RatePolicy { count, seconds, share: None })
}

const HOUR: u32 = 3600;
const DAY: u32 = 24 * HOUR;

/// Let's Encrypt's limits (letsencrypt.org/docs/rate-limits, 2026-08-05).
const LETS_ENCRYPT: LimitsPolicy = LimitsPolicy {
    enabled: true,
    share: 100,
    ari: false,
    new_orders: rate(300, 3 * HOUR),
    certificates_per_domain: rate(50, 7 * DAY),
    certificates_per_set: rate(5, 7 * DAY),
    failed_authorizations: rate(5, HOUR),
    consecutive_failures: rate(1152, 1152 * DAY),
};

/// Those of its staging environment (letsencrypt.org/docs/staging-environment).
const LETS_ENCRYPT_STAGING: LimitsPolicy = LimitsPolicy {
    new_orders: rate(1500, 3 * HOUR),
    certificates_per_domain: rate(30_000, 7 * DAY),
    certificates_per_set: rate(30_000, 7 * DAY),
    failed_authorizations: rate(200, HOUR),
    consecutive_failures: None,
    ..LETS_ENCRYPT
};

/// The CAs whose limits are built in, by the authority of their directories' URLs.
const BUILT_IN: [(&str, &LimitsPolicy); 2] =
    [("acme-v02.api.letsencrypt.org", &LETS_ENCRYPT), ("acme-staging-v02.api.letsencrypt.org", &LETS_ENCRYPT_STAGING)];

fn built_in(directory: &str) -> Option<&'static LimitsPolicy> {
    let authority = authority(directory);
    BUILT_IN.iter().find(|(known, _)| authority.eq_ignore_ascii_case(known)).map(|(_, limits)| *limits)
}

/// The authority of a URL, by which CAs are told apart; empty: it is no URL. In the case in which it is written.
pub fn authority(url: &str) -> &str {
    url.split_once("://").and_then(|(_, rest)| rest.split('/').next()).unwrap_or_default()
}

// === impl LimitsPolicy ===

impl Default for LimitsPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            share: 100,
            ari: false,
            new_orders: None,
            certificates_per_domain: None,
            certificates_per_set: None,
            failed_authorizations: None,
            consecutive_failures: None,
        }
    }
}

impl LimitsPolicy {
    /// The limit of a kind.
    pub const fn rate(&self, kind: Kind) -> Option<RatePolicy> {
        match kind {
            Kind::NewOrders => self.new_orders,
            Kind::CertificatesPerDomain => self.certificates_per_domain,
            Kind::CertificatesPerSet => self.certificates_per_set,
            Kind::FailedAuthorizations => self.failed_authorizations,
            Kind::ConsecutiveFailures => self.consecutive_failures,
        }
    }
}

// === impl CaLimits ===

impl CaLimits {
    /// The limits of the CA of a directory: policy's before the built-in ones. `None`: none are known, or policy has them off.
    pub fn of(directory: &str, policies: &BTreeMap<String, LimitsPolicy>) -> Option<Self> {
        let same = |url: &str| url.trim_end_matches('/') == directory.trim_end_matches('/');
        let built_in = built_in(directory);
        let ours = policies.iter().find(|(url, _)| same(url)).map(|(_, limits)| limits);
        let general = ours.or(built_in).filter(|limits| limits.enabled)?;
        let rates = Kind::ALL.map(|kind| {
            let rate = general.rate(kind).or_else(|| built_in?.rate(kind))?;
            let window = SignedDuration::from_secs(i64::from(rate.seconds));
            Rate::new(rate.count, window, rate.share.unwrap_or(general.share))
        });
        let limits = Self { rates, ari: general.ari };
        limits.rates.iter().any(Option::is_some).then_some(limits)
    }

    /// Whether the CA of a directory is one whose limits are known without policy.
    pub fn is_built_in(directory: &str) -> bool {
        built_in(directory).is_some()
    }

    /// The limit of a kind; `None`: there is none.
    pub fn rate(&self, kind: Kind) -> Option<Rate> {
        self.rates.get(kind as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests;
