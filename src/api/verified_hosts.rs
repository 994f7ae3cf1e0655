//! `VerifiedHosts`: one per namespace, named `certgate`; the hosts that may be
//! injected now. The one parameter of the admission policies: the API server
//! evaluates a policy once per parameter, so it must be one object, not one per host.

use std::collections::BTreeMap;

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::core::limits::PastOrder;

/// The name of the one object in each namespace.
pub const NAME: &str = "certgate";

/// The hosts of a namespace that may be injected now. Written by the controller alone.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "certgate.dev",
    version = "v1alpha1",
    kind = "VerifiedHosts",
    plural = "verifiedhosts",
    namespaced,
    derive = "PartialEq",
    doc = "The hosts of a namespace that may be given TLS now; written by certgate's controller alone, read by admission policies."
)]
#[serde(rename_all = "camelCase")]
pub struct VerifiedHostsSpec {
    /// Host → name of its Secret.
    #[serde(default)]
    pub hosts: BTreeMap<String, String>,
    /// The issuer that the simple injection names.
    #[serde(default)]
    pub issuer: String,
    /// Host → the issuer that it is verified for, as `kind/name`, where that is another than the ClusterIssuer `issuer`;
    /// `*`: nobody orders for it, its Secret is there.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub issuers: BTreeMap<String, String>,
    /// Orders of the last two weeks that no other object tells of, as the CA counts them; the latest hundred.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub orders: Vec<PastOrder>,
}
