//! Whether an Ingress wants a certificate for a host: asked of [`decide`]
//! itself, with all hidden that the controller has yet to find out.

use jiff::Timestamp;

use super::{Terms, Want};
use crate::core::{
    decide::decide,
    host::Host,
    ingress::Ingress,
    knowledge::{DomainFacts, Knowledge},
    policy::{IssuerRef, Policy, Profile},
    reason::{Action, Reason},
    record::Present,
    settings::{Scope, UserIssuer, user_issuer},
};

/// [`Knowledge`] of flags alone: no verdict, no certificate, no lead.
struct FlagsOnly<'k, K> {
    inner: &'k K,
    host: &'k str,
    facts: Option<DomainFacts>,
}

// === impl FlagsOnly ===

impl<K: Knowledge> Knowledge for FlagsOnly<'_, K> {
    fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        self.inner.namespace_label(namespace, key)
    }

    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.facts.as_ref().filter(|_| host == self.host)
    }

    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

/// Whether `ingress` wants a certificate for `host`.
///
/// `needs_public_name`: whether an issuer can only issue for public names, as ACME CAs do.
pub fn want<K: Knowledge>(
    ingress: &Ingress<'_>,
    present: &Present,
    host: &Host,
    knowledge: &K,
    policy: &Policy,
    needs_public_name: impl Fn(&IssuerRef) -> bool,
) -> Want {
    let domain = knowledge.domain(&ingress.metadata.namespace, host.as_str());
    let facts = domain.map(|domain| DomainFacts {
        auto_issue: domain.auto_issue,
        issuer: domain.issuer.clone(),
        // What was bound is not the user's own.
        injected_secrets: domain.entries_for().cloned().collect(),
        ..DomainFacts::default()
    });
    let flags = FlagsOnly { inner: knowledge, host: host.as_str(), facts };
    let decision = decide(ingress, &flags, policy, Timestamp::UNIX_EPOCH);
    let Some(decided) = decision.hosts.iter().find(|decided| decided.host == host.as_str()) else {
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
        _ => scope.issuer(host.as_str(), knowledge.facts.as_ref()).cloned(),
    };
    Terms { issuer, profile, issuance: scope.issuance(host.as_str(), profile) }
}

#[cfg(test)]
mod tests;
