//! Reads any mix of Kubernetes documents, YAML or JSON, and names those that it cannot use.

use std::fmt;

use k8s_openapi::api::core::v1;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::text;
use crate::{
    api::{
        domain::Domain,
        partial::{certificate::Certificate, ingress, issuer, metadata::Metadata, route::ApisixRoute},
    },
    core::ingress::Ingress,
};

/// How deep Lists may stand in Lists.
const MAX_LISTS: usize = 8;

/// The documents of interest, by kind, in order.
#[derive(Debug, Default)]
pub struct Documents {
    /// Ingresses, also those inside AdmissionReviews.
    pub ingresses: Vec<Document>,
    /// Namespaces.
    pub namespaces: Vec<Document>,
    /// certgate Domains.
    pub domains: Vec<Document>,
    /// cert-manager Issuers and ClusterIssuers.
    pub issuers: Vec<Document>,
    /// ApisixRoutes of Rainbond 6.
    pub routes: Vec<Document>,
    /// cert-manager Certificates.
    pub certificates: Vec<Document>,
    /// Secrets, of which only metadata is looked at.
    pub secrets: Vec<Document>,
    /// What cannot be used.
    pub faults: Vec<Fault>,
}

/// A document and where it came from.
#[derive(Debug)]
pub struct Document {
    /// The object. Fields that are null are left out, as the API server reads them.
    pub object: Value,
    /// Where it came from.
    pub origin: Origin,
    /// A name that no other has, for an object whose name the API server would make up.
    made_up: Option<String>,
}

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file's name as given.
    pub file: String,
    /// The line where the document begins, from 1.
    pub line: usize,
}

/// A document that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where it stands.
    pub origin: Origin,
    /// Its kind, namespace and name, as far as it has them.
    pub what: String,
    /// What is wrong.
    pub message: String,
}

// === impl Fault ===

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin: Origin { file, line }, what, message } = self;
        match what.as_str() {
            "" => write!(f, "{file}:{line}: {message}"),
            what => write!(f, "{file}:{line}: {what}: {message}"),
        }
    }
}

// === impl Document ===

impl Document {
    fn new(object: Value, origin: &Origin, index: usize) -> Self {
        let given = |field: &str| object.pointer("/metadata")?.get(field)?.as_str().filter(|text| !text.is_empty());
        let made_up = match (given("name"), given("generateName")) {
            (None, Some(prefix)) => Some(format!("{prefix}{index}")),
            _ => None,
        };
        Self { origin: origin.clone(), made_up, object }
    }

    /// The object as the world knows it: with a name.
    pub fn named(&self) -> Value {
        let mut object = self.object.clone();
        if let (Some(name), Some(metadata)) = (&self.made_up, object.get_mut("metadata").and_then(Value::as_object_mut))
        {
            metadata.insert("name".to_owned(), Value::String(name.clone()));
        }
        object
    }

    /// Its name for a person: `generateName` and a star where the API server would make one up.
    pub fn name(&self) -> String {
        let text = |field: &str| self.object.pointer("/metadata")?.get(field)?.as_str();
        match &self.made_up {
            Some(_) => format!("{}*", text("generateName").unwrap_or_default()),
            None => text("name").unwrap_or_default().to_owned(),
        }
    }

    /// Whether it is an Ingress of a version that Kubernetes 1.22 and later do not serve.
    pub fn is_old(&self) -> bool {
        let version = self.object.get("apiVersion").and_then(Value::as_str);
        version.is_some_and(|version| version.ends_with("/v1beta1"))
    }

    /// The fault that this document has.
    pub fn fault(&self, message: impl fmt::Display) -> Fault {
        Fault { origin: self.origin.clone(), what: called(&self.object), message: message.to_string() }
    }
}

/// Kind, namespace and name of an object, as far as it has them.
fn called(object: &Value) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let name = match (text("/metadata/name"), text("/metadata/generateName")) {
        ("", "") => String::new(),
        ("", prefix) => format!("{prefix}*"),
        (name, _) => name.to_owned(),
    };
    let path: Vec<&str> = [text("/metadata/namespace"), &name].into_iter().filter(|part| !part.is_empty()).collect();
    let words = [text("/kind").to_owned(), path.join("/")];
    let shown: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).collect();
    // Whatever stands in a file, a fault is one line.
    shown.join(" ").chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect()
}

// === impl Documents ===

impl Documents {
    /// Adds the documents of one text. Those that cannot be used become faults.
    pub fn add(&mut self, file: &str, text: &str) {
        for piece in text::pieces(text) {
            let origin = Origin { file: file.to_owned(), line: piece.line };
            match piece.value {
                Ok(object) => self.sort_in(object, &origin, 0),
                Err(message) => self.faults.push(Fault { origin, what: String::new(), message }),
            }
        }
    }

    fn refuse(&mut self, object: &Value, origin: &Origin, message: impl Into<String>) {
        self.faults.push(Fault { origin: origin.clone(), what: called(object), message: message.into() });
    }

