//! What in a namespace is found by the name of a Secret, a Certificate or a Domain, so that an event about one object
//! costs what it concerns and not all that the namespace has.

use std::{
    borrow::Borrow,
    collections::{BTreeSet, HashMap},
    hash::Hash,
    sync::Arc,
};

use arc_swap::ArcSwapOption;

use super::{Namespace, SeenDomain};
use crate::{
    api::partial::certificate::Certificate,
    core::{host::Host, policy::Profile, reconcile::claim::Stated},
};

/// Several values to a key. A key without values takes no memory.
pub(super) struct Many<K, V>(HashMap<K, BTreeSet<V>>);

/// The links of a namespace.
#[derive(Default)]
pub(super) struct Links {
    /// Hosts by the Certificate that their Domains bind.
    bound_to: Many<String, Host>,
    /// Hosts by the Secret that their Domains bind.
    bound_in: Many<String, Host>,
    /// Certificates by the Secret they are kept in, where that has another name.
    kept_in: Many<String, String>,
    /// Hosts by the name of their Domain, where that was cut and does not tell the host.
    cut_domains: HashMap<String, Host>,
    /// Hosts by the name of their Secret, likewise.
    cut_secrets: HashMap<String, Host>,
    /// How many Domains are served by a gateway of each kind.
    profiles: [usize; 3],
}

/// What an Ingress says of its hosts, kept until something changes that it depends on.
#[derive(Default)]
pub(super) struct Survey(ArcSwapOption<Made>);

struct Made {
    /// Of the state that it was made from.
    generation: (u64, u64),
    stated: Vec<Stated>,
}

// === impl Many ===

impl<K, V> Default for Many<K, V> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

impl<K: Eq + Hash, V: Ord> Many<K, V> {
    pub(super) fn insert(&mut self, key: K, value: V) {
        self.0.entry(key).or_default().insert(value);
    }

    pub(super) fn remove<Q>(&mut self, key: &Q, value: &V)
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        if let Some(values) = self.0.get_mut(key) {
            values.remove(value);
            if values.is_empty() {
                self.0.remove(key);
            }
        }
    }

    pub(super) fn of<Q>(&self, key: &Q) -> impl Iterator<Item = &V>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.0.get(key).into_iter().flatten()
    }
}

// === impl Links ===

impl Links {
    /// How many Domains are served by a gateway of that kind.
    pub(super) fn served_by(&self, profile: Profile) -> usize {
        self.profiles.get(profile as usize).copied().unwrap_or_default()
    }

    /// A host is among those of the namespace, or no longer.
    pub(super) fn knows(&mut self, host: &Host, known: bool) {
        let name = host.secret_name();
        // Nearly all names tell their host.
        if name.strip_prefix("certgate-") == Some(host.as_str()) || Host::of_secret(&name).as_ref() == Some(host) {
            return;
        }
        if known {
            self.cut_secrets.insert(name, host.clone());
        } else {
            self.cut_secrets.remove(&name);
        }
    }

    /// The host whose Secret has that name.
    pub(super) fn host_of_secret(&self, name: &str) -> Option<Host> {
        self.cut_secrets.get(name).cloned().or_else(|| Host::of_secret(name))
    }

    /// The hosts that are bound to a Certificate.
    pub(super) fn bound_to(&self, certificate: &str) -> impl Iterator<Item = &Host> {
        self.bound_to.of(certificate)
    }

    /// The hosts that are bound to a Secret.
    pub(super) fn bound_in(&self, secret: &str) -> impl Iterator<Item = &Host> {
        self.bound_in.of(secret)
    }

    pub(super) fn keep(&mut self, certificate: &Certificate) {
        if let Some((name, secret)) = elsewhere(certificate) {
            self.kept_in.insert(secret.to_owned(), name.to_owned());
        }
    }

    pub(super) fn drop(&mut self, certificate: &Certificate) {
        if let Some((name, secret)) = elsewhere(certificate) {
            self.kept_in.remove(secret, &name.to_owned());
        }
    }

    fn link(&mut self, host: &Host, seen: &SeenDomain) {
        if let Some(bind) = &seen.facts.bind {
            self.bound_to.insert(bind.certificate.clone(), host.clone());
            self.bound_in.insert(bind.secret_name.clone(), host.clone());
        }
        if let Some(count) = seen.facts.profile.and_then(|profile| self.profiles.get_mut(profile as usize)) {
            *count += 1;
        }
        let name = host.object_name();
        if name != host.as_str() && Host::of_object(&name).as_ref() != Some(host) {
            self.cut_domains.insert(name, host.clone());
        }
    }

