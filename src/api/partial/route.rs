//! [`ApisixRoute`]: what of a route of Rainbond 6 tells which hosts it serves, and whether they are to have certificates.

use k8s_openapi::NamespaceResourceScope;
use kube::api::ObjectMeta;
use serde::Deserialize;

use crate::api::lenient;

/// An `apisix.apache.org/v2` ApisixRoute.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ApisixRoute {
    /// `metadata`.
    #[serde(deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    /// `spec`.
    #[serde(deserialize_with = "lenient::object")]
    pub spec: Spec,
}

/// The parts of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Its HTTP rules.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub http: Vec<Http>,
}

/// An HTTP rule.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Http {
    /// What it applies to.
    #[serde(deserialize_with = "lenient::object")]
    pub r#match: Match,
}

/// What a rule applies to.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Match {
    /// Its hosts, as written.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub hosts: Vec<String>,
}

super::resource!(ApisixRoute, "ApisixRoute", "apisixroutes", NamespaceResourceScope, "apisix.apache.org", "v2");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_of_rainbond_6_is_read() {
        let text = include_str!("../../../tests/fixtures/v6/apisixroute-two-hosts.yaml");
        let route: ApisixRoute = serde_saphyr::from_str(text).unwrap();
        let hosts: Vec<_> = route.spec.http.iter().flat_map(|rule| &rule.r#match.hosts).collect();
        assert_eq!(hosts, ["a.shop-example.com", "b.shop-example.com"]);
        assert!(route.metadata.labels.is_some_and(|labels| labels.contains_key("app_id")));
    }

    #[test]
    fn a_route_for_tcp_serves_no_host() {
        let route: ApisixRoute = serde_json::from_str(r#"{"metadata":{"name":"r"},"spec":{"stream":[{}]}}"#).unwrap();
        assert_eq!(route.spec, Spec::default());
    }
}
