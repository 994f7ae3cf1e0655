//! RFC 6902 operations as certgate makes them: `add`, `replace` and `remove` only.
//!
//! Values are JSON text from the start: they are written once into the answer
//! to a review, and a tree of them would cost more than the decision.

use serde::{Serialize, Serializer, ser::Error as _};
use serde_json::value::RawValue;

use super::plain_run::plain_run;

/// One operation of a JSON Patch (RFC 6902 §4).
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub enum PatchOp {
    /// Adds a member or inserts an element.
    Add {
        /// RFC 6901 pointer.
        path: String,
        /// What is added.
        value: Json,
    },
    /// Replaces an existing value.
    Replace {
        /// RFC 6901 pointer.
        path: String,
        /// What takes its place.
        value: Json,
    },
    /// Removes an existing value.
    Remove {
        /// RFC 6901 pointer.
        path: String,
    },
}

/// A JSON value as text. Made by the writers of this module, so it is one whole value.
#[derive(Clone, Debug, PartialEq)]
pub struct Json(String);

/// The pointer to an annotation, its key escaped (RFC 6901 §3).
pub fn annotation_path(key: &str) -> String {
    let mut path = String::with_capacity(24 + key.len());
    path.push_str("/metadata/annotations/");
    let mut rest = key;
    while let Some((plain, from)) =
        rest.bytes().position(|octet| octet == b'/' || octet == b'~').and_then(|at| rest.split_at_checked(at))
    {
        path.push_str(plain);
        path.push_str(if from.starts_with('~') { "~0" } else { "~1" });
        rest = from.get(1..).unwrap_or_default();
    }
    path.push_str(rest);
    path
}

/// Writes a patch, a list of operations, as JSON.
pub fn write(patch: &[PatchOp], out: &mut String) {
    list(out, patch, |op, out| {
        let (name, path, value) = match op {
            PatchOp::Add { path, value } => ("add", path, Some(value)),
            PatchOp::Replace { path, value } => ("replace", path, Some(value)),
            PatchOp::Remove { path } => ("remove", path, None),
        };
        out.push_str(r#"{"op":""#);
        out.push_str(name);
        out.push_str(r#"","path":"#);
        string(out, path);
        if let Some(value) = value {
            out.push_str(r#","value":"#);
            out.push_str(&value.0);
        }
        out.push('}');
    });
}

/// Writes a JSON string.
pub fn string(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    // Text in quotes, as a record is, is mostly text: whole runs are taken over, and the rare character left to serde.
    loop {
        let (plain, from) = rest.split_at_checked(plain_run(rest.as_bytes())).unwrap_or((rest, ""));
        out.push_str(plain);
        // What is escaped is ASCII, so one octet.
        let Some((special, after)) = from.split_at_checked(1) else { break };
        match special {
            "\"" => out.push_str("\\\""),
            "\\" => out.push_str("\\\\"),
            control => {
                // A string in memory cannot fail to serialise.
                let escaped = serde_json::to_string(control).unwrap_or_default();
                out.push_str(escaped.trim_matches('"'));
            }
        }
        rest = after;
    }
    out.push('"');
}

/// Writes a JSON array.
pub fn list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut one: impl FnMut(T, &mut String)) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        one(item, out);
    }
    out.push(']');
}

/// Writes a JSON object of strings.
pub fn map<'a>(out: &mut String, members: impl IntoIterator<Item = (&'a str, &'a str)>) {
    out.push('{');
    for (index, (key, value)) in members.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        string(out, key);
        out.push(':');
        string(out, value);
    }
    out.push('}');
}

// === impl Json ===

impl Json {
    /// What `write` writes, which must be one whole value, in about `size` octets.
    pub(crate) fn written(size: usize, write: impl FnOnce(&mut String)) -> Self {
        let mut text = String::with_capacity(size);
        write(&mut text);
        Self(text)
    }

    /// A string.
    pub fn text(text: &str) -> Self {
        Self::written(text.len() + text.len() / 4 + 2, |out| string(out, text))
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serde_json::from_str::<&RawValue>(&self.0).map_err(S::Error::custom)?.serialize(serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pointers_are_escaped() {
        assert_eq!(annotation_path("a.example/b~c/d"), "/metadata/annotations/a.example~1b~0c~1d");
        assert_eq!(annotation_path("/~例~"), "/metadata/annotations/~1~0例~0");
    }

    proptest! {
        /// What is written by hand is what serde writes, whatever the texts are.
        #[test]
        fn a_patch_is_written_as_serde_would(path in any::<String>(), pairs in prop::collection::btree_map(any::<String>(), any::<String>(), 0..4)) {
            let pairs_of = || pairs.iter().map(|(key, value)| (key.as_str(), value.as_str()));
            let patch = [
                PatchOp::Add { path: path.clone(), value: Json::written(8, |out| map(out, pairs_of())) },
                PatchOp::Replace { path: annotation_path(&path), value: Json::text(&path) },
                PatchOp::Add { path: path.clone(), value: Json::written(8, |out| list(out, pairs.keys(), |key, out| string(out, key))) },
                PatchOp::Remove { path: path.clone() },
            ];
            let mut text = String::new();
            write(&patch, &mut text);
            prop_assert_eq!(&text, &serde_json::to_string(&patch).unwrap());
            let keys: Vec<&String> = pairs.keys().collect();
            let expected = serde_json::json!([
                {"op": "add", "path": path, "value": pairs},
                {"op": "replace", "path": annotation_path(&path), "value": path},
                {"op": "add", "path": path, "value": keys},
                {"op": "remove", "path": path},
            ]);
            prop_assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), expected.clone());
            prop_assert_eq!(serde_json::to_value(&patch).unwrap(), expected);
        }
    }
}
