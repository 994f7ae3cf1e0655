//! What the files say, put into the controller's own memory and planned by its
//! own planners, until every Domain says what the controller would make it say.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;

use super::documents::{Document, Documents};
use crate::{
    api::{
        domain::{Domain, DomainSpec},
        partial::{certificate::Certificate, ingress, issuer, metadata::Metadata, route::ApisixRoute},
    },
    cluster::world::{Key, World, intake::Kept},
    core::{
        finding::Finding,
        host::Host,
        issuer::{Acme, IssuerFacts, Solver},
        names,
        policy::{IssuerKind, IssuerRef, Policy, Target},
        reason::Reason,
        reconcile::{Checks, Effect, Fresh, Notes},
        verdict::{GatewayTarget, Method, Verdict},
    },
};

/// Plans settle in three rounds (Domain made, status written, nothing left);
/// the rest is room for hosts that wait for each other.
const ROUNDS: usize = 8;
/// For how long an assumed verdict holds.
const ASSUMED: std::time::Duration = std::time::Duration::from_secs(3600);

/// The world that the documents describe, at rest.
///
/// An issuer that no document describes is taken to be an ACME one that is
/// Ready and solves HTTP-01: nothing is looked up. `assume_verified`: every
/// question to DNS is answered well. `instead`: the index of an Ingress that
/// stands for all others of its name.
pub fn world(
    documents: &Documents,
    policy: &Policy,
    now: Timestamp,
    assume_verified: bool,
    instead: Option<usize>,
) -> World {
    let mut world = World::new(Arc::new(policy.clone()));
    see::<Metadata<v1::Namespace>>(&documents.namespaces, &mut world);
    see::<Metadata<v1::Secret>>(&documents.secrets, &mut world);
    see::<Domain>(&documents.domains, &mut world);
    see::<Certificate>(&documents.certificates, &mut world);
    see::<ApisixRoute>(&documents.routes, &mut world);
    // Whoever gives no Secret does not mean that there is none.
    Metadata::<v1::Secret>::listed(&mut world, !documents.secrets.is_empty());
    // A Certificate alone is not one that no route needs.
    ApisixRoute::listed(&mut world, !documents.routes.is_empty());
    for found in &documents.issuers {
        let one = std::slice::from_ref(found);
        match found.object.get("kind").and_then(serde_json::Value::as_str) {
            Some("Issuer") => see::<issuer::Issuer>(one, &mut world),
            _ => see::<issuer::ClusterIssuer>(one, &mut world),
        }
    }
    see::<ingress::Ingress>(&documents.ingresses, &mut world);
    if let Some(instead) = instead.and_then(|index| documents.ingresses.get(index)) {
        see::<ingress::Ingress>(std::slice::from_ref(instead), &mut world);
    }
    assume_issuers(documents, policy, &mut world);
    if assume_verified {
        world.set_gateway(GatewayTarget { target: Target::AnyPublic, ..GatewayTarget::default() });
    }
    world.settle();
    for _ in 0..ROUNDS {
        if !round(&mut world, now, assume_verified) {
            break;
        }
    }
    world
}

fn see<K: Kept + DeserializeOwned>(found: &[Document], world: &mut World) {
    for document in found {
        let mut object = document.named();
        // Files have no order in time; what is read last is what there is.
        if let Some(metadata) = object.get_mut("metadata").and_then(serde_json::Value::as_object_mut) {
            metadata.remove("resourceVersion");
        }
        // Those that cannot be read were told of when they were sorted in.
        if let Ok(object) = serde_json::from_value::<K>(object) {
            object.see(world);
        }
    }
}

