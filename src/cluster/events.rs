//! Kubernetes Events: what `kubectl describe` tells of a host.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::{core::v1::ObjectReference, events::v1::Event},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client, Resource,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use moka::{policy::EvictionPolicy, sync::Cache};
use serde_json::json;

use crate::{
    api::{
        domain::Domain,
        partial::{certificate::Certificate, certificate_request::CertificateRequest, ingress::Ingress},
    },
    core::{reason::Reason, reconcile::status::is_warning},
};

/// The longest name of an object (Kubernetes).
const MAX_NAME: usize = 253;
/// The longest note that the API server takes (events.k8s.io/v1), in octets.
const MAX_NOTE: usize = 1024;
/// How long after an Event the same one counts as its repetition, as with Kubernetes' own recorders.
const SERIES: Duration = Duration::from_secs(6 * 60);
/// How many Events are known for that long.
const MAX_SERIES: u64 = 1024;
/// Who publishes.
const CONTROLLER: &str = "certgate.dev/controller";

/// Publishes Events; one for the whole process, since it counts what is told again.
///
/// Not kube's recorder, which keeps each Event whole for minutes and looks through all of them for every new one: too
/// much when ten thousand hosts are injected at once.
#[derive(Clone)]
pub struct Teller {
    client: Client,
    instance: Arc<str>,
    /// By the uid of what it is about.
    told: Cache<(Box<str>, Reason), Told>,
}

/// An Event that was published.
#[derive(Clone)]
struct Told {
    name: Arc<str>,
    times: i32,
}

// === impl Teller ===

impl Teller {
    /// Publishes as this controller. `instance` tells replicas apart.
    pub fn new(client: Client, instance: String) -> Self {
        let told = Cache::builder()
            .max_capacity(MAX_SERIES)
            .eviction_policy(EvictionPolicy::lru())
            .time_to_live(SERIES)
            .build();
        Self { client, instance: instance.into(), told }
    }

    /// The same, over another way to the API server.
    #[must_use]
    pub fn through(&self, client: Client) -> Self {
        Self { client, ..self.clone() }
    }

