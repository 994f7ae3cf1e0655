//! What the files say beside the Ingresses: the [`Knowledge`] of `certgate explain`.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;
use serde_json::Value;

use super::documents::{Documents, DocumentsError};
use crate::{
    api::domain::Domain,
    core::{
        finding::Finding,
        host::{Host, NotPublic},
        ingress::Ingress,
        knowledge::{DomainFacts, Knowledge, VerdictFacts},
        policy::{Policy, Profile},
        reason::Reason,
        settings::Scope,
    },
};

/// The state of the cluster as far as files tell it.
#[derive(Debug, Default)]
pub struct World {
    namespace_labels: HashMap<String, BTreeMap<String, String>>,
    domains: HashMap<String, HashMap<String, DomainFacts>>,
    profiles: HashMap<String, Vec<Profile>>,
}

// === impl World ===

impl World {
    /// Reads the documents' state. A host that several Ingresses share and for which no
    /// Domain names a lead is led by the first of them, as in the cluster.
    ///
    /// # Errors
    /// Where a Domain's fields have wrong types, naming file and place.
    pub fn new(
        documents: &Documents,
        ingresses: &[Ingress<'_>],
        policy: &Policy,
        assume_verified: bool,
    ) -> Result<Self, DocumentsError> {
        let mut world = Self::default();
        for found in &documents.namespaces {
            let name = text(&found.object, "/metadata/name").to_owned();
            let labels = found.object.pointer("/metadata/labels").and_then(Value::as_object);
            let labels = labels.into_iter().flatten();
            world.namespace_labels.insert(
                name,
                labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect(),
            );
        }
        for found in &documents.domains {
            let domain: Domain = serde_json::from_value(found.object.clone())
                .map_err(|error| found.origin.unusable("Domain", &error))?;
            let host = Host::parse(&domain.spec.host).map_err(|error| found.origin.unusable("Domain", &error))?;
            world
                .namespace(domain.metadata.namespace.as_deref().unwrap_or_default())
                .insert(host.into(), domain.facts());
        }
        for ingress in ingresses {
            let profile = Scope { ingress, knowledge: &world, policy }.profile();
            let namespace = ingress.metadata.namespace.to_string();
            world.profiles.entry(namespace.clone()).or_default().push(profile);
            for host in ingress.rule_hosts().filter_map(|written| Host::parse(written).ok()) {
                if assume_verified {
                    let domain = world.namespace(&namespace).entry(host.to_string()).or_default();
                    domain.verdict.get_or_insert_with(|| passed(&host));
                }
                if let Some(domain) = world.namespace(&namespace).get_mut(host.as_str())
                    && domain.lead.is_none()
                {
                    domain.lead = Some(ingress.metadata.name.as_ref().into());
                }
            }
        }
        Ok(world)
    }

    fn namespace(&mut self, name: &str) -> &mut HashMap<String, DomainFacts> {
        self.domains.entry(name.to_owned()).or_default()
    }
}

impl Knowledge for World {
    fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str> {
        self.namespace_labels.get(namespace)?.get(key).map(String::as_str)
    }

    fn domain(&self, namespace: &str, host: &str) -> Option<&DomainFacts> {
        self.domains.get(namespace)?.get(host)
    }

    fn has_profile(&self, namespace: &str, profile: Profile) -> bool {
        self.profiles.get(namespace).is_some_and(|profiles| profiles.contains(&profile))
    }
}

/// The verdict of a host that the CA would be able to validate. Names that no
/// public CA issues for stay what they are.
fn passed(host: &Host) -> VerdictFacts {
    let reason = match host.public() {
        Ok(()) => Reason::Verified,
        Err(NotPublic::IsPublicSuffix) => Reason::IsPublicSuffix,
        Err(_) => Reason::NotPublicName,
    };
    VerdictFacts { finding: Finding::new(reason, host), issuer: None, valid_until: Timestamp::MAX }
}

fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}
