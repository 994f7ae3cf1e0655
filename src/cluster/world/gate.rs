//! The approval gate's part of the world: CertificateRequests that nobody has
//! decided on, and the hosts that they and Certificates ask about.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

use super::{
    Key, Namespace, Touched, World, attempts,
    intake::{Kept, version},
};
use crate::{
    api::partial::{certificate::Certificate, certificate_request::CertificateRequest},
    core::{
        approval::{Asker, RequestFacts},
        csr::{self, CsrError, CsrNames},
        host::Host,
        ingress::Labels,
        limits::{Names, Place},
        names,
        policy::IssuerRef,
        reconcile::{
            checked::Gated,
            request::{self, RequestPlan},
        },
    },
};

/// A CertificateRequest that nobody has decided on, reduced.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// Its `metadata.resourceVersion`.
    pub resource_version: String,
    /// Its conditions as they are.
    pub conditions: Vec<Value>,
    /// The Certificate it is for: name and uid.
    pub certificate: Option<(String, String)>,
    issuer: IssuerRef,
    names: Result<CsrNames, CsrError>,
    word: Option<String>,
    labels: Labels<'static>,
}

/// The hosts that a Certificate names.
pub fn hosts(certificate: &Certificate) -> impl Iterator<Item = Host> + '_ {
    certificate.spec.dns_names.iter().filter_map(|name| Host::parse(name).ok())
}

fn owned_labels(labels: Option<&BTreeMap<String, String>>) -> Labels<'static> {
    let pairs = labels.into_iter().flatten();
    Labels(pairs.map(|(key, value)| (Cow::Owned(key.clone()), Cow::Owned(value.clone()))).collect())
}

/// The labels of an object as core reads them.
pub(super) fn labels(object: &impl kube::Resource<DynamicType = ()>) -> Labels<'_> {
    let pairs = object.meta().labels.iter().flatten();
    Labels(pairs.map(|(key, value)| (Cow::Borrowed(key.as_str()), Cow::Borrowed(value.as_str()))).collect())
}

/// What an object itself says: annotation before label.
pub(super) fn word(object: &impl kube::Resource<DynamicType = ()>) -> Option<&String> {
    let (annotations, labels) = (&object.meta().annotations, &object.meta().labels);
    [annotations, labels].into_iter().find_map(|all| all.as_ref()?.get(names::AUTO_ISSUE))
}

/// What a Certificate says that the gate heeds.
pub(super) struct Words<'a> {
    certificate: &'a Certificate,
    labels: Labels<'a>,
    issuer: IssuerRef,
}

// === impl Words ===

impl<'a> Words<'a> {
    pub(super) fn of(certificate: &'a Certificate) -> Self {
        Self { certificate, labels: labels(certificate), issuer: IssuerRef::from(&certificate.spec.issuer_ref) }
    }

    /// As what asks for its hosts.
    pub(super) fn asker<'w>(&'w self, namespace: &'w str) -> Asker<'w> {
        Asker {
            namespace,
            word: word(self.certificate).map(String::as_str),
            labels: &self.labels,
            name: self.certificate.metadata.name.as_deref(),
            issuer: &self.issuer,
        }
    }
}

// === impl SeenRequest ===

impl SeenRequest {
    fn read(request: &CertificateRequest) -> Self {
        let owner = request.metadata.owner_references.iter().flatten().find(|owner| owner.kind == "Certificate");
        Self {
            resource_version: version(&request.metadata),
            conditions: request.status.conditions.clone(),
            certificate: owner.map(|owner| (owner.name.clone(), owner.uid.clone())),
            issuer: IssuerRef::from(&request.spec.issuer_ref),
            names: csr::names(&request.spec.request),
            word: word(request).cloned(),
            labels: owned_labels(request.metadata.labels.as_ref()),
        }
    }

    /// The hosts it asks for.
    pub fn hosts(&self) -> &[Host] {
        self.names.as_ref().map(|names| names.hosts.as_slice()).unwrap_or_default()
    }

    /// The issuer it names.
    pub const fn issuer(&self) -> &IssuerRef {
        &self.issuer
    }

    fn facts<'a>(&'a self, namespace: &'a str) -> RequestFacts<'a> {
        RequestFacts {
            namespace,
            issuer: self.issuer.clone(),
            names: self.names.clone(),
            word: self.word.as_deref(),
            labels: &self.labels,
            by_place: false,
            certificate: self.certificate.as_ref().map(|(name, _)| name.as_str()),
        }
    }
}

