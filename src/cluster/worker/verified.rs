//! The VerifiedHosts of a namespace, written when they change.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    super::{
        apply::WriteError,
        world::{Key, intake::Kept as _},
    },
    Shared,
};

impl Shared {
    pub(super) async fn verified(&self, namespace: &Arc<str>) -> Result<(), WriteError> {
        let (desired, present) = {
            let world = self.world();
            let Some(desired) = world.plan_verified(namespace, Timestamp::now()) else { return Ok(()) };
            (desired, world.verified(namespace).cloned())
        };
        match present {
            None if desired.hosts.is_empty() => {}
            Some(_) if desired.hosts.is_empty() => self.writer.delete_verified(namespace).await?,
            Some(present) if present.hosts == desired.hosts && present.issuer == desired.issuer => {}
            _ => {
                let after = self.writer.write_verified(namespace, &desired).await?;
                tracing::debug!(%namespace, hosts = desired.hosts.len(), "VerifiedHosts written");
                self.change(|world| after.see(world));
            }
        }
        if let Some(at) = desired.until {
            self.wake(Key::Verified(namespace.clone()), at);
        }
        Ok(())
    }
}
