//! [`Troubles`]: what was told of Ingresses, so that it is told once.

use std::collections::{BTreeMap, HashMap};

use crate::{
    cluster::world::IngressId,
    core::{reason::Reason, reconcile::ingress::Trouble},
};

/// What was told of Ingresses beside what their Domains tell.
#[derive(Default)]
pub(super) struct Troubles {
    /// By namespace and name: the Ingress' uid, and what was told of which host.
    pub(super) told: HashMap<IngressId, (String, BTreeMap<String, Reason>)>,
}

// === impl Troubles ===

impl Troubles {
    /// What of `present` has not been told yet. What is over is forgotten, so that it is told again should it return.
    pub(super) fn news(&mut self, ingress: IngressId, uid: &str, present: Vec<Trouble>) -> Vec<Trouble> {
        if present.is_empty() {
            self.told.remove(&ingress);
            return Vec::new();
        }
        let (told_uid, told) = self.told.entry(ingress).or_default();
        if told_uid != uid {
            told.clear();
            uid.clone_into(told_uid);
        }
        told.retain(|host, _| present.iter().any(|trouble| trouble.host == *host));
        present
            .into_iter()
            .filter(|trouble| told.insert(trouble.host.clone(), trouble.reason) != Some(trouble.reason))
            .collect()
    }
}
