//! [`Requests`]: the CertificateRequests of a namespace that nobody has decided on, found by host and by Certificate.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
};

use super::gate::SeenRequest;
use crate::core::host::Host;

/// Open requests, by name.
#[derive(Default)]
pub(super) struct Requests {
    open: HashMap<Arc<str>, SeenRequest>,
    by_host: HashMap<Host, BTreeSet<Arc<str>>>,
    /// By name of the Certificate that they are for.
    by_certificate: HashMap<String, BTreeSet<Arc<str>>>,
}

// === impl Requests ===

impl Requests {
    /// Keeps a request, in place of what was kept under its name.
    pub(super) fn insert(&mut self, name: Arc<str>, seen: SeenRequest) {
        self.remove(&name);
        for host in seen.hosts() {
            self.by_host.entry(host.clone()).or_default().insert(name.clone());
        }
        if let Some((certificate, _)) = &seen.certificate {
            self.by_certificate.entry(certificate.clone()).or_default().insert(name.clone());
        }
        self.open.insert(name, seen);
    }

    /// Forgets a request.
    pub(super) fn remove(&mut self, name: &str) -> Option<(Arc<str>, SeenRequest)> {
        let (name, seen) = self.open.remove_entry(name)?;
        for host in seen.hosts() {
            if let Some(names) = self.by_host.get_mut(host) {
                names.remove(&name);
                if names.is_empty() {
                    self.by_host.remove(host);
                }
            }
        }
        if let Some((certificate, _)) = &seen.certificate
            && let Some(names) = self.by_certificate.get_mut(certificate)
        {
            names.remove(&name);
            if names.is_empty() {
                self.by_certificate.remove(certificate);
            }
        }
        Some((name, seen))
    }

    /// The request of that name.
    pub(super) fn get(&self, name: &str) -> Option<&SeenRequest> {
        self.open.get(name)
    }

    /// All, by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &SeenRequest)> {
        self.open.iter()
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// The names of those that ask for a host.
    pub(super) fn for_host(&self, host: &Host) -> impl Iterator<Item = &Arc<str>> {
        self.by_host.get(host).into_iter().flatten()
    }

    /// Whether one is for the Certificate of that name.
    pub(super) fn has_for(&self, certificate: &str) -> bool {
        self.by_certificate.contains_key(certificate)
    }
}
