//! Objects that cannot be read: whoever looks at them is told so.

use std::sync::Arc;

use super::Shared;
use crate::{
    cluster::{apply::WriteError, world::unread::Watched},
    core::{
        finding::{Finding, Lang},
        reason::Reason,
    },
};

impl Shared {
    /// Publishes an Event about an object that cannot be read, once for each reason.
    pub(super) async fn unread(&self, kind: Watched, namespace: &Arc<str>, name: &Arc<str>) -> Result<(), WriteError> {
        let Some(news) = self.world().unread_news(kind, namespace, name) else { return Ok(()) };
        let subject = format!("{} {name}", news.regarding.kind.as_deref().unwrap_or_default());
        let finding = Finding::new(Reason::ObjectUnreadable, &subject).note(&news.error);
        self.teller.tell(&news.regarding, finding.reason, &finding.sentence(Lang::En)).await;
        self.change(|world| world.unread_told(kind, namespace, name));
        Ok(())
    }
}
