//! CertificateRequests: approved the moment their names are verified, and what is held is told once.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{
    super::{
        apply::WriteError,
        events,
        world::{Key, World, gate::SeenRequest, intake::Kept as _},
    },
    Shared,
};
use crate::core::{
    finding::Finding,
    reason::Reason,
    reconcile::request::{RequestPlan, tells},
};

/// What was told of requests that are held, by namespace and name: which name waits for what.
#[derive(Default)]
pub(super) struct Told(HashMap<(Arc<str>, Arc<str>), BTreeMap<String, Reason>>);

// === impl Told ===

impl Told {
    /// Whether this has not been told yet. It counts as told from now on.
    fn is_news(&mut self, id: (Arc<str>, Arc<str>), findings: &[Finding]) -> bool {
        let state: BTreeMap<String, Reason> = findings.iter().map(|f| (f.subject.clone(), f.reason)).collect();
        self.0.insert(id, state.clone()) != Some(state)
    }

    /// After a restart what stands in the Domains has been told.
    pub(super) fn standing(&mut self, world: &World, now: Timestamp) {
        for (namespace, name, seen) in world.requests() {
            let place = world.place_of_request(namespace, seen, now);
            if let RequestPlan::Hold { findings, .. } = world.plan_request(namespace, seen, &place, now)
                && tells(&findings)
            {
                self.is_news((namespace.clone(), name.clone()), &findings);
            }
        }
    }
}

impl Shared {
    pub(super) fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn request(&self, namespace: &Arc<str>, name: &Arc<str>) -> Result<(), WriteError> {
        let id = (namespace.clone(), name.clone());
        let seen = self.world().request(namespace, name).cloned();
        let Some((plan, seen)) = seen.map(|seen| (self.plan_request(namespace, &seen), seen)) else {
            self.told().0.remove(&id);
            return Ok(());
        };
        match plan {
            RequestPlan::Leave | RequestPlan::Ask => {}
            RequestPlan::Approve { message, despite } => {
                let conditions = seen.conditions.clone();
                let after = self.writer.approve(namespace, name, &seen.resource_version, conditions, &message).await?;
                tracing::info!(%namespace, request = %name, message, "CertificateRequest approved");
                let was_held = self.told().0.remove(&id).is_some();
                self.change(|world| after.see(world));
                let reason = despite.first().map_or(Reason::Verified, |finding| finding.reason);
                if was_held || !despite.is_empty() {
                    self.tell_of(namespace, name, &seen, reason, &message).await;
                }
            }
            RequestPlan::Hold { findings, message, until } => {
                if tells(&findings) && self.told().is_news(id, &findings) {
                    tracing::info!(%namespace, request = %name, message, "CertificateRequest held");
                    self.metrics.spared();
                    let reason =
                        findings.iter().map(|finding| finding.reason).find(|reason| *reason != Reason::Pending);
                    let reason = reason.unwrap_or(Reason::Pending);
                    self.tell_of(namespace, name, &seen, reason, &message).await;
                }
                if let Some(at) = until {
                    self.wake(Key::Request(namespace.clone(), name.clone()), at);
                }
            }
        }
        Ok(())
    }

    /// Tells of a request on the Certificate that it is for, and on itself where there is none.
    async fn tell_of(&self, namespace: &str, name: &str, seen: &SeenRequest, reason: Reason, message: &str) {
        let regarding = match &seen.certificate {
            Some((name, uid)) => events::certificate(namespace, name, uid),
            None => events::request(namespace, name, &seen.uid),
        };
        self.teller.tell(&regarding, reason, message).await;
    }
}
