//! [`Certificate`]: what ingress-shim makes, as far as it sets fields.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::go;

/// A Certificate as ingress-shim makes it. Serialised, it is the object's JSON.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Certificate {
    /// `metadata`.
    pub metadata: Metadata,
    /// `spec`.
    pub spec: Spec,
}

/// The parts of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Metadata {
    /// The Secret's name.
    pub name: String,
    /// The Ingress' labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What the issuer is to do otherwise than it usually does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// `spec`.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Its names, in the order of the TLS entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub dns_names: Vec<String>,
    /// Addresses among the hosts of the TLS entry.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ip_addresses: Vec<String>,
    /// Where it is kept.
    pub secret_name: String,
    /// Who issues it.
    pub issuer_ref: Issuer,
    /// All that annotations ask for.
    #[serde(flatten)]
    pub wishes: Wishes,
}

/// `spec.issuerRef`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Issuer {
    /// Its name.
    pub name: String,
    /// Its kind.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// Its API group.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
}

/// What annotations ask for, beside names of the hosts' kind.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Wishes {
    /// The subject's common name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub common_name: String,
    /// Names beside the hosts (1.21).
    #[serde(skip)]
    pub alt_names: Vec<String>,
    /// Addresses beside the hosts (1.21).
    #[serde(skip)]
    pub ip_sans: Vec<String>,
    /// Mail addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub email_addresses: Vec<String>,
    /// The rest of the subject.
    #[serde(skip_serializing_if = "Subject::is_empty")]
    pub subject: Subject,
    /// How long it is valid.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration")]
    pub duration: Option<go::Nanoseconds>,
    /// How long before its end it is renewed.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "duration")]
    pub renew_before: Option<go::Nanoseconds>,
    /// The same, in hundredths of its whole time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renew_before_percentage: Option<i32>,
    /// What its key may be used for; none: cert-manager's default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub usages: Vec<String>,
    /// How many CertificateRequests are kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision_history_limit: Option<i32>,
    /// Its key.
    #[serde(skip_serializing_if = "PrivateKey::is_empty")]
    pub private_key: PrivateKey,
    /// Labels and annotations of the Secret.
    #[serde(skip_serializing_if = "SecretTemplate::is_empty")]
    pub secret_template: SecretTemplate,
}

/// `spec.subject`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields of X.509, by their names")]
pub struct Subject {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizations: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub countries: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub organizational_units: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub localities: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub provinces: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub street_addresses: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub postal_codes: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub serial_number: String,
}

/// `spec.privateKey`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PrivateKey {
    /// `RSA`, `ECDSA` or `Ed25519`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub algorithm: String,
    /// `PKCS1` or `PKCS8`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub encoding: String,
    /// In bits.
    #[serde(skip_serializing_if = "is_zero")]
    pub size: i64,
    /// `Never` or `Always`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rotation_policy: String,
}

/// `spec.secretTemplate`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct SecretTemplate {
    /// Annotations.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

// === impl Subject ===

impl Subject {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl PrivateKey ===

impl PrivateKey {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

// === impl SecretTemplate ===

impl SecretTemplate {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

#[expect(clippy::ref_option, reason = "serde asks so")]
fn duration<S: Serializer>(duration: &Option<go::Nanoseconds>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&go::written(duration.unwrap_or_default()))
}
