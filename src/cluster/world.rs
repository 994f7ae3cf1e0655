//! [`World`]: what the watches have shown, indexed for planning. Plain memory:
//! no I/O, no waiting. Each change says which plans it may alter.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use jiff::Timestamp;

use crate::{
    api::{domain::Domain, partial::certificate::Certificate, verified_hosts::VerifiedHostsSpec},
    core::{
        finding::Finding,
        host::Host,
        ingress::Ingress,
        issuer::IssuerFacts,
        knowledge::{DomainFacts, Knowledge, SecretFacts},
        limits::{Budget, Names},
        policy::{IssuerRef, Policy, Profile},
        reconcile::companion::Companion,
        record::Present,
        turns::agenda::Grouped,
        verdict::GatewayTarget,
    },
};

use self::attempts::Attempts;
use self::links::{Links, Many, Survey};
use self::requests::Requests;
use self::routes::Routes;
use self::unread::{Unread, Watched};
use super::gateway::{self, Found, Source};

pub mod attempts;
mod certified;
mod change;
pub mod console;
mod contested;
pub mod gate;
pub mod intake;
pub mod issuers;
pub mod limits;
mod links;
mod requests;
mod rivals;
pub mod routes;
mod secrets;
pub mod unread;
pub mod view;

/// Up to so many hosts each change is written at once.
const FEW_HOSTS: usize = 16;
/// For how long changes are gathered for each of more hosts, and at most.
const EACH_HOST: Duration = Duration::from_micros(500);
const LONGEST_INGRESS: Duration = Duration::from_secs(5);
const LONGEST_VERIFIED: Duration = Duration::from_secs(2);
/// How long changes of a namespace's hosts are gathered before VerifiedHosts is written.
const VERIFIED_DELAY: Duration = Duration::from_millis(200);

/// An Ingress' namespace and name.
pub type IngressId = (Arc<str>, Arc<str>);

/// Whose turn it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// A host of a namespace.
    Host(Arc<str>, Host),
    /// An Ingress, by namespace and name.
    Ingress(Arc<str>, Arc<str>),
    /// The VerifiedHosts of a namespace.
    Verified(Arc<str>),
    /// A CertificateRequest that nobody has decided on, by namespace and name.
    Request(Arc<str>, Arc<str>),
    /// A Domain that is of no effect, by namespace and name.
    Stray(Arc<str>, Arc<str>),
    /// An object that cannot be read, by namespace and name.
    Unread(Watched, Arc<str>, Arc<str>),
}

/// What a change may alter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Plans to be made again.
    pub keys: BTreeSet<Key>,
    /// Hosts of which an Ingress was edited.
    pub edited: BTreeSet<(Arc<str>, Host)>,
    /// Every plan is to be made again.
    pub everything: bool,
}

/// All that the watches have shown.
#[derive(Default)]
pub struct World {
    /// The policy as it is written.
    written: Arc<Policy>,
    policy: Arc<Policy>,
    gateway: GatewayTarget,
    found: BTreeMap<Source, Found>,
    namespaces: HashMap<Arc<str>, Namespace>,
    /// Counts changes of what all namespaces' Ingresses are read by.
    generation: u64,
    cluster_issuers: HashMap<String, IssuerFacts>,
    /// All Secrets have been listed, so that one not seen does not exist.
    secrets_known: bool,
    /// All kinds have been listed; before that nothing plans, so nothing is touched.
    settled: bool,
    /// The routes of Rainbond 6 are all seen; where their kind is not installed there are none to be known.
    routes_known: bool,
    /// Ingresses from which somebody takes away what is written.
    contested: HashMap<IngressId, Finding>,
    shared: rivals::Shared,
    /// What the CAs' limits leave.
    budget: Budget,
    /// Objects of no namespace that cannot be read.
    unread: Unread,
}

/// One namespace.
#[derive(Default)]
struct Namespace {
    /// `None`: not seen (yet).
    meta: Option<NamespaceMeta>,
    ingresses: HashMap<Arc<str>, SeenIngress>,
    /// Names of the Ingresses that name a host or carry our parts for it.
    by_host: HashMap<Host, BTreeSet<Arc<str>>>,
    companions: HashMap<Arc<str>, Companion>,
    /// Names of the Ingresses with a TLS entry that may be the user's for a Secret.
    by_secret: Many<String, Arc<str>>,
    /// Boxed: the places that a map keeps empty would cost as much as the full ones.
    domains: HashMap<Host, Box<SeenDomain>>,
    /// Domains that are not named by their host, and so of no effect.
    strays: HashMap<Arc<str>, Domain>,
    certificates: BTreeMap<String, Certificate>,
    /// Names of the Certificates that name a host, or a wildcard.
    certificates_of: HashMap<Host, BTreeSet<String>>,
    attempts: Attempts,
    orders: limits::Orders,
    /// What Orders show to be certified.
    shown: certified::Shown,
    /// CertificateRequests that are approved and not over.
    approved: HashMap<String, (IssuerRef, Names)>,
    /// CertificateRequests that nobody has decided on.
    requests: Requests,
    routes: Routes,
    secrets: HashMap<String, SeenSecret>,
    issuers: HashMap<String, IssuerFacts>,
    verified: Option<VerifiedHostsSpec>,
    links: Links,
    /// Counts changes of what the namespace's Ingresses are read by.
    generation: u64,
    unread: Unread,
}

