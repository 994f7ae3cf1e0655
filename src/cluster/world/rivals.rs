//! Hosts that several namespaces have to do with: who is planned again together, and whose such a host is.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;
use kube::api::ObjectMeta;

use super::{Key, Namespace, Touched, World, gate, routes};
use crate::{
    api::partial::certificate::Certificate,
    core::{
        host::Host,
        reason::Reason,
        reconcile::{
            Claim, IssuerView, Terms,
            checked::Gated,
            rivals::{Claimant, holder, zone::Zone},
        },
    },
};

/// When an object was created; long ago, where that is not known.
pub(super) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

/// The names that several namespaces may have to do with.
#[derive(Default)]
pub(super) struct Shared {
    /// The namespaces that have an Ingress, a route, a Certificate or a Domain of a host.
    by_host: HashMap<Host, BTreeSet<Arc<str>>>,
    /// The hosts among them by the wildcard that covers them.
    covered: HashMap<Host, BTreeSet<Host>>,
    /// Who claims what, where a wildcard has been named: by that. Kept for as long as it covers anything, so that a wildcard
    /// that comes and goes costs nothing.
    zones: HashMap<Host, Zone>,
}

// === impl Shared ===

impl Shared {
    /// A namespace has something to do with a host, or no longer.
    fn know(&mut self, namespace: &Arc<str>, host: &Host, known: bool) {
        match self.by_host.get_mut(host) {
            Some(namespaces) if known => {
                namespaces.insert(namespace.clone());
            }
            Some(namespaces) => {
                namespaces.remove(namespace);
                if namespaces.is_empty() {
                    self.by_host.remove(host);
                    self.cover(host, false);
                }
            }
            None if known => {
                self.by_host.insert(host.clone(), BTreeSet::from([namespace.clone()]));
                self.cover(host, true);
            }
            None => {}
        }
    }

    fn cover(&mut self, host: &Host, known: bool) {
        let Some(wildcard) = host.wildcard() else { return };
        let covered = self.covered.entry(wildcard.clone()).or_default();
        if known {
            covered.insert(host.clone());
            return;
        }
        covered.remove(host);
        if covered.is_empty() {
            self.covered.remove(&wildcard);
            self.forget_zone(&wildcard);
        }
    }

    /// A zone without names, and without its wildcard, is none.
    fn forget_zone(&mut self, wildcard: &Host) {
        if !self.by_host.contains_key(wildcard) && !self.covered.contains_key(wildcard) {
            self.zones.remove(wildcard);
        }
    }

    /// The wildcard of the zone that a host is in.
    fn zone_of(&self, host: &Host) -> Option<Host> {
        if self.zones.is_empty() {
            return None;
        }
        let wildcard = if host.is_wildcard() { host.clone() } else { host.wildcard()? };
        self.zones.contains_key(&wildcard).then_some(wildcard)
    }

    /// All that a zone is about: host and namespace.
    fn members(&self, wildcard: &Host) -> Vec<(Host, Arc<str>)> {
        let hosts = std::iter::once(wildcard).chain(self.covered.get(wildcard).into_iter().flatten());
        let all = hosts.flat_map(|host| self.by_host.get(host).into_iter().flatten().map(move |one| (host, one)));
        all.map(|(host, namespace)| (host.clone(), namespace.clone())).collect()
    }

    /// How many hosts are known.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.by_host.len()
    }

    fn namespaces(&self, host: &Host) -> impl Iterator<Item = &Arc<str>> {
        self.by_host.get(host).into_iter().flatten()
    }
}

impl World {
    /// Brings the index of namespaces by host up to date after a change, and has all planned again whose host, or a name
    /// that overlaps with it, the change concerns: whose it is may have changed.
    pub(super) fn shared(&mut self, mut touched: Touched) -> Touched {
        let mut rivals = BTreeSet::new();
        for key in &touched.keys {
            let Key::Host(namespace, host) = key else { continue };
            let known = self.namespaces.get_mut(namespace).is_some_and(|ns| {
                let known = ns.knows(host);
                ns.links.knows(host, known);
                known
            });
            self.shared.know(namespace, host, known);
            let others = self.shared.namespaces(host).filter(|other| *other != namespace);
            rivals.extend(others.map(|other| Key::Host(other.clone(), host.clone())));
            if self.settled {
                self.claim(namespace, host, known, &mut rivals);
            }
        }
        touched.keys.extend(rivals);
        touched
    }

