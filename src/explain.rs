//! `certgate explain`: the same decision as in the cluster, from files alone.

pub mod documents;
pub mod rainbond;
pub mod render;
pub mod text;
pub mod world;

use std::collections::{HashMap, HashSet};

use jiff::Timestamp;
use serde_json::Value;

use crate::core::{decide::decide, ingress::Ingress, policy::Policy};
use documents::{Document, Documents, Fault};
use render::Explained;

/// The most documents of one Ingress that are each decided as if they alone were stored.
const MOST_NAMESAKES: usize = 100;

/// Decides about every Ingress among the documents, in their order, then tells of Rainbond 6's routes and of the
/// Certificates that its switch made; and of what cannot be decided about.
/// `assume_verified`: as if every host that is checked through DNS had just passed.
pub fn explain(
    documents: &Documents,
    policy: &Policy,
    now: Timestamp,
    assume_verified: bool,
) -> (Vec<Explained>, Vec<Fault>) {
    let texts: Vec<String> = documents.ingresses.iter().map(|found| found.named().to_string()).collect();
    let (mut ingresses, mut faults) = (Vec::new(), Vec::new());
    for (index, (found, text)) in documents.ingresses.iter().zip(&texts).enumerate() {
        match serde_json::from_str::<Ingress<'_>>(text) {
            Ok(ingress) => ingresses.push((index, found, ingress)),
            Err(error) => faults.push(found.fault(error)),
        }
    }
    let usual = world::world(documents, policy, now, assume_verified, None);
    let twice = namesakes(&ingresses);
    let mut all = Vec::new();
    for (index, found, ingress) in &ingresses {
        // Of several documents about one Ingress each is decided as if it alone were stored.
        let own = twice.contains(index).then(|| world::world(documents, policy, now, assume_verified, Some(*index)));
        let decision = decide(ingress, own.as_ref().unwrap_or(&usual), policy, now);
        match apply(&found.object, &decision.patch) {
            Ok(after) => all.push(Explained::new(found, ingress, &decision, after)),
            Err(error) => faults.push(found.fault(format!("its patch does not apply: {error}"))),
        }
    }
    all.extend(documents.routes.iter().map(|found| rainbond::route(found, &usual, policy)));
    all.extend(documents.certificates.iter().filter_map(|found| rainbond::certificate(found, &usual, policy)));
    (all, faults)
}

/// The indices of the Ingresses whose namespace and name another one has too, as far as that many are told apart.
fn namesakes(ingresses: &[(usize, &Document, Ingress<'_>)]) -> HashSet<usize> {
    let mut by_name: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
    for (index, _, ingress) in ingresses {
        by_name.entry((&ingress.metadata.namespace, &ingress.metadata.name)).or_default().push(*index);
    }
    let mut twice: Vec<usize> = by_name.into_values().filter(|indices| indices.len() > 1).flatten().collect();
    twice.sort_unstable();
    twice.truncate(MOST_NAMESAKES);
    twice.into_iter().collect()
}

fn apply(object: &Value, patch: &[crate::core::patch::PatchOp]) -> Result<Value, serde_json::Error> {
    use serde::de::Error as _;
    let patch: json_patch::Patch = serde_json::from_value(serde_json::to_value(patch)?)?;
    let mut after = object.clone();
    json_patch::patch(&mut after, &patch).map_err(serde_json::Error::custom)?;
    Ok(after)
}

#[cfg(test)]
mod tests;
