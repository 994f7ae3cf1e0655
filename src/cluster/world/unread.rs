//! What is there and cannot be read. It is not absent: what was known of it holds, and where nothing was known, what
//! hangs on it is left as it is.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use kube::Resource;

use super::{Key, Namespace, Touched, World, intake::Kept};
use crate::{
    api::{
        domain::Domain,
        partial::{
            certificate::Certificate,
            certificate_request::CertificateRequest,
            ingress::Ingress,
            issuance::{Challenge, Order},
            issuer,
            route::ApisixRoute,
        },
        read::Unreadable,
        verified_hosts::VerifiedHosts,
    },
    core::{
        host::Host,
        reconcile::{Unknown, companion, rivals::Claimant},
    },
};

/// The most objects of a namespace that are told of in Events; the log and the metric have them all.
const MOST_TOLD: usize = 20;

/// A kind that is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Watched {
    /// Ingresses, companions among them.
    Ingress,
    /// Namespaces.
    Namespace,
    /// Secrets, by metadata.
    Secret,
    /// Domains.
    Domain,
    /// VerifiedHosts.
    VerifiedHosts,
    /// cert-manager's Certificates.
    Certificate,
    /// Its CertificateRequests.
    CertificateRequest,
    /// Its Orders.
    Order,
    /// Its Challenges.
    Challenge,
    /// Its Issuers.
    Issuer,
    /// Its ClusterIssuers.
    ClusterIssuer,
    /// Routes of Rainbond 6.
    Route,
}

/// The objects of a namespace that cannot be read.
#[derive(Default)]
pub(super) struct Unread(BTreeMap<(Watched, Arc<str>), Mark>);

/// One that cannot be read.
#[derive(Clone, Debug)]
struct Mark {
    uid: Option<String>,
    error: String,
    created: Timestamp,
    /// The names that it is about; `None`: not known.
    hosts: Option<Vec<Host>>,
    /// An Event was published.
    told: bool,
}

/// What an Event tells of an object that cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct News {
    /// The object.
    pub regarding: v1::ObjectReference,
    /// Why it cannot be read.
    pub error: String,
}

// === impl Watched ===

impl Watched {
    /// How Events refer to such an object.
    fn reference(self, namespace: &str, name: &str, uid: Option<&str>) -> v1::ObjectReference {
        fn of<K: Resource<DynamicType = ()>>() -> (String, String) {
            (K::api_version(&()).into_owned(), K::kind(&()).into_owned())
        }
        let (api_version, kind) = match self {
            Self::Ingress => of::<Ingress>(),
            Self::Namespace => of::<v1::Namespace>(),
            Self::Secret => of::<v1::Secret>(),
            Self::Domain => of::<Domain>(),
            Self::VerifiedHosts => of::<VerifiedHosts>(),
            Self::Certificate => of::<Certificate>(),
            Self::CertificateRequest => of::<CertificateRequest>(),
            Self::Order => of::<Order>(),
            Self::Challenge => of::<Challenge>(),
            Self::Issuer => of::<issuer::Issuer>(),
            Self::ClusterIssuer => of::<issuer::ClusterIssuer>(),
            Self::Route => of::<ApisixRoute>(),
        };
        let cluster = matches!(self, Self::Namespace | Self::ClusterIssuer);
        v1::ObjectReference {
            api_version: Some(api_version),
            kind: Some(kind),
            namespace: (!cluster).then(|| namespace.to_owned()),
            name: Some(name.to_owned()),
            uid: uid.map(str::to_owned),
            ..v1::ObjectReference::default()
        }
    }
}

// === impl Mark ===

impl Mark {
    fn of(kind: Watched, found: &Unreadable) -> Self {
        let hosts = |names: &Vec<String>| names.iter().filter_map(|name| Host::parse(name).ok()).collect();
        // A Domain is named by its host.
        let by_name = || {
            let name = found.name();
            let wildcard = name.strip_prefix("wildcard.").map(|base| format!("*.{base}"));
            let texts = [Some(name.to_owned()), wildcard, name.strip_prefix("literal.").map(str::to_owned)];
            let hosts = texts.into_iter().flatten().filter_map(|text| Host::parse(&text).ok());
            hosts.filter(|host| host.object_name() == name).collect()
        };
        Self {
            uid: found.metadata.uid.clone(),
            error: found.error.clone(),
            created: super::rivals::created(&found.metadata),
            hosts: match kind {
                Watched::Domain => Some(by_name()),
                _ => found.names.as_ref().map(hosts),
            },
            told: false,
        }
    }

    /// Whether it may be about a host.
    fn may_cover(&self, host: &Host) -> bool {
        self.hosts.as_ref().is_none_or(|hosts| hosts.iter().any(|named| named.covers(host)))
    }
}

// === impl Unread ===

