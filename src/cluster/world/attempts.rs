//! [`Attempts`]: the CertificateRequests, Orders and Challenges of our own
//! Certificates, so that what becomes of an order can be told.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kube::{ResourceExt as _, api::ObjectMeta};

use super::{Key, Namespace, Touched, Watched, World, intake::Kept, links::Many};
use crate::{
    api::partial::{
        certificate_request::CertificateRequest,
        issuance::{Challenge, Order, Progress},
    },
    core::{
        issuance::{self, Attempt},
        names,
    },
};

/// What of a namespace is under way. Nothing is kept of Certificates that are not ours.
#[derive(Default)]
pub(super) struct Attempts {
    /// By name of the CertificateRequest; the names by Certificate.
    requests: BTreeMap<String, Request>,
    requests_of: Many<String, String>,
    /// By name of the Order.
    orders: Steps,
    /// By name of the Challenge.
    challenges: Steps,
}

/// Objects of one kind, by name and by what controls them.
#[derive(Default)]
struct Steps {
    all: BTreeMap<String, Step>,
    of: Many<String, String>,
}

struct Request {
    certificate: String,
    created: Timestamp,
    failure: Option<String>,
}

struct Step {
    /// The object that controls it.
    owner: String,
    created: Timestamp,
    status: Progress,
}

// === impl Attempts ===

impl Attempts {
    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty() && self.orders.all.is_empty() && self.challenges.all.is_empty()
    }

    /// The latest attempt to issue a Certificate.
    pub(super) fn latest(&self, certificate: &str) -> Attempt<'_> {
        let requests = self.requests_of.of(certificate).filter_map(|name| self.requests.get_key_value(name));
        let Some((name, request)) = requests.max_by_key(|(_, request)| request.created) else {
            return Attempt::default();
        };
        let order = self.orders.owned(name).max_by_key(|(_, step)| step.created);
        let challenges = order.into_iter().flat_map(|(order, _)| self.challenges.owned(order));
        let challenge = challenges.max_by_key(|(_, step)| (issuance::is_failed(&step.status.state), step.created));
        Attempt {
            request_failure: request.failure.as_deref(),
            order: order.map(|(_, step)| issuance::Order {
                created: step.created,
                accepted: !step.status.url.is_empty(),
                state: &step.status.state,
                reason: &step.status.reason,
            }),
            challenge: challenge.map(|(_, step)| issuance::Challenge {
                created: step.created,
                state: &step.status.state,
                reason: &step.status.reason,
            }),
        }
    }

    /// The Certificate that an Order is for.
    fn of_order(&self, order: &str) -> Option<&str> {
        self.of_request(&self.orders.get(order)?.owner)
    }

    fn keep_request(&mut self, name: String, seen: Request) {
        self.lose_request(&name);
        self.requests_of.insert(seen.certificate.clone(), name.clone());
        self.requests.insert(name, seen);
    }

    /// The Certificate that a request was for which is gone.
    fn lose_request(&mut self, name: &str) -> Option<String> {
        let old = self.requests.remove(name)?;
        self.requests_of.remove(&old.certificate, &name.to_owned());
        Some(old.certificate)
    }

    fn of_request(&self, request: &str) -> Option<&str> {
        self.requests.get(request).map(|request| request.certificate.as_str())
    }
}

// === impl Steps ===

impl Steps {
    fn get(&self, name: &str) -> Option<&Step> {
        self.all.get(name)
    }

    fn owned(&self, owner: &str) -> impl Iterator<Item = (&String, &Step)> {
        self.of.of(owner).filter_map(|name| self.all.get_key_value(name))
    }

    fn insert(&mut self, name: String, step: Step) {
        self.remove(&name);
        self.of.insert(step.owner.clone(), name.clone());
        self.all.insert(name, step);
    }

    fn remove(&mut self, name: &str) {
        if let Some(old) = self.all.remove(name) {
            self.of.remove(&old.owner, &name.to_owned());
        }
    }
}

/// Whether a name is one that a Certificate, and all that comes of it, has of us.
fn is_ours(name: &str) -> bool {
    name.starts_with("certgate-")
}

