//! [`Index`]: what the webhook knows of the cluster: Domains and the labels of
//! Namespaces, kept by watches, reduced to what decisions ask for.
//!
//! A look-up is a hash of two short strings under a read lock that is held for
//! one decision and never across an await. Writers hold it for one object. A
//! new list of a watch marks what it sees and sweeps the rest away at its end,
//! so that nothing is forgotten meanwhile and nothing is stored twice.

mod feed;

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Resource as _,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::watcher::Event,
};

pub use feed::{WatchMetrics, watch};

use tokio::sync::Notify;

use crate::{
    api::domain::Domain,
    cluster::health::Watches,
    core::{
        finding::Finding,
        host::Host,
        knowledge::{DomainFacts, Knowledge},
        names,
        policy::{Policy, Profile},
    },
};

/// What the webhook knows of the cluster.
pub struct Index {
    state: RwLock<State>,
    /// Namespace label keys that policy asks for, beside our own.
    label_keys: RwLock<BTreeSet<Box<str>>>,
    /// Tells the watch on Namespaces to list again, for keys that were not kept before.
    list_namespaces: Notify,
    domains_listed: AtomicBool,
    namespaces_listed: AtomicBool,
    /// How the watches are doing.
    pub watches: Watches,
}

/// The index, held still for one decision.
pub struct View<'a>(RwLockReadGuard<'a, State>);

#[derive(Default)]
struct State {
    namespaces: HashMap<Box<str>, Space>,
    /// The number of the list that is under way, or was last, of each kind.
    domain_list: u32,
    namespace_list: u32,
}

/// What is known of one namespace.
#[derive(Default)]
struct Space {
    /// The labels that matter; `None`: the Namespace itself has not been seen.
    labels: Option<Vec<(Box<str>, Box<str>)>>,
    /// The list in which the Namespace was last seen.
    seen: u32,
    /// By host.
    domains: HashMap<Box<str>, Entry>,
    /// Hosts by the name of their Domain, where that was cut and does not tell the host.
    cut: HashMap<Box<str>, Box<str>>,
    /// How many hosts are served by a gateway of each kind.
    profiles: [u32; 3],
}

/// One Domain. Boxed: the map's empty places would cost as much as its full ones.
struct Entry {
    facts: Box<DomainFacts>,
    /// The list in which it was last seen.
    seen: u32,
}

/// How much is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Size {
    /// Namespaces with labels that matter or Domains.
    pub namespaces: usize,
    /// Domains.
    pub domains: usize,
}

// === impl Index ===

impl Index {
    /// An empty index that keeps the Namespace labels `policy` asks for.
    pub fn new(policy: &Policy) -> Self {
        Self {
            state: RwLock::default(),
            label_keys: RwLock::new(label_keys(policy)),
            list_namespaces: Notify::new(),
            domains_listed: AtomicBool::new(false),
            namespaces_listed: AtomicBool::new(false),
            watches: Watches::default(),
        }
    }

    /// Keeps from now on the Namespace labels that another policy asks for.
    /// Those that were not kept before are there when Namespaces have been listed again, in a moment.
    pub fn follow(&self, policy: &Policy) {
        let keys = label_keys(policy);
        let mut known = self.label_keys.write().unwrap_or_else(PoisonError::into_inner);
        let more = !keys.is_subset(&known);
        *known = keys;
        if more {
            self.list_namespaces.notify_one();
        }
    }

    /// Holds the index still for one decision. Not to be held across an await.
    pub fn read(&self) -> View<'_> {
        View(self.state.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether each watch has listed everything once; else what is missing.
    ///
    /// # Errors
    /// The kinds that are not listed yet.
    pub fn complete(&self) -> Result<(), &'static str> {
        match (self.domains_listed.load(Ordering::Acquire), self.namespaces_listed.load(Ordering::Acquire)) {
            (true, true) => Ok(()),
            (false, true) => Err("Domains are not listed yet"),
            (true, false) => Err("Namespaces are not listed yet"),
            (false, false) => Err("Domains and Namespaces are not listed yet"),
        }
    }

    /// How much is held.
    pub fn size(&self) -> Size {
        let state = self.read().0;
        Size {
            namespaces: state.namespaces.len(),
            domains: state.namespaces.values().map(|space| space.domains.len()).sum(),
        }
    }

