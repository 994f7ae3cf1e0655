//! `certgate explain`: the same decision as in the cluster, from files alone.

pub mod documents;
pub mod render;
pub mod world;

use jiff::Timestamp;
use serde_json::Value;

use crate::core::{decide::decide, ingress::Ingress, policy::Policy};
use documents::{Documents, DocumentsError};
use render::Explained;
use world::World;

/// Decides about every Ingress among the documents, in their order.
/// `assume_verified`: as if every host without a verdict of its own had just passed its check.
///
/// # Errors
/// Where an Ingress' fields have other types than Kubernetes allows, naming file and place.
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
    let world = World::new(documents, &ingresses, policy, assume_verified)?;
    documents
        .ingresses
        .iter()
        .zip(&ingresses)
        .map(|(found, ingress)| {
            let decision = decide(ingress, &world, policy, now);
            let after = apply(&found.object, &decision.patch)
                .map_err(|error| found.origin.unusable("Ingress after the patch", &error))?;
            Ok(Explained::new(ingress, &decision, found.object.clone(), after))
        })
        .collect()
}

fn apply(object: &Value, patch: &[crate::core::patch::PatchOp]) -> Result<Value, serde_json::Error> {
    use serde::de::Error as _;
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(patch)?)?;
    let mut after = object.clone();
    json_patch::patch(&mut after, &patch).map_err(serde_json::Error::custom)?;
    Ok(after)
}