    /// Publishes an Event. Failing to is no failure of the plan: the Domain says the same.
    pub async fn tell(&self, regarding: &ObjectReference, reason: Reason, message: &str) {
        let key = (regarding.uid.as_deref().unwrap_or_default().into(), reason);
        let published = match self.told.get(&key) {
            Some(told) => self.again(regarding, told).await,
            None => self.anew(regarding, reason, message).await,
        };
        match published {
            Ok(told) => self.told.insert(key, told),
            Err(error) => {
                // It may be gone; the next one is a new one.
                self.told.invalidate(&key);
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

    fn events(&self, regarding: &ObjectReference) -> Api<Event> {
        Api::namespaced(self.client.clone(), regarding.namespace.as_deref().unwrap_or("default"))
    }

    async fn anew(&self, regarding: &ObjectReference, reason: Reason, message: &str) -> Result<Told, kube::Error> {
        let now = Timestamp::now();
        let name = event_name(regarding.name.as_deref().unwrap_or("certgate"), now);
        let event = Event {
            metadata: ObjectMeta {
                name: Some(name.clone()),
                namespace: regarding.namespace.clone(),
                ..ObjectMeta::default()
            },
            type_: Some(if is_warning(reason) { "Warning" } else { "Normal" }.to_owned()),
            reason: Some(reason.as_str().to_owned()),
            note: Some(bounded(message)),
            action: Some("Certify".to_owned()),
            regarding: Some(regarding.clone()),
            event_time: Some(MicroTime(now)),
            reporting_controller: Some(CONTROLLER.to_owned()),
            reporting_instance: Some(self.instance.to_string()),
            ..Event::default()
        };
        self.events(regarding).create(&PostParams::default(), &event).await?;
        Ok(Told { name: name.into(), times: 1 })
    }

    async fn again(&self, regarding: &ObjectReference, told: Told) -> Result<Told, kube::Error> {
        let times = told.times.saturating_add(1);
        let series = json!({"series": {"count": times, "lastObservedTime": MicroTime(Timestamp::now())}});
        self.events(regarding).patch(&told.name, &PatchParams::default(), &Patch::Merge(series)).await?;
        Ok(Told { times, ..told })
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

/// The name of an Event: its object's and the time, as Kubernetes' own recorders form it. An object's name may be as long as
/// any; what is cut off it must leave a DNS subdomain.
fn event_name(object: &str, at: Timestamp) -> String {
    let time = format!("{:x}", at.as_nanosecond());
    let room = MAX_NAME - 1 - time.len();
    let cut = object.get(..room).unwrap_or(object).trim_end_matches(['.', '-']);
    format!("{cut}.{time}")
}

/// How Events refer to a CertificateRequest.
pub fn request(namespace: &str, name: &str, uid: &str) -> ObjectReference {
    ObjectReference {
        api_version: Some(CertificateRequest::api_version(&()).into_owned()),
        kind: Some(CertificateRequest::kind(&()).into_owned()),
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
    use serde_json::Value;

    use super::*;
    use crate::cluster::scripted::{script, status};

    #[test]
    fn notes_fit_and_stay_text() {
        assert_eq!(bounded("short"), "short");
        for text in ["x".repeat(3000), "证".repeat(1000)] {
            let note = bounded(&text);
            assert!(note.len() <= MAX_NOTE && note.ends_with('…'));
        }
    }

    #[test]
    fn names_fit_whatever_their_objects_are_called() {
        let at = Timestamp::from_nanosecond(i128::from(i64::MAX)).unwrap();
        assert_eq!(event_name("shop", at), "shop.7fffffffffffffff");
        for length in 200..=253 {
            for long in ["a".repeat(length), format!("{}x", "a.b-".repeat(63)).chars().take(length).collect()] {
                let name = event_name(&long, at);
                assert!(name.len() <= MAX_NAME, "{name}");
                let sound = |label: &str| !label.is_empty() && !label.starts_with('-') && !label.ends_with('-');
                assert!(name.split('.').all(sound), "{name}");
            }
        }
    }

    /// What was told again and again, and with which answers.
    async fn told(answers: [u16; 4], reasons: [Reason; 4]) -> Vec<(String, Value)> {
        let script = script(answers.map(|code| match code {
            200 => (200, json!({"metadata": {"name": "e"}, "eventTime": null})),
            code => status(code, "", ""),
        }));
        let teller = Teller::new(script.client.clone(), "replica".to_owned());
        for reason in reasons {
            teller.tell(&ingress("team-a", "shop", "u-1"), reason, "a sentence").await;
        }
        let asked = script.asked.lock().await;
        asked.iter().map(|(method, _, body)| (method.clone(), body.clone())).collect()
    }

    #[tokio::test]
    async fn what_is_told_again_is_counted_and_not_repeated() {
        let reasons = [Reason::WrongTarget, Reason::WrongTarget, Reason::Verified, Reason::WrongTarget];
        let asked = told([200; 4], reasons).await;
        let counts: Vec<_> = asked.iter().map(|(method, body)| (&**method, body["series"]["count"].as_i64())).collect();
        assert_eq!(counts, [("POST", None), ("PATCH", Some(2)), ("POST", None), ("PATCH", Some(3))]);
        let event = &asked[0].1;
        assert_eq!((&event["type"], &event["reason"]), (&json!("Warning"), &json!("WrongTarget")));
        assert_eq!((&event["note"], &event["reportingInstance"]), (&json!("a sentence"), &json!("replica")));
        assert_eq!(event["regarding"]["uid"], "u-1");
    }

    #[tokio::test]
    async fn what_was_not_published_or_is_gone_is_told_anew() {
        let asked = told([500, 200, 404, 200], [Reason::WrongTarget; 4]).await;
        let methods: Vec<_> = asked.iter().map(|(method, _)| &**method).collect();
        assert_eq!(methods, ["POST", "POST", "PATCH", "POST"]);
    }
}
