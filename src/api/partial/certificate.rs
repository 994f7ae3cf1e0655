//! [`Certificate`]: what of cert-manager's Certificate tells whether a host has one.

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
};
use kube::api::ObjectMeta;
use serde::Deserialize;

use crate::{
    api::lenient,
    core::policy::{IssuerKind, IssuerRef, is_default_group},
};

/// A `cert-manager.io/v1` Certificate.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Certificate {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    /// `spec`.
    #[serde(default, deserialize_with = "lenient::object")]
    pub spec: Spec,
    /// `status`.
    #[serde(default, deserialize_with = "lenient::object")]
    pub status: Status,
}

/// The parts of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The Secret it is kept in.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub secret_name: String,
    /// Its names.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub dns_names: Vec<String>,
    /// Its issuer.
    #[serde(deserialize_with = "lenient::object")]
    pub issuer_ref: Issuer,
}

/// `spec.issuerRef`. Read leniently: cert-manager may add fields.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Issuer {
    /// The issuer's name.
    pub name: String,
    /// The issuer's kind; none: `Issuer`.
    pub kind: Option<String>,
    /// The issuer's group; none: cert-manager's own.
    pub group: Option<String>,
}

/// The parts of `status`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `Ready` and `Issuing`.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub conditions: Vec<Condition>,
    /// When the certificate in the Secret begins.
    #[serde(deserialize_with = "lenient::exact_time")]
    pub not_before: Option<Time>,
    /// When the certificate in the Secret ends.
    #[serde(deserialize_with = "lenient::exact_time")]
    pub not_after: Option<Time>,
    /// When it is renewed.
    #[serde(deserialize_with = "lenient::time")]
    pub renewal_time: Option<Time>,
    /// When issuing last failed.
    #[serde(deserialize_with = "lenient::time")]
    pub last_failure_time: Option<Time>,
    /// What an ACME issuer says of it.
    pub acme: Acme,
}

/// `status.acme`, since cert-manager 1.21 with its feature gate `ACMEUseARI`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Acme {
    /// The CA's renewal information (RFC 9773).
    pub ari: Ari,
}

/// `status.acme.ari`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Ari {
    /// When the CA wants the certificate renewed.
    pub suggested_window: Option<Window>,
}

/// From when until when.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Window {
    /// Its start.
    pub start: Time,
    /// Its end.
    pub end: Time,
}

/// One condition.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Condition {
    /// Its type.
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Why, in a word.
    #[serde(deserialize_with = "lenient::or_default")]
    pub reason: String,
    /// Why, in a sentence.
    #[serde(deserialize_with = "lenient::or_default")]
    pub message: String,
    /// The generation of the object that it is about.
    #[serde(rename = "observedGeneration", deserialize_with = "lenient::or_default")]
    pub observed_generation: Option<i64>,
    /// Since when the status is that one.
    #[serde(rename = "lastTransitionTime", deserialize_with = "lenient::time")]
    pub last_transition_time: Option<Time>,
}

super::cert_manager_resource!(Certificate, "Certificate", "certificates", NamespaceResourceScope);

// === impl Certificate ===

impl Certificate {
    /// The condition of that type.
    pub fn condition(&self, kind: &str) -> Option<&Condition> {
        self.status.conditions.iter().find(|condition| condition.kind == kind)
    }

    /// Whether the condition of that type is `True`.
    pub fn is(&self, kind: &str) -> bool {
        self.condition(kind).is_some_and(|condition| condition.status == "True")
    }

    /// Whether the CA wants it renewed now.
    pub fn is_in_suggested_window(&self, now: Timestamp) -> bool {
        self.status.acme.ari.suggested_window.as_ref().is_some_and(|window| window.start.0 <= now && now < window.end.0)
    }

    /// The object that controls it.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
    }
}

impl From<&Issuer> for IssuerRef {
    fn from(issuer: &Issuer) -> Self {
        let kind = match issuer.kind.as_deref() {
            None | Some("" | "Issuer") => IssuerKind::Issuer,
            Some("ClusterIssuer") => IssuerKind::ClusterIssuer,
            Some(other) => IssuerKind::Other(other.to_owned()),
        };
        let group = issuer.group.clone().filter(|group| !is_default_group(group));
        Self { kind, name: issuer.name.clone(), group }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_read_as_cert_manager_writes_it() -> Result<(), serde_json::Error> {
        let certificate: Certificate = serde_json::from_str(
            r#"{"apiVersion":"cert-manager.io/v1","kind":"Certificate","metadata":{"name":"c","namespace":"n",
              "ownerReferences":[{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","name":"i","uid":"u","controller":true,"blockOwnerDeletion":true}]},
              "spec":{"dnsNames":["a.example.com"],"secretName":"c","issuerRef":{"group":"cert-manager.io","kind":"ClusterIssuer","name":"le"},"usages":["digital signature"]},
              "status":{"conditions":[{"type":"Ready","status":"True","reason":"Ready","message":"up to date","lastTransitionTime":"2026-01-01T00:00:00Z","observedGeneration":1}],
                "notAfter":"2026-04-01T00:00:00Z","renewalTime":"2026-03-01T00:00:00Z","revision":1}}"#,
        )?;
        assert!(certificate.is("Ready") && !certificate.is("Issuing"));
        assert_eq!(certificate.controller().map(|owner| owner.uid.as_str()), Some("u"));
        assert_eq!(IssuerRef::from(&certificate.spec.issuer_ref), IssuerRef::cluster("le"));
        assert!(certificate.status.not_after.is_some() && certificate.status.renewal_time.is_some());
        Ok(())
    }

    #[test]
    fn empty_kinds_and_groups_are_their_defaults() {
        let read = |json: &str| IssuerRef::from(&serde_json::from_str::<Issuer>(json).unwrap_or_default());
        let plain = read(r#"{"name":"x"}"#);
        for same in [
            r#"{"name":"x","kind":"","group":""}"#,
            r#"{"name":"x","kind":"Issuer","group":"cert-manager.io"}"#,
            r#"{"name":"x","kind":null,"group":null}"#,
        ] {
            assert_eq!(read(same), plain, "{same}");
        }
        assert_eq!(plain.to_string(), "Issuer/x");
        assert_ne!(read(r#"{"name":"x","group":"other.example"}"#), plain);
    }

    #[test]
    fn a_certificate_without_status_is_read() -> Result<(), serde_json::Error> {
        let certificate: Certificate =
            serde_json::from_str(r#"{"metadata":{"name":"c"},"spec":{"secretName":"c","issuerRef":{"name":"x"}}}"#)?;
        assert_eq!(IssuerRef::from(&certificate.spec.issuer_ref).to_string(), "Issuer/x");
        assert!(!certificate.is("Ready"));
        Ok(())
    }
}
