//! `certgate explain`: the same decision as in the cluster, from files alone.

pub mod documents;
pub mod rainbond;
pub mod render;
pub mod world;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::core::{decide::decide, ingress::Ingress, policy::Policy};
use documents::{Documents, DocumentsError};
use render::Explained;

/// Decides about every Ingress among the documents, in their order, then tells of Rainbond 6's routes and of the
/// Certificates that its switch made.
/// `assume_verified`: as if every host that is checked through DNS had just passed.
///
/// # Errors
/// Where a document's fields have other types than Kubernetes allows, naming file and place.
pub fn explain(
    documents: &Documents,
    policy: &Policy,
    now: Timestamp,
    assume_verified: bool,
) -> Result<Vec<Explained>, DocumentsError> {
    let texts: Vec<String> = documents.ingresses.iter().map(|found| found.object.to_string()).collect();
    let ingresses = documents
        .ingresses
        .iter()
        .zip(&texts)
        .map(|(found, text)| {
            serde_json::from_str::<Ingress<'_>>(text).map_err(|error| found.origin.unusable("Ingress", &error))
        })
        .collect::<Result<Vec<_>, _>>()?;
    let usual = world::world(documents, policy, now, assume_verified, None)?;
    let twice = namesakes(&ingresses);
    let decided = documents.ingresses.iter().zip(&ingresses).enumerate().map(|(index, (found, ingress))| {
        // Of several documents about one Ingress each is decided as if it alone were stored.
        let own = if twice.contains(&index) {
            Some(world::world(documents, policy, now, assume_verified, Some(index))?)
        } else {
            None
        };
        let decision = decide(ingress, own.as_ref().unwrap_or(&usual), policy, now);
        let after = apply(&found.object, &decision.patch)
            .map_err(|error| found.origin.unusable("Ingress after the patch", &error))?;
        Ok(Explained::new(ingress, &decision, found.object.clone(), after))
    });
    let routes = documents.routes.iter().map(|found| rainbond::route(found, &usual, policy));
    let certificates = documents.certificates.iter().filter_map(|found| rainbond::certificate(found, &usual, policy));
    decided.chain(routes.chain(certificates).map(Ok)).collect()
}

/// The indices of the Ingresses whose namespace and name another one has too.
fn namesakes(ingresses: &[Ingress<'_>]) -> HashSet<usize> {
    let mut by_name: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (index, ingress) in ingresses.iter().enumerate() {
        by_name.entry((&ingress.metadata.namespace, &ingress.metadata.name)).or_default().push(index);
    }
    by_name.into_values().filter(|indices| indices.len() > 1).flatten().collect()
}

fn apply(object: &Value, patch: &[crate::core::patch::PatchOp]) -> Result<Value, serde_json::Error> {
    use serde::de::Error as _;
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(patch)?)?;
    let mut after = object.clone();
    json_patch::patch(&mut after, &patch).map_err(serde_json::Error::custom)?;
    Ok(after)
}
