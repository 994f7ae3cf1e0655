//! What cert-manager writes on the way from a CertificateRequest to a certificate, reduced to how far it
//! got. Keys and tokens are never read.

use k8s_openapi::NamespaceResourceScope;
use kube::api::ObjectMeta;
use serde::Deserialize;

use super::certificate::Issuer;
use crate::api::lenient;

/// An `acme.cert-manager.io/v1` Order.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Order {
    /// `metadata`.
    #[serde(deserialize_with = "lenient::metadata_with_last_write")]
    pub metadata: ObjectMeta,
    /// `spec`.
    #[serde(deserialize_with = "lenient::object")]
    pub spec: OrderSpec,
    /// `status`.
    #[serde(deserialize_with = "lenient::object")]
    pub status: Progress,
}

/// The parts of an Order's spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OrderSpec {
    /// The names of the certificate.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub dns_names: Vec<String>,
    /// Its issuer.
    #[serde(deserialize_with = "lenient::object")]
    pub issuer_ref: Issuer,
}

/// An `acme.cert-manager.io/v1` Challenge.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Challenge {
    /// `metadata`.
    #[serde(deserialize_with = "lenient::metadata_with_last_write")]
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: ChallengeSpec,
    /// `status`.
    #[serde(deserialize_with = "lenient::object")]
    pub status: Progress,
}

/// The parts of a Challenge's spec.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ChallengeSpec {
    /// The name that is validated.
    pub dns_name: String,
}

/// The parts of an Order's or Challenge's status.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Where the CA keeps the order; empty: it does not know of it.
    pub url: String,
    /// One of ACME's states, or `errored`.
    pub state: String,
    /// Why, in words.
    pub reason: String,
    /// What an order brought: base64 of a PEM chain.
    pub certificate: String,
}

super::cert_manager_resource!(Order, "Order", "orders", NamespaceResourceScope, "acme.cert-manager.io");
super::cert_manager_resource!(Challenge, "Challenge", "challenges", NamespaceResourceScope, "acme.cert-manager.io");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_read_as_cert_manager_writes_it() -> Result<(), serde_json::Error> {
        let challenge: Challenge = serde_json::from_str(
            r#"{"apiVersion":"acme.cert-manager.io/v1","kind":"Challenge","metadata":{"name":"c","namespace":"n"},
              "spec":{"dnsName":"a.example.com","key":"secret","token":"secret","type":"HTTP-01","wildcard":false},
              "status":{"presented":true,"processing":true,"reason":"Waiting for HTTP-01 challenge propagation: wrong status code '404', expected '200'","state":"pending"}}"#,
        )?;
        assert_eq!(challenge.status.state, "pending");
        assert!(!format!("{challenge:?}").contains("secret"));
        let order: Order = serde_json::from_str(r#"{"metadata":{"name":"o"},"spec":{"request":"x"}}"#)?;
        assert_eq!(order.status, Progress::default());
        Ok(())
    }
}
