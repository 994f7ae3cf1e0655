//! The twin of an Ingress: what the worker of its key does about it.

use std::sync::Arc;

use super::{Shared, contest};
use crate::{
    cluster::{
        apply::WriteError,
        world::{Key, view::SeenTwin},
    },
    core::{host::Host, reconcile::twin},
};

impl Shared {
    /// Brings an Ingress' twin in step, or takes it away.
    pub(super) async fn twin(
        &self,
        namespace: &Arc<str>,
        ingress: &Arc<str>,
        wanted: Option<Host>,
    ) -> Result<(), WriteError> {
        let (seen, domain) = {
            let world = self.world();
            let domain = wanted.as_ref().and_then(|host| world.domain_object(namespace, host));
            (world.twin(namespace, ingress), domain.map(|seen| seen.domain.clone()))
        };
        match (seen, wanted, domain) {
            (SeenTwin::Foreign, ..) | (SeenTwin::None, None, _) => {}
            (SeenTwin::Ours { name, uid }, None, _) => {
                self.writer.delete_companion(namespace, &name, &uid).await?;
                tracing::info!(%namespace, %ingress, twin = name, "twin deleted");
            }
            // A write that changes nothing is none to the API server.
            (seen, Some(host), Some(domain)) => {
                // One that is there is at most brought in step.
                if let (SeenTwin::None, Some(name)) = (&seen, twin::name(ingress)) {
                    let (key, name) = (Key::Ingress(namespace.clone(), ingress.clone()), Arc::from(name));
                    let what = contest::digest(host.as_str());
                    if !self.may_write(&key, namespace, &name, what).await {
                        return Ok(());
                    }
                    self.wrote(namespace, &name, what);
                }
                let uid = match &seen {
                    SeenTwin::Ours { uid, .. } => Some(uid.as_str()),
                    _ => None,
                };
                self.writer.write_twin(&domain, ingress, &host, uid).await?;
                tracing::debug!(%namespace, %ingress, %host, "twin in step");
            }
            (_, Some(_), None) => {}
        }
        Ok(())
    }
}
