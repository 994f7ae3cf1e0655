//! Whether an Ingress wants a certificate for a host: asked of [`decide`]
//! itself, with all hidden that the controller has yet to find out.

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;

use super::{Terms, Want};
use crate::core::{
    decide::decide,
    decision::HostDecision,
    host::Host,
    ingress::Ingress,
    knowledge::{DomainFacts, Knowledge},
    policy::{IssuerRef, Policy, Profile},
    reason::{Action, Reason},
    record::Present,
    settings::{Scope, UserIssuer, user_issuer},
};

/// What an Ingress says of one of its hosts.
#[derive(Clone, Debug, PartialEq)]
pub struct Stated {
    /// Whether it wants a certificate for it.
    pub want: Want,
    /// Whether any of its TLS entries names the host's Secret.
    pub refers: bool,
}

/// [`Knowledge`] of flags alone: no verdict, no certificate, no lead.
struct FlagsOnly<'k, K> {
    inner: &'k K,
    facts: HashMap<&'k str, DomainFacts>,
}

// === impl FlagsOnly ===

impl<K: Knowledge> Knowledge for FlagsOnly<'_, K> {
    fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        self.inner.namespace_label(namespace, key)
    }

    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.facts.get(host)
    }

    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

/// What `ingress` says of each of `hosts`, in their order: one decision for all of them, so that an Ingress of many hosts
/// costs no more for each than one of a few.
///
/// `needs_public_name`: whether an issuer can only issue for public names, as ACME CAs do.
pub fn survey<K: Knowledge>(
    ingress: &Ingress<'_>,
    present: &Present,
    hosts: &[Host],
    knowledge: &K,
    policy: &Policy,
    needs_public_name: impl Fn(&IssuerRef) -> bool,
) -> Vec<Stated> {
    let secrets: HashSet<&str> = ingress.tls().iter().filter_map(|entry| entry.secret_name.as_deref()).collect();
    let wants = wants(ingress, present, hosts, knowledge, policy, needs_public_name);
    let stated = |(host, want): (&Host, Want)| Stated { want, refers: secrets.contains(host.secret_name().as_str()) };
    hosts.iter().zip(wants).map(stated).collect()
}

/// The hosts of one Ingress have no say in each other's [`Want`]: what they share is one issuer, and who is in the way of
/// that is held, and still wants.
fn wants<K: Knowledge>(
    ingress: &Ingress<'_>,
    present: &Present,
    hosts: &[Host],
    knowledge: &K,
    policy: &Policy,
    needs_public_name: impl Fn(&IssuerRef) -> bool,
) -> Vec<Want> {
    let flags = |host: &Host| {
        let domain = knowledge.domain(&ingress.metadata.namespace, host.as_str())?;
        let (auto_issue, issuer) = (domain.auto_issue, domain.issuer.clone());
        // What was bound is not the user's own.
        let injected_secrets = domain.entries_for().cloned().collect();
        Some(DomainFacts { auto_issue, issuer, injected_secrets, ..DomainFacts::default() })
    };
    let facts = hosts.iter().filter_map(|host| Some((host.as_str(), flags(host)?))).collect();
    let flags = FlagsOnly { inner: knowledge, facts };
    let decision = decide(ingress, &flags, policy, Timestamp::UNIX_EPOCH);
    let mut decided: HashMap<&str, &HostDecision<'_>> = HashMap::with_capacity(decision.hosts.len());
    for one in &decision.hosts {
        decided.entry(&one.host).or_insert(one);
    }
    let want = |host: &Host| {
        let Some(decided) = decided.get(host.as_str()) else {
            // An Ingress that is exempt as a whole names its hosts too; one that does not name the host has dropped it.
            return Want::No(Reason::HostRemoved);
        };
        let terms = terms(ingress, present, host, &flags, policy);
        let out = match decided.reason() {
            Reason::NotPublicName | Reason::IsPublicSuffix | Reason::HostInvalid => {
                terms.issuer.as_ref().is_none_or(&needs_public_name)
            }
            _ => matches!(decided.action, Action::Skip | Action::Withdraw),
        };
        if out { Want::No(decided.reason()) } else { Want::Yes(terms) }
    };
    hosts.iter().map(want).collect()
}

fn terms<K: Knowledge>(
    ingress: &Ingress<'_>,
    present: &Present,
    host: &Host,
    knowledge: &FlagsOnly<'_, K>,
    policy: &Policy,
) -> Terms {
    let scope = Scope { ingress, knowledge, policy };
    let profile = scope.profile();
    let issuer = match user_issuer(ingress, |key| present.record.annotations.contains_key(key)) {
        UserIssuer::One(issuer) => Some(issuer),
        _ => scope.issuer(host.as_str(), knowledge.facts.get(host.as_str())).cloned(),
    };
    Terms { issuer, profile, issuance: scope.issuance(host.as_str(), profile) }
}

#[cfg(test)]
mod tests;