impl Unread {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn get(&self, kind: Watched, name: &str) -> Option<&Mark> {
        // There is hardly ever one.
        if self.0.is_empty() {
            return None;
        }
        self.0.get(&(kind, Arc::from(name)))
    }

    /// Whether an object of that name is there and cannot be read.
    pub(super) fn has(&self, kind: Watched, name: &str) -> bool {
        self.get(kind, name).is_some()
    }

    fn of(&self, kind: Watched) -> impl Iterator<Item = (&Arc<str>, &Mark)> {
        self.0
            .range((kind, Arc::from(""))..)
            .take_while(move |((of, _), _)| *of == kind)
            .map(|((_, name), mark)| (name, mark))
    }

    fn insert(&mut self, kind: Watched, found: &Unreadable) -> Option<Mark> {
        let mut mark = Mark::of(kind, found);
        let key = (kind, Arc::from(found.name()));
        mark.told = self.0.get(&key).is_some_and(|before| before.told && before.error == mark.error);
        self.0.insert(key, mark)
    }

    fn keys<'a>(&'a self, namespace: &'a Arc<str>) -> impl Iterator<Item = Key> + 'a {
        self.0.keys().map(|(kind, name)| Key::Unread(*kind, namespace.clone(), name.clone()))
    }
}

impl Namespace {
    /// Whose turn it is because something cannot be read: the Events, and the hosts of Domains.
    pub(super) fn unread_keys<'a>(&'a self, name: &'a Arc<str>) -> impl Iterator<Item = Key> + 'a {
        let hosts = self.unread.of(Watched::Domain).flat_map(|(_, mark)| mark.hosts.iter().flatten());
        self.unread.keys(name).chain(hosts.map(|host| Key::Host(name.clone(), host.clone())))
    }

    /// Whether a Domain of the host is there and cannot be read.
    pub(super) fn has_unread_domain(&self, host: &Host) -> bool {
        !self.unread.is_empty() && self.unread.has(Watched::Domain, &host.object_name())
    }

    /// Whether the namespace itself cannot be read and nothing was known of it.
    pub(super) fn is_unknown(&self, name: &str) -> bool {
        self.meta.is_none() && self.unread.has(Watched::Namespace, name)
    }

    /// The uid of an Ingress that cannot be read.
    pub(super) fn unread_uid(&self, ingress: &str) -> Option<&str> {
        self.unread.get(Watched::Ingress, ingress)?.uid.as_deref()
    }

    /// What of a host's surroundings is not known, though it is there.
    pub(super) fn unknown(&self, namespace: &str, host: &Host) -> Unknown {
        let unread = &self.unread;
        if unread.is_empty() {
            return Unknown::Nothing;
        }
        let domain = self.domains.get(host).map(|seen| &seen.facts);
        let bind = domain.and_then(|facts| facts.bind.as_ref());
        let own = host.secret_name();
        let ingress = |name: &str| unread.has(Watched::Ingress, name) && !self.ingresses.contains_key(name);
        let secret = |name: &str| unread.has(Watched::Secret, name) && !self.secrets.contains_key(name);
        let certificate = |name: &str| unread.has(Watched::Certificate, name);
        // One that nobody ordered yet may be there already, in a Certificate that cannot be read.
        let first = !self.certificates.contains_key(&own) && !domain.is_some_and(|facts| facts.released);
        let covered = || {
            let unseen = |name: &str| !self.certificates.contains_key(name);
            unread.of(Watched::Certificate).any(|(name, mark)| unseen(name) && mark.may_cover(host))
        };
        let frozen = self.is_unknown(namespace)
            || self.has_unread_domain(host)
            || domain.and_then(|facts| facts.lead.as_deref()).is_some_and(ingress)
            || unread.has(Watched::Ingress, &companion::name(host))
            || certificate(&own)
            || bind.is_some_and(|bind| certificate(&bind.certificate) || secret(&bind.secret_name))
            || secret(&own)
            || (first && covered());
        if frozen {
            return Unknown::All;
        }
        let route = |name: &str| !self.routes.has(name);
        let wishes = unread.of(Watched::Ingress).any(|(name, _)| !self.ingresses.contains_key(name))
            || unread.of(Watched::Route).any(|(name, _)| route(name));
        if wishes { Unknown::Wishes } else { Unknown::Nothing }
    }

    /// Whether a route is there and nothing is known of it.
    pub(super) fn has_unknown_route(&self) -> bool {
        self.unread.of(Watched::Route).any(|(name, _)| !self.routes.has(name))
    }

