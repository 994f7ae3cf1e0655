//! Any manifest, applied.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use kube::Client;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use serde_json::Value;

use crate::wait::wait_for;

const FIELD_MANAGER: &str = "lab";
/// A definition that was just made takes a moment to be served.
const KIND_APPEARS: Duration = Duration::from_secs(10);

/// Applies manifests, whatever their kinds.
pub(crate) struct Objects {
    client: Client,
    kinds: Mutex<HashMap<GroupVersionKind, (ApiResource, Scope)>>,
}

impl Objects {
    pub(crate) fn new(client: Client) -> Self {
        Self { client, kinds: Mutex::default() }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// The interface to one kind, in a namespace where the kind has those.
    pub(crate) async fn api(&self, gvk: &GroupVersionKind, namespace: Option<&str>) -> Result<Api<DynamicObject>> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).get(gvk).cloned();
        let (resource, scope) = match known {
            Some(known) => known,
            None => {
                let what = format!("{} {} is served", gvk.api_version(), gvk.kind);
                let look = async || Ok(Some(pinned_kind(&self.client, gvk).await?));
                let (resource, capabilities) = wait_for(&what, KIND_APPEARS, look).await?;
                let found = (resource, capabilities.scope);
                self.kinds.lock().unwrap_or_else(PoisonError::into_inner).insert(gvk.clone(), found.clone());
                found
            }
        };
        Ok(match scope {
            Scope::Cluster => Api::all_with(self.client.clone(), &resource),
            Scope::Namespaced => Api::namespaced_with(self.client.clone(), namespace.unwrap_or("default"), &resource),
        })
    }

    /// Server-side apply of one object, or of a list's items.
    pub(crate) async fn apply(&self, manifest: Value) -> Result<Vec<DynamicObject>> {
        let mut applied = Vec::new();
        for item in flatten(manifest) {
            let object: DynamicObject = serde_json::from_value(item.clone()).context("not a Kubernetes object")?;
            let types = object.types.as_ref().context("an object without apiVersion and kind")?;
            let name = object.metadata.name.as_deref().context("an object without name")?;
            let what = format!("apply {} {name}", types.kind);
            let gvk = GroupVersionKind::try_from(types)?;
            let api = self.api(&gvk, object.metadata.namespace.as_deref()).await.context(what.clone())?;
            let params = PatchParams::apply(FIELD_MANAGER).force();
            applied.push(api.patch(name, &params, &Patch::Apply(&item)).await.context(what)?);
        }
        Ok(applied)
    }
}

/// The items of a list, and of lists in lists.
fn flatten(manifest: Value) -> Vec<Value> {
    let is_list = manifest.get("kind").and_then(Value::as_str).is_some_and(|kind| kind.ends_with("List"));
    match manifest {
        Value::Null => Vec::new(),
        Value::Array(items) => items.into_iter().flat_map(flatten).collect(),
        Value::Object(mut list) if is_list => list.remove("items").map(flatten).unwrap_or_default(),
        one => vec![one],
    }
}

/// The objects in a YAML or JSON text.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("not YAML")?;
    Ok(documents.into_iter().flat_map(flatten).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_documents_and_lists() -> Result<()> {
        let text = "kind: A\n---\n---\n{\"kind\": \"List\", \"items\": [{\"kind\": \"B\"}, {\"kind\": \"C\"}]}\n";
        let kinds: Vec<_> = parse(text)?.iter().filter_map(|v| v.get("kind")?.as_str().map(str::to_owned)).collect();
        assert_eq!(kinds, ["A", "B", "C"]);
        Ok(())
    }
}
