//! The hosts of a namespace that may be given TLS now, for admission policies; and what else is to be remembered of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::Terms;
use crate::core::{
    host::Host,
    knowledge::{DomainFacts, Gate},
    limits::{PastOrder, ledger::KEPT},
    policy::{Issuance, Policy},
};

/// What is to stand in the namespace's VerifiedHosts.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Verified {
    /// Host → Secret.
    pub hosts: BTreeMap<String, String>,
    /// The issuer of the simple injection.
    pub issuer: String,
    /// The orders that no other object tells of.
    pub orders: Vec<PastOrder>,
    /// When the first of the hosts ceases to be verified, unless checked again, or the first order to matter.
    pub until: Option<Timestamp>,
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
    let mut verified = Verified {
        issuer: policy.issuer.as_ref().map(|issuer| issuer.name.clone()).unwrap_or_default(),
        ..Verified::default()
    };
    for Wanted { host, facts, terms } in wanted {
        if let Some(bind) = &facts.bind {
            verified.hosts.insert(host.to_string(), bind.secret_name.clone());
            continue;
        }
        let Gate::Open(verdict) = facts.gate(terms.issuer.as_ref(), now) else { continue };
        if terms.issuance == Issuance::Companion && !facts.issued {
            continue;
        }
        verified.hosts.insert(host.to_string(), host.secret_name());
        if let Some(verdict) = verdict
            && !facts.released
        {
            verified.until = Some(verified.until.map_or(verdict.valid_until, |until| until.min(verdict.valid_until)));
        }
    }
    verified
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::{
        finding::Finding,
        knowledge::{Bind, VerdictFacts},
        policy::{IssuerRef, Profile},
        reason::Reason,
    };

    #[test]
    fn only_hosts_whose_gate_is_open() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let verdict = |reason, until| {
            let finding = Finding::new(reason, "h");
            Some(VerdictFacts { finding, issuer: None, valid_until: at(until) })
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
        let terms = |issuance| Terms { issuer: Some(IssuerRef::cluster("le")), profile: Profile::Standard, issuance };
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
        let companion = collect(wanted(Issuance::Companion), &policy, at(10));
        assert_eq!(companion.hosts.len(), 1, "companions order first, Ingresses are bound after");
    }
}
