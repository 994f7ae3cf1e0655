//! Domains that are of no effect because their name is not their host's: they are told so.

use std::sync::Arc;

use jiff::Timestamp;

use super::{Shared, events, whole_seconds};
use crate::{
    cluster::{apply::WriteError, world::intake::Kept as _},
    core::{
        finding::{Finding, Lang},
        host::Host,
        reason::Reason,
        reconcile::status,
    },
};

impl Shared {
    /// Writes into a stray's status that it is one, and publishes an Event when that is news.
    pub(super) async fn stray(&self, namespace: &Arc<str>, name: &Arc<str>) -> Result<(), WriteError> {
        let stray = {
            let world = self.world();
            let open = world.is_open(namespace);
            world.stray(namespace, name).filter(|_| open).cloned()
        };
        let Some(domain) = stray.filter(|domain| domain.metadata.deletion_timestamp.is_none()) else { return Ok(()) };
        let finding = judge(&domain.spec.host);
        let before = domain.status.clone().unwrap_or_default();
        let mut after = before.clone();
        let generation = domain.metadata.generation.unwrap_or_default();
        status::write_unwanted(&mut after, &finding, generation, whole_seconds(Timestamp::now()));
        if after == before {
            return Ok(());
        }
        let message = finding.sentence(Lang::En);
        let news = before.message.as_deref() != Some(&message);
        let written = self.writer.set_status(domain, after).await?;
        if news {
            tracing::info!(%namespace, domain = %name, reason = %finding.reason, "Domain is of no effect");
            self.teller.tell(&events::domain(&written), finding.reason, &message).await;
        }
        self.change(|world| written.see(world));
        Ok(())
    }
}

fn judge(host: &str) -> Finding {
    match Host::parse(host) {
        Ok(parsed) => Finding::new(Reason::DomainMisnamed, parsed.as_str()).required([parsed.object_name()]),
        Err(error) => Finding::new(Reason::HostInvalid, host).note(error.to_string()),
    }
}
