//! The hosts of a namespace that may be given TLS now, for admission policies; and what else is to be remembered of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Terms;
use crate::core::{
    host::Host,
    knowledge::{DomainFacts, Gate},
    limits::{PastOrder, ledger::KEPT},
    policy::{Issuance, IssuerKind, IssuerRef, Policy},
};

/// What is to stand in the namespace's VerifiedHosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Host → Secret.
    pub hosts: BTreeMap<String, String>,
    /// The issuer of the simple injection.
    pub issuer: String,
    /// Host → issuer, of hosts that are verified for another.
    pub issuers: BTreeMap<String, String>,
    /// The orders that no other object tells of.
    pub orders: Vec<PastOrder>,
    /// When the first of the hosts ceases to be verified, unless checked again, or the first order to matter.
    pub until: Option<Timestamp>,
}

/// What stands there of one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its Secret.
    pub secret: String,
    /// The issuer that it is verified for, where that is not the one of the simple injection.
    pub issuer: Option<String>,
}

/// Of a host whose certificate is there already: no issuer at all is to order for it.
const NOBODY: &str = "*";

/// What stands of a host.
pub fn entry(hosts: &BTreeMap<String, String>, issuers: &BTreeMap<String, String>, host: &Host) -> Option<Entry> {
    let secret = hosts.get(host.as_str())?.clone();
    Some(Entry { secret, issuer: issuers.get(host.as_str()).cloned() })
}

// === impl Verified ===

impl Verified {
    /// With orders to remember.
    #[must_use]
    pub fn remembering(mut self, orders: Vec<PastOrder>) -> Self {
        let oldest = orders.iter().filter_map(PastOrder::last).min();
        let forgotten = oldest.and_then(|at| at.checked_add(KEPT).ok()?.checked_add(SignedDuration::from_secs(1)).ok());
        self.until = [self.until, forgotten].into_iter().flatten().min();
        Self { orders, ..self }
    }

    /// Takes a host down.
    pub fn insert(&mut self, host: &Host, entry: Entry) {
        match entry.issuer {
            Some(issuer) => drop(self.issuers.insert(host.to_string(), issuer)),
            None => drop(self.issuers.remove(host.as_str())),
        }
        self.hosts.insert(host.to_string(), entry.secret);
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.orders.is_empty()
    }
}

/// One wanted host of the namespace.
pub struct Wanted<'a> {
    /// The host.
    pub host: &'a Host,
    /// Its state.
    pub facts: &'a DomainFacts,
    /// How it is ordered, and by whom.
    pub terms: Terms,
}

/// Collects the hosts whose gate is open. A host that a companion orders for
/// counts once its certificate is there.
pub fn collect<'a>(wanted: impl Iterator<Item = Wanted<'a>>, policy: &Policy, now: Timestamp) -> Verified {
    // What the simple injection names is a ClusterIssuer of cert-manager's own.
    let simple =
        policy.issuer.as_ref().filter(|issuer| issuer.is_builtin() && issuer.kind == IssuerKind::ClusterIssuer);
    let mut verified =
        Verified { issuer: simple.map(|issuer| issuer.name.clone()).unwrap_or_default(), ..Verified::default() };
    for Wanted { host, facts, terms } in wanted {
        if let Some(bind) = &facts.bind {
            verified.insert(host, Entry { secret: bind.secret_name.clone(), issuer: Some(NOBODY.to_owned()) });
            continue;
        }
        let Gate::Open(verdict) = facts.gate(terms.issuer.as_ref(), now) else { continue };
        if terms.issuance == Issuance::Companion && !facts.issued {
            continue;
        }
        let other = terms.issuer.as_ref().filter(|issuer| Some(*issuer) != simple);
        verified.insert(host, Entry { secret: host.secret_name(), issuer: other.map(word) });
        if let Some(verdict) = verdict
            && !facts.released
        {
            verified.until = Some(verified.until.map_or(verdict.valid_until, |until| until.min(verdict.valid_until)));
        }
    }
    verified
}

