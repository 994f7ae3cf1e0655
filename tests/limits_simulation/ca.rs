//! The CA: Let's Encrypt's limits as its documentation tells them, with tokens
//! that are added as time goes by. Knows nothing of what is tested.

use std::collections::{BTreeMap, BTreeSet};

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;

/// So many tokens within a time, in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Limit(pub(crate) i64, pub(crate) i64);

pub(crate) const ORDERS: Limit = Limit(300, 3 * HOUR);
pub(crate) const DOMAIN: Limit = Limit(50, 7 * DAY);
const SET: Limit = Limit(5, 7 * DAY);
const FAILURES: Limit = Limit(5, HOUR);
const IN_A_ROW: Limit = Limit(1_152, 1_152 * DAY);

/// Tokens; each is worth its limit's time, so that nothing needs to be divided.
#[derive(Clone, Debug)]
pub(crate) struct Tokens {
    level: i64,
    at: i64,
}

impl Tokens {
    pub(crate) fn full(limit: Limit) -> Self {
        Self { level: limit.0 * limit.1, at: i64::MIN }
    }

    pub(crate) fn has_one(&mut self, limit: Limit, now: i64) -> bool {
        if self.at > i64::MIN {
            assert!(now >= self.at, "time goes forwards");
            self.level = self.level.saturating_add((now - self.at).saturating_mul(limit.0)).min(limit.0 * limit.1);
        }
        self.at = now;
        self.level >= limit.1
    }

    pub(crate) fn take(&mut self, limit: Limit, now: i64) {
        self.has_one(limit, now);
        self.level = (self.level - limit.1).max(0);
    }
}

/// The CA.
#[derive(Default)]
pub(crate) struct Ca {
    orders: Option<Tokens>,
    domains: BTreeMap<String, Tokens>,
    sets: BTreeMap<Vec<String>, Tokens>,
    failures: BTreeMap<String, Tokens>,
    in_a_row: BTreeMap<String, Tokens>,
    certified: BTreeSet<Vec<String>>,
}

/// The name below the public suffix: all of the week's domains end in one label.
fn registered(name: &str) -> String {
    let labels: Vec<&str> = name.rsplit('.').take(2).collect();
    format!("{}.{}", labels[1], labels[0])
}

fn domains(names: &[String]) -> BTreeSet<String> {
    names.iter().map(|name| registered(name)).collect()
}

impl Ca {
    /// What was certified before the week.
    pub(crate) fn knows(&mut self, names: Vec<String>) {
        self.certified.insert(names);
    }

    /// Takes an order, or says which limit is used up.
    pub(crate) fn order(&mut self, names: &[String], now: i64) -> Result<(), String> {
        for name in names {
            if !self.in_a_row.entry(name.clone()).or_insert(Tokens::full(IN_A_ROW)).has_one(IN_A_ROW, now) {
                return Err(format!("{name} is paused"));
            }
            if !self.failures.entry(name.clone()).or_insert(Tokens::full(FAILURES)).has_one(FAILURES, now) {
                return Err(format!("too many failed authorizations for {name}"));
            }
        }
        if !self.sets.entry(names.to_vec()).or_insert(Tokens::full(SET)).has_one(SET, now) {
            return Err(format!("too many certificates for exactly {names:?}"));
        }
        if self.certified.contains(names) {
            return Ok(());
        }
        for domain in domains(names) {
            if !self.domains.entry(domain.clone()).or_insert(Tokens::full(DOMAIN)).has_one(DOMAIN, now) {
                return Err(format!("too many certificates for {domain}"));
            }
        }
        let orders = self.orders.get_or_insert(Tokens::full(ORDERS));
        if !orders.has_one(ORDERS, now) {
            return Err("too many new orders".to_owned());
        }
        orders.take(ORDERS, now);
        Ok(())
    }

    /// Certifies. The limits are checked when an order is made, and used up here.
    pub(crate) fn certify(&mut self, names: &[String], now: i64) -> Result<(), String> {
        let mut over = Vec::new();
        let renewal = !self.certified.insert(names.to_vec());
        for domain in domains(names).into_iter().filter(|_| !renewal) {
            let tokens = self.domains.entry(domain.clone()).or_insert(Tokens::full(DOMAIN));
            if !tokens.has_one(DOMAIN, now) {
                over.push(domain);
            }
            tokens.take(DOMAIN, now);
        }
        self.sets.entry(names.to_vec()).or_insert(Tokens::full(SET)).take(SET, now);
        for name in names {
            self.in_a_row.remove(name);
        }
        if over.is_empty() { Ok(()) } else { Err(format!("more than the limit was certified for {over:?}")) }
    }

    /// An authorization failed.
    pub(crate) fn fail(&mut self, name: &str, now: i64) {
        self.failures.entry(name.to_owned()).or_insert(Tokens::full(FAILURES)).take(FAILURES, now);
        self.in_a_row.entry(name.to_owned()).or_insert(Tokens::full(IN_A_ROW)).take(IN_A_ROW, now);
    }
}

/// How many of those that come at these times a bucket can serve until the end.
pub(crate) fn served(limit: Limit, times: &[i64], end: i64) -> u64 {
    let (mut tokens, mut now, mut count) = (Tokens::full(limit), 0, 0);
    for time in times {
        now = now.max(*time);
        while !tokens.has_one(limit, now) {
            now += limit.1 / limit.0;
        }
        if now >= end {
            break;
        }
        tokens.take(limit, now);
        count += 1;
    }
    count
}
