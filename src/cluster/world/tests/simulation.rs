//! A cluster without a network: real plans and real patches over plain JSON
//! objects, with ingress-shim, cert-manager and the garbage collector acting by
//! the rules that were read from their code and seen in runs. Watches are
//! edge-triggered here as there: ingress-shim looks only when its Ingress changes.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1;
use serde_json::{Value, json};

use crate::{
    api::{
        domain::Domain,
        partial::{
            certificate::Certificate, certificate_request::CertificateRequest, ingress::Ingress, issuance::Order,
            issuer::ClusterIssuer, metadata::Metadata, route::ApisixRoute,
        },
        read::Read,
        verified_hosts::VerifiedHosts,
    },
    cluster::world::{Key, Touched, World, intake::Kept, unread::Watched, view::SeenTwin},
    core::{
        finding::Finding,
        host::Host,
        names,
        policy::Policy,
        reason::Reason,
        reconcile::{Asked, Checks, Effect, Fresh, Notes, companion::Companion, ingress::guarded, twin},
        verdict::{Request, Verdict},
    },
};

pub(in crate::cluster::world) mod cert_manager;
mod objects;

use objects::{companion_object, id};

/// Kind, namespace, name.
type Id = (&'static str, String, String);

pub(super) struct Cluster {
    pub(super) world: World,
    pub(super) now: Timestamp,
    objects: BTreeMap<Id, Value>,
    versions: u64,
    touched: BTreeSet<Key>,
    wakes: BTreeMap<Key, Timestamp>,
    memory: BTreeMap<(String, Host), (Checks, Notes)>,
    /// What DNS says of a host; `DomainNotFound` where nothing is said.
    pub(super) dns: BTreeMap<String, Reason>,
    /// Each check made.
    pub(super) checks: Vec<String>,
    /// Each write of a Domain's status, by host.
    pub(super) statuses: Vec<String>,
    /// Each order that the CA saw, by first host.
    pub(super) orders: Vec<String>,
    /// Each Event, as "object reason".
    pub(super) told: Vec<String>,
    /// Writes of ours to applications' Ingresses, by name.
    pub(super) writes: Vec<String>,
    /// ingress-shim does not look.
    pub(super) shim_is_down: bool,
    /// cert-manager makes requests and waits until they are approved.
    pub(super) gated: bool,
    /// Certificates that the garbage collector has yet to take.
    doomed: Vec<Id>,
    /// Objects that cannot be read, with their labels as they were.
    spoilt: BTreeMap<Id, Value>,
}

// === impl Cluster ===

impl Cluster {
    pub(super) fn new(policy: &str) -> Self {
        let policy: Policy = serde_json::from_str(policy).unwrap();
        let mut world = World::new(policy.into());
        let now = "2026-11-24T12:00:00Z".parse().unwrap();
        world.settle();
        world.settle_limits(now);
        let mut cluster = Self {
            world,
            now,
            objects: BTreeMap::new(),
            versions: 0,
            touched: BTreeSet::new(),
            wakes: BTreeMap::new(),
            memory: BTreeMap::new(),
            dns: BTreeMap::new(),
            checks: Vec::new(),
            statuses: Vec::new(),
            orders: Vec::new(),
            told: Vec::new(),
            writes: Vec::new(),
            shim_is_down: false,
            gated: false,
            doomed: Vec::new(),
            spoilt: BTreeMap::new(),
        };
        cluster.put("Namespace", json!({"metadata": {"name": "team-a"}}));
        cluster.put_issuer();
        cluster
    }

    /// The issuer that the policies of these tests name.
    pub(super) fn put_issuer(&mut self) {
        self.put(
            "ClusterIssuer",
            json!({"metadata": {"name": "le"},
            "spec": {"acme": {"server": "https://ca.example/dir", "solvers": [{"http01": {"ingress": {}}}]}},
            "status": {"conditions": [{"type": "Ready", "status": "True"}]}}),
        );
    }

    /// Deletes all but namespaces and issuers, as an owner who goes would, and lets time pass until nothing matters.
    pub(super) fn delete_everything(&mut self) {
        for kind in ["Ingress", "Certificate", "CertificateRequest", "Order", "Secret", "ApisixRoute", "Domain"] {
            for name in self.names(kind) {
                self.delete(kind, &name);
                self.settle();
            }
        }
        self.pass(130 * 86_400);
        self.world.take_turns(self.now);
        self.doomed.clear();
    }

    /// What the worker remembers of hosts.
    pub(super) fn remembered(&self) -> Vec<&str> {
        self.memory.iter().filter(|(_, kept)| kept.1 != Notes::default()).map(|((_, host), _)| host.as_str()).collect()
    }

    /// Writes an object, as a client's PUT or POST would, and lets everybody react.
    pub(super) fn put(&mut self, kind: &'static str, mut object: Value) {
        let id = id(kind, &object);
        self.versions += 1;
        let old = self.objects.get(&id);
        let kept = |key: &str| old.map(|old| old["metadata"][key].clone());
        let generation = old.map_or(1, |old| {
            old["metadata"]["generation"].as_i64().unwrap() + i64::from(old["spec"] != object["spec"])
        });
        let meta = &mut object["metadata"];
        meta["resourceVersion"] = json!(self.versions.to_string());
        meta["generation"] = json!(generation);
        meta["uid"] = kept("uid").unwrap_or_else(|| json!(format!("uid-{}", self.versions)));
        meta["creationTimestamp"] = kept("creationTimestamp").unwrap_or_else(|| json!(self.now.to_string()));
        self.objects.insert(id.clone(), object.clone());
        self.show(kind, object);
        match kind {
            "Ingress" => self.shim(&id),
            "Certificate" => self.issue(&id),
            _ => {}
        }
    }

    /// Makes an object unreadable, by whoever's hand.
    pub(super) fn spoil(&mut self, (kind, namespace, name): (&'static str, &str, &str)) {
        let id = (kind, namespace.to_owned(), name.to_owned());
        let labels = self.objects[&id]["metadata"]["labels"].clone();
        self.spoilt.entry(id.clone()).or_insert(labels);
        self.change(&id, json!(7));
    }

    /// Makes it readable again.
    pub(super) fn mend(&mut self, (kind, namespace, name): (&'static str, &str, &str)) {
        let id = (kind, namespace.to_owned(), name.to_owned());
        let labels = self.spoilt.remove(&id).unwrap();
        self.change(&id, if labels.is_null() { json!({}) } else { labels });
    }

    fn change(&mut self, id: &Id, labels: Value) {
        self.versions += 1;
        let object = self.objects.get_mut(id).unwrap();
        object["metadata"]["labels"] = labels;
        object["metadata"]["resourceVersion"] = json!(self.versions.to_string());
        let object = object.clone();
        self.show(id.0, object);
    }

    /// Deletes an object. What it owns is left to [`Self::collect_garbage`].
    pub(super) fn delete(&mut self, kind: &'static str, name: &str) {
        self.delete_in(kind, "team-a", name);
    }

    pub(super) fn delete_in(&mut self, kind: &'static str, namespace: &str, name: &str) {
        let id = (kind, namespace.to_owned(), name.to_owned());
        let Some(gone) = self.objects.remove(&id) else { return };
        let uid = &gone["metadata"]["uid"];
        let owned = self.objects.iter().filter(|(_, object)| object["metadata"]["ownerReferences"][0]["uid"] == *uid);
        self.doomed.extend(owned.map(|(id, _)| id.clone()));
        fn lose<K: Kept>(world: &mut World, namespace: &str, name: &str) -> Touched {
            let mut touched = world.is_read::<K>(namespace, name);
            touched.merge(K::lose(world, namespace, name));
            touched
        }
        let world = &mut self.world;
        let touched = match kind {
            "Ingress" => lose::<Ingress>(world, namespace, name),
            "Domain" => lose::<Domain>(world, namespace, name),
            "Certificate" => lose::<Certificate>(world, namespace, name),
            "Secret" => lose::<Metadata<v1::Secret>>(world, namespace, name),
            "VerifiedHosts" => lose::<VerifiedHosts>(world, namespace, name),
            "Order" => lose::<Order>(world, namespace, name),
            "CertificateRequest" => lose::<CertificateRequest>(world, namespace, name),
            "ApisixRoute" => lose::<ApisixRoute>(world, namespace, name),
            "ClusterIssuer" => lose::<ClusterIssuer>(world, namespace, name),
            other => panic!("{other}"),
        };
        self.take(touched);
        if kind == "Certificate" {
            // ingress-shim looks at the owner by its name, whatever its uid.
            let owner = gone["metadata"]["ownerReferences"][0]["name"].as_str().unwrap_or_default();
            self.shim(&("Ingress", namespace.to_owned(), owner.to_owned()));
        }
    }

    pub(super) fn collect_garbage(&mut self) {
        for id in std::mem::take(&mut self.doomed) {
            self.delete_in(id.0, &id.1, &id.2);
        }
    }

    pub(super) fn get(&self, kind: &'static str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, "team-a".to_owned(), name.to_owned()))
    }

    /// The names of all objects of a kind.
    pub(super) fn names(&self, kind: &str) -> Vec<String> {
        self.objects.keys().filter(|id| id.0 == kind).map(|id| id.2.clone()).collect()
    }

    pub(super) fn get_in(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&(kind, namespace.to_owned(), name.to_owned()))
    }

    /// The reason of a Domain's condition.
    pub(super) fn reason(&self, host: &str, condition: &str) -> Option<String> {
        self.reason_in("team-a", host, condition)
    }

    pub(super) fn reason_in(&self, namespace: &str, host: &str, condition: &str) -> Option<String> {
        let domain = self.get_in("Domain", namespace, host)?;
        let conditions = domain["status"]["conditions"].as_array()?;
        let found = conditions.iter().find(|c| c["type"] == condition)?;
        Some(format!("{} {}", found["status"].as_str()?, found["reason"].as_str()?))
    }

    /// The controller forgets all but what the cluster keeps.
    pub(super) fn restart(&mut self) {
        self.memory.clear();
        self.wakes.clear();
        self.touched = self.world.all_keys();
    }

    /// The controller is another process: all that it knows is what the cluster keeps.
    pub(super) fn start_anew(&mut self) {
        let policy = self.world.policy().clone();
        self.world = World::new(policy);
        for (id, object) in self.objects.clone() {
            self.show(id.0, object);
        }
        self.world.settle();
        self.world.settle_limits(self.now);
        self.restart();
    }

    /// Lets go whose turn has come.
    fn take_turns(&mut self) {
        if self.world.has_turns(self.now) {
            self.world.take_turns(self.now);
            self.touched.extend(self.world.take_granted());
        }
    }

    /// Plans and writes until nothing is left to do now.
    pub(super) fn settle(&mut self) {
        self.take_turns();
        for _ in 0..2000 {
            let due: Vec<Key> =
                self.wakes.iter().filter(|(_, at)| **at <= self.now).map(|(key, _)| key.clone()).collect();
            for key in due {
                self.wakes.remove(&key);
                self.touched.insert(key);
            }
            let Some(key) = self.touched.pop_first() else { return };
            match key.clone() {
                Key::Host(namespace, host) => self.host(key, &namespace, &host),
                Key::Ingress(namespace, name) => self.ingress(&namespace, &name),
                Key::Verified(namespace) => self.verified(key, &namespace),
                Key::Request(namespace, name) => self.request(key, &namespace, &name),
                Key::Stray(..) => {}
                Key::Unread(kind, namespace, name) => {
                    if self.world.unread_news(kind, &namespace, &name).is_some() {
                        self.told.push(format!("{name} unreadable"));
                        self.world.unread_told(kind, &namespace, &name);
                    }
                }
            }
        }
        panic!("plans do not come to rest: {:?}", self.touched);
    }

    /// Lets time pass, in steps small enough for every wake-up.
    pub(super) fn pass(&mut self, seconds: i64) {
        let end = self.now + SignedDuration::from_secs(seconds);
        self.settle();
        while let Some(next) = self.wakes.values().min().copied().filter(|next| *next <= end) {
            self.now = next.max(self.now);
            self.settle();
        }
        self.now = end;
        self.settle();
    }

    fn host(&mut self, key: Key, namespace: &str, host: &Host) {
        let id = (namespace.to_owned(), host.clone());
        let (mut checks, notes) = self.memory.get(&id).cloned().unwrap_or_default();
        let name = self.world.namespace_name(namespace);
        let mut plan = self.world.plan_placed(&name, host, &mut checks, &notes, self.now);
        if self.world.is_misplaced(namespace, host, &plan.need, &checks.place) {
            checks.place = self.world.settle_need(&name, host, &plan.need, self.now);
            plan = self.world.plan_host(namespace, host, &checks, &notes, self.now);
        }
        self.touched.extend(self.world.take_granted());
        self.wakes.extend(plan.wake.map(|at| (key, at)));
        let mut next = checks;
        next.fresh = None;
        self.memory.insert(id.clone(), (next, plan.notes));
        for effect in plan.effects {
            self.effect(&id, effect);
        }
    }

    fn effect(&mut self, (namespace, host): &(String, Host), effect: Effect) {
        let domain_id = ("Domain", namespace.clone(), host.object_name());
        match effect {
            Effect::CreateDomain => self.put("Domain", json!({
                "metadata": {"namespace": namespace, "name": host.object_name(), "labels": {"app.kubernetes.io/managed-by": "certgate"}},
                "spec": {"host": host.as_str()}})),
            Effect::SetStatus(status) => {
                self.statuses.push(host.to_string());
                let mut domain = self.objects[&domain_id].clone();
                domain["status"] = serde_json::to_value(status).unwrap();
                self.put("Domain", domain);
            }
            Effect::DeleteDomain => self.delete_in("Domain", namespace, &host.object_name()),
            Effect::Check { request, asked } => self.check(namespace, *request, asked),
            Effect::DeleteCertificate { name, uid } => {
                assert_eq!(self.objects[&("Certificate", namespace.clone(), name.clone())]["metadata"]["uid"], uid.as_str());
                self.delete_in("Certificate", namespace, &name);
            }
            Effect::SetCondition { certificate, uid, condition } => {
                let mut object = self.objects[&("Certificate", namespace.clone(), certificate)].clone();
                assert_eq!(object["metadata"]["uid"], uid.as_str());
                let conditions = object["status"]["conditions"].as_array_mut().unwrap();
                conditions.retain(|one| one["type"] != names::CONDITION);
                conditions.push(json!({"type": names::CONDITION, "status": condition.status, "reason": condition.reason,
                    "message": condition.message, "lastTransitionTime": condition.since.map(|at| at.to_string())}));
                self.put("Certificate", object);
            }
            Effect::TellCertificate { name, reason, .. } => self.told.push(format!("{name} {reason}")),
            Effect::Nudge { ingress, .. } => {
                let mut object = self.objects[&("Ingress", namespace.clone(), ingress.clone())].clone();
                object["metadata"]["annotations"]["certgate.dev/nudge"] = json!(self.now.to_string());
                self.writes.push(format!("{ingress} nudged"));
                self.put("Ingress", object);
            }
            Effect::WriteCompanion(companion) => {
                let owner = self.objects[&domain_id]["metadata"]["uid"].clone();
                self.put("Ingress", companion_object(namespace, &companion, &owner));
            }
            Effect::DeleteCompanion { name, .. } => self.delete_in("Ingress", namespace, &name),
            Effect::Tell { ingress, reason, .. } => {
                self.told.push(format!("{} {reason}", ingress.map_or("Domain".to_owned(), |(name, _)| name)));
            }
        }
    }

    /// Pre-flight answers at once, by what `dns` says.
    fn check(&mut self, namespace: &str, request: Request, asked: Asked) {
        let host = request.host;
        self.checks.push(host.to_string());
        let reason = self.dns.get(host.as_str()).copied().unwrap_or(Reason::DomainNotFound);
        let verdict = Verdict {
            finding: Finding::new(reason, &host).required(&request.gateway.addresses),
            warnings: Vec::new(),
            checks: Vec::new(),
            next_check: std::time::Duration::from_secs(60),
            validity: std::time::Duration::from_secs(600),
        };
        let entry = self.memory.entry((namespace.to_owned(), host.clone())).or_default();
        entry.0 = Checks { running: None, fresh: Some(Fresh { asked, verdict, at: self.now }), ..Checks::default() };
        self.touched.insert(Key::Host(self.world.namespace_name(namespace), host));
    }

    fn ingress(&mut self, namespace: &str, name: &str) {
        if self.world.must_leave(namespace, name) {
            return;
        }
        let Some((seen, plan)) = self.world.plan_ingress(namespace, name, self.now) else {
            return self.twin(namespace, name, None);
        };
        if plan.patch.is_empty() {
            return self.twin(namespace, name, plan.twin);
        }
        let patch = guarded(&plan.patch, &seen.resource_version).unwrap();
        let mut object = self.objects[&("Ingress", namespace.to_owned(), name.to_owned())].clone();
        json_patch::patch(&mut object, &serde_json::from_value::<json_patch::Patch>(patch).unwrap()).unwrap();
        self.writes.push(name.to_owned());
        self.put("Ingress", object);
    }

    fn twin(&mut self, namespace: &str, ingress: &str, wanted: Option<Host>) {
        match (self.world.twin(namespace, ingress), wanted) {
            (SeenTwin::Ours { name, .. }, None) => self.delete_in("Ingress", namespace, &name),
            (SeenTwin::Foreign, _) | (SeenTwin::None, None) => {}
            (_, Some(host)) => {
                let original = &self.objects[&("Ingress", namespace.to_owned(), ingress.to_owned())];
                let mut twin = twin::object(original, &host).unwrap();
                twin["metadata"]["namespace"] = json!(namespace);
                let domain = &self.objects[&("Domain", namespace.to_owned(), host.object_name())];
                twin["metadata"]["ownerReferences"] = json!([{"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
                    "name": host.object_name(), "uid": domain["metadata"]["uid"], "controller": true}]);
                // A write that changes nothing is none.
                let there = self.get("Ingress", twin["metadata"]["name"].as_str().unwrap());
                if there.is_none_or(|there| there["spec"] != twin["spec"]) {
                    self.put("Ingress", twin);
                }
            }
        }
    }

    fn verified(&mut self, key: Key, namespace: &str) {
        if self.world.is_unread(Watched::VerifiedHosts, namespace, "certgate") {
            return;
        }
        let Some(desired) = self.world.plan_verified(namespace, self.now) else { return };
        self.wakes.extend(desired.until.map(|at| (key, at)));
        let present = self.world.verified(namespace).cloned();
        if desired.is_empty() {
            if present.is_some() {
                self.delete_in("VerifiedHosts", namespace, "certgate");
            }
        } else if present.is_none_or(|old| old.hosts != desired.hosts || old.orders != desired.orders) {
            self.put(
                "VerifiedHosts",
                json!({"metadata": {"namespace": namespace, "name": "certgate"},
                "spec": {"hosts": desired.hosts, "issuer": desired.issuer, "orders": desired.orders}}),
            );
        }
    }

    fn show(&mut self, kind: &str, object: Value) {
        fn see<K>(world: &mut World, object: Value) -> Touched
        where
            K: Kept + serde::de::DeserializeOwned,
            K::Scope: 'static,
        {
            match Read::<K>::decode(&object.to_string()) {
                Read::Object(object) => {
                    let meta = object.meta();
                    let id = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
                    let mut touched = world.is_read::<K>(&id.0, &id.1);
                    touched.merge(object.see(world));
                    touched
                }
                Read::Unreadable(found) => world.cannot_read::<K>(&found),
            }
        }
        let world = &mut self.world;
        let touched = match kind {
            "Ingress" => see::<Ingress>(world, object),
            "Domain" => see::<Domain>(world, object),
            "Certificate" => see::<Certificate>(world, object),
            "ClusterIssuer" => see::<ClusterIssuer>(world, object),
            "Order" => see::<Order>(world, object),
            "Namespace" => see::<Metadata<v1::Namespace>>(world, object),
            "Secret" => see::<Metadata<v1::Secret>>(world, object),
            "VerifiedHosts" => see::<VerifiedHosts>(world, object),
            "CertificateRequest" => see::<CertificateRequest>(world, object),
            "ApisixRoute" => see::<ApisixRoute>(world, object),
            other => panic!("{other}"),
        };
        self.take(touched);
    }

    fn take(&mut self, touched: Touched) {
        self.touched.extend(touched.keys);
        if touched.everything {
            self.touched.extend(self.world.all_keys());
        }
        for (namespace, host) in touched.edited {
            self.memory.entry((namespace.to_string(), host)).or_default().0.edited = true;
        }
    }
}