/// An issuer in one word: its kind, with its group where that is not cert-manager's own, and its name.
fn word(issuer: &IssuerRef) -> String {
    let group = issuer.group.as_deref().filter(|_| !issuer.is_builtin());
    let group = group.map_or_else(String::new, |group| format!(".{group}"));
    format!("{}{group}/{}", issuer.kind.as_str(), issuer.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        finding::Finding,
        knowledge::{Bind, VerdictFacts},
        policy::Profile,
        reason::Reason,
    };

    #[test]
    fn only_hosts_whose_gate_is_open() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let verdict = |reason, until| {
            let finding = Finding::new(reason, "h");
            Some(VerdictFacts { finding, issuer: None, server: None, valid_until: at(until) })
        };
        let facts = [
            ("open.example.com", DomainFacts { verdict: verdict(Reason::Verified, 100), ..Default::default() }),
            ("later.example.com", DomainFacts { verdict: verdict(Reason::Verified, 90), ..Default::default() }),
            ("stale.example.com", DomainFacts { verdict: verdict(Reason::Verified, 5), ..Default::default() }),
            ("closed.example.com", DomainFacts { verdict: verdict(Reason::WrongTarget, 100), ..Default::default() }),
            ("unknown.example.com", DomainFacts::default()),
            (
                "released.example.com",
                DomainFacts { verdict: verdict(Reason::WrongTarget, 1), released: true, ..Default::default() },
            ),
            (
                "bound.example.com",
                DomainFacts {
                    bind: Some(Bind { secret_name: "s".into(), certificate: "c".into() }),
                    ..Default::default()
                },
            ),
        ];
        let hosts: Vec<Host> = facts.iter().map(|(host, _)| Host::parse(host).unwrap()).collect();
        let terms = |issuance| Terms::new(Some(IssuerRef::cluster("le")), Profile::Standard, issuance);
        let wanted = |issuance| {
            hosts.iter().zip(&facts).map(move |(host, (_, facts))| Wanted { host, facts, terms: terms(issuance) })
        };
        let policy = Policy { issuer: Some(IssuerRef::cluster("le")), ..Policy::default() };
        let inline = collect(wanted(Issuance::Inline), &policy, at(10));
        assert_eq!(
            inline.hosts.iter().map(|(h, s)| (h.as_str(), s.as_str())).collect::<Vec<_>>(),
            [
                ("bound.example.com", "s"),
                ("later.example.com", "certgate-later.example.com"),
                ("open.example.com", "certgate-open.example.com"),
                ("released.example.com", "certgate-released.example.com"),
            ]
        );
        assert_eq!((inline.until, inline.issuer.as_str()), (Some(at(90)), "le"));
        assert_eq!(inline.issuers, [("bound.example.com".to_owned(), "*".to_owned())].into());
        let companion = collect(wanted(Issuance::Companion), &policy, at(10));
        assert_eq!(companion.hosts.len(), 1, "companions order first, Ingresses are bound after");
    }

    #[test]
    fn a_host_is_told_with_the_issuer_that_it_is_verified_for() {
        let host = Host::parse("www.example.com").unwrap();
        let other = |kind: &str, group: Option<&str>| IssuerRef {
            kind: IssuerKind::Other(kind.to_owned()),
            name: "x".to_owned(),
            group: group.map(str::to_owned),
        };
        let own = IssuerRef { kind: IssuerKind::Issuer, ..IssuerRef::cluster("le") };
        let rows = [
            (IssuerRef::cluster("le"), IssuerRef::cluster("le"), "le", None),
            (IssuerRef::cluster("private"), IssuerRef::cluster("le"), "le", Some("ClusterIssuer/private")),
            (own.clone(), IssuerRef::cluster("le"), "le", Some("Issuer/le")),
            (other("Ca", Some("ca.example")), IssuerRef::cluster("le"), "le", Some("Ca.ca.example/x")),
            (own.clone(), own, "", Some("Issuer/le")),
        ];
        for (issuer, default, simple, told) in rows {
            let facts = DomainFacts { released: true, ..DomainFacts::default() };
            let terms = Terms::new(Some(issuer), Profile::Standard, Issuance::Inline);
            let wanted = std::iter::once(Wanted { host: &host, facts: &facts, terms });
            let verified =
                collect(wanted, &Policy { issuer: Some(default), ..Policy::default() }, Timestamp::UNIX_EPOCH);
            let entry = entry(&verified.hosts, &verified.issuers, &host).unwrap();
            assert_eq!((verified.issuer.as_str(), entry.issuer.as_deref()), (simple, told));
        }
    }
}