    fn sort_in(&mut self, mut object: Value, origin: &Origin, depth: usize) {
        if nests_deeper(&object, text::MAX_DEPTH + MAX_LISTS) {
            return self.refuse(&object, origin, "it nests too deep for a Kubernetes object");
        }
        drop_nulls(&mut object);
        let text = |field: &str| object.get(field).and_then(Value::as_str).unwrap_or_default().to_owned();
        let (kind, version) = (text("kind"), text("apiVersion"));
        let group = version.split_once('/').map_or("", |(group, _)| group);
        if kind.is_empty() {
            return self.refuse(&object, origin, "no Kubernetes object: it has no `kind`");
        }
        if let Some(of) = kind.strip_suffix("List") {
            return self.list(&mut object, origin, depth, (of, &version));
        }
        let shelf = match (kind.as_str(), group) {
            ("AdmissionReview", _) => return self.review(&object, origin, depth),
            ("Ingress", "networking.k8s.io" | "extensions" | "") => &mut self.ingresses,
            ("Namespace", "") => &mut self.namespaces,
            ("Domain", "certgate.dev") => &mut self.domains,
            ("Issuer" | "ClusterIssuer", "cert-manager.io" | "") => &mut self.issuers,
            ("ApisixRoute", "apisix.apache.org" | "") => &mut self.routes,
            ("Certificate", "cert-manager.io" | "") => &mut self.certificates,
            ("Secret", "") => &mut self.secrets,
            // Others may stand in the same file; they have no say.
            _ => return,
        };
        if let Some(fields) = object.as_object_mut() {
            fields.entry("metadata").or_insert_with(|| Map::new().into());
        }
        match unusable(&kind, &object) {
            None => {
                let index = shelf.len();
                shelf.push(Document::new(object, origin, index));
            }
            Some(why) => self.refuse(&object, origin, why),
        }
    }

    /// The items of a list, of which those of a typed one leave out what the list says for them.
    fn list(&mut self, object: &mut Value, origin: &Origin, depth: usize, (of, version): (&str, &str)) {
        let Some(items) = object.get_mut("items").map(Value::take) else { return };
        let Value::Array(items) = items else { return self.refuse(object, origin, "its `items` are no list") };
        if depth >= MAX_LISTS {
            return self.refuse(object, origin, "lists stand in lists too deep");
        }
        for mut item in items {
            if let (false, Some(fields)) = (of.is_empty(), item.as_object_mut()) {
                fields.entry("kind").or_insert_with(|| of.into());
                fields.entry("apiVersion").or_insert_with(|| version.into());
            }
            self.sort_in(item, origin, depth + 1);
        }
    }

    /// The object that an AdmissionReview is about.
    fn review(&mut self, review: &Value, origin: &Origin, depth: usize) {
        let Some(request) = review.get("request") else {
            return self.refuse(review, origin, "it has no `request`, so that there is nothing to decide on");
        };
        let Some(mut object) = request.get("object").cloned() else {
            let why = match request.get("operation").and_then(Value::as_str) {
                Some("DELETE") => "a deletion, on which there is nothing to decide",
                _ => "it has no `request.object`",
            };
            return self.refuse(review, origin, why);
        };
        // The request speaks for the object where that leaves something out.
        if let Some(fields) = object.as_object_mut()
            && let Some(metadata) = fields.entry("metadata").or_insert_with(|| Map::new().into()).as_object_mut()
        {
            for field in ["namespace", "name"] {
                if let Some(said) = request.get(field).filter(|said| said.as_str().is_some_and(|text| !text.is_empty()))
                {
                    metadata.entry(field).or_insert_with(|| said.clone());
                }
            }
        }
        if depth >= MAX_LISTS {
            return self.refuse(review, origin, "reviews stand in reviews too deep");
        }
        self.sort_in(object, origin, depth + 1);
    }
}

/// Whether a value nests deeper than that. Bounds what all else that walks through it takes of the stack.
fn nests_deeper(value: &Value, than: usize) -> bool {
    let deeper = |inner: &Value| than == 0 || nests_deeper(inner, than - 1);
    match value {
        Value::Object(fields) => fields.values().any(deeper),
        Value::Array(items) => items.iter().any(deeper),
        _ => false,
    }
}

/// Takes fields out that are null: to the API server they are not there.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.retain(|_, field| !field.is_null());
            fields.values_mut().for_each(drop_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Why an object is none of its kind; `None`: it is one.
fn unusable(kind: &str, object: &Value) -> Option<String> {
    for map in ["annotations", "labels"] {
        let fields = object.get("metadata").and_then(|metadata| metadata.get(map)?.as_object());
        let odd = fields.into_iter().flatten().find(|(_, value)| !value.is_string());
        if let Some((key, value)) = odd {
            return Some(match value {
                Value::Bool(_) | Value::Number(_) => {
                    format!("metadata.{map}: the value of {key} is no text; write it in quotes: \"{value}\"")
                }
                _ => format!("metadata.{map}: the value of {key} is no text"),
            });
        }
    }
    fn read<T: DeserializeOwned>(object: &Value) -> Result<(), serde_json::Error> {
        serde_json::from_value::<T>(object.clone()).map(drop)
    }
    let read = match kind {
        "Ingress" => read::<ingress::Ingress>(object)
            .and_then(|()| serde_json::from_str::<Ingress<'_>>(&object.to_string()).map(drop)),
        "Namespace" => read::<Metadata<v1::Namespace>>(object),
        "Secret" => read::<Metadata<v1::Secret>>(object),
        "Domain" => read::<Domain>(object),
        "Issuer" => read::<issuer::Issuer>(object),
        "ClusterIssuer" => read::<issuer::ClusterIssuer>(object),
        "ApisixRoute" => read::<ApisixRoute>(object),
        "Certificate" => read::<Certificate>(object),
        _ => Ok(()),
    };
    // A place in the text that was made of it would only mislead.
    let message = read.err()?.to_string();
    Some(message.split(" at line ").next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests;
