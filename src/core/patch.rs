//! RFC 6902 operations as certgate makes them: `add`, `replace` and `remove` only.

use serde::Serialize;
use serde_json::Value;

/// One operation of a JSON Patch (RFC 6902 §4).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOp {
    /// Adds a member or inserts an element.
    Add {
        /// RFC 6901 pointer.
        path: String,
        /// What is added.
        value: Value,
    },
    /// Replaces an existing value.
    Replace {
        /// RFC 6901 pointer.
        path: String,
        /// What takes its place.
        value: Value,
    },
    /// Removes an existing value.
    Remove {
        /// RFC 6901 pointer.
        path: String,
    },
}

/// The pointer to an annotation, its key escaped (RFC 6901 §3).
pub fn annotation_path(key: &str) -> String {
    format!("/metadata/annotations/{}", key.replace('~', "~0").replace('/', "~1"))
}
