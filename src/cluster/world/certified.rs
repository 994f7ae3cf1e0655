//! What Orders show to be certified: see [`crate::core::certified`] for what of it is believed, and why.

use std::collections::{BTreeSet, HashMap};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt as _;
use url::Url;
use x509_parser::{certificate::X509Certificate, extensions::GeneralName, prelude::FromDer as _};

use super::{Key, Namespace, Touched, World};
use crate::{
    api::partial::issuance::Order,
    core::{
        certified::{self, Certified},
        host::Host,
        policy::{GateMode, IssuerRef},
    },
};

/// The largest chain that is read, in base64.
const MAX_CHAIN: usize = 64 * 1024;

/// What the Orders of a namespace show.
#[derive(Default)]
pub(super) struct Shown {
    /// By name.
    orders: HashMap<String, Seen>,
    /// The names of the Orders that brought a certificate, by its names.
    by_host: HashMap<Host, BTreeSet<String>>,
}

struct Seen {
    uid: String,
    /// As it was first seen. The spec is the tenant's to change, so that one who changes it has proved nothing.
    issuer: IssuerRef,
    proof: Option<Proof>,
}

/// A certificate that came of an Order.
#[derive(Clone, Debug, PartialEq)]
struct Proof {
    /// Where the CA keeps the order.
    url: Url,
    hosts: Vec<Host>,
    not_before: Timestamp,
    not_after: Timestamp,
}

// === impl Shown ===

impl Shown {
    pub(super) fn is_empty(&self) -> bool {
        self.orders.is_empty()
    }

    /// Takes an Order down; the hosts of which something else is shown from now on.
    fn see(&mut self, name: String, uid: String, issuer: IssuerRef, proof: Option<Proof>) -> Vec<Host> {
        let before = self.remove(&name);
        let first = before.as_ref().filter(|before| before.uid == uid).map(|before| before.issuer.clone());
        let proof = proof.filter(|_| first.as_ref().is_none_or(|first| *first == issuer));
        let known = before.and_then(|before| before.proof);
        let changed = if known == proof { None } else { Some(known.iter().chain(&proof)) };
        let changed = changed.into_iter().flatten().flat_map(|proof| proof.hosts.clone()).collect();
        for host in proof.iter().flat_map(|proof| &proof.hosts) {
            self.by_host.entry(host.clone()).or_default().insert(name.clone());
        }
        self.orders.insert(name, Seen { uid, issuer: first.unwrap_or(issuer), proof });
        changed
    }

    fn remove(&mut self, name: &str) -> Option<Seen> {
        let seen = self.orders.remove(name)?;
        for host in seen.proof.iter().flat_map(|proof| &proof.hosts) {
            if let Some(names) = self.by_host.get_mut(host) {
                names.remove(name);
                if names.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
        Some(seen)
    }

    fn of(&self, host: &Host) -> impl Iterator<Item = (&IssuerRef, &Proof)> {
        let names = self.by_host.get(host).into_iter().flatten();
        names.filter_map(|name| self.orders.get(name)).filter_map(|seen| Some((&seen.issuer, seen.proof.as_ref()?)))
    }
}

/// Reads what an Order brought; `None`: nothing that can be read.
fn proof(order: &Order) -> Option<Proof> {
    let status = &order.status;
    if status.state != "valid" || status.certificate.len() > MAX_CHAIN {
        return None;
    }
    let pem = STANDARD.decode(&status.certificate).ok()?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).ok()?;
    let (_, leaf) = X509Certificate::from_der(&pem.contents).ok()?;
    let alternative = leaf.subject_alternative_name().ok()??;
    let mut hosts = Vec::new();
    for name in &alternative.value.general_names {
        match name {
            GeneralName::DNSName(text) => hosts.push(Host::parse(text).ok()?),
            GeneralName::IPAddress(_) => {}
            _ => return None,
        }
    }
    hosts.sort_unstable();
    hosts.dedup();
    let at = |time: x509_parser::time::ASN1Time| Timestamp::from_second(time.timestamp()).ok();
    Some(Proof {
        url: status.url.parse().ok()?,
        hosts,
        not_before: at(leaf.validity().not_before)?,
        not_after: at(leaf.validity().not_after)?,
    })
}

impl World {
    /// An Order was seen or changed.
    pub(super) fn see_certified(&mut self, order: &Order) -> Touched {
        let Some(uid) = order.metadata.uid.clone() else { return Touched::default() };
        let (namespace, ns) = self.enter(&order.namespace().unwrap_or_default());
        let hosts = ns.shown.see(order.name_any(), uid, IssuerRef::from(&order.spec.issuer_ref), proof(order));
        let known = hosts.into_iter().filter(|host| ns.domains.contains_key(host));
        let keys = known.map(|host| Key::Host(namespace.clone(), host)).collect();
        Touched { keys, ..Touched::default() }
    }

    /// An Order is gone. What it showed has been written down.
    pub(super) fn lose_certified(&mut self, namespace: &str, name: &str) {
        if let Some((namespace, ns)) = self.enter_known(namespace) {
            ns.shown.remove(name);
            self.leave_if_empty(&namespace);
        }
    }

    /// What CAs are known to have certified for a host. `kept`: what its Domain knows of already.
    pub(super) fn known_certified(
        &self,
        namespace: &str,
        ns: &Namespace,
        host: &Host,
        kept: &[Certified],
        now: Timestamp,
    ) -> Vec<Certified> {
        let gate = &self.policy.gate;
        if gate.mode == GateMode::Off {
            return Vec::new();
        }
        let shown = ns.shown.of(host).filter_map(|(issuer, proof)| {
            let server = self.server(namespace, issuer).filter(|server| is_of(&proof.url, server))?;
            Some(Certified {
                issuer: issuer.clone(),
                server,
                names: certified::digest(&proof.hosts),
                not_before: Time(proof.not_before),
                not_after: Time(proof.not_after),
            })
        });
        // An issuer that is gone may come back as it was.
        let stands = |one: &Certified| self.server(namespace, &one.issuer).is_none_or(|server| server == one.server);
        certified::keep(kept, shown, stands, gate.let_through_days, now)
    }

    /// The ACME directory of an issuer, empty where it is no ACME one; `None`: there is no such issuer, or none that
    /// can be read.
    pub(super) fn server(&self, namespace: &str, issuer: &IssuerRef) -> Option<String> {
        if !issuer.is_builtin() {
            return Some(String::new());
        }
        match &self.issuer_facts(namespace, issuer)?.acme {
            None => Some(String::new()),
            Some(acme) if acme.directory_url.is_empty() => None,
            Some(acme) => Some(acme.directory_url.clone()),
        }
    }
}

/// Whether an order is kept by the CA of a directory: by the same server, as all do.
fn is_of(order: &Url, directory: &str) -> bool {
    directory.parse::<Url>().is_ok_and(|directory| directory.origin() == order.origin())
}

#[cfg(test)]
mod tests;
