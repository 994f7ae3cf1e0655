//! Issuers: `spec` and `status` as they are; what they mean is read in [`crate::core`].

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::ObjectMeta;
use serde::Deserialize;
use serde_json::Value;

/// A `cert-manager.io/v1` Issuer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Issuer {
    /// `metadata`.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// `spec` and `status`.
    #[serde(flatten)]
    pub body: Body,
}

/// A `cert-manager.io/v1` ClusterIssuer.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct ClusterIssuer {
    /// `metadata`.
    #[serde(default)]
    pub metadata: ObjectMeta,
    /// `spec` and `status`.
    #[serde(flatten)]
    pub body: Body,
}

/// The same for both kinds.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Body {
    /// `spec`.
    #[serde(default)]
    pub spec: Value,
    /// `status`.
    #[serde(default)]
    pub status: Value,
}

super::cert_manager_resource!(Issuer, "Issuer", "issuers", NamespaceResourceScope);
super::cert_manager_resource!(ClusterIssuer, "ClusterIssuer", "clusterissuers", ClusterResourceScope);
