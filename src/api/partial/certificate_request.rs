//! [`CertificateRequest`]: what of cert-manager's CertificateRequest tells what it asks for and what became of it.

use jiff::Timestamp;
use k8s_openapi::NamespaceResourceScope;
use kube::api::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

use super::certificate::Issuer;
use crate::api::lenient;

/// A `cert-manager.io/v1` CertificateRequest.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct CertificateRequest {
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
    /// The CSR: base64 of a PEM.
    pub request: String,
    /// Its issuer.
    #[serde(deserialize_with = "lenient::object")]
    pub issuer_ref: Issuer,
}

/// The parts of `status`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Status {
    /// The conditions as they are: who adds one writes back the others.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub conditions: Vec<Value>,
}

super::cert_manager_resource!(CertificateRequest, "CertificateRequest", "certificaterequests", NamespaceResourceScope);

// === impl CertificateRequest ===

impl CertificateRequest {
    /// Why it failed or was denied, in words.
    pub fn failure(&self) -> Option<&str> {
        fn text<'c>(condition: &'c Value, field: &str) -> &'c str {
            condition.get(field).and_then(Value::as_str).unwrap_or_default()
        }
        let ready = self.status.conditions.iter().find(|one| text(one, "type") == "Ready")?;
        matches!(text(ready, "reason"), "Failed" | "Denied").then(|| text(ready, "message"))
    }

    /// Whether nobody has approved or denied it yet.
    pub fn is_open(&self) -> bool {
        let decided =
            |c: &Value| matches!(c.get("type").and_then(Value::as_str), Some("Approved" | "Denied" | "InvalidRequest"));
        self.metadata.deletion_timestamp.is_none() && !self.status.conditions.iter().any(decided)
    }

    /// Whether it is approved and has neither succeeded nor failed.
    pub fn is_under_way(&self) -> bool {
        let is = |kind: &str, field: &str, values: &[&str]| {
            let of_kind = |c: &&Value| c.get("type").and_then(Value::as_str) == Some(kind);
            let found = self.status.conditions.iter().find(of_kind).and_then(|c| c.get(field)?.as_str());
            found.is_some_and(|value| values.contains(&value))
        };
        self.metadata.deletion_timestamp.is_none()
            && is("Approved", "status", &["True"])
            && !is("Ready", "status", &["True"])
            && !is("Ready", "reason", &["Failed", "Denied"])
    }

    /// When it was approved.
    pub fn approved_at(&self) -> Option<Timestamp> {
        let approved =
            self.status.conditions.iter().find(|c| c.get("type").and_then(Value::as_str) == Some("Approved"))?;
        approved.get("lastTransitionTime")?.as_str()?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_open_until_somebody_decides() -> Result<(), serde_json::Error> {
        for (conditions, open) in [
            ("", true),
            (r#"{"type":"Ready","status":"False"}"#, true),
            (r#"{"type":"Approved","status":"True"}"#, false),
            (r#"{"type":"Denied","status":"True"}"#, false),
        ] {
            let text = format!(
                r#"{{"metadata":{{"name":"a-1"}},"spec":{{"request":"LS0=","issuerRef":{{"name":"le"}}}},"status":{{"conditions":[{conditions}]}}}}"#
            );
            assert_eq!(serde_json::from_str::<CertificateRequest>(&text)?.is_open(), open, "{conditions}");
        }
        Ok(())
    }

    #[test]
    fn an_approved_request_is_under_way_until_it_is_over() -> Result<(), serde_json::Error> {
        let approved = r#"{"type":"Approved","status":"True","lastTransitionTime":"2026-11-25T12:00:00Z"}"#;
        for (ready, under_way) in [
            ("", true),
            (r#","reason":"Pending","status":"False""#, true),
            (r#","reason":"Issued","status":"True""#, false),
            (r#","reason":"Failed","status":"False""#, false),
        ] {
            let text = format!(r#"{{"status":{{"conditions":[{approved},{{"type":"Ready"{ready}}}]}}}}"#);
            let request: CertificateRequest = serde_json::from_str(&text)?;
            assert_eq!(request.is_under_way(), under_way, "{ready}");
            assert_eq!(request.approved_at().map(|at| at.to_string()).as_deref(), Some("2026-11-25T12:00:00Z"));
        }
        Ok(())
    }
}
