//! A refusal for its limits that the CA sent all the same (HTTP 429,
//! `rateLimited`): what it concerns, and until when.

use jiff::{SignedDuration, Timestamp};

use super::{Account, Key, Kind, Names};
use crate::core::issuance;

/// How long a refusal is obeyed that says no time.
const UNSAID: SignedDuration = SignedDuration::from_hours(1);
/// How long a paused name is left alone: a person must lift the pause.
const PAUSED: SignedDuration = SignedDuration::from_hours(24);
/// The longest that a refusal is obeyed, whatever it says: no limit of a CA's is longer than a week.
const LONGEST: SignedDuration = SignedDuration::from_hours(8 * 24);

/// A refusal.
#[derive(Clone, Debug, PartialEq)]
pub struct Refusal {
    /// Who asked.
    pub account: Account,
    /// For which names.
    pub names: Names,
    /// By which limit; `None`: one that is not known here.
    pub limit: Option<Kind>,
    /// The registered domain or name that it names.
    pub of: Option<String>,
    /// When it came.
    pub at: Timestamp,
    /// Until when nothing that it concerns is to be asked for.
    pub until: Timestamp,
}

// === impl Refusal ===

impl Refusal {
    /// What cert-manager's text about a failed order says of a refusal that came at `at`; `None`: it is no such refusal.
    pub fn read(text: &str, account: &Account, names: &Names, at: Timestamp) -> Option<Self> {
        let told = issuance::refusal(text)?;
        let later = |wait| at.saturating_add(wait).unwrap_or(Timestamp::MAX);
        let (limit, patience) = match told.paused {
            true => (Some(Kind::ConsecutiveFailures), PAUSED),
            false => (kind(told.detail), UNSAID),
        };
        let until = told.until.unwrap_or_else(|| later(patience)).min(later(LONGEST));
        let of = quoted(told.detail).filter(|_| !told.paused).map(str::to_ascii_lowercase);
        Some(Self { account: account.clone(), names: names.clone(), limit, of, at, until })
    }

    /// The buckets that it concerns. An unknown limit concerns the account.
    pub fn keys(&self) -> Vec<Key> {
        let (account, names) = (&self.account, &self.names);
        let hosts = || names.hosts().iter().filter(|host| self.of.as_deref().is_none_or(|of| of == host.as_str()));
        match self.limit {
            None | Some(Kind::NewOrders) => vec![Key::orders(account)],
            Some(Kind::CertificatesPerSet) => vec![Key::set(account, names)],
            Some(Kind::CertificatesPerDomain) => match &self.of {
                Some(domain) => vec![Key::domain(account, domain)],
                None => {
                    let all = Key::of_certificate(account, names, false).into_iter();
                    all.filter(|key| key.kind == Kind::CertificatesPerDomain).collect()
                }
            },
            Some(kind) => hosts().map(|host| Key::failures(kind, account, host)).collect(),
        }
    }
}

/// The limit that Boulder's wording names, now or in former years.
fn kind(detail: &str) -> Option<Kind> {
    let has = |word: &str| detail.contains(word);
    if has("too many new orders") {
        Some(Kind::NewOrders)
    } else if has("exact set of") {
        Some(Kind::CertificatesPerSet)
    } else if has("too many failed authorizations") {
        Some(Kind::FailedAuthorizations)
    } else if has("too many certificates") {
        Some(Kind::CertificatesPerDomain)
    } else {
        None
    }
}

/// The name that a wording puts in quotes.
fn quoted(detail: &str) -> Option<&str> {
    detail.split('"').nth(1).filter(|name| !name.is_empty() && name.len() <= crate::core::host::MAX_HOST_OCTETS)
}

#[cfg(test)]
mod tests;
