//! How objects enter and leave the world.

use std::{collections::HashSet, sync::Arc};

use k8s_openapi::api::core::v1;
use kube::{Resource, ResourceExt, api::ObjectMeta};

use super::{
    Key, Namespace, NamespaceMeta, SeenDomain, SeenIngress, Survey, Touched, Watched, World,
    change::{self, Change},
    gate, rivals,
};
use crate::{
    api::{
        domain::Domain,
        partial::{certificate::Certificate, ingress::Ingress, metadata::Metadata},
        read::Unreadable,
        verified_hosts::{self, VerifiedHosts},
    },
    core::{
        host::Host,
        names,
        reconcile::{
            companion::{self, Companion},
            twin,
        },
        record::Present,
    },
};

/// A kind that the world keeps.
pub trait Kept: Resource<DynamicType = ()> + Sized {
    /// The kind.
    const WATCHED: Watched;
    /// An object was made or changed.
    fn see(self, world: &mut World) -> Touched;
    /// An object is gone.
    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched;
    /// An object is there and cannot be read: what was known of it holds.
    fn unread(_world: &mut World, _found: &Unreadable) -> Touched {
        Touched::default()
    }
    /// The kind is installed and has been listed, or it is not installed (any more).
    fn listed(_world: &mut World, _installed: bool) -> Touched {
        Touched::default()
    }
}

/// The host whose Certificate, as ingress-shim makes it for us, this one is by its name.
pub fn own_host(certificate: &Certificate) -> Option<Host> {
    let name = certificate.metadata.name.as_deref()?;
    if !name.starts_with("certgate-") {
        return None;
    }
    let host = Host::parse(certificate.spec.dns_names.first()?).ok()?;
    (host.secret_name() == name).then_some(host)
}

/// Whether `new` is an older version of `old` that a watch delivers late, after
/// the answer to a write of ours. Versions are comparable numbers since
/// Kubernetes 1.35 (KEP-5504) and were in practice before.
fn is_late(old: &str, new: &str) -> bool {
    matches!((old.parse::<u64>(), new.parse::<u64>()), (Ok(old), Ok(new)) if new < old)
}

pub(super) fn version(meta: &ObjectMeta) -> String {
    meta.resource_version.clone().unwrap_or_default()
}

impl World {
    pub(super) fn enter(&mut self, namespace: &str) -> (Arc<str>, &mut Namespace) {
        let name: Arc<str> = match self.namespaces.get_key_value(namespace) {
            Some((name, _)) => name.clone(),
            None => Arc::from(namespace),
        };
        let entry = self.namespaces.entry(name.clone()).or_default();
        (name, entry)
    }

    /// The namespace, where anything is known of it.
    pub(super) fn enter_known(&mut self, namespace: &str) -> Option<(Arc<str>, &mut Namespace)> {
        let (name, _) = self.namespaces.get_key_value(namespace)?;
        let name = name.clone();
        let entry = self.namespaces.get_mut(namespace)?;
        Some((name, entry))
    }

    pub(super) fn leave_if_empty(&mut self, namespace: &str) {
        if self.namespaces.get(namespace).is_some_and(Namespace::is_empty) {
            self.namespaces.remove(namespace);
        }
    }
}

impl Kept for Ingress {
    const WATCHED: Watched = Watched::Ingress;