    /// Brings the zone of a host up to date, and names whose claims stand otherwise since.
    fn claim(&mut self, namespace: &Arc<str>, host: &Host, known: bool, rivals: &mut BTreeSet<Key>) {
        if host.is_wildcard() && known && !self.shared.zones.contains_key(host) {
            self.survey_zone(host);
            rivals.extend(self.shared.members(host).into_iter().map(|(host, namespace)| Key::Host(namespace, host)));
            return;
        }
        let Some(wildcard) = self.shared.zone_of(host) else { return };
        let rank = self.claimant(namespace, host).map(|claimant| claimant.rank());
        let Some(zone) = self.shared.zones.get_mut(&wildcard) else { return };
        let before = zone.holder().cloned();
        if !zone.set(host, namespace, rank) {
            return self.shared.forget_zone(&wildcard);
        }
        let handed_over = zone.holder() != before.as_ref();
        // A name matters to those who ask for the wildcard; the wildcard to all that it covers, once its holder changes.
        rivals.extend(self.shared.namespaces(&wildcard).map(|other| Key::Host(other.clone(), wildcard.clone())));
        if handed_over {
            rivals.extend(self.shared.members(&wildcard).into_iter().map(|(host, of)| Key::Host(of, host)));
        }
        self.shared.forget_zone(&wildcard);
    }

    /// Sees anew who claims what in a zone.
    fn survey_zone(&mut self, wildcard: &Host) {
        let mut zone = Zone::new(wildcard.clone());
        for (host, namespace) in self.shared.members(wildcard) {
            zone.set(&host, &namespace, self.claimant(&namespace, &host).map(|claimant| claimant.rank()));
        }
        self.shared.zones.insert(wildcard.clone(), zone);
    }

    /// Sees anew who claims what in all zones: something changed that may matter to every claim.
    pub(super) fn survey_zones(&mut self) {
        if !self.settled {
            return;
        }
        let wildcards = self.shared.by_host.keys().filter(|host| host.is_wildcard());
        let all: BTreeSet<Host> = wildcards.chain(self.shared.zones.keys()).cloned().collect();
        all.iter().for_each(|wildcard| self.survey_zone(wildcard));
    }

    /// Whether another namespace holds the host, or a name that overlaps with it. `gated`: what asks for it in this one,
    /// where nothing claims it.
    pub(super) fn taken(&self, namespace: &Arc<str>, host: &Host, gated: Option<&Gated<'_>>) -> bool {
        // What somebody wrote himself takes the host from nobody, but nor is it taken from who asked first.
        let asks = || gated.and_then(|gated| self.asking(namespace, host, gated));
        let mine = || self.claimant(namespace, host).or_else(asks);
        if let Some(zone) = self.shared.zone_of(host).and_then(|wildcard| self.shared.zones.get(&wildcard)) {
            return mine().is_some_and(|mine| zone.is_taken(host, &mine.rank()));
        }
        let sharing = || self.shared.namespaces(host);
        if sharing().nth(1).is_none() {
            return false;
        }
        let others = sharing().filter(|other| *other != namespace).filter_map(|other| self.claimant(other, host));
        mine().is_some_and(|mine| holder(others.chain([mine])).is_some_and(|holder| holder.namespace != &**namespace))
    }

