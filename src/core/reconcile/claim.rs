//! Whether an Ingress wants a certificate for a host: asked of [`decide`]
//! itself, with all hidden that the controller has yet to find out.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use jiff::Timestamp;

use super::{Terms, Want, companion};
use crate::core::{
    decide::{
        decide,
        way::{Surroundings, Way},
    },
    decision::HostDecision,
    finding::Finding,
    host::Host,
    ingress::Ingress,
    knowledge::{DomainFacts, Knowledge, SecretFacts},
    policy::{Issuance, IssuerRef, Policy, Profile},
    reason::{Action, Reason},
    record::{Present, UserTls, is_reserved_name},
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

    fn secret(&self, namespace: &str, name: &str, host: &str) -> SecretFacts {
        self.inner.secret(namespace, name, host)
    }
}

/// What `ingress` says of each of `hosts`, in their order: one decision for all of them, so that an Ingress of many hosts
/// costs no more for each than one of a few.
///
/// `needs_public_name`: whether an issuer can only issue for public names, as ACME CAs do.
pub fn survey<K: Knowledge>(
    ingress: &Ingress<'_>,
    hosts: &[Host],
    knowledge: &K,
    policy: &Policy,
    needs_public_name: impl Fn(&IssuerRef) -> bool,
) -> Vec<Stated> {
    let secrets: HashSet<&str> = ingress.tls().iter().filter_map(|entry| entry.secret_name.as_deref()).collect();
    let wants = wants(ingress, hosts, knowledge, policy, needs_public_name);
    let stated = |(host, want): (&Host, Want)| Stated { want, refers: secrets.contains(host.secret_name().as_str()) };
    hosts.iter().zip(wants).map(stated).collect()
}

/// The hosts of one Ingress have no say in each other's [`Want`]: what they share is one issuer, and who is in the way of
/// that is held, and still wants.
fn wants<K: Knowledge>(
    ingress: &Ingress<'_>,
    hosts: &[Host],
    knowledge: &K,
    policy: &Policy,
    needs_public_name: impl Fn(&IssuerRef) -> bool,
) -> Vec<Want> {
    let flags = |host: &Host| {
        let domain = knowledge.domain(&ingress.metadata.namespace, host.as_str())?;
        Some(DomainFacts {
            auto_issue: domain.auto_issue,
            issuer: domain.issuer.clone(),
            // What was bound is not the user's own.
            injected_secrets: domain.entries_for().cloned().collect(),
            settings: domain.settings.clone(),
            ..DomainFacts::default()
        })
    };
    let facts = hosts.iter().filter_map(|host| Some((host.as_str(), flags(host)?))).collect();
    let flags = FlagsOnly { inner: knowledge, facts };
    let decision = decide(ingress, &flags, policy, Timestamp::UNIX_EPOCH);
    let mut decided: HashMap<&str, &HostDecision<'_>> = HashMap::with_capacity(decision.hosts.len());
    for one in &decision.hosts {
        decided.entry(&one.host).or_insert(one);
    }
    // Told from the user's as a decision tells it, but that what has a name of certgate's own counts as ours before
    // anything is known of its host.
    let present = Present::on(ingress, |entry| {
        let vouches = |domain: &DomainFacts| domain.vouches_for(entry, Timestamp::UNIX_EPOCH);
        is_reserved_name(entry.secret, entry.host) || flags.facts.get(entry.host).is_some_and(vouches)
    });
    let scope = Scope { ingress, knowledge: &flags, policy };
    let profile = scope.profile();
    let theirs = user_issuer(ingress, |key| present.record.annotations.contains_key(key));
    let user_tls = UserTls::of(ingress, &present, profile == Profile::RainbondV5);
    let surroundings = Surroundings::of(ingress, &present, &user_tls, &theirs, profile);
    let mut survey = Survey { scope, present: &present, surroundings, theirs, profile, wishes: [None, None] };
    hosts
        .iter()
        .map(|host| {
            let Some(decided) = decided.get(host.as_str()) else {
                // An Ingress that is exempt as a whole names its hosts too; one that does not name the host has dropped it.
                return Want::No(Finding::new(Reason::HostRemoved, host));
            };
            let terms = survey.terms(host, &needs_public_name);
            let out = match decided.reason() {
                Reason::NotPublicName | Reason::IsPublicSuffix | Reason::HostInvalid => {
                    terms.issuer.as_ref().is_none_or(&needs_public_name)
                }
                _ => matches!(decided.action, Action::Skip | Action::Withdraw),
            };
            if out { Want::No(decided.finding()) } else { Want::Yes(terms) }
        })
        .collect()
}

/// An Ingress with what its hosts share, made once for all of them.
struct Survey<'a, K> {
    scope: Scope<'a, FlagsOnly<'a, K>>,
    present: &'a Present,
    surroundings: Surroundings<'a>,
    theirs: UserIssuer,
    profile: Profile,
    /// What companions carry for hosts whose Domains ask for nothing of their own: from issuers that do not validate, and
    /// from those that do.
    wishes: [Option<Arc<BTreeMap<String, String>>>; 2],
}

// === impl Survey ===

impl<'a, K: Knowledge> Survey<'a, K> {
    /// The terms on which a host is wanted.
    fn terms(&mut self, host: &'a Host, needs_public_name: impl Fn(&IssuerRef) -> bool) -> Terms {
        let domain = self.scope.knowledge.facts.get(host.as_str());
        let issuer = match &self.theirs {
            UserIssuer::One(issuer) => Some(issuer.clone()),
            _ => self.scope.issuer(host.as_str(), domain).cloned(),
        };
        let natural = self.scope.issuance(host.as_str(), domain, self.profile);
        let mut terms = Terms::new(issuer, self.profile, natural);
        let Some(issuer) = &terms.issuer else { return terms };
        let validates = needs_public_name(issuer);
        match self.surroundings.way(self.present, host.as_str(), natural, issuer, validates) {
            Way::Inline => terms.issuance = Issuance::Inline,
            Way::Companion => terms.issuance = Issuance::Companion,
            Way::Refused(finding) => terms.refused = Some(*finding),
        }
        if terms.issuance == Issuance::Companion {
            terms.wishes = self.wishes(domain, validates);
        }
        terms
    }

    /// What a companion carries.
    fn wishes(&mut self, domain: Option<&DomainFacts>, validates: bool) -> Arc<BTreeMap<String, String>> {
        let Scope { ingress, policy, .. } = self.scope;
        let make = |settings| Arc::new(companion::wishes(ingress, self.present, settings, validates));
        match domain.and_then(|domain| domain.settings.as_deref()) {
            Some(own) => make(&own.or(&policy.certificate)),
            None => {
                let [plain, validated] = &mut self.wishes;
                let shared = if validates { validated } else { plain };
                shared.get_or_insert_with(|| make(&policy.certificate)).clone()
            }
        }
    }
}

#[cfg(test)]
mod tests;