fn created(meta: &ObjectMeta) -> Timestamp {
    meta.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

impl Step {
    fn of(meta: &ObjectMeta, status: Progress) -> Option<Self> {
        let owner = meta.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))?;
        Some(Self { owner: owner.name.clone(), created: created(meta), status })
    }
}

/// The host of a Certificate of ours is to be planned again.
fn touch(world: &World, namespace: &str, certificate: Option<&str>) -> Touched {
    let mut touched = Touched::default();
    let Some((name, ns)) = world.namespaces.get_key_value(namespace) else { return touched };
    let found = certificate.and_then(|certificate| ns.certificates.get(certificate));
    if let Some(host) = found.and_then(super::intake::own_host) {
        touched.keys.insert(Key::Host(name.clone(), host));
    }
    touched
}

impl World {
    /// Changes what is under way, then touches the host of `certificate`.
    fn attempt(&mut self, namespace: &str, change: impl FnOnce(&mut Attempts) -> Option<String>) -> Touched {
        let (_, ns) = self.enter(namespace);
        let certificate = change(&mut ns.attempts);
        let touched = touch(self, namespace, certificate.as_deref());
        self.leave_if_empty(namespace);
        touched
    }
}

/// What a CertificateRequest says of an attempt to issue one of our Certificates.
pub(super) fn see_request(request: &CertificateRequest, world: &mut World) -> Touched {
    let meta = &request.metadata;
    let Some(certificate) = meta.annotations.as_ref().and_then(|all| all.get(names::CERTIFICATE_NAME)) else {
        return Touched::default();
    };
    if !is_ours(certificate) {
        return Touched::default();
    }
    let failure = request.failure().map(str::to_owned);
    let seen = Request { certificate: certificate.clone(), created: created(meta), failure };
    let name = request.name_any();
    world.attempt(meta.namespace.as_deref().unwrap_or_default(), |attempts| {
        let certificate = seen.certificate.clone();
        attempts.keep_request(name, seen);
        Some(certificate)
    })
}

/// The CertificateRequest is gone.
pub(super) fn lose_request(world: &mut World, namespace: &str, name: &str) -> Touched {
    world.attempt(namespace, |attempts| attempts.lose_request(name))
}

impl Kept for Order {
    const WATCHED: Watched = Watched::Order;

    fn see(mut self, world: &mut World) -> Touched {
        let mut touched = world.see_certified(&self);
        // It is read, and far larger than all the rest.
        self.status.certificate = String::new();
        world.see_order(&self);
        let name = self.name_any();
        let Some(step) = Step::of(&self.metadata, self.status).filter(|step| is_ours(&step.owner)) else {
            return touched;
        };
        touched.merge(world.attempt(&self.metadata.namespace.unwrap_or_default(), |attempts| {
            let certificate = attempts.of_request(&step.owner).map(str::to_owned);
            attempts.orders.insert(name, step);
            certificate
        }));
        touched
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        world.lose_order(namespace, name);
        world.lose_certified(namespace, name);
        let mut touched = world.attempt(namespace, |attempts| {
            let certificate = attempts.of_order(name).map(str::to_owned);
            attempts.orders.remove(name);
            certificate
        });
        // Somebody else must tell of it from now on.
        touched.keys.insert(Key::Verified(world.namespace_name(namespace)));
        touched
    }
}

impl Kept for Challenge {
    const WATCHED: Watched = Watched::Challenge;

    fn see(self, world: &mut World) -> Touched {
        world.see_challenge(&self);
        let name = self.name_any();
        let Some(step) = Step::of(&self.metadata, self.status).filter(|step| is_ours(&step.owner)) else {
            return Touched::default();
        };
        world.attempt(&self.metadata.namespace.unwrap_or_default(), |attempts| {
            let certificate = attempts.of_order(&step.owner).map(str::to_owned);
            attempts.challenges.insert(name, step);
            certificate
        })
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        world.attempt(namespace, |attempts| {
            let certificate =
                attempts.challenges.get(name).and_then(|step| attempts.of_order(&step.owner)).map(str::to_owned);
            attempts.challenges.remove(name);
            certificate
        })
    }
}

