//! Kubernetes Events: what `kubectl describe` tells of a host.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client, Resource,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::{
    api::{
        domain::Domain,
        partial::{certificate::Certificate, ingress::Ingress},
    },
    core::{reason::Reason, reconcile::status::is_warning},
};

/// The longest note that the API server takes (events.k8s.io/v1), in octets.
const MAX_NOTE: usize = 1024;

/// Publishes Events; one for the whole process, since it aggregates.
#[derive(Clone)]
pub struct Teller {
    recorder: Recorder,
}

// === impl Teller ===

impl Teller {
    /// Publishes as this controller. `instance` tells replicas apart.
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter { controller: "certgate.dev/controller".into(), instance: Some(instance) };
        Self { recorder: Recorder::new(client, reporter) }
    }

    /// Publishes an Event. Failing to is no failure of the plan: the Domain says the same.
    pub async fn tell(&self, regarding: &ObjectReference, reason: Reason, message: &str) {
        let event = Event {
            type_: if is_warning(reason) { EventType::Warning } else { EventType::Normal },
            reason: reason.as_str().to_owned(),
            note: Some(bounded(message)),
            action: "Certify".to_owned(),
            secondary: None,
        };
        if let Err(error) = self.recorder.publish(&event, regarding).await {
            tracing::debug!(
                namespace = regarding.namespace.as_deref(),
                object = regarding.name.as_deref(),
                %reason,
                %error,
                "Event not published"
            );
        }
    }
}

/// How Events refer to a Domain.
pub fn domain(domain: &Domain) -> ObjectReference {
    domain.object_ref(&())
}

/// How Events refer to an Ingress.
pub fn ingress(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(Ingress::api_version(&()).into_owned()),
        kind: Some(Ingress::kind(&()).into_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

/// How Events refer to a Certificate.
pub fn certificate(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(Certificate::api_version(&()).into_owned()),
        kind: Some(Certificate::kind(&()).into_owned()),
        namespace: Some(namespace.to_owned()),
        name: Some(name.to_owned()),
        uid: Some(uid.to_owned()),
        ..ObjectReference::default()
    }
}

fn bounded(note: &str) -> String {
    if note.len() <= MAX_NOTE {
        return note.to_owned();
    }
    let mut end = MAX_NOTE - '…'.len_utf8();
    while !note.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}…", note.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notes_fit_and_stay_text() {
        assert_eq!(bounded("short"), "short");
        for text in ["x".repeat(3000), "证".repeat(1000)] {
            let note = bounded(&text);
            assert!(note.len() <= MAX_NOTE && note.ends_with('…'));
        }
    }
}
