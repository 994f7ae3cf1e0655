//! How objects are told apart, and what a companion looks like as one.

use serde_json::{Value, json};

use super::{Companion, Id};

pub(super) fn id(kind: &'static str, object: &Value) -> Id {
    let text = |key: &str| object["metadata"][key].as_str().unwrap_or_default().to_owned();
    (kind, text("namespace"), text("name"))
}

pub(super) fn companion_object(namespace: &str, companion: &Companion, owner: &Value) -> Value {
    json!({"metadata": {"namespace": namespace, "name": companion.name, "labels": companion.labels, "annotations": companion.annotations,
        "ownerReferences": [{"apiVersion": "certgate.dev/v1alpha1", "kind": "Domain", "name": "d", "uid": owner, "controller": true}]},
      "spec": {"ingressClassName": "certgate-companion", "defaultBackend": {"service": {"name": "x", "port": {"number": 80}}},
        "tls": [{"hosts": [companion.host], "secretName": companion.secret_name}]}})
}
