//! The limits, and what was counted against them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::Totals;

/// So many within a time; each comes back after its part of the time.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// How many.
    pub count: u32,
    /// Within what time.
    pub within: Duration,
}

/// The limits of a lab's CA; those that are absent do not exist.
#[derive(Clone, Copy, Debug, Default)]
pub struct AcmeLimits {
    /// New orders of an account.
    pub new_orders: Option<Limit>,
    /// Certificates for names below one registered domain: the last two labels, as labs have no longer suffixes.
    pub certificates_per_domain: Option<Limit>,
    /// Certificates for exactly the same names.
    pub certificates_per_set: Option<Limit>,
    /// Failed authorizations of a name and account.
    pub failed_authorizations: Option<Limit>,
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Refused {
    /// For which names.
    pub names: Vec<String>,
    /// In words, as a public CA puts it.
    pub detail: String,
    /// Seconds until there is a place again.
    pub retry_after: u64,
}

/// Tokens left, as of a time.
#[derive(Clone, Copy)]
struct Tokens {
    left: f64,
    at: Timestamp,
}

/// Counts all that passes.
pub(super) struct Counted {
    limits: AcmeLimits,
    accounts: BTreeMap<String, Tokens>,
    domains: BTreeMap<String, Tokens>,
    sets: BTreeMap<Vec<String>, Tokens>,
    failures: BTreeMap<(String, String), Tokens>,
    certified: BTreeSet<Vec<String>>,
    /// By the path that finalizes it.
    orders: BTreeMap<String, Vec<String>>,
    /// The authorizations whose failure was counted.
    failed: BTreeSet<String>,
    pub(super) totals: Totals,
}

// === impl Limit ===

impl Limit {
    fn each(&self) -> f64 {
        self.within.as_secs_f64() / f64::from(self.count.max(1))
    }

    fn left(&self, tokens: Option<&Tokens>, now: Timestamp) -> f64 {
        let full = f64::from(self.count);
        tokens.map_or(full, |tokens| {
            let gained = tokens.at.duration_until(now).as_secs_f64().max(0.0) / self.each();
            (tokens.left + gained).min(full)
        })
    }

    fn take(&self, tokens: Option<&Tokens>, now: Timestamp) -> Tokens {
        Tokens { left: (self.left(tokens, now) - 1.0).max(0.0), at: now }
    }
}

fn registered(name: &str) -> String {
    let mut labels: Vec<&str> = name.trim_start_matches("*.").rsplit('.').take(2).collect();
    labels.reverse();
    labels.join(".")
}

fn domains(names: &[String]) -> BTreeSet<String> {
    names.iter().map(|name| registered(name)).collect()
}

// === impl Counted ===

impl Counted {
    pub(super) fn new(limits: AcmeLimits) -> Self {
        Self {
            limits,
            accounts: BTreeMap::new(),
            domains: BTreeMap::new(),
            sets: BTreeMap::new(),
            failures: BTreeMap::new(),
            certified: BTreeSet::new(),
            orders: BTreeMap::new(),
            failed: BTreeSet::new(),
            totals: Totals::default(),
        }
    }

    /// Takes an order, or says why not. What was certified before is renewed, which counts against fewer limits.
    pub(super) fn order(&mut self, account: &str, names: &[String], now: Timestamp) -> Result<(), Refused> {
        let renewal = self.certified.contains(names);
        let limits = self.limits;
        let mut found: Option<(Limit, f64, String)> = None;
        let mut check = |limit: Option<Limit>, tokens: Option<&Tokens>, what: &dyn Fn(Limit) -> String| {
            let Some(limit) = limit.filter(|_| found.is_none()) else { return };
            let left = limit.left(tokens, now);
            if left < 1.0 {
                found = Some((limit, left, what(limit)));
            }
        };
        for name in names {
            let key = (account.to_owned(), name.clone());
            check(limits.failed_authorizations, self.failures.get(&key), &|limit| {
                format!("too many failed authorizations ({}) for {name:?}", limit.count)
            });
        }
        check(limits.certificates_per_set, self.sets.get(names), &|limit| {
            format!("too many certificates ({}) already issued for this exact set of identifiers", limit.count)
        });
        if !renewal {
            for domain in domains(names) {
                check(limits.certificates_per_domain, self.domains.get(&domain), &|limit| {
                    format!("too many certificates ({}) already issued for {domain:?}", limit.count)
                });
            }
            check(limits.new_orders, self.accounts.get(account), &|limit| {
                format!("too many new orders ({}) from this account", limit.count)
            });
        }
        if let Some((limit, left, what)) = found {
            let refused = Self::refused(limit, left, &what, names, now);
            self.totals.refused.push(refused.clone());
            return Err(refused);
        }
        if let (Some(limit), false) = (limits.new_orders, renewal) {
            let tokens = limit.take(self.accounts.get(account), now);
            self.accounts.insert(account.to_owned(), tokens);
        }
        Ok(())
    }

