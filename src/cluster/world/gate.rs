//! The approval gate's part of the world: CertificateRequests that nobody has
//! decided on, and the hosts that they and Certificates ask about.

use std::{borrow::Cow, collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use kube::ResourceExt as _;
use serde_json::Value;

use super::{
    Key, Namespace, Touched, Watched, World, attempts,
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
        policy::{GateMode, IssuerRef},
        reconcile::{
            OtherIssuer,
            checked::Gated,
            others,
            request::{self, RequestPlan},
        },
    },
};

/// A CertificateRequest that nobody has decided on, reduced.
#[derive(Clone, Debug)]
pub struct SeenRequest {
    /// Its `metadata.uid`.
    pub uid: String,
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
    Labels::new(pairs.map(|(key, value)| (Cow::Owned(key.clone()), Cow::Owned(value.clone()))).collect())
}

/// The labels of an object as core reads them.
pub(super) fn labels(object: &impl kube::Resource<DynamicType = ()>) -> Labels<'_> {
    let pairs = object.meta().labels.iter().flatten();
    Labels::new(pairs.map(|(key, value)| (Cow::Borrowed(key.as_str()), Cow::Borrowed(value.as_str()))).collect())
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
            uid: request.metadata.uid.clone().unwrap_or_default(),
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

    /// `server`: the ACME directory that its issuer names.
    fn facts<'a>(&'a self, namespace: &'a str, server: Option<&'a str>) -> RequestFacts<'a> {
        RequestFacts {
            namespace,
            issuer: self.issuer.clone(),
            server,
            names: self.names.clone(),
            word: self.word.as_deref(),
            labels: &self.labels,
            by_place: false,
            certificate: self.certificate.as_ref().map(|(name, _)| name.as_str()),
        }
    }
}

impl Kept for CertificateRequest {
    const WATCHED: Watched = Watched::CertificateRequest;

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
        let ns = self.namespaces.get(namespace)?;
        // One that cannot be read (any more) is not decided on.
        ns.requests.get(name).filter(|_| !self.is_unread(Watched::CertificateRequest, namespace, name))
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
        if self.namespaces.get(namespace).is_some_and(|ns| ns.is_unknown(namespace)) {
            // Whether it is gated at all is not known.
            return RequestPlan::Leave;
        }
        let next_check = |host: &Host| {
            let status = self.domain_object(namespace, host)?.domain.status.as_ref()?;
            status.next_check_time.as_ref().map(|time| time.0)
        };
        let server = self.server(namespace, &seen.issuer);
        request::plan(&seen.facts(namespace, server.as_deref()), self, place, next_check, &self.policy, now)
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
        if let Some(request) = self.bare_requests(namespace, ns, host).next() {
            return Some((Gated { issuer: Some(request.issuer.clone()), certificate: None }, None));
        }
        self.is_flagged_by_route(namespace, ns, host)
            .then(|| (Gated { issuer: self.issuer_of_route(namespace, ns, host), certificate: None }, None))
    }

    /// The gated requests for a host that no Certificate made.
    fn bare_requests<'w>(
        &'w self,
        namespace: &'w str,
        ns: &'w Namespace,
        host: &'w Host,
    ) -> impl Iterator<Item = &'w SeenRequest> {
        let requests = ns.requests.for_host(host).filter_map(|name| ns.requests.get(name));
        requests.filter(move |request| {
            let named = self.policy.issuers().any(|named| *named == request.issuer);
            let facts = request.facts(namespace, None);
            request.certificate.is_none() && named && facts.asker().gates(host, self, &self.policy)
        })
    }

    /// The issuers that what is gated names for a host, beside the one that it is kept for. Those of requests that wait
    /// come first.
    pub(super) fn other_issuers(
        &self,
        namespace: &str,
        ns: &Namespace,
        host: &Host,
        kept_for: Option<&IssuerRef>,
    ) -> Vec<OtherIssuer> {
        if self.policy.excludes(namespace) || self.policy.gate.mode == GateMode::Off {
            return Vec::new();
        }
        let mut found: Vec<(bool, IssuerRef, Option<&Certificate>)> = self
            .bare_requests(namespace, ns, host)
            .map(|request| (false, request.issuer.clone(), None))
            .chain(
                ns.certificates_naming(host).filter(|certificate| self.looks_after(namespace, certificate, host)).map(
                    |certificate| {
                        let waits = ns.requests.has_for(certificate.metadata.name.as_deref().unwrap_or_default());
                        (!waits, IssuerRef::from(&certificate.spec.issuer_ref), Some(certificate))
                    },
                ),
            )
            .filter(|(_, issuer, _)| Some(issuer) != kept_for)
            .collect();
        found.sort_by(|(a, one, _), (b, other, _)| (one, a).cmp(&(other, b)));
        found.dedup_by(|(_, one, _), (_, other, _)| one == other);
        found.sort_by_key(|(at_rest, ..)| *at_rest);
        found.truncate(others::MOST);
        let mut found: Vec<OtherIssuer> = found
            .into_iter()
            .map(|(_, issuer, certificate)| {
                let labels = certificate.and_then(|certificate| certificate.metadata.labels.as_ref());
                OtherIssuer {
                    view: self.issuer(namespace, &issuer, host, |key| labels?.get(key).map(String::as_str)),
                    server: self.server(namespace, &issuer),
                    issuer,
                }
            })
            .collect();
        // In the status they stay in one order, whichever of them waits.
        found.sort_by(|one, other| one.issuer.cmp(&other.issuer));
        found
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