/// Adds the policy's issuers that no document describes.
fn assume_issuers(documents: &Documents, policy: &Policy, world: &mut World) {
    let described = |issuer: &IssuerRef| {
        documents.issuers.iter().any(|found| {
            found.object.get("kind").and_then(serde_json::Value::as_str) == Some(issuer.kind.as_str())
                && found.object.pointer("/metadata/name").and_then(serde_json::Value::as_str) == Some(&issuer.name)
        })
    };
    let by_domains = documents
        .domains
        .iter()
        .filter_map(|found| serde_json::from_value::<Domain>(found.object.clone()).ok()?.spec.issuer_ref);
    let by_ingresses = documents.ingresses.iter().flat_map(|found| {
        let name = |key: &str| {
            let annotations = found.object.pointer("/metadata/annotations")?;
            Some(annotations.get(key)?.as_str()?.to_owned())
        };
        [
            name(names::CLUSTER_ISSUER).map(IssuerRef::cluster),
            name(names::ISSUER).map(|name| IssuerRef { kind: IssuerKind::Issuer, name, group: None }),
        ]
        .into_iter()
        .flatten()
    });
    let facts = IssuerFacts {
        acme: Some(Acme { solvers: vec![Solver { methods: vec![Method::Http01], selector: None }], ..Acme::default() }),
        ready: Some(true),
        message: String::new(),
    };
    for issuer in policy.issuers().cloned().chain(by_domains).chain(by_ingresses).filter(|issuer| !described(issuer)) {
        let named = |namespace: Option<String>| ObjectMeta {
            name: Some(issuer.name.clone()),
            namespace,
            ..ObjectMeta::default()
        };
        match issuer.kind {
            IssuerKind::ClusterIssuer => {
                issuer::ClusterIssuer { metadata: named(None), facts: facts.clone() }.see(world);
            }
            IssuerKind::Issuer => {
                for found in [&documents.ingresses, &documents.routes, &documents.certificates].into_iter().flatten() {
                    let namespace = found.object.pointer("/metadata/namespace").and_then(serde_json::Value::as_str);
                    let metadata = named(Some(namespace.unwrap_or_default().to_owned()));
                    issuer::Issuer { metadata, facts: facts.clone() }.see(world);
                }
            }
            IssuerKind::Other(_) => {}
        }
    }
}

/// Plans for every host and does what the plans say to Domains. Whether anything changed.
fn round(world: &mut World, now: Timestamp, assume_verified: bool) -> bool {
    let mut changed = false;
    for key in world.all_keys() {
        let Key::Host(namespace, host) = key else { continue };
        let mut checks = Checks::default();
        let mut plan = world.plan_host(&namespace, &host, &checks, &Notes::default(), now);
        if assume_verified && let Some(fresh) = answered(&plan.effects, &host, now) {
            checks.fresh = Some(fresh);
            plan = world.plan_host(&namespace, &host, &checks, &Notes::default(), now);
        }
        for effect in plan.effects {
            changed |= take_effect(effect, world, &namespace, &host, now);
        }
    }
    changed
}

/// A good answer to the question that a plan asks.
fn answered(effects: &[Effect], host: &Host, now: Timestamp) -> Option<Fresh> {
    effects.iter().find_map(|effect| match effect {
        Effect::Check { asked, .. } => Some(Fresh {
            asked: asked.clone(),
            verdict: Verdict {
                finding: Finding::new(Reason::Verified, host),
                warnings: Vec::new(),
                checks: Vec::new(),
                next_check: ASSUMED,
                validity: ASSUMED,
            },
            at: now,
        }),
        _ => None,
    })
}

/// Does what a plan says to a Domain; all else would be done to the cluster.
fn take_effect(effect: Effect, world: &mut World, namespace: &str, host: &Host, now: Timestamp) -> bool {
    match effect {
        Effect::CreateDomain => {
            let mut domain =
                Domain::new(&host.object_name(), DomainSpec { host: host.to_string(), ..DomainSpec::default() });
            domain.metadata.namespace = Some(namespace.to_owned());
            domain.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
            domain.see(world);
            true
        }
        Effect::SetStatus(status) => {
            let Some(seen) = world.domain_object(namespace, host) else { return false };
            let mut domain = seen.domain.clone();
            let news = domain.status.as_ref() != Some(&*status);
            domain.status = Some(*status);
            domain.see(world);
            news
        }
        _ => false,
    }
}
