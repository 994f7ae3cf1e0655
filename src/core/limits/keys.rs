//! What is asked of the CA, and which of its buckets that concerns.

use std::sync::Arc;

use jiff::Timestamp;

use super::{CaLimits, Kind, Rate};
use crate::core::host::Host;

/// The names of a certificate, in order and each once.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Names(Arc<[Host]>);

/// An account at a CA.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Account {
    /// The ACME directory's URL, without a final `/`.
    pub directory: Arc<str>,
    /// The account's URI; empty: not registered yet.
    pub uri: Arc<str>,
}

/// Whose an order is: namespace and names.
pub type Id = (Arc<str>, Names);

/// One bucket of a CA's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// What is limited.
    pub kind: Kind,
    /// The directory, or the account where the CA counts by account.
    scope: Arc<str>,
    /// The registered domain, the name or the names; empty for an account.
    pub of: Arc<str>,
}

/// An order that is wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// In which namespace.
    pub namespace: Arc<str>,
    /// By which account.
    pub account: Account,
    /// For which names.
    pub names: Names,
    /// How urgent it is.
    pub class: Class,
    /// Since when it waits.
    pub since: Timestamp,
    /// Whether the CA counts it at all.
    pub renewal: Renewal,
}

/// How urgent an order is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Nothing is served yet.
    First,
    /// A certificate is there.
    Again,
}

/// What the CA exempts an order from (Let's Encrypt, "Rate Limits", exemptions for renewals).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Renewal {
    /// Nothing.
    #[default]
    No,
    /// The same names were certified before: from the limits on orders and on certificates of a registered domain.
    SameSet,
    /// It says which certificate it replaces, within the time that the CA suggested for that (ARI, RFC 9773): from all limits.
    /// Boulder exempts within that time alone (`wfe2`, `validateReplacementOrder`).
    Ari,
}

// === impl Names ===

impl Names {
    /// These names; `None`: none at all.
    pub fn new(hosts: impl IntoIterator<Item = Host>) -> Option<Self> {
        let mut hosts: Vec<Host> = hosts.into_iter().collect();
        hosts.sort_unstable();
        hosts.dedup();
        (!hosts.is_empty()).then(|| Self(hosts.into()))
    }

    /// A single name.
    pub fn one(host: &Host) -> Self {
        Self(Arc::from([host.clone()]))
    }

    /// The names.
    pub fn hosts(&self) -> &[Host] {
        &self.0
    }

    /// The first of them.
    pub fn first(&self) -> Option<&Host> {
        self.0.first()
    }

    /// The registered domains beneath which they lie, each once.
    fn domains(&self) -> Vec<&str> {
        let mut domains: Vec<&str> = self.0.iter().map(Host::registered_domain).collect();
        domains.sort_unstable();
        domains.dedup();
        domains
    }

    fn joined(&self) -> Arc<str> {
        match &*self.0 {
            [one] => Arc::from(one.as_str()),
            all => all.iter().map(Host::as_str).collect::<Vec<_>>().join(" ").into(),
        }
    }
}

// === impl Account ===

impl Account {
    /// The account of that URI at the CA of that directory.
    pub fn new(directory: &str, uri: &str) -> Self {
        Self { directory: Arc::from(directory.trim_end_matches('/')), uri: Arc::from(uri) }
    }

    fn scope(&self) -> Arc<str> {
        format!("{} {}", self.directory, self.uri).into()
    }
}

// === impl Ask ===

impl Ask {
    /// Whose it is.
    pub fn id(&self) -> Id {
        (self.namespace.clone(), self.names.clone())
    }
}

// === impl Key ===

impl Key {
    /// The account's orders.
    pub fn orders(account: &Account) -> Self {
        Self { kind: Kind::NewOrders, scope: account.scope(), of: Arc::from("") }
    }

    /// A registered domain's certificates.
    pub fn domain(account: &Account, domain: &str) -> Self {
        Self { kind: Kind::CertificatesPerDomain, scope: account.directory.clone(), of: Arc::from(domain) }
    }

    /// The certificates for exactly these names.
    pub fn set(account: &Account, names: &Names) -> Self {
        Self { kind: Kind::CertificatesPerSet, scope: account.directory.clone(), of: names.joined() }
    }

    /// A name's failures, one by one or in a row.
    pub fn failures(kind: Kind, account: &Account, host: &Host) -> Self {
        Self { kind, scope: account.scope(), of: Arc::from(host.as_str()) }
    }

    /// The buckets of certificates that one for these names is counted in.
    pub fn of_certificate(account: &Account, names: &Names, renewal: bool) -> Vec<Self> {
        let mut keys = vec![Self::set(account, names)];
        if !renewal {
            keys.extend(names.domains().into_iter().map(|domain| Self::domain(account, domain)));
        }
        keys
    }

    /// All buckets in which an order must find a place.
    pub fn of_order(account: &Account, names: &Names, renewal: Renewal) -> Vec<Self> {
        if renewal == Renewal::Ari {
            return Vec::new();
        }
        let again = renewal == Renewal::SameSet;
        let mut keys = Self::of_certificate(account, names, again);
        if !again {
            keys.push(Self::orders(account));
        }
        for kind in [Kind::FailedAuthorizations, Kind::ConsecutiveFailures] {
            keys.extend(names.hosts().iter().map(|host| Self::failures(kind, account, host)));
        }
        keys
    }

    /// Its rate under a CA's limits.
    pub fn rate(&self, limits: &CaLimits) -> Option<Rate> {
        limits.rate(self.kind)
    }

    /// What of it people know: not a whole list of names.
    pub fn subject(&self) -> &str {
        if self.kind == Kind::CertificatesPerSet { self.of.split(' ').next().unwrap_or_default() } else { &self.of }
    }
}