    /// What claims a host in a namespace, the oldest of all; or the namespace itself, which keeps the host for what
    /// claimed it until now.
    ///
    /// Who holds a host is told by the status of its Domain. A Certificate that calls itself ready, or a TLS entry that
    /// looks like ours, gives no precedence: whoever may write in the namespace can make one.
    pub(super) fn claimant<'w>(&'w self, namespace: &'w Arc<str>, host: &Host) -> Option<Claimant<'w>> {
        let ns = self.namespaces.get(namespace)?;
        if self.is_terminating(namespace) || self.policy.excludes(namespace) {
            return None;
        }
        let certificates = ns.certificates_naming(host).filter(|one| self.is_switched_on(namespace, one, host));
        // A wildcard that its issuer cannot certify would keep all below it for nobody.
        let solved = |claim: &Claim<'_>, terms: &Terms| {
            let label = |key: &str| ns.ingresses.get(claim.name)?.ingress.label(key);
            let view = terms.issuer.as_ref().map(|issuer| self.issuer(namespace, issuer, host, label));
            !matches!(view, Some(IssuerView::NoSolver(..)))
        };
        let mut claims = self.claims(namespace, ns, host);
        claims.retain(|claim| claim.terms().is_some());
        let wanted = !claims.is_empty();
        claims.retain(|claim| !host.is_wildcard() || claim.terms().is_some_and(|terms| solved(claim, terms)));
        let first = claims
            .iter()
            .map(|claim| (claim.created, claim.name))
            .chain(self.flagged_routes(namespace, ns, host).map(|(name, route)| (route.created, &**name)))
            .chain(certificates.filter_map(|one| Some((created(&one.metadata), one.metadata.name.as_deref()?))))
            .min();
        let domain = ns.domains.get(host);
        if let Some(unread) = ns.unread_claim(namespace, host).filter(|_| domain.is_none()) {
            // It held the host before it could not be read, as far as is known.
            let since = first.map_or(unread.since, |(created, _)| created.min(unread.since));
            return Some(Claimant { since, ..unread });
        }
        let status = domain.and_then(|seen| seen.domain.status.as_ref());
        let held_since = status.and_then(|status| status.claimed_since.as_ref()).map(|time| time.0);
        let in_use = status.is_some_and(|status| status.released);
        let (since, name) = match first {
            Some(first) => first,
            // Nothing wants it any more, and it is not given up yet.
            None if !wanted && (held_since.is_some() || in_use) => (created(&domain?.domain.metadata), ""),
            None => return None,
        };
        // One that was released by a version which wrote no claims down has been held since its Domain was made.
        let since = match domain.filter(|_| in_use) {
            Some(seen) => created(&seen.domain.metadata).min(since),
            None => since,
        };
        Some(Claimant { namespace, name, holds: held_since.is_some(), in_use, since: held_since.unwrap_or(since) })
    }

    /// What asks for a host in a namespace without claiming it. It holds its place once it was checked and not found taken.
    fn asking<'w>(&'w self, namespace: &'w Arc<str>, host: &Host, gated: &Gated<'w>) -> Option<Claimant<'w>> {
        let domain = self.namespaces.get(namespace)?.domains.get(host)?;
        let name = gated.certificate.map_or("", |one| one.name);
        let verdict = domain.facts.verdict.as_ref();
        let holds = verdict.is_some_and(|verdict| verdict.finding.reason != Reason::HostTaken);
        Some(Claimant { namespace, name, holds, in_use: false, since: created(&domain.domain.metadata) })
    }

    /// Whether a Certificate is Rainbond's switch, on for the host, and policy heeds that.
    fn is_switched_on(&self, namespace: &str, certificate: &Certificate, host: &Host) -> bool {
        let policy = &self.policy;
        if !policy.rainbond.routes || !routes::is_switchs(namespace, certificate, host) {
            return false;
        }
        let words = gate::Words::of(certificate);
        let asker = words.asker(namespace);
        policy.issuers().any(|named| named == asker.issuer) && asker.flags(host, self, policy)
    }
}

impl Namespace {
    /// Whether there is anything of a host that may claim it, or asks for it.
    fn knows(&self, host: &Host) -> bool {
        self.by_host.contains_key(host)
            || self.domains.contains_key(host)
            || self.certificates_of.contains_key(host)
            || self.routes.name(host)
            || self.has_unread_domain(host)
    }
}