impl Kept for CertificateRequest {
    fn see(self, world: &mut World) -> Touched {
        let (namespace_name, name) = (self.namespace().unwrap_or_default(), self.name_any());
        let mut touched = attempts::see_request(&self, world);
        if !self.is_open() {
            touched.merge(world.decided(&namespace_name, &name));
            if self.is_under_way() {
                let seen = SeenRequest::read(&self);
                if let Some(names) = Names::new(seen.hosts().iter().cloned()) {
                    let approved = self.approved_at().unwrap_or(Timestamp::UNIX_EPOCH);
                    world.see_approved(&namespace_name, &name, seen.issuer, names, approved);
                }
            } else {
                world.lose_approved(&namespace_name, &name);
            }
            return touched;
        }
        let (namespace, ns) = world.enter(&namespace_name);
        let name: Arc<str> = Arc::from(name);
        let seen = SeenRequest::read(&self);
        touched.keys.extend(seen.hosts().iter().map(|host| Key::Host(namespace.clone(), host.clone())));
        touched.keys.insert(Key::Request(namespace, name.clone()));
        ns.requests.insert(name, seen);
        touched
    }

    fn lose(world: &mut World, namespace: &str, name: &str) -> Touched {
        world.lose_approved(namespace, name);
        let mut touched = attempts::lose_request(world, namespace, name);
        touched.merge(world.decided(namespace, name));
        touched
    }
}

impl World {
    /// Somebody has decided on a request, or it is gone.
    fn decided(&mut self, namespace: &str, name: &str) -> Touched {
        let mut touched = Touched::default();
        let Some((namespace, ns)) = self.enter_known(namespace) else { return touched };
        if let Some((name, old)) = ns.requests.remove(name) {
            touched.keys.extend(old.hosts().iter().map(|host| Key::Host(namespace.clone(), host.clone())));
            touched.keys.insert(Key::Request(namespace.clone(), name));
        }
        self.leave_if_empty(&namespace);
        touched
    }

    /// A request that nobody has decided on.
    pub fn request(&self, namespace: &str, name: &str) -> Option<&SeenRequest> {
        self.namespaces.get(namespace)?.requests.get(name)
    }

    /// All of them, by namespace and name.
    pub fn requests(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &SeenRequest)> {
        let all = self.namespaces.iter();
        all.flat_map(|(namespace, ns)| ns.requests.iter().map(move |(name, seen)| (namespace, name, seen)))
    }

    /// The plan for a request.
    pub fn plan_request(&self, namespace: &str, seen: &SeenRequest, place: &Place, now: Timestamp) -> RequestPlan {
        if self.is_terminating(namespace) {
            return RequestPlan::Leave;
        }
        let next_check = |host: &Host| {
            let status = self.domain_object(namespace, host)?.domain.status.as_ref()?;
            status.next_check_time.as_ref().map(|time| time.0)
        };
        request::plan(&seen.facts(namespace), self, place, next_check, &self.policy, now)
    }

    /// What the approval gate wants to know of a host, and the Certificate that asks. One whose request waits goes first.
    pub(super) fn gated<'w>(
        &'w self,
        namespace: &str,
        ns: &'w Namespace,
        host: &Host,
    ) -> Option<(Gated<'w>, Option<&'w Certificate>)> {
        let policy = &self.policy;
        if policy.excludes(namespace) {
            return None;
        }
        let named = |issuer: &IssuerRef| policy.issuers().any(|one| one == issuer);
        let own = host.secret_name();
        let certificate = ns
            .certificates_naming(host)
            // ingress-shim's for our own parts: whether it is wanted the Ingresses say.
            .filter(|certificate| {
                let by_ingress = certificate.controller().is_some_and(|owner| owner.kind == "Ingress");
                !(by_ingress && certificate.metadata.name.as_deref() == Some(own.as_str()))
            })
            .filter(|certificate| self.looks_after(namespace, certificate, host))
            .max_by_key(|certificate| ns.requests.has_for(certificate.metadata.name.as_deref().unwrap_or_default()));
        if let Some(certificate) = certificate {
            let issuer = Some(IssuerRef::from(&certificate.spec.issuer_ref));
            return Some((Gated { issuer, certificate: Some(ns.certificate_view(certificate)) }, Some(certificate)));
        }
        // A request that no Certificate made must not wait for ever.
        let request = ns.requests.for_host(host).filter_map(|name| ns.requests.get(name)).find(|request| {
            let facts = request.facts(namespace);
            request.certificate.is_none() && named(&request.issuer) && facts.asker().gates(host, self, policy)
        });
        if let Some(request) = request {
            return Some((Gated { issuer: Some(request.issuer.clone()), certificate: None }, None));
        }
        self.is_flagged_by_route(namespace, ns, host)
            .then(|| (Gated { issuer: self.issuer_of_route(namespace, ns, host), certificate: None }, None))
    }

    /// Whether a Certificate has a host checked: by the gate, or as what Rainbond's switch is.
    pub(super) fn looks_after(&self, namespace: &str, certificate: &Certificate, host: &Host) -> bool {
        let words = Words::of(certificate);
        let (asker, policy) = (words.asker(namespace), &self.policy);
        let asks = asker.gates(host, self, policy)
            || (policy.rainbond.routes && asker.is_switch(host) && asker.flags(host, self, policy));
        asks && !policy.excludes(namespace) && policy.issuers().any(|named| named == asker.issuer)
    }
}
