//! Reads any mix of Kubernetes documents, YAML or JSON.

use serde_json::Value;

/// The most octets read of one file.
pub const MAX_FILE_OCTETS: usize = 64 * 1024 * 1024;

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
}

/// A document and where it came from.
#[derive(Debug)]
pub struct Document {
    /// The object.
    pub object: Value,
    /// Where it came from.
    pub origin: Origin,
}

/// A file and the number of the document in it.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The file's name as given.
    pub file: String,
    /// The document's number, from 1.
    pub number: usize,
}

/// Why documents are unusable.
#[derive(Debug, thiserror::Error)]
pub enum DocumentsError {
    /// The file cannot be read.
    #[error("{file}: cannot be read: {source}")]
    Unreadable {
        /// The file's name as given.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// The file is larger than is read.
    #[error("{file}: larger than {} MiB; split it", MAX_FILE_OCTETS / 1024 / 1024)]
    TooLarge {
        /// The file's name as given.
        file: String,
    },
    /// The text is neither YAML nor JSON.
    #[error("{file}: neither YAML nor JSON: {message}")]
    Syntax {
        /// The file's name as given.
        file: String,
        /// What and where.
        message: String,
    },
    /// A document is no Kubernetes object, or has fields of wrong types.
    #[error("{file}, document {number}: not a usable {what}: {message}")]
    Unusable {
        /// The file's name as given.
        file: String,
        /// The document's number, from 1.
        number: usize,
        /// What it should have been.
        what: &'static str,
        /// What is wrong.
        message: String,
    },
}

// === impl Origin ===

impl Origin {
    /// The error that says this document is unusable.
    pub fn unusable(&self, what: &'static str, message: &dyn std::fmt::Display) -> DocumentsError {
        DocumentsError::Unusable { file: self.file.clone(), number: self.number, what, message: message.to_string() }
    }
}

// === impl Documents ===

impl Documents {
    /// Adds the documents of one text.
    ///
    /// # Errors
    /// Text that is neither YAML nor JSON, or a document that is no Kubernetes object.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), DocumentsError> {
        if text.len() > MAX_FILE_OCTETS {
            return Err(DocumentsError::TooLarge { file: file.to_owned() });
        }
        let documents: Vec<Value> = match serde_json::from_str::<Value>(text) {
            Ok(one) => vec![one],
            Err(_) => serde_saphyr::from_multiple(text).map_err(|error| DocumentsError::Syntax {
                file: file.to_owned(),
                message: error.without_snippet().to_string(),
            })?,
        };
        for (index, document) in documents.into_iter().enumerate() {
            if !document.is_null() {
                self.sort_in(document, &Origin { file: file.to_owned(), number: index + 1 })?;
            }
        }
        Ok(())
    }

    fn sort_in(&mut self, object: Value, origin: &Origin) -> Result<(), DocumentsError> {
        let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default().to_owned();
        let group = object.get("apiVersion").and_then(Value::as_str).unwrap_or_default().to_owned();
        let group = group.split_once('/').map_or("", |(group, _)| group);
        let shelf = match (kind.as_str(), group) {
            ("", _) => return Err(origin.unusable("Kubernetes object", &"it has no `kind`")),
            ("List", _) | ("IngressList", _) => {
                let items = object.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
                return items.into_iter().try_for_each(|item| self.sort_in(item, origin));
            }
            ("AdmissionReview", _) => {
                let request = object.get("request");
                let mut inner = request
                    .and_then(|request| request.get("object"))
                    .filter(|inner| !inner.is_null())
                    .cloned()
                    .ok_or_else(|| origin.unusable("AdmissionReview", &"it has no `request.object`"))?;
                // The request speaks for the object where that leaves its namespace out.
                let namespace = request.and_then(|request| request.get("namespace"));
                if let (Some(namespace), Some(metadata)) =
                    (namespace, inner.get_mut("metadata").and_then(Value::as_object_mut))
                {
                    metadata.entry("namespace").or_insert_with(|| namespace.clone());
                }
                return self.sort_in(inner, origin);
            }
            ("Ingress", _) => &mut self.ingresses,
            ("Namespace", "") => &mut self.namespaces,
            ("Domain", "certgate.dev") => &mut self.domains,
            ("Issuer" | "ClusterIssuer", _) => &mut self.issuers,
            ("ApisixRoute", _) => &mut self.routes,
            ("Certificate", _) => &mut self.certificates,
            ("Secret", "") => &mut self.secrets,
            // Others may stand in the same file; they have no say.
            _ => return Ok(()),
        };
        shelf.push(Document { object, origin: origin.clone() });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Documents, DocumentsError> {
        let mut documents = Documents::default();
        documents.add("in.yaml", text).map(|()| documents)
    }

    #[test]
    fn a_mix_of_kinds_is_sorted() {
        let documents = read(
            "# a comment\napiVersion: networking.k8s.io/v1\nkind: Ingress\n---\napiVersion: v1\nkind: Namespace\n---\n---\napiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: List\nitems: [{apiVersion: networking.k8s.io/v1, kind: Ingress}]\n",
        )
        .unwrap();
        assert_eq!((documents.ingresses.len(), documents.namespaces.len()), (2, 1));
    }

    #[test]
    fn an_admission_review_gives_its_object_and_namespace() {
        let documents =
            read(r#"{"kind":"AdmissionReview","request":{"namespace":"n","object":{"kind":"Ingress","metadata":{"name":"a"}}}}"#)
                .unwrap();
        assert_eq!(documents.ingresses[0].object["metadata"]["namespace"], "n");
    }

    #[test]
    fn faults_name_file_and_place() {
        let error = read("kind: Ingress\n  bad: [").unwrap_err().to_string();
        assert!(error.starts_with("in.yaml: neither YAML nor JSON: ") && error.contains("line 2"), "{error}");
        let error = read("---\na: 1\n").unwrap_err().to_string();
        assert_eq!(error, "in.yaml, document 1: not a usable Kubernetes object: it has no `kind`");
    }
}