/// A namespace's metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NamespaceMeta {
    labels: BTreeMap<String, String>,
    terminating: bool,
}

/// An application's Ingress.
#[derive(Clone, Debug)]
pub struct SeenIngress {
    /// What decisions read.
    pub ingress: Ingress<'static>,
    /// Our parts on it.
    pub present: Present,
    /// The hosts it names or carries our parts for.
    pub hosts: Vec<Host>,
    /// Its `metadata.resourceVersion`.
    pub resource_version: String,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// When it was created.
    pub created: Timestamp,
    /// Whether it has the path `/`.
    pub root: bool,
    /// The addresses in its status.
    pub addresses: Vec<::core::net::IpAddr>,
    /// What it says of each of its hosts.
    survey: Survey,
}

/// A Domain, whole and reduced.
pub struct SeenDomain {
    /// The object.
    pub domain: Domain,
    /// What decisions read.
    pub facts: DomainFacts,
}

/// A Secret's metadata, reduced.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct SeenSecret {
    version: String,
    certificate: Option<String>,
    rainbond: bool,
}

// === impl Key ===

impl Grouped for Key {
    fn group(&self) -> &Arc<str> {
        match self {
            Self::Host(namespace, _)
            | Self::Ingress(namespace, _)
            | Self::Verified(namespace)
            | Self::Request(namespace, _)
            | Self::Stray(namespace, _)
            | Self::Unread(_, namespace, _) => namespace,
        }
    }
}

// === impl Touched ===

impl Touched {
    /// Both together.
    pub fn merge(&mut self, other: Self) {
        self.keys.extend(other.keys);
        self.edited.extend(other.edited);
        self.everything |= other.everything;
    }
}

// === impl World ===

impl World {
    /// An empty world under a policy.
    pub fn new(policy: Arc<Policy>) -> Self {
        let gateway = gateway::target(&policy, std::iter::empty());
        let budget = Budget::new(policy.limits.clone());
        Self { written: policy.clone(), policy, gateway, budget, ..Self::default() }
    }

    /// The policy, with the platform's domains that were looked up.
    pub fn policy(&self) -> &Arc<Policy> {
        &self.policy
    }

    /// An application's Ingress.
    pub fn ingress(&self, namespace: &str, name: &str) -> Option<&SeenIngress> {
        self.namespaces.get(namespace)?.ingresses.get(name)
    }

    /// The Domain of a host.
    pub fn domain_object(&self, namespace: &str, host: &Host) -> Option<&SeenDomain> {
        self.namespaces.get(namespace)?.domains.get(host).map(Box::as_ref)
    }

    /// A Domain that is of no effect.
    pub fn stray(&self, namespace: &str, name: &str) -> Option<&Domain> {
        self.namespaces.get(namespace)?.strays.get(name)
    }

    /// The VerifiedHosts of a namespace as they stand.
    pub fn verified(&self, namespace: &str) -> Option<&VerifiedHostsSpec> {
        self.namespaces.get(namespace)?.verified.as_ref()
    }