impl Namespace {
    /// How many objects of attempts are kept.
    #[cfg(test)]
    pub(super) fn attempts_kept(&self) -> usize {
        let Attempts { requests, orders, challenges, .. } = &self.attempts;
        requests.len() + orders.all.len() + challenges.all.len() + self.orders_kept()
    }
}

#[cfg(test)]
mod tests {
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;
    use crate::{api::partial::certificate::Certificate, core::host::Host};

    fn read<K: DeserializeOwned>(value: Value) -> K {
        serde_json::from_value(value).unwrap()
    }

    fn meta(name: &str, owner: &str, second: u32) -> Value {
        json!({"namespace": "n", "name": name, "creationTimestamp": format!("2026-11-24T12:00:{second:02}Z"),
            "ownerReferences": [{"apiVersion": "v", "kind": "K", "name": owner, "uid": "u", "controller": true}]})
    }

    fn request(name: &str, certificate: &str, second: u32) -> CertificateRequest {
        let mut metadata = meta(name, certificate, second);
        metadata["annotations"] = json!({"cert-manager.io/certificate-name": certificate});
        read(json!({"metadata": metadata}))
    }

    fn order(name: &str, owner: &str, second: u32, state: &str) -> Order {
        read(json!({"metadata": meta(name, owner, second), "status": {"url": "https://ca.example/o", "state": state}}))
    }

    #[test]
    fn an_attempt_is_followed_down_to_its_challenge_and_touches_its_host() {
        let host = Host::parse("www.example.com").unwrap();
        let own = host.secret_name();
        let mut world = World::default();
        let certificate: Certificate = read(
            json!({"metadata": {"namespace": "n", "name": own}, "spec": {"secretName": own, "dnsNames": [host.as_str()]}}),
        );
        certificate.see(&mut world);
        request(&format!("{own}-1"), &own, 1).see(&mut world);
        order(&format!("{own}-1-9"), &format!("{own}-1"), 2, "invalid").see(&mut world);
        request(&format!("{own}-2"), &own, 3).see(&mut world);
        order(&format!("{own}-2-9"), &format!("{own}-2"), 4, "pending").see(&mut world);
        let challenge: Challenge = read(
            json!({"metadata": meta(&format!("{own}-2-9-7"), &format!("{own}-2-9"), 5), "status": {"state": "invalid", "reason": "why"}}),
        );
        let touched = challenge.see(&mut world);
        assert_eq!(touched.keys, [Key::Host("n".into(), host)].into());
        let attempt = world.namespaces["n"].attempts.latest(&own);
        assert_eq!(attempt.order.map(|order| order.state), Some("pending"), "the latest counts");
        assert_eq!(attempt.challenge.map(|challenge| challenge.reason), Some("why"));

        Challenge::lose(&mut world, "n", &format!("{own}-2-9-7"));
        assert_eq!(world.namespaces["n"].attempts.latest(&own).challenge, None);
    }

    #[test]
    fn nothing_is_kept_of_others_and_nothing_of_ours_that_is_gone() {
        let mut world = World::default();
        request("theirs-1", "theirs", 1).see(&mut world);
        order("theirs-1-9", "theirs-1", 1, "pending").see(&mut world);
        assert!(world.namespaces.values().all(|ns| ns.attempts_kept() == 0));
        request("certgate-a-1", "certgate-a", 1).see(&mut world);
        order("certgate-a-1-9", "certgate-a-1", 1, "pending").see(&mut world);
        assert_eq!(world.namespaces["n"].attempts_kept(), 2);
        Order::lose(&mut world, "n", "certgate-a-1-9");
        CertificateRequest::lose(&mut world, "n", "certgate-a-1");
        assert!(world.namespaces.values().all(|ns| ns.attempts_kept() == 0));
        // One that nobody has decided on the gate keeps, whosever it is.
        CertificateRequest::lose(&mut world, "n", "theirs-1");
        assert!(world.namespaces.is_empty());
    }
}
