//! One key's turn: which plan it asks for, and the span that traces it.

use tracing::Span;

use super::{Shared, WriteError};
use crate::{cluster::world::Key, telemetry::trace};

/// The trace of work on a key.
pub(super) fn span(key: &Key) -> Span {
    let (kind, namespace, name) = match key {
        Key::Host(namespace, host) => ("Host", namespace, host.as_str()),
        Key::Ingress(namespace, name) => ("Ingress", namespace, &**name),
        Key::Verified(namespace) => ("VerifiedHosts", namespace, ""),
        Key::Request(namespace, name) => ("CertificateRequest", namespace, &**name),
        Key::Stray(namespace, name) => ("Domain", namespace, &**name),
        Key::Unread(_, namespace, name) => ("Unreadable", namespace, &**name),
    };
    tracing::info_span!(target: trace::TARGET, "plan", kind, %namespace, name)
}

impl Shared {
    pub(super) async fn plan(&self, key: &Key) -> Result<(), WriteError> {
        match key {
            Key::Host(namespace, host) => self.host(namespace, host).await,
            Key::Ingress(namespace, name) => self.ingress(namespace, name).await,
            Key::Verified(namespace) => self.verified(namespace).await,
            Key::Request(namespace, name) => self.request(namespace, name).await,
            Key::Stray(namespace, name) => self.stray(namespace, name).await,
            Key::Unread(kind, namespace, name) => self.unread(*kind, namespace, name).await,
        }
    }
}