    /// Whether nothing may be written to a namespace any more.
    pub fn is_terminating(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).and_then(|ns| ns.meta.as_ref()).is_some_and(|meta| meta.terminating)
    }

    /// Another policy is in force.
    pub fn set_policy(&mut self, policy: Arc<Policy>) -> Touched {
        self.budget.set_policies(&policy.limits);
        self.written = policy;
        self.reckon()
    }

    /// Something that policy has looked up was found, or found to have changed.
    pub fn set_found(&mut self, source: Source, found: Found) -> Touched {
        self.found.insert(source, found);
        self.reckon()
    }

    /// Puts together what policy says and what was looked up.
    fn reckon(&mut self) -> Touched {
        let policy = gateway::with_suffixes(&self.written, self.found.values());
        let news = self.policy != policy;
        self.policy = policy;
        self.generation += 1;
        let gateway = gateway::target(&self.policy, self.found.values());
        if news {
            self.survey_zones();
        }
        Touched { everything: self.set_gateway(gateway) || news, ..Touched::default() }
    }

    /// Sets where the gateway is reached, whatever policy says. Whether that is news.
    pub fn set_gateway(&mut self, gateway: GatewayTarget) -> bool {
        let news = self.gateway != gateway;
        self.gateway = gateway;
        news
    }

    /// All kinds have been listed: from here on changes say what they touch.
    pub fn settle(&mut self) {
        self.settled = true;
        self.survey_zones();
    }

    /// Whether all kinds have been listed.
    pub fn is_settled(&self) -> bool {
        self.settled
    }

    /// The namespaces of which anything is known.
    pub fn all_namespaces(&self) -> Vec<Arc<str>> {
        self.namespaces.keys().cloned().collect()
    }

    /// Every plan there is to make in a namespace.
    pub fn keys_in(&self, namespace: &Arc<str>) -> BTreeSet<Key> {
        self.namespaces.get(namespace).map(|ns| ns.all_keys(namespace).collect()).unwrap_or_default()
    }

    /// Every plan there is to make.
    pub fn all_keys(&self) -> BTreeSet<Key> {
        let keys = self.namespaces.iter().flat_map(|(name, namespace)| namespace.all_keys(name));
        keys.chain(self.unread_keys()).collect()
    }

    /// For how long changes are gathered before a plan is made, so that what is written anew as a whole for each of many
    /// hosts is not written for every single one.
    pub fn gathers(&self, key: &Key) -> Duration {
        let many = |count: usize, each: Duration, most: Duration| {
            if count <= FEW_HOSTS {
                Duration::ZERO
            } else {
                (each * u32::try_from(count).unwrap_or(u32::MAX)).min(most)
            }
        };
        match key {
            Key::Ingress(namespace, name) => {
                let hosts = self.ingress(namespace, name).map_or(0, |seen| seen.hosts.len());
                many(hosts, EACH_HOST, LONGEST_INGRESS)
            }
            Key::Verified(namespace) => {
                let hosts = self.namespaces.get(namespace).map_or(0, |ns| ns.domains.len());
                VERIFIED_DELAY + many(hosts, EACH_HOST, LONGEST_VERIFIED)
            }
            _ => Duration::ZERO,
        }
    }
}

impl Knowledge for World {
    fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespaces.get(namespace)?.meta.as_ref()?.labels.get(key).map(String::as_str)
    }

    fn domain(&self, namespace: &str, host: &str) -> Option<&DomainFacts> {
        Some(&self.namespaces.get(namespace)?.domains.get(host)?.facts)
    }

    fn has_unknown(&self, namespace: &str) -> bool {
        self.namespaces.get(namespace).is_some_and(|ns| !ns.unread.is_empty())
    }

    fn is_unknown(&self, namespace: &str, host: &Host) -> bool {
        let Some(ns) = self.namespaces.get(namespace) else { return false };
        ns.is_unknown(namespace) || (ns.has_unread_domain(host) && !ns.domains.contains_key(host))
    }

    fn has_profile(&self, namespace: &str, profile: Profile) -> bool {
        self.namespaces.get(namespace).is_some_and(|ns| ns.links.served_by(profile) > 0)
    }

    fn secret(&self, namespace: &str, name: &str, host: &str) -> SecretFacts {
        let ns = self.namespaces.get(namespace).filter(|_| self.secrets_known);
        ns.map_or(SecretFacts::Unknown, |ns| ns.secret_for(name, host))
    }
}

// === impl Namespace ===

impl Namespace {
    /// Whether a host is one of them.
    fn has(&self, host: &Host) -> bool {
        self.by_host.contains_key(host) || self.domains.contains_key(host) || self.routes.name(host)
    }

    /// The hosts that Ingresses or routes name or Domains are about.
    fn hosts(&self) -> BTreeSet<&Host> {
        self.by_host.keys().chain(self.domains.keys()).chain(self.routes.hosts()).collect()
    }

    fn all_keys<'a>(&'a self, name: &'a Arc<str>) -> impl Iterator<Item = Key> + 'a {
        let hosts = self.hosts().into_iter().cloned().chain(
            // A Certificate that nobody wants any more is found by its own name, one of the gate by all of its names.
            self.certificates.values().flat_map(gate::hosts),
        );
        hosts
            .map(|host| Key::Host(name.clone(), host))
            .chain(self.ingresses.keys().map(|ingress| Key::Ingress(name.clone(), ingress.clone())))
            .chain(self.requests.iter().map(|(request, _)| Key::Request(name.clone(), request.clone())))
            .chain(self.strays.keys().map(|stray| Key::Stray(name.clone(), stray.clone())))
            .chain(self.unread_keys(name))
            .chain(std::iter::once(Key::Verified(name.clone())))
    }

    /// Whether nothing is known of it any more.
    fn is_empty(&self) -> bool {
        self.meta.is_none()
            && self.ingresses.is_empty()
            && self.companions.is_empty()
            && self.domains.is_empty()
            && self.strays.is_empty()
            && self.certificates.is_empty()
            && self.attempts.is_empty()
            && self.orders.is_empty()
            && self.shown.is_empty()
            && self.approved.is_empty()
            && self.requests.is_empty()
            && self.routes.is_empty()
            && self.secrets.is_empty()
            && self.issuers.is_empty()
            && self.verified.is_none()
            && self.unread.is_empty()
    }
}

#[cfg(test)]
mod tests;
