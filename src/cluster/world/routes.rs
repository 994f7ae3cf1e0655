//! Rainbond 6's part of the world: its routes, and the Certificates that its switch made.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use kube::ResourceExt as _;

use super::{Key, Namespace, Touched, Watched, World, gate, intake::Kept, rivals};
use crate::{
    api::partial::{certificate::Certificate, route::ApisixRoute},
    core::{
        host::Host,
        knowledge::Knowledge as _,
        names,
        policy::{IssuerRef, Subject},
        reason::Reason,
        reconcile::switch::{CertificateCondition, Switch, Switched},
        settings::{self, Flag},
    },
};

/// The class that Rainbond 6 gives to routes.
const CLASS: &str = "apisix";

/// The routes of a namespace, found by host.
#[derive(Default)]
pub(super) struct Routes {
    all: HashMap<Arc<str>, SeenRoute>,
    by_host: HashMap<Host, BTreeSet<Arc<str>>>,
}

/// A route, reduced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SeenRoute {
    /// When it was created.
    pub(super) created: Timestamp,
    hosts: BTreeSet<Host>,
    /// What it says itself: our annotation or label, or Rainbond's label.
    word: Option<String>,
    labels: BTreeMap<String, String>,
}

/// A Certificate that Rainbond's switch made.
#[derive(Clone, Debug)]
pub struct SwitchCertificate {
    /// Its host.
    pub host: Host,
    /// Who issues it.
    pub issuer: IssuerRef,
    /// Whether certgate checks the host for its sake.
    pub looked_after: bool,
}

// === impl SeenRoute ===

impl SeenRoute {
    fn read(route: &ApisixRoute) -> Self {
        let labels = route.metadata.labels.clone().unwrap_or_default();
        let switch = labels.get(names::RAINBOND_ISSUANCE).filter(|value| settings::parse_flag(value) == Some(true));
        let hosts = route.spec.http.iter().flat_map(|rule| &rule.r#match.hosts);
        Self {
            created: rivals::created(&route.metadata),
            hosts: hosts.filter_map(|text| Host::parse(text).ok()).collect(),
            word: gate::word(route).or(switch).cloned(),
            labels,
        }
    }
}

// === impl Routes ===

impl Routes {
    /// The hosts that routes serve.
    pub(super) fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.by_host.keys()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether there is a route of that name.
    pub(super) fn has(&self, name: &str) -> bool {
        self.all.contains_key(name)
    }

    fn of(&self, host: &Host) -> impl Iterator<Item = (&Arc<str>, &SeenRoute)> {
        self.by_host.get(host).into_iter().flatten().filter_map(|name| self.all.get_key_value(name))
    }

    /// Whether a route names the host itself.
    pub(super) fn name(&self, host: &Host) -> bool {
        self.by_host.contains_key(host)
    }

    /// Whether a route serves the host, by its name or by a wildcard.
    fn serve(&self, host: &Host) -> bool {
        self.name(host) || host.wildcard().is_some_and(|wildcard| self.name(&wildcard))
    }