    fn see(self, world: &mut World) -> Touched {
        let meta = &self.metadata;
        let (namespace_name, name) = (self.namespace().unwrap_or_default(), self.name_any());
        let (namespace, ns) = world.enter(&namespace_name);
        let name: Arc<str> = Arc::from(name);
        // Whoever edits the label makes one of the other: it is not both.
        if self.is_certgates() {
            let mut touched = ns.drop_ingress(&namespace, &name);
            touched.merge(ns.see_companion(&namespace, name, self));
            return world.shared(touched);
        }
        let resource_version = version(meta);
        let generation = meta.generation.unwrap_or_default();
        let root = self.has_root();
        let created = rivals::created(meta);
        let addresses = self
            .status
            .load_balancer
            .ingress
            .iter()
            .filter_map(|address| address.ip.as_deref()?.parse().ok())
            .collect();
        let ingress = self.into_core();
        let present = Present::claimed(&ingress);
        let mut hosts: Vec<Host> = match ingress.label(names::SOLVER_LABEL) {
            // It names the host for minutes, and never wants a certificate for it.
            Some(_) => Vec::new(),
            None => {
                let named = ingress.rule_hosts().chain(present.record.tls.keys().map(String::as_str));
                named.filter_map(|text| Host::parse(text).ok()).collect()
            }
        };
        hosts.sort_unstable();
        hosts.dedup();
        let survey = Survey::default();
        let seen =
            SeenIngress { ingress, present, hosts, resource_version, generation, created, root, addresses, survey };

        let mut touched = ns.drop_companion(&namespace, &name);
        let old = ns.ingresses.get(&name);
        if old.is_some_and(|old| {
            old.ingress.metadata.uid == seen.ingress.metadata.uid
                && is_late(&old.resource_version, &seen.resource_version)
        }) {
            return touched;
        }
        let change = old.map_or(Change::All { edited: true }, |old| change::between(old, &seen));
        let place = |host: &Host| (namespace.clone(), host.clone());
        match change {
            Change::All { edited } => {
                ns.unlink(&namespace, &name, &mut touched);
                for host in &seen.hosts {
                    ns.by_host.entry(host.clone()).or_default().insert(name.clone());
                    touched.keys.insert(Key::Host(namespace.clone(), host.clone()));
                }
                if edited {
                    touched.edited.extend(seen.hosts.iter().map(place));
                }
            }
            Change::Some { gone, new, other } => {
                ns.unlink_secrets(&name);
                gone.iter().for_each(|host| ns.unlink_host(host, &name));
                for host in &new {
                    ns.by_host.entry(host.clone()).or_default().insert(name.clone());
                }
                touched.edited.extend(new.iter().map(place));
                let concerned = gone.into_iter().chain(new).chain(other);
                touched.keys.extend(concerned.map(|host| Key::Host(namespace.clone(), host)));
            }
        }
        touched.keys.extend(companions_host(&namespace, &name));
        touched.keys.insert(Key::Ingress(namespace, name.clone()));
        ns.link_secrets(&name, &seen);
        ns.ingresses.insert(name, seen);
        world.shared(touched)
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        let (namespace_name, ns) = world.enter(namespace);
        let name: Arc<str> = Arc::from(name);
        let mut touched = ns.drop_ingress(&namespace_name, &name);
        touched.merge(ns.drop_companion(&namespace_name, &name));
        touched.keys.extend(companions_host(&namespace_name, &name));
        world.leave_if_empty(namespace);
        world.shared(touched)
    }
}

/// The host whose companion is to have that name.
fn companions_host(namespace: &Arc<str>, name: &str) -> Option<Key> {
    Some(Key::Host(namespace.clone(), companion::host(name)?))
}

/// The Ingress that is to look after the twin of that name.
fn twins_original(namespace: &Arc<str>, twin: &str) -> Option<Key> {
    Some(Key::Ingress(namespace.clone(), Arc::from(twin::original(twin)?)))
}

impl Namespace {
    /// Forgets an Ingress, and takes it out of the indexes of hosts and Secrets.
    /// Whether there was one.
    fn unlink(&mut self, namespace: &Arc<str>, name: &Arc<str>, touched: &mut Touched) -> bool {
        self.unlink_secrets(name);
        let Some(old) = self.ingresses.remove(name) else { return false };
        for host in &old.hosts {
            touched.keys.insert(Key::Host(namespace.clone(), host.clone()));
            self.unlink_host(host, name);
        }
        true
    }

    fn unlink_host(&mut self, host: &Host, ingress: &Arc<str>) {
        if let Some(named) = self.by_host.get_mut(host) {
            named.remove(ingress);
            if named.is_empty() {
                self.by_host.remove(host);
            }
        }
    }

    /// Takes an application's Ingress out. Its own turn comes too: its twin goes, and what was told of it is forgotten.
    fn drop_ingress(&mut self, namespace: &Arc<str>, name: &Arc<str>) -> Touched {
        let mut touched = Touched::default();
        if self.unlink(namespace, name, &mut touched) {
            touched.keys.insert(Key::Ingress(namespace.clone(), name.clone()));
        }
        touched
    }

