//! The twin: a plain Ingress of certgate's own beside one of Rainbond 5's, for
//! `http: keep`. That gateway serves an Ingress with a certificate on port 443
//! alone; a second one of the same path without it keeps port 80 open, which is
//! how Rainbond's own "HTTP and HTTPS" works.

use serde_json::{Map, Value, json};

use crate::core::{
    decision::Decision,
    host::Host,
    ingress::Ingress,
    knowledge::Knowledge,
    names,
    policy::{PlainHttp, Policy, Profile},
    reason::Action,
    record::Present,
    settings::{Scope, parse_flag},
};

/// The longest name of an object (Kubernetes).
const MAX_NAME: usize = 253;
/// What Rainbond 5's gateway reads of annotations.
const GATEWAY_PREFIX: &str = "nginx.ingress.kubernetes.io/";

/// The name of an Ingress' twin; `None`: its own name leaves no room for one.
pub fn name(ingress: &str) -> Option<String> {
    (ingress.len() + names::TWIN_SUFFIX.len() <= MAX_NAME).then(|| format!("{ingress}{}", names::TWIN_SUFFIX))
}

/// The Ingress whose twin has that name.
pub fn original(twin: &str) -> Option<&str> {
    twin.strip_suffix(names::TWIN_SUFFIX).filter(|name| !name.is_empty())
}

/// The host for which an Ingress needs a twin, if it does: served over TLS by
/// certgate's doing, while plain HTTP is to stay.
pub fn wanted<K: Knowledge>(
    ingress: &Ingress<'_>,
    decision: &Decision<'_>,
    knowledge: &K,
    policy: &Policy,
) -> Option<Host> {
    if decision.profile != Profile::RainbondV5 || redirects(ingress) {
        return None;
    }
    let scope = Scope { ingress, knowledge, policy };
    let kept = ingress.rule_hosts().find(|written| scope.plain_http(written) == PlainHttp::Keep)?;
    let host = Host::parse(kept).ok()?;
    let injected = |decided: &&crate::core::decision::HostDecision<'_>| {
        decided.action == Action::Inject && decided.host == host.as_str()
    };
    decision.hosts.iter().find(injected)?;
    Some(host)
}

/// Whether the user wants HTTP redirected.
fn redirects(ingress: &Ingress<'_>) -> bool {
    let ours = || Present::claimed(ingress).record.annotations.contains_key(names::FORCE_SSL_REDIRECT);
    ingress.annotation(names::FORCE_SSL_REDIRECT).and_then(parse_flag).unwrap_or(false) && !ours()
}

/// The twin of an Ingress as the API server has it: the same rules and settings
/// of the gateway, no TLS, and no label of Rainbond's but the one that its gateway asks
/// for: what bears a component's labels is deleted with it.
pub fn object(ingress: &Value, host: &Host) -> Option<Value> {
    let name = name(ingress.pointer("/metadata/name")?.as_str()?)?;
    let annotations: Map<String, Value> = ingress
        .pointer("/metadata/annotations")
        .and_then(Value::as_object)
        .into_iter()
        .flatten()
        .filter(|(key, _)| key.starts_with(GATEWAY_PREFIX) && *key != names::FORCE_SSL_REDIRECT)
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let mut spec = ingress.get("spec")?.clone();
    spec.as_object_mut()?.remove("tls");
    Some(json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "labels": super::companion::labels(host, true),
            "annotations": annotations,
        },
        "spec": spec,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_twin_has_the_rules_and_nothing_that_its_application_is_known_by() {
        let ingress = json!({
            "metadata": {
                "name": "7d1f",
                "labels": {"creator": "Rainbond", "service_id": "s", "creater_id": "1", "app_id": "a"},
                "annotations": {
                    "nginx.ingress.kubernetes.io/proxy-body-size": "0",
                    "nginx.ingress.kubernetes.io/force-ssl-redirect": "true",
                    "cert-manager.io/cluster-issuer": "le",
                    "certgate.dev/injected": "{}",
                },
            },
            "spec": {"rules": [{"host": "www.example.com"}], "tls": [{"hosts": ["www.example.com"], "secretName": "s"}]},
        });
        let host = Host::parse("www.example.com").unwrap();
        let twin = object(&ingress, &host).unwrap();
        assert_eq!(twin["metadata"]["name"], "7d1f-certgate-http");
        assert_eq!(original("7d1f-certgate-http"), Some("7d1f"));
        assert_eq!(twin["spec"], json!({"rules": [{"host": "www.example.com"}]}));
        assert_eq!(twin["metadata"]["annotations"], json!({"nginx.ingress.kubernetes.io/proxy-body-size": "0"}));
        let labels = twin["metadata"]["labels"].as_object().unwrap();
        assert_eq!(labels["creator"], "Rainbond");
        assert!(!["service_id", "creater_id", "app_id"].iter().any(|label| labels.contains_key(*label)));
        assert!(labels.contains_key(names::COMPANION_OF), "so that no decision touches it");
    }

    #[test]
    fn a_name_without_room_has_no_twin() {
        assert_eq!(name(&"a".repeat(240)), None);
        assert_eq!(original("-certgate-http"), None);
    }
}