    fn remove(&mut self, name: &str) -> BTreeSet<Host> {
        let Some(old) = self.all.remove(name) else { return BTreeSet::new() };
        for host in &old.hosts {
            if let Some(named) = self.by_host.get_mut(host) {
                named.remove(name);
                if named.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
        old.hosts
    }

    /// Keeps a route; returns the hosts that it serves or served.
    fn insert(&mut self, name: Arc<str>, seen: SeenRoute) -> BTreeSet<Host> {
        let mut concerned = self.remove(&name);
        for host in &seen.hosts {
            self.by_host.entry(host.clone()).or_default().insert(name.clone());
        }
        concerned.extend(seen.hosts.iter().cloned());
        self.all.insert(name, seen);
        concerned
    }
}

impl Kept for ApisixRoute {
    const WATCHED: Watched = Watched::Route;

    fn see(self, world: &mut World) -> Touched {
        let (namespace, ns) = world.enter(&self.namespace().unwrap_or_default());
        let (name, seen) = (Arc::from(self.name_any()), SeenRoute::read(&self));
        let mut touched = Touched::default();
        if ns.routes.all.get(&name) == Some(&seen) {
            return touched;
        }
        // Whoever flags a host, or adds one, waits to hear of it.
        touched.edited.extend(seen.hosts.iter().map(|host| (namespace.clone(), host.clone())));
        let concerned = ns.routes.insert(name, seen);
        touched.keys.extend(ns.concerned_by_routes(&namespace, concerned));
        world.shared(touched)
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        let mut touched = Touched::default();
        let Some((namespace_name, ns)) = world.enter_known(namespace) else { return touched };
        let concerned = ns.routes.remove(name);
        touched.keys.extend(ns.concerned_by_routes(&namespace_name, concerned));
        world.leave_if_empty(namespace);
        world.shared(touched)
    }

    fn listed(world: &mut World, installed: bool) -> Touched {
        let news = std::mem::replace(&mut world.routes_known, installed) != installed;
        Touched { everything: news, ..Touched::default() }
    }
}

impl Namespace {
    /// Whose turn it is when routes of some hosts come or go: those, and those that a wildcard among them covers.
    fn concerned_by_routes(&self, namespace: &Arc<str>, hosts: BTreeSet<Host>) -> Vec<Key> {
        let wildcards: Vec<&Host> = hosts.iter().filter(|host| host.is_wildcard()).collect();
        let covered = self.certificates_of.keys().filter(|name| wildcards.iter().any(|one| one.covers(name)));
        let all: BTreeSet<&Host> = hosts.iter().chain(covered).collect();
        all.into_iter().map(|host| Key::Host(namespace.clone(), host.clone())).collect()
    }
}

impl World {
    /// Whether a route wants a certificate for a host.
    pub(super) fn is_flagged_by_route(&self, namespace: &str, ns: &Namespace, host: &Host) -> bool {
        self.flagged_routes(namespace, ns, host).next().is_some()
    }

    /// The routes that want a certificate for a host.
    pub(super) fn flagged_routes<'w>(
        &'w self,
        namespace: &'w str,
        ns: &'w Namespace,
        host: &Host,
    ) -> impl Iterator<Item = (&'w Arc<str>, &'w SeenRoute)> {
        ns.routes.of(host).filter(move |(_, route)| self.flag(namespace, route, host) == Flag::On)
    }

    /// What the flags say of a host of a route.
    fn flag(&self, namespace: &str, route: &SeenRoute, host: &Host) -> Flag {
        let policy = &self.policy;
        let word = route.word.as_deref().filter(|_| policy.rainbond.routes && !host.is_wildcard());
        if word.is_none() {
            return Flag::Off(Reason::NotFlagged);
        }
        if policy.is_platform_domain(host.as_str()) {
            return Flag::Off(Reason::PlatformDomain);
        }
        let domain = self.domain(namespace, host.as_str());
        settings::flag(word, domain, &self.subject(namespace, route, host), policy)
    }

    /// What the flags say of a host of the route of that name.
    pub fn flag_of_route(&self, namespace: &str, route: &str, host: &Host) -> Flag {
        if self.policy.excludes(namespace) {
            return Flag::Off(Reason::NamespaceExcluded);
        }
        let route = self.namespaces.get(namespace).and_then(|ns| ns.routes.all.get(route));
        route.map_or(Flag::Off(Reason::NotFlagged), |route| self.flag(namespace, route, host))
    }

    /// The Certificate of that name, where Rainbond's switch made it.
    pub fn switch_certificate(&self, namespace: &str, name: &str) -> Option<SwitchCertificate> {
        let certificate = self.namespaces.get(namespace)?.certificates.get(name)?;
        let host = gate::hosts(certificate).next().filter(|host| is_switchs(namespace, certificate, host))?;
        let looked_after = self.looks_after(namespace, certificate, &host);
        Some(SwitchCertificate { host, issuer: IssuerRef::from(&certificate.spec.issuer_ref), looked_after })
    }

    /// The issuer that policy names for a host of routes.
    pub(super) fn issuer_of_route(&self, namespace: &str, ns: &Namespace, host: &Host) -> Option<IssuerRef> {
        let domain = self.domain(namespace, host.as_str()).and_then(|domain| domain.issuer.as_ref());
        let by_rule = || {
            let (_, route) = ns.routes.of(host).next()?;
            let subject = self.subject(namespace, route, host);
            let rules = self.policy.rules.iter().filter(|rule| rule.r#match.fits(&subject));
            rules.filter_map(|rule| rule.issuer.as_ref()).next()
        };
        domain.or_else(by_rule).or(self.policy.issuer.as_ref()).cloned()
    }

    fn subject<'a>(
        &'a self,
        namespace: &'a str,
        route: &'a SeenRoute,
        host: &'a Host,
    ) -> Subject<'a, impl Fn(&str) -> Option<&'a str>, impl Fn(&str) -> Option<&'a str>> {
        Subject {
            host: Some(host.as_str()),
            namespace,
            namespace_label: move |key: &str| self.namespace_label(namespace, key),
            label: move |key: &str| route.labels.get(key).map(String::as_str),
            class: Some(CLASS),
        }
    }

    /// How a host stands with Rainbond's switch; `None`: policy does not heed that.
    pub(super) fn switch<'w>(&'w self, namespace: &str, ns: &'w Namespace, host: &Host) -> Option<Switch<'w>> {
        let policy = self.policy.rainbond;
        if !policy.routes || self.policy.excludes(namespace) {
            return None;
        }
        let certificates = ns.certificates_naming(host).filter(|one| is_switchs(namespace, one, host));
        Some(Switch {
            policy,
            certificates: certificates.map(|certificate| ns.switched(certificate)).collect(),
            routed: (self.routes_known && !ns.has_unknown_route()).then(|| ns.routes.serve(host)),
            flagged: self.is_flagged_by_route(namespace, ns, host),
        })
    }
}

/// Whether Rainbond's switch made a Certificate, and for that host alone.
pub(super) fn is_switchs(namespace: &str, certificate: &Certificate, host: &Host) -> bool {
    certificate.spec.dns_names.len() == 1
        && certificate.controller().is_none()
        && certificate.metadata.name.as_deref() == Some(certificate.spec.secret_name.as_str())
        && gate::Words::of(certificate).asker(namespace).is_switch(host)
}

impl Namespace {
    fn switched<'w>(&'w self, certificate: &'w Certificate) -> Switched<'w> {
        let condition = certificate.condition(names::CONDITION).map(|found| CertificateCondition {
            status: found.status.clone(),
            reason: found.reason.clone(),
            message: found.message.clone(),
            since: found.last_transition_time.as_ref().map(|time| time.0),
        });
        Switched {
            view: self.certificate_view(certificate),
            looked_at: certificate.condition("Ready").is_some(),
            condition,
        }
    }
}