    /// Takes a companion or twin out.
    fn drop_companion(&mut self, namespace: &Arc<str>, name: &Arc<str>) -> Touched {
        let mut touched = Touched::default();
        let Some(companion) = self.companions.remove(name) else { return touched };
        touched.keys.extend(twins_original(namespace, name));
        touched.keys.extend(Host::parse(&companion.host).ok().map(|host| Key::Host(namespace.clone(), host)));
        touched
    }

    fn see_companion(&mut self, namespace: &Arc<str>, name: Arc<str>, ingress: Ingress) -> Touched {
        let meta = ingress.metadata;
        let entry = ingress.spec.tls.into_iter().flatten().next().unwrap_or_default();
        let annotations = meta.annotations.unwrap_or_default();
        let companion = Companion {
            name: name.to_string(),
            uid: meta.uid.unwrap_or_default(),
            labels: meta.labels.unwrap_or_default(),
            annotations: annotations
                .into_iter()
                .filter(|(key, _)| crate::core::ingress::Annotations::is_read(key))
                .collect(),
            host: entry.hosts.into_iter().next().unwrap_or_default(),
            secret_name: entry.secret_name.unwrap_or_default(),
        };
        let mut touched = Touched::default();
        if let Ok(host) = Host::parse(&companion.host) {
            touched.keys.insert(Key::Host(namespace.clone(), host));
        }
        touched.keys.extend(twins_original(namespace, &name));
        self.companions.insert(name, companion);
        touched
    }

    /// Takes a Certificate out of the index of hosts.
    fn drop_certificate(&mut self, namespace: &Arc<str>, name: &str, touched: &mut Touched) {
        let Some(old) = self.certificates.remove(name) else { return };
        self.links.drop(&old);
        self.concerned(namespace, &old, touched);
        for host in gate::hosts(&old) {
            if let Some(named) = self.certificates_of.get_mut(&host) {
                named.remove(name);
                if named.is_empty() {
                    self.certificates_of.remove(&host);
                }
            }
        }
    }

    /// The hosts that a Certificate of that name and those names concerns.
    pub(super) fn concerned(&self, namespace: &Arc<str>, certificate: &Certificate, touched: &mut Touched) {
        let key = |host: &Host| Key::Host(namespace.clone(), host.clone());
        touched.keys.extend(own_host(certificate).as_ref().map(key));
        let named: HashSet<Host> = gate::hosts(certificate).collect();
        touched.keys.extend(named.iter().map(key));
        if named.iter().any(Host::is_wildcard) {
            let covered = |host: &&Host| host.wildcard().is_some_and(|wildcard| named.contains(&wildcard));
            touched.keys.extend(self.hosts().into_iter().filter(covered).map(key));
        }
        let object = certificate.metadata.name.as_deref().unwrap_or_default();
        touched.keys.extend(self.links.bound_to(object).map(key));
    }
}

impl Kept for Domain {
    const WATCHED: Watched = Watched::Domain;

