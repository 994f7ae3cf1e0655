//! Changes to a cluster that can be taken back.

use anyhow::{Context, Result};
use kube::{
    Api, Client,
    api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams},
};
use serde_json::{Value, json};

/// An object by where it is.
#[derive(Clone, Debug)]
pub(crate) struct At {
    pub(crate) api_version: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) plural: &'static str,
    pub(crate) namespace: Option<&'static str>,
    pub(crate) name: &'static str,
}

/// What is done to it.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// A JSON patch.
    Patch(At, Value),
    /// A merge patch of its status.
    Status(At, Value),
    /// It goes.
    Delete(At),
    /// It comes.
    Create(At, Value),
}

/// How a change is taken back.
pub(crate) enum Undo {
    /// To what it was.
    Restore(At, Box<DynamicObject>, bool),
    /// It comes again.
    Create(At, Box<DynamicObject>),
    /// It goes again.
    Delete(At),
}

impl At {
    fn api(&self, client: &Client) -> Api<DynamicObject> {
        let (group, version) = self.api_version.split_once('/').unwrap_or(("", self.api_version));
        let kind = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, self.kind), self.plural);
        match self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
            None => Api::all_with(client.clone(), &kind),
        }
    }
}

/// Makes the changes, in order.
pub(crate) async fn apply(client: &Client, changes: &[Change]) -> Result<Vec<Undo>> {
    let mut undo = Vec::new();
    for change in changes {
        undo.push(one(client, change).await.with_context(|| format!("{change:?}"))?);
    }
    Ok(undo)
}

async fn one(client: &Client, change: &Change) -> Result<Undo> {
    let params = PatchParams::default();
    Ok(match change {
        Change::Patch(at, patch) => {
            let before = at.api(client).get(at.name).await?;
            let patch: json_patch::Patch = serde_json::from_value(patch.clone())?;
            at.api(client).patch(at.name, &params, &Patch::Json::<()>(patch)).await?;
            Undo::Restore(at.clone(), Box::new(before), false)
        }
        Change::Status(at, status) => {
            let before = at.api(client).get(at.name).await?;
            let patch = json!({ "status": status });
            at.api(client).patch_status(at.name, &params, &Patch::Merge(patch)).await?;
            Undo::Restore(at.clone(), Box::new(before), true)
        }
        Change::Delete(at) => {
            let before = at.api(client).get(at.name).await?;
            at.api(client).delete(at.name, &DeleteParams::default()).await?;
            Undo::Create(at.clone(), Box::new(before))
        }
        Change::Create(at, object) => {
            let mut object = object.clone();
            object["apiVersion"] = json!(at.api_version);
            object["kind"] = json!(at.kind);
            object["metadata"]["name"] = json!(at.name);
            at.api(client).create(&PostParams::default(), &serde_json::from_value(object)?).await?;
            Undo::Delete(at.clone())
        }
    })
}

/// Takes changes back, the last one first.
pub(crate) async fn undo(client: &Client, changes: Vec<Undo>) -> Result<()> {
    for change in changes.into_iter().rev() {
        match change {
            Undo::Restore(at, before, status) => {
                let now = at.api(client).get(at.name).await?;
                let (mut now, mut then) = (serde_json::to_value(now)?, serde_json::to_value(*before)?);
                for object in [&mut now, &mut then] {
                    for field in ["resourceVersion", "managedFields", "generation"] {
                        object["metadata"].as_object_mut().context("metadata")?.remove(field);
                    }
                    if !status {
                        object.as_object_mut().context("an object")?.remove("status");
                    }
                }
                let patch = Patch::Json::<()>(json_patch::diff(&now, &then));
                let params = PatchParams::default();
                if status {
                    at.api(client).patch_status(at.name, &params, &patch).await?;
                } else {
                    at.api(client).patch(at.name, &params, &patch).await?;
                }
            }
            Undo::Create(at, mut before) => {
                before.metadata.resource_version = None;
                before.metadata.uid = None;
                before.metadata.managed_fields = None;
                at.api(client).create(&PostParams::default(), &before).await?;
            }
            Undo::Delete(at) => {
                at.api(client).delete(at.name, &DeleteParams::default()).await?;
            }
        }
    }
    Ok(())
}

/// Says of a Deployment that all its replicas are ready.
pub(crate) async fn deployment_status(client: &Client, namespace: &str, name: &str, ready: i32) -> Result<()> {
    let api: Api<k8s_openapi::api::apps::v1::Deployment> = Api::namespaced(client.clone(), namespace);
    let status = json!({ "status": { "replicas": ready, "readyReplicas": ready, "availableReplicas": ready } });
    api.patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.context(name.to_owned())?;
    Ok(())
}