    /// Takes in an event of the watch on Domains.
    pub fn on_domain(&self, event: Event<DeserializeGuard<Domain>>) {
        match event {
            Event::Init => self.write().domain_list += 1,
            Event::InitApply(guard) | Event::Apply(guard) => match guard.0 {
                Ok(domain) => self.put_domain(&domain),
                Err(invalid) => {
                    let (namespace, name) = (&invalid.metadata.namespace, &invalid.metadata.name);
                    tracing::warn!(?namespace, ?name, error = invalid.error, "a Domain cannot be read and is left out");
                    self.remove_domain(namespace.as_deref(), name.as_deref());
                }
            },
            Event::Delete(guard) => {
                let meta = guard.meta();
                self.remove_domain(meta.namespace.as_deref(), meta.name.as_deref());
            }
            Event::InitDone => {
                self.sweep(State::sweep_domains);
                self.domains_listed.store(true, Ordering::Release);
            }
        }
    }

    /// Takes in an event of the watch on Namespaces.
    pub fn on_namespace(&self, event: Event<PartialObjectMeta<Namespace>>) {
        match event {
            Event::Init => self.write().namespace_list += 1,
            Event::InitApply(namespace) | Event::Apply(namespace) => {
                let Some(name) = &namespace.metadata.name else { return };
                let labels = self.labels_that_matter(&namespace);
                self.write().put_labels(name, labels);
            }
            Event::Delete(namespace) => {
                if let Some(name) = &namespace.metadata.name {
                    self.write().remove_labels(name);
                }
            }
            Event::InitDone => {
                self.sweep(State::sweep_labels);
                self.namespaces_listed.store(true, Ordering::Release);
            }
        }
    }

    fn labels_that_matter(&self, namespace: &PartialObjectMeta<Namespace>) -> Vec<(Box<str>, Box<str>)> {
        let keys = self.label_keys.read().unwrap_or_else(PoisonError::into_inner);
        let labels = namespace.metadata.labels.iter().flatten();
        labels
            .filter(|(key, _)| key.starts_with(names::PREFIX) || keys.contains(key.as_str()))
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect()
    }

    fn put_domain(&self, domain: &Domain) {
        let (Some(namespace), Some(name)) = (&domain.metadata.namespace, &domain.metadata.name) else { return };
        let host = Host::parse(&domain.spec.host).ok().filter(|host| host.object_name() == *name);
        let Some(host) = host else {
            // Not the Domain of that host, or of any. If it was once, it is no longer.
            tracing::debug!(
                namespace,
                name,
                host = domain.spec.host,
                "a Domain is not named by its host and is left out"
            );
            return self.remove_domain(Some(namespace), Some(name));
        };
        let facts = Box::new(reduced(domain.facts()));
        self.write().put_domain(namespace, host.as_str(), facts);
    }

    fn remove_domain(&self, namespace: Option<&str>, name: Option<&str>) {
        if let (Some(namespace), Some(name)) = (namespace, name) {
            self.write().remove_domain(namespace, name);
        }
    }