    /// What claims a host though it cannot be read: a Domain, which nothing says that it does no longer.
    pub(super) fn unread_claim<'w>(&'w self, namespace: &'w Arc<str>, host: &Host) -> Option<Claimant<'w>> {
        if self.unread.is_empty() {
            return None;
        }
        let name = host.object_name();
        let (name, mark) = self.unread.of(Watched::Domain).find(|(of, _)| ***of == *name)?;
        Some(Claimant { namespace, name, holds: true, in_use: true, since: mark.created })
    }
}

impl World {
    /// An object is there and cannot be read.
    pub fn cannot_read<K: Kept>(&mut self, found: &Unreadable) -> Touched {
        let kind = K::WATCHED;
        if kind == Watched::ClusterIssuer {
            self.unread.insert(kind, found);
            let key = Key::Unread(kind, Arc::from(""), Arc::from(found.name()));
            let mut touched = Touched { keys: [key].into(), ..Touched::default() };
            touched.merge(K::unread(self, found));
            return touched;
        }
        let namespace = if kind == Watched::Namespace { found.name() } else { found.namespace() };
        let (namespace, ns) = self.enter(namespace);
        let before = ns.unread.insert(kind, found);
        let mut touched = Touched::default();
        if before.is_none() {
            ns.generation += 1;
            touched.keys.extend(ns.all_keys(&namespace));
        } else if before.is_some_and(|before| before.error != found.error) {
            touched.keys.insert(Key::Unread(kind, namespace, Arc::from(found.name())));
        }
        touched.merge(K::unread(self, found));
        self.shared(touched)
    }

    /// An object can be read (again), or is gone.
    pub fn is_read<K: Kept>(&mut self, namespace: &str, name: &str) -> Touched {
        let kind = K::WATCHED;
        if kind == Watched::ClusterIssuer {
            self.unread.0.remove(&(kind, Arc::from(name)));
            return Touched::default();
        }
        let namespace = if kind == Watched::Namespace { name } else { namespace };
        if self.namespaces.get(namespace).is_none_or(|ns| ns.unread.is_empty()) {
            return Touched::default();
        }
        let mut touched = Touched::default();
        if let Some((namespace, ns)) = self.enter_known(namespace) {
            let before: Vec<Key> = ns.unread_keys(&namespace).collect();
            if ns.unread.0.remove(&(kind, Arc::from(name))).is_some() {
                ns.generation += 1;
                touched.keys.extend(ns.all_keys(&namespace).chain(before));
            }
        }
        self.leave_if_empty(namespace);
        self.shared(touched)
    }

    /// Whether an object of that name is there and cannot be read.
    pub fn is_unread(&self, kind: Watched, namespace: &str, name: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|ns| ns.unread.has(kind, name))
    }

    /// Whether an Ingress of that name is there, whether or not it can be read.
    pub fn has_ingress(&self, namespace: &str, name: &str) -> bool {
        self.ingress(namespace, name).is_some() || self.is_unread(Watched::Ingress, namespace, name)
    }

    /// Whether an Ingress is to be left as it is: it cannot be read, or something that it hangs on.
    pub fn must_leave(&self, namespace: &str, name: &str) -> bool {
        let Some(ns) = self.namespaces.get(namespace).filter(|ns| !ns.unread.is_empty()) else { return false };
        let hosts = ns.ingresses.get(name).into_iter().flat_map(|seen| &seen.hosts);
        ns.unread.has(Watched::Ingress, name)
            || ns.is_unknown(namespace)
            || hosts.into_iter().any(|host| ns.has_unread_domain(host) && !ns.domains.contains_key(host))
    }

    /// What is to be told of an object that cannot be read; `None`: it was told, or can be read.
    pub fn unread_news(&self, kind: Watched, namespace: &str, name: &str) -> Option<News> {
        let unread = match kind {
            Watched::ClusterIssuer => &self.unread,
            _ => &self.namespaces.get(namespace)?.unread,
        };
        let mark = unread.get(kind, name).filter(|mark| !mark.told)?;
        let told = unread.0.values().filter(|mark| mark.told).count();
        let news = News { regarding: kind.reference(namespace, name, mark.uid.as_deref()), error: mark.error.clone() };
        (told < MOST_TOLD).then_some(news)
    }

    /// An Event was published.
    pub fn unread_told(&mut self, kind: Watched, namespace: &str, name: &str) -> Touched {
        let unread = match kind {
            Watched::ClusterIssuer => Some(&mut self.unread),
            _ => self.namespaces.get_mut(namespace).map(|ns| &mut ns.unread),
        };
        if let Some(mark) = unread.and_then(|unread| unread.0.get_mut(&(kind, Arc::from(name)))) {
            mark.told = true;
        }
        Touched::default()
    }

    /// Whose turn it is because something of the cluster's own cannot be read.
    pub(super) fn unread_keys(&self) -> impl Iterator<Item = Key> + '_ {
        self.unread.0.keys().map(|(kind, name)| Key::Unread(*kind, Arc::from(""), name.clone()))
    }
}
