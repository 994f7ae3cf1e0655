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
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicBool, Ordering},
    },
};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Resource as _, runtime::watcher::Event};

pub use feed::{WatchMetrics, watch};

use tokio::sync::Notify;

use crate::{
    api::{domain::Domain, partial::metadata::Metadata, read::Read},
    cluster::health::{Health, Watches},
    core::{
        finding::Finding,
        host::Host,
        knowledge::{DomainFacts, Knowledge},
        names,
        policy::{Policy, Profile},
    },
};

/// What the watches are of.
const DOMAIN: &str = "Domain";
const NAMESPACE: &str = "Namespace";

/// What the webhook knows of the cluster.
pub struct Index {
    state: RwLock<State>,
    /// Namespace label keys that policy asks for, beside our own.
    label_keys: RwLock<BTreeSet<Box<str>>>,
    /// Tells the watch on Namespaces to list again, for keys that were not kept before.
    list_namespaces: Notify,
    domains_listed: AtomicBool,
    namespaces_listed: AtomicBool,
    /// The list that is under way, or was last, showed an object of which not even the name can be read.
    nameless_domain: AtomicBool,
    nameless_namespace: AtomicBool,
    /// How the watches are doing.
    pub watches: Watches,
    domain_health: Arc<Health>,
    namespace_health: Arc<Health>,
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
    /// Domains that are there, cannot be read and were never known, by name; and the list in which each was last seen.
    unknown: HashMap<Box<str>, u32>,
    /// The Namespace is there, cannot be read and was never known.
    unread: bool,
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
        let watches = Watches::default();
        Self {
            state: RwLock::default(),
            label_keys: RwLock::new(label_keys(policy)),
            list_namespaces: Notify::new(),
            domains_listed: AtomicBool::new(false),
            namespaces_listed: AtomicBool::new(false),
            nameless_domain: AtomicBool::new(false),
            nameless_namespace: AtomicBool::new(false),
            domain_health: watches.of(DOMAIN),
            namespace_health: watches.of(NAMESPACE),
            watches,
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
    pub fn on_domain(&self, event: Event<Read<Domain>>) {
        let health = &self.domain_health;
        match event {
            Event::Init => {
                self.write().domain_list += 1;
                self.nameless_domain.store(false, Ordering::Release);
            }
            Event::InitApply(Read::Object(domain)) | Event::Apply(Read::Object(domain)) => {
                let meta = &domain.metadata;
                let id = (meta.namespace.as_deref().unwrap_or_default(), meta.name.as_deref().unwrap_or_default());
                health.is_read(id.0, id.1);
                self.put_domain(&domain);
            }
            Event::InitApply(Read::Unreadable(found)) | Event::Apply(Read::Unreadable(found)) => {
                health.cannot_read(&found);
                if found.name().is_empty() {
                    self.nameless_domain.store(true, Ordering::Release);
                } else {
                    self.write().keep_domain(found.namespace(), found.name());
                }
            }
            Event::Delete(domain) => {
                let meta = domain.meta();
                let id = (meta.namespace.as_deref(), meta.name.as_deref());
                health.is_read(id.0.unwrap_or_default(), id.1.unwrap_or_default());
                self.remove_domain(id.0, id.1);
            }
            Event::InitDone => {
                // One of which not even the name can be read may be any that is known.
                if !self.nameless_domain.load(Ordering::Acquire) {
                    self.sweep(State::sweep_domains);
                    health.all_have_names();
                }
                self.domains_listed.store(true, Ordering::Release);
            }
        }
    }

    /// Takes in an event of the watch on Namespaces.
    pub fn on_namespace(&self, event: Event<Read<Metadata<Namespace>>>) {
        let health = &self.namespace_health;
        match event {
            Event::Init => {
                self.write().namespace_list += 1;
                self.nameless_namespace.store(false, Ordering::Release);
            }
            Event::InitApply(Read::Object(namespace)) | Event::Apply(Read::Object(namespace)) => {
                let Some(name) = &namespace.metadata.name else { return };
                health.is_read("", name);
                let labels = self.labels_that_matter(&namespace);
                self.write().put_labels(name, labels);
            }
            Event::InitApply(Read::Unreadable(found)) | Event::Apply(Read::Unreadable(found)) => {
                health.cannot_read(&found);
                if found.name().is_empty() {
                    self.nameless_namespace.store(true, Ordering::Release);
                } else {
                    self.write().keep_labels(found.name());
                }
            }
            Event::Delete(namespace) => {
                if let Some(name) = &namespace.meta().name {
                    health.is_read("", name);
                    self.write().remove_labels(name);
                }
            }
            Event::InitDone => {
                if !self.nameless_namespace.load(Ordering::Acquire) {
                    self.sweep(State::sweep_labels);
                    health.all_have_names();
                }
                self.namespaces_listed.store(true, Ordering::Release);
            }
        }
    }

    fn labels_that_matter(&self, namespace: &Metadata<Namespace>) -> Vec<(Box<str>, Box<str>)> {
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
        self.write().put_domain(namespace, host.as_str(), name, facts);
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

    fn put_domain(&mut self, namespace: &str, host: &str, name: &str, facts: Box<DomainFacts>) {
        let seen = self.domain_list;
        let space = self.space(namespace);
        space.unknown.remove(name);
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
        space.unknown.remove(name);
        let host = space.host_of(name);
        if let Some((host, entry)) = host.and_then(|host: Box<str>| space.domains.remove_entry(&host)) {
            space.note_cut(&host, false);
            space.count(entry.facts.profile, -1);
        }
        self.drop_if_empty(namespace);
    }

    /// A Domain is there and cannot be read: what was known of it holds.
    fn keep_domain(&mut self, namespace: &str, name: &str) {
        let seen = self.domain_list;
        let space = self.space(namespace);
        let known = space.host_of(name).and_then(|host| space.domains.get_mut(&host));
        match known {
            Some(entry) => entry.seen = seen,
            None => drop(space.unknown.insert(name.into(), seen)),
        }
    }

    /// The same of a Namespace.
    fn keep_labels(&mut self, namespace: &str) {
        let seen = self.namespace_list;
        let space = self.space(namespace);
        // Which labels it had, where none of them mattered, was not kept.
        space.unread |= space.labels.is_none();
        space.seen = seen;
    }

    fn put_labels(&mut self, namespace: &str, labels: Vec<(Box<str>, Box<str>)>) {
        if labels.is_empty() {
            return self.remove_labels(namespace);
        }
        let seen = self.namespace_list;
        let space = self.space(namespace);
        space.unread = false;
        space.labels = Some(labels);
        space.seen = seen;
    }

    fn remove_labels(&mut self, namespace: &str) {
        if let Some(space) = self.namespaces.get_mut(namespace) {
            space.unread = false;
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
        space.unknown.retain(|_, seen| *seen == list);
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
        if self.namespaces.get(namespace).is_some_and(|space| space.is_empty()) {
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
    fn is_empty(&self) -> bool {
        self.labels.is_none() && self.domains.is_empty() && self.unknown.is_empty() && !self.unread
    }

    /// The host of the Domain of that name, where it is known.
    fn host_of(&self, name: &str) -> Option<Box<str>> {
        let told = Host::of_object(name).filter(|host| self.domains.contains_key(host.as_str()));
        self.cut.get(name).cloned().or_else(|| told.map(|host| host.as_str().into()))
    }

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

    fn has_unknown(&self, namespace: &str) -> bool {
        self.0.namespaces.get(namespace).is_some_and(|space| space.unread || !space.unknown.is_empty())
    }

    fn is_unknown(&self, namespace: &str, host: &Host) -> bool {
        let Some(space) = self.0.namespaces.get(namespace) else { return false };
        space.unread || (!space.unknown.is_empty() && space.unknown.contains_key(&*host.object_name()))
    }

    fn has_profile(&self, namespace: &str, profile: Profile) -> bool {
        let space = self.0.namespaces.get(namespace);
        space.and_then(|space| space.profiles.get(profile as usize)).is_some_and(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests;