    fn see(self, world: &mut World) -> Touched {
        let mut touched = Touched::default();
        // One host, one object: a Domain of another name would be a second one.
        let host = match Host::parse(&self.spec.host) {
            Ok(host) if host.object_name() == self.name_any() => host,
            _ => {
                let (name, namespace) = (self.name_any(), self.namespace().unwrap_or_default());
                // It may have been one of effect until its host was edited.
                touched.merge(Self::lose(world, &namespace, &name));
                let (namespace, ns) = world.enter(&namespace);
                let name: Arc<str> = name.into();
                ns.strays.insert(name.clone(), self);
                touched.keys.insert(Key::Stray(namespace, name));
                return touched;
            }
        };
        let namespace_name = self.namespace().unwrap_or_default();
        let (namespace, ns) = world.enter(&namespace_name);
        ns.strays.remove(&*self.name_any());
        let facts = self.facts();
        let old = ns.domains.get(&host);
        if old.is_some_and(|old| {
            old.domain.metadata.uid == self.metadata.uid
                && is_late(&version(&old.domain.metadata), &version(&self.metadata))
        }) {
            return touched;
        }
        if old.is_none_or(|old| old.facts != facts) {
            let named = ns.by_host.get(&host).into_iter().flatten();
            touched.keys.extend(named.map(|ingress| Key::Ingress(namespace.clone(), ingress.clone())));
            touched.keys.insert(Key::Verified(namespace.clone()));
            touched
                .keys
                .extend(ns.requests.for_host(&host).map(|request| Key::Request(namespace.clone(), request.clone())));
        }
        touched.keys.insert(Key::Host(namespace, host.clone()));
        ns.put_domain(&host, SeenDomain { domain: self, facts });
        world.shared(touched)
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        let (namespace_name, ns) = world.enter(namespace);
        let mut touched = Touched::default();
        ns.strays.remove(name);
        let Some(host) = ns.host_of_domain(name) else {
            world.leave_if_empty(namespace);
            return touched;
        };
        ns.take_domain(&host);
        let named = ns.by_host.get(&host).into_iter().flatten();
        touched.keys.extend(named.map(|ingress| Key::Ingress(namespace_name.clone(), ingress.clone())));
        touched.keys.insert(Key::Host(namespace_name.clone(), host));
        touched.keys.insert(Key::Verified(namespace_name));
        world.leave_if_empty(namespace);
        world.shared(touched)
    }
}

impl Kept for Metadata<v1::Namespace> {
    const WATCHED: Watched = Watched::Namespace;

    fn see(self, world: &mut World) -> Touched {
        let meta = NamespaceMeta {
            terminating: self.metadata.deletion_timestamp.is_some(),
            labels: self.metadata.labels.clone().unwrap_or_default(),
        };
        let (name, ns) = world.enter(&self.name_any());
        let mut touched = Touched::default();
        if ns.meta.as_ref() != Some(&meta) {
            ns.meta = Some(meta);
            ns.generation += 1;
            touched.keys.extend(ns.all_keys(&name));
        }
        world.shared(touched)
    }

    fn lose(world: &mut World, _: &str, name: &str) -> Touched {
        let (_, ns) = world.enter(name);
        ns.meta = None;
        ns.generation += 1;
        world.leave_if_empty(name);
        Touched::default()
    }
}

impl Kept for Certificate {
    const WATCHED: Watched = Watched::Certificate;

    fn see(mut self, world: &mut World) -> Touched {
        if let Some(annotations) = &mut self.metadata.annotations {
            annotations.retain(|key, _| key == names::AUTO_ISSUE);
        }
        let (namespace, ns) = world.enter(&self.namespace().unwrap_or_default());
        let name = self.name_any();
        let mut touched = ns.kept_otherwise(&namespace, &name, Some(&self));
        ns.drop_certificate(&namespace, &name, &mut touched);
        ns.concerned(&namespace, &self, &mut touched);
        for host in gate::hosts(&self) {
            ns.certificates_of.entry(host).or_default().insert(name.clone());
        }
        ns.links.keep(&self);
        ns.certificates.insert(name, self);
        world.shared(touched)
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        let (namespace_name, ns) = world.enter(namespace);
        let mut touched = ns.kept_otherwise(&namespace_name, name, None);
        ns.drop_certificate(&namespace_name, name, &mut touched);
        world.leave_if_empty(namespace);
        world.shared(touched)
    }
}

impl Kept for VerifiedHosts {
    const WATCHED: Watched = Watched::VerifiedHosts;

    fn see(self, world: &mut World) -> Touched {
        if self.name_any() != verified_hosts::NAME {
            return Touched::default();
        }
        let (namespace, ns) = world.enter(&self.namespace().unwrap_or_default());
        ns.verified = Some(self.spec);
        Touched { keys: [Key::Verified(namespace)].into(), ..Touched::default() }
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        if name != verified_hosts::NAME {
            return Touched::default();
        }
        let (namespace_name, ns) = world.enter(namespace);
        ns.verified = None;
        world.leave_if_empty(namespace);
        Touched { keys: [Key::Verified(namespace_name)].into(), ..Touched::default() }
    }
}
