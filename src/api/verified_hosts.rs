//! `VerifiedHosts`: one per namespace, named `certgate`; the hosts that may be
//! injected now. The one parameter of the admission policies: the API server
//! evaluates a policy once per parameter, so it must be one object, not one per host.

use std::collections::BTreeMap;

use k8s_openapi::NamespaceResourceScope;
use kube::{CustomResource, Resource as _, api::ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::{lenient, partial::resource};
use crate::core::limits::PastOrder;

/// The name of the one object in each namespace.
pub const NAME: &str = "certgate";

/// The hosts of a namespace that may be injected now. Written by the controller alone.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct VerifiedHosts {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: VerifiedHostsSpec,
}

resource!(VerifiedHosts, "VerifiedHosts", "verifiedhosts", NamespaceResourceScope, "certgate.dev", "v1alpha1");

/// The hosts of a namespace that may be injected now. Written by the controller alone.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "certgate.dev",
    version = "v1alpha1",
    kind = "VerifiedHosts",
    root = "VerifiedHostsDefinition",
    plural = "verifiedhosts",
    namespaced,
    doc = "The hosts of a namespace that may be given TLS now; written by certgate's controller alone, read by admission policies."
)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedHostsSpec {
    /// Host → name of its Secret.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub hosts: BTreeMap<String, String>,
    /// The issuer that the simple injection names.
    #[serde(default, deserialize_with = "lenient::null_as_default")]
    pub issuer: String,
    /// Host → the issuer that it is verified for, as `kind/name`, where that is another than the ClusterIssuer `issuer`;
    /// `*`: nobody orders for it, its Secret is there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub issuers: BTreeMap<String, String>,
    /// Orders of the last two weeks that no other object tells of, as the CA counts them; the latest hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    #[schemars(length(max = 100))]
    pub orders: Vec<PastOrder>,
}

// === impl VerifiedHosts ===

impl Serialize for VerifiedHosts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            api_version: &'a str,
            kind: &'a str,
            metadata: &'a ObjectMeta,
            spec: &'a VerifiedHostsSpec,
        }
        let (api_version, kind) = (&*Self::api_version(&()), &*Self::kind(&()));
        Written { api_version, kind, metadata: &self.metadata, spec: &self.spec }.serialize(serializer)
    }
}

impl VerifiedHosts {
    /// One of that name, without a namespace.
    pub fn new(name: &str, spec: VerifiedHostsSpec) -> Self {
        Self { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, spec }
    }
}
