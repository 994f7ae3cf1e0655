//! Issuers: what of cert-manager's Issuer and ClusterIssuer tells how hosts are validated.

use k8s_openapi::{ClusterResourceScope, NamespaceResourceScope};
use kube::api::ObjectMeta;
use serde::Deserialize;

use crate::{
    api::lenient,
    core::issuer::{IssuerFacts, IssuerSpec, IssuerStatus},
};

/// A `cert-manager.io/v1` Issuer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Parts")]
pub struct Issuer {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec` and `status`.
    pub facts: IssuerFacts,
}

/// A `cert-manager.io/v1` ClusterIssuer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(from = "Parts")]
pub struct ClusterIssuer {
    /// `metadata`.
    pub metadata: ObjectMeta,
    /// `spec` and `status`.
    pub facts: IssuerFacts,
}

/// The same for both kinds.
#[derive(Deserialize)]
struct Parts {
    #[serde(default, deserialize_with = "lenient::metadata")]
    metadata: ObjectMeta,
    #[serde(default, deserialize_with = "lenient::some_object")]
    spec: Option<IssuerSpec>,
    #[serde(default, deserialize_with = "lenient::some_object")]
    status: Option<IssuerStatus>,
}

impl From<Parts> for Issuer {
    fn from(parts: Parts) -> Self {
        Self { metadata: parts.metadata, facts: IssuerFacts::of(parts.spec, parts.status) }
    }
}

impl From<Parts> for ClusterIssuer {
    fn from(parts: Parts) -> Self {
        Self { metadata: parts.metadata, facts: IssuerFacts::of(parts.spec, parts.status) }
    }
}

super::cert_manager_resource!(Issuer, "Issuer", "issuers", NamespaceResourceScope);
super::cert_manager_resource!(ClusterIssuer, "ClusterIssuer", "clusterissuers", ClusterResourceScope);