    fn refused(limit: Limit, left: f64, what: &str, names: &[String], now: Timestamp) -> Refused {
        let wait = ((1.0 - left) * limit.each()).ceil();
        let at =
            SignedDuration::try_from_secs_f64(wait).ok().and_then(|wait| now.checked_add(wait).ok()).unwrap_or(now);
        let detail = format!(
            "{what} in the last {:?}, retry after {}: see https://ca.example/limits",
            limit.within,
            at.strftime("%Y-%m-%d %H:%M:%S UTC"),
        );
        Refused { names: names.to_vec(), detail, retry_after: at.as_second().abs_diff(now.as_second()) }
    }

    /// Pebble did not take the order.
    pub(super) fn take_back(&mut self, account: &str, now: Timestamp) {
        if let (Some(limit), Some(tokens)) = (self.limits.new_orders, self.accounts.get_mut(account)) {
            let left = (limit.left(Some(tokens), now) + 1.0).min(f64::from(limit.count));
            *tokens = Tokens { left, at: now };
        }
    }

    /// Pebble took an order.
    pub(super) fn ordered(&mut self, finalize: &str, names: Vec<String>) {
        self.totals.orders += 1;
        self.orders.insert(finalize.to_owned(), names);
    }

    /// An order was finalized; counted once.
    pub(super) fn certified(&mut self, finalize: &str, now: Timestamp) {
        let Some(names) = self.orders.remove(finalize) else { return };
        self.totals.certificates += 1;
        let renewal = !self.certified.insert(names.clone());
        if let Some(limit) = self.limits.certificates_per_domain.filter(|_| !renewal) {
            for domain in domains(&names) {
                self.totals.beyond += usize::from(limit.left(self.domains.get(&domain), now) < 1.0);
                let tokens = limit.take(self.domains.get(&domain), now);
                self.domains.insert(domain, tokens);
            }
        }
        if let Some(limit) = self.limits.certificates_per_set {
            let tokens = limit.take(self.sets.get(&names), now);
            self.sets.insert(names, tokens);
        }
    }

    /// An authorization is invalid; counted once.
    pub(super) fn failed(&mut self, authorization: &str, account: &str, name: &str, now: Timestamp) {
        if !self.failed.insert(authorization.to_owned()) {
            return;
        }
        if let Some(limit) = self.limits.failed_authorizations {
            let key = (account.to_owned(), name.to_owned());
            let tokens = limit.take(self.failures.get(&key), now);
            self.failures.insert(key, tokens);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_beyond_each_limit_and_takes_renewals() {
        let limit = |count, seconds| Some(Limit { count, within: Duration::from_secs(seconds) });
        let mut counted = Counted::new(AcmeLimits {
            new_orders: limit(3, 30),
            certificates_per_domain: limit(1, 100),
            certificates_per_set: limit(2, 100),
            ..AcmeLimits::default()
        });
        let at = |second: i64| Timestamp::from_second(1_795_000_000 + second).unwrap_or_default();
        let names = |name: &str| vec![name.to_owned()];
        assert!(counted.order("me", &names("a.example.com"), at(0)).is_ok());
        counted.ordered("/f/1", names("a.example.com"));
        counted.certified("/f/1", at(1));
        counted.certified("/f/1", at(2));
        let refused = counted.order("me", &names("b.example.com"), at(1));
        let told = refused.map_err(|refused| (refused.detail, refused.retry_after));
        assert_eq!(told, Err(("too many certificates (1) already issued for \"example.com\" in the last 100s, retry after 2026-11-18 11:08:21 UTC: see https://ca.example/limits".to_owned(), 100)));
        assert!(counted.order("me", &names("a.example.com"), at(3)).is_ok(), "a renewal");
        assert!(counted.order("me", &names("b.example.net"), at(3)).is_ok());
        assert!(counted.order("me", &names("c.example.org"), at(3)).is_ok());
        assert!(counted.order("me", &names("d.example.edu"), at(3)).is_err(), "the account's orders are used up");
        assert!(counted.order("me", &names("d.example.edu"), at(14)).is_ok());
        assert_eq!((counted.totals.certificates, counted.totals.refused.len()), (1, 2));
    }
}