    /// Sweeps one namespace at a time, so that no decision waits for all.
    fn sweep(&self, one: fn(&mut State, &str)) {
        let names: Vec<Box<str>> = self.read().0.namespaces.keys().cloned().collect();
        for name in names {
            one(&mut self.write(), &name);
        }
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        // A panic between two assignments leaves at worst one entry out of date; its next event mends it.
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The Namespace label keys that a policy asks for.
fn label_keys(policy: &Policy) -> BTreeSet<Box<str>> {
    let keys = policy.rules.iter().flat_map(|rule| rule.r#match.namespace_labels.keys());
    keys.map(|key| key.as_str().into()).collect()
}

/// Drops what no decision shows: where the gate is open, only its reason is told.
fn reduced(mut facts: DomainFacts) -> DomainFacts {
    let open = facts.released;
    if let Some(verdict) = &mut facts.verdict {
        let finding = &mut verdict.finding;
        if open || finding.reason.opens_gate() {
            *finding = Finding::new(finding.reason, "");
        }
        finding.observed.shrink_to_fit();
        finding.required.shrink_to_fit();
        for text in finding.observed.iter_mut().chain(&mut finding.required) {
            text.shrink_to_fit();
        }
        finding.subject.shrink_to_fit();
        finding.note.shrink_to_fit();
    }
    facts
}

// === impl State ===

impl State {
    /// The namespace's place, made if need be.
    fn space(&mut self, namespace: &str) -> &mut Space {
        self.namespaces.entry(namespace.into()).or_default()
    }

    fn put_domain(&mut self, namespace: &str, host: &str, facts: Box<DomainFacts>) {
        let seen = self.domain_list;
        let space = self.space(namespace);
        space.count(facts.profile, 1);
        let entry = Entry { facts, seen };
        space.note_cut(host, true);
        let before = match space.domains.get_mut(host) {
            Some(place) => Some(std::mem::replace(place, entry)),
            None => space.domains.insert(host.into(), entry),
        };
        space.count(before.and_then(|entry| entry.facts.profile), -1);
    }

    fn remove_domain(&mut self, namespace: &str, name: &str) {
        let Some(space) = self.namespaces.get_mut(namespace) else { return };
        let told = Host::of_object(name).filter(|host| space.domains.contains_key(host.as_str()));
        let host = space.cut.get(name).cloned().or_else(|| told.map(|host| host.as_str().into()));
        if let Some((host, entry)) = host.and_then(|host: Box<str>| space.domains.remove_entry(&host)) {
            space.note_cut(&host, false);
            space.count(entry.facts.profile, -1);
        }
        self.drop_if_empty(namespace);
    }

    fn put_labels(&mut self, namespace: &str, labels: Vec<(Box<str>, Box<str>)>) {
        if labels.is_empty() {
            return self.remove_labels(namespace);
        }
        let seen = self.namespace_list;
        let space = self.space(namespace);
        space.labels = Some(labels);
        space.seen = seen;
    }

    fn remove_labels(&mut self, namespace: &str) {
        if let Some(space) = self.namespaces.get_mut(namespace) {
            space.labels = None;
        }
        self.drop_if_empty(namespace);
    }

    fn sweep_domains(&mut self, namespace: &str) {
        let list = self.domain_list;
        let Some(space) = self.namespaces.get_mut(namespace) else { return };
        let mut gone: [i32; 3] = [0; 3];
        let mut cut = false;
        space.domains.retain(|host, entry| {
            let keep = entry.seen == list;
            if !keep && is_cut(host) {
                cut = true;
            }
            if !keep && let Some(count) = entry.facts.profile.and_then(|profile| gone.get_mut(profile as usize)) {
                *count += 1;
            }
            keep
        });
        if cut {
            let domains = &space.domains;
            space.cut.retain(|_, host| domains.contains_key(host));
        }
        for (count, gone) in space.profiles.iter_mut().zip(gone) {
            *count = count.saturating_add_signed(-gone);
        }
        self.drop_if_empty(namespace);
    }

    fn sweep_labels(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(|space| space.seen != self.namespace_list) {
            self.remove_labels(namespace);
        }
    }

    fn drop_if_empty(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(|space| space.labels.is_none() && space.domains.is_empty()) {
            self.namespaces.remove(namespace);
        }
    }
}

/// Whether the name of a host's Domain may be a cut one: it is longer than the host by a prefix.
fn is_cut(host: &str) -> bool {
    host.len() > 240
}

// === impl Space ===

impl Space {
    /// A Domain whose name does not tell its host came or went.
    fn note_cut(&mut self, host: &str, known: bool) {
        let Some(host) = Some(host).filter(|host| is_cut(host)).and_then(|host| Host::parse(host).ok()) else { return };
        let name = host.object_name();
        if Host::of_object(&name).as_ref() == Some(&host) {
            return;
        }
        if known {
            self.cut.insert(name.into(), host.as_str().into());
        } else {
            self.cut.remove(name.as_str());
        }
    }

    fn count(&mut self, profile: Option<Profile>, change: i32) {
        if let Some(count) = profile.and_then(|profile| self.profiles.get_mut(profile as usize)) {
            *count = count.saturating_add_signed(change);
        }
    }
}

// === impl View ===

impl Knowledge for View<'_> {
    fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        let labels = self.0.namespaces.get(namespace)?.labels.as_ref()?;
        labels.iter().find(|(k, _)| **k == *key).map(|(_, value)| &**value)
    }

    fn domain(&self, namespace: &str, host: &str) -> Option<&DomainFacts> {
        Some(&*self.0.namespaces.get(namespace)?.domains.get(host)?.facts)
    }

    fn has_profile(&self, namespace: &str, profile: Profile) -> bool {
        let space = self.0.namespaces.get(namespace);
        space.and_then(|space| space.profiles.get(profile as usize)).is_some_and(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests;