    fn unlink(&mut self, host: &Host, seen: &SeenDomain) {
        if let Some(bind) = &seen.facts.bind {
            self.bound_to.remove(&bind.certificate, host);
            self.bound_in.remove(&bind.secret_name, host);
        }
        if let Some(count) = seen.facts.profile.and_then(|profile| self.profiles.get_mut(profile as usize)) {
            *count = count.saturating_sub(1);
        }
        let name = host.object_name();
        if name != host.as_str() {
            self.cut_domains.remove(&name);
        }
    }
}

/// A Certificate's name and that of its Secret, where they differ.
fn elsewhere(certificate: &Certificate) -> Option<(&str, &str)> {
    let (name, secret) = (certificate.metadata.name.as_deref()?, certificate.spec.secret_name.as_str());
    (name != secret).then_some((name, secret))
}

// === impl Survey ===

impl Survey {
    /// What stands at `index` of what the Ingress says, made anew by `make` unless it is of that generation.
    pub(super) fn get(
        &self,
        index: usize,
        generation: (u64, u64),
        make: impl FnOnce() -> Vec<Stated>,
    ) -> Option<Stated> {
        let known = self.0.load();
        if let Some(made) = known.as_ref().filter(|made| made.generation == generation) {
            return made.stated.get(index).cloned();
        }
        let made = Made { generation, stated: make() };
        let stated = made.stated.get(index).cloned();
        self.0.store(Some(Arc::new(made)));
        stated
    }
}

impl Clone for Survey {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl std::fmt::Debug for Survey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Survey")
    }
}

/// Whether two versions of a Domain are the same to who reads an Ingress for what it wants.
fn says_the_same(old: Option<&SeenDomain>, new: Option<&SeenDomain>) -> bool {
    let flags = |seen: &SeenDomain| (seen.facts.auto_issue, seen.facts.issuer.clone(), seen.facts.settings.clone());
    let entries = |seen: Option<&SeenDomain>| -> Vec<String> {
        seen.into_iter().flat_map(|seen| seen.facts.entries_for()).cloned().collect()
    };
    old.map(flags).unwrap_or_default() == new.map(flags).unwrap_or_default() && entries(old) == entries(new)
}

// === impl Namespace ===

impl Namespace {
    /// Keeps a Domain; returns the one before.
    pub(super) fn put_domain(&mut self, host: &Host, seen: SeenDomain) -> Option<Box<SeenDomain>> {
        if !says_the_same(self.domains.get(host).map(Box::as_ref), Some(&seen)) {
            self.generation += 1;
        }
        if let Some(old) = self.domains.get(host) {
            self.links.unlink(host, old);
        }
        self.links.link(host, &seen);
        match self.domains.get_mut(host) {
            Some(place) => Some(std::mem::replace(place, Box::new(seen))),
            None => self.domains.insert(host.clone(), Box::new(seen)),
        }
    }

    /// Forgets a Domain.
    pub(super) fn take_domain(&mut self, host: &Host) -> Option<Box<SeenDomain>> {
        let old = self.domains.remove(host)?;
        self.links.unlink(host, &old);
        if !says_the_same(Some(&*old), None) {
            self.generation += 1;
        }
        Some(old)
    }

    /// The host of the Domain of that name.
    pub(super) fn host_of_domain(&self, name: &str) -> Option<Host> {
        let is_named =
            |host: &Host| self.domains.get(host).is_some_and(|seen| seen.domain.metadata.name.as_deref() == Some(name));
        let told = Host::of_object(name).filter(is_named);
        told.or_else(|| self.links.cut_domains.get(name).filter(|host| is_named(host)).cloned())
    }

    /// The Certificates that are kept in a Secret.
    pub(super) fn certificates_in<'n>(&'n self, secret: &'n str) -> impl Iterator<Item = &'n Certificate> {
        let own = self.certificates.get(secret).filter(|one| one.spec.secret_name == secret);
        let others = self.links.kept_in.of(secret).filter_map(|name| self.certificates.get(name));
        own.into_iter().chain(others)
    }
}
