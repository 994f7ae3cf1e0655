//! [`Ingress`]: metadata, class, hosts, TLS entries and addresses.

use std::borrow::Cow;

use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer};

use crate::{
    api::lenient,
    core::{ingress as core, names},
};

/// The API group of Domains.
const DOMAIN_GROUP: &str = "certgate.dev/";

/// A `networking.k8s.io/v1` Ingress without its backends and all but one of its paths.
#[derive(Clone, Debug, Default, Deserialize, Resource)]
#[resource(inherit = "k8s_openapi::api::networking::v1::Ingress")]
pub struct Ingress {
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
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Spec {
    /// The class by field.
    pub ingress_class_name: Option<String>,
    /// The rules.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub rules: Vec<Rule>,
    /// The TLS entries; `None` where the field is absent.
    pub tls: Option<Vec<Tls>>,
}

/// One rule.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Rule {
    /// Its host.
    pub host: Option<String>,
    /// Whether it has the path `/`, or one that is not said.
    #[serde(rename = "http", deserialize_with = "has_root")]
    pub root: bool,
}

/// Reads `http` and keeps whether `/` is among its paths.
fn has_root<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Http<'a> {
        #[serde(borrow)]
        paths: Option<Vec<Path<'a>>>,
    }
    #[derive(Deserialize, Default)]
    #[serde(default)]
    struct Path<'a> {
        #[serde(borrow)]
        path: Option<Cow<'a, str>>,
    }
    let http = Option::<Http<'de>>::deserialize(deserializer)?.unwrap_or_default();
    let paths = http.paths.unwrap_or_default();
    Ok(paths.iter().any(|path| matches!(path.path.as_deref(), None | Some("" | "/"))))
}

/// One entry of `spec.tls`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tls {
    /// Its hosts.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub hosts: Vec<String>,
    /// Its Secret.
    pub secret_name: Option<String>,
}

/// The parts of `status`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Status {
    /// `loadBalancer`.
    #[serde(deserialize_with = "lenient::or_default")]
    pub load_balancer: LoadBalancer,
}

/// `status.loadBalancer`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LoadBalancer {
    /// Where the Ingress is reached.
    #[serde(deserialize_with = "lenient::each")]
    pub ingress: Vec<Address>,
}

/// One address of a load balancer.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Address {
    /// An IP address.
    pub ip: Option<String>,
}

// === impl Ingress ===

impl Ingress {
    /// Whether one of its rules has the path `/`.
    pub fn has_root(&self) -> bool {
        self.spec.rules.iter().any(|rule| rule.root)
    }

    /// Whether it is one that certgate itself made.
    pub fn is_certgates(&self) -> bool {
        let labelled = self.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(names::COMPANION_OF));
        // All that certgate makes is a Domain's. What bears its labels alone is a person's, and never written over.
        let mut owners = self.metadata.owner_references.iter().flatten();
        let of_domain = owners.any(|owner| {
            owner.controller == Some(true) && owner.kind == "Domain" && owner.api_version.starts_with(DOMAIN_GROUP)
        });
        labelled
            && of_domain
            && core::is_certgates(
                self.metadata.name.as_deref().unwrap_or_default(),
                self.spec.ingress_class_name.as_deref(),
                labelled,
            )
    }

    /// What decisions read, owned. Annotations that nobody reads are only counted.
    pub fn into_core(self) -> core::Ingress<'static> {
        let meta = self.metadata;
        let annotations = meta.annotations.map(|all| {
            let total = all.len();
            let octets = all.iter().map(|(key, value)| key.len() + value.len()).sum();
            let read = all
                .into_iter()
                .filter(|(key, _)| core::Annotations::is_read(key))
                .map(|(key, value)| (Cow::Owned(key), Cow::Owned(value)))
                .collect();
            core::Annotations { read, total, octets }
        });
        let labels = meta.labels.unwrap_or_default();
        core::Ingress {
            metadata: core::Metadata {
                name: Cow::Owned(meta.name.unwrap_or_default()),
                namespace: Cow::Owned(meta.namespace.unwrap_or_default()),
                uid: Cow::Owned(meta.uid.unwrap_or_default()),
                labels: core::Labels::new(labels.into_iter().map(|(k, v)| (Cow::Owned(k), Cow::Owned(v))).collect()),
                annotations,
                deletion_timestamp: meta.deletion_timestamp.map(|time| owned(time.0.to_string())),
            },
            spec: core::Spec {
                ingress_class_name: self.spec.ingress_class_name.map(owned),
                rules: self.spec.rules.into_iter().map(|rule| core::Rule { host: rule.host.map(owned) }).collect(),
                tls: self.spec.tls.map(|entries| {
                    entries
                        .into_iter()
                        .map(|entry| core::TlsEntry {
                            hosts: entry.hosts.into_iter().map(owned).collect(),
                            secret_name: entry.secret_name.map(owned),
                        })
                        .collect()
                }),
            },
            octets: 0,
        }
    }
}

fn owned(text: String) -> core::CowStr<'static> {
    core::CowStr(Cow::Owned(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An object as the API server sends it in a watch.
    const JSON: &str = r#"{"apiVersion":"networking.k8s.io/v1","kind":"Ingress","metadata":{"name":"a","namespace":"n","uid":"u",
        "resourceVersion":"7","generation":2,"creationTimestamp":"2026-01-02T03:04:05Z",
        "labels":{"creator":"Rainbond"},
        "annotations":{"certgate.dev/auto-issue":"true","example.com/other":"1234567890"},
        "managedFields":[{"manager":"m","operation":"Update","fieldsV1":{"f:spec":{}}}]},
        "spec":{"ingressClassName":"nginx","defaultBackend":{"service":{"name":"s","port":{"number":80}}},
          "rules":[{"host":"a.example.com","http":{"paths":[{"path":"/\u0061"},{"path":"/"}]}},{"http":null},{}],
          "tls":[{"hosts":["b.example.com"],"secretName":"s"},{}]},
        "status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.7"},{"hostname":"lb.example.net"}]}}}"#;

    #[test]
    fn reads_the_same_as_the_webhook_does() -> Result<(), serde_json::Error> {
        let partial: Ingress = serde_json::from_str(JSON)?;
        assert_eq!(partial.status.load_balancer.ingress.iter().filter_map(|a| a.ip.as_deref()).count(), 1);
        assert!(partial.has_root());
        let mut ours = partial.into_core();
        let mut theirs: core::Ingress<'_> = serde_json::from_str(JSON)?;
        // The webhook counts raw JSON, quotes included: an upper bound.
        let size = |ingress: &mut core::Ingress<'_>| {
            ingress.metadata.annotations.as_mut().map(|a| std::mem::take(&mut a.octets)).unwrap_or_default()
        };
        assert!(size(&mut ours) <= size(&mut theirs));
        assert_eq!(ours, theirs);
        Ok(())
    }
}
