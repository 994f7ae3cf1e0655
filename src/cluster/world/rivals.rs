//! Hosts that several namespaces have to do with: who is planned again together, and whose such a host is.

use std::{collections::BTreeSet, sync::Arc};

use jiff::Timestamp;
use kube::api::ObjectMeta;

use super::{Key, Namespace, Touched, World, gate, routes};
use crate::{
    api::partial::certificate::Certificate,
    core::{
        host::Host,
        reason::Reason,
        reconcile::{
            checked::Gated,
            rivals::{Claimant, holder},
        },
    },
};

/// When an object was created; long ago, where that is not known.
pub(super) fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

impl World {
    /// Brings the index of namespaces by host up to date after a change, and has all who share a host that the change
    /// concerns planned again: whose it is may have changed.
    pub(super) fn shared(&mut self, mut touched: Touched) -> Touched {
        let mut rivals = BTreeSet::new();
        for key in &touched.keys {
            let Key::Host(namespace, host) = key else { continue };
            let known = self.namespaces.get(namespace).is_some_and(|ns| ns.knows(host));
            match self.namespaces_of.get_mut(host) {
                Some(namespaces) if known => {
                    namespaces.insert(namespace.clone());
                }
                Some(namespaces) => {
                    namespaces.remove(namespace);
                    if namespaces.is_empty() {
                        self.namespaces_of.remove(host);
                    }
                }
                None if known => {
                    self.namespaces_of.insert(host.clone(), BTreeSet::from([namespace.clone()]));
                }
                None => {}
            }
            let others = self.namespaces_of.get(host).into_iter().flatten().filter(|other| *other != namespace);
            rivals.extend(others.map(|other| Key::Host(other.clone(), host.clone())));
        }
        touched.keys.extend(rivals);
        touched
    }

    /// Whether another namespace holds the host. `gated`: what asks for it in this one, where nothing claims it.
    pub(super) fn taken(&self, namespace: &Arc<str>, host: &Host, gated: Option<&Gated<'_>>) -> bool {
        let Some(sharing) = self.namespaces_of.get(host).filter(|sharing| sharing.len() > 1) else { return false };
        let others = sharing.iter().filter(|other| *other != namespace).filter_map(|other| self.claimant(other, host));
        // What somebody wrote himself takes the host from nobody, but nor is it taken from who asked first.
        let asks = || gated.and_then(|gated| self.asking(namespace, host, gated));
        let mine = self.claimant(namespace, host).or_else(asks);
        mine.is_some_and(|mine| holder(others.chain([mine])).is_some_and(|holder| holder.namespace != &**namespace))
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
        let claims = self.claims(namespace, ns, host).into_iter().filter(|claim| claim.terms().is_some());
        let first = claims
            .map(|claim| (claim.created, claim.name))
            .chain(self.flagged_routes(namespace, ns, host).map(|(name, route)| (route.created, &**name)))
            .chain(certificates.filter_map(|one| Some((created(&one.metadata), one.metadata.name.as_deref()?))))
            .min();
        let domain = ns.domains.get(host);
        let status = domain.and_then(|seen| seen.domain.status.as_ref());
        let held_since = status.and_then(|status| status.claimed_since.as_ref()).map(|time| time.0);
        let in_use = status.is_some_and(|status| status.released);
        let (since, name) = match first {
            Some(first) => first,
            // Nothing wants it any more, and it is not given up yet.
            None if held_since.is_some() || in_use => (created(&domain?.domain.metadata), ""),
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
    }
}
