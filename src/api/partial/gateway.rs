//! Where the gateway is reached: what of a Service and of Rainbond's description of the cluster tells it.

use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, api::ObjectMeta};
use serde::Deserialize;

use crate::api::lenient;

/// A core `v1` Service.
#[derive(Clone, Debug, Default, Deserialize, Resource)]
#[resource(inherit = "k8s_openapi::api::core::v1::Service")]
pub struct Service {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    /// `status`.
    #[serde(default, deserialize_with = "lenient::object")]
    pub status: Status,
}

/// The parts of a Service's `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `loadBalancer`.
    #[serde(deserialize_with = "lenient::object")]
    pub load_balancer: LoadBalancer,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Where it is reached.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub ingress: Vec<Point>,
}

/// One address or name of a load balancer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Point {
    /// An IP address.
    pub ip: Option<String>,
    /// A name.
    pub hostname: Option<String>,
}

/// A `rainbond.io/v1alpha1` RainbondCluster. Fields of other types than Rainbond's say nothing.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct RainbondCluster {
    /// `metadata`.
    #[serde(deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    /// `spec`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub spec: ClusterSpec,
}

/// The parts of its `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ClusterSpec {
    /// The gateway's addresses.
    #[serde(rename = "gatewayIngressIPs", deserialize_with = "lenient::each")]
    pub gateway_ingress_ips: Vec<String>,
    /// Its nodes.
    #[serde(deserialize_with = "lenient::each")]
    pub nodes_for_gateway: Vec<Node>,
    /// The suffix of default domains.
    #[serde(rename = "suffixHTTPHost", deserialize_with = "lenient::or_default")]
    pub suffix_http_host: Option<String>,
}

/// A node.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Node {
    /// Its address from outside.
    #[serde(rename = "externalIP")]
    pub external_ip: Option<String>,
}

super::resource!(
    RainbondCluster,
    "RainbondCluster",
    "rainbondclusters",
    NamespaceResourceScope,
    "rainbond.io",
    "v1alpha1"
);
