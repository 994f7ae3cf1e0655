//! Which backend a request goes to.

use k8s_openapi::api::networking::v1::{HTTPIngressPath, Ingress, IngressBackend};
use kube::ResourceExt;

/// The class of Ingresses that only certgate and cert-manager look at.
const COMPANION_CLASS: &str = "certgate-companion";
const CLASS_ANNOTATION: &str = "kubernetes.io/ingress.class";

/// A Service to ask.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Backend {
    pub(super) namespace: String,
    pub(super) service: String,
}

/// How well a host pattern fits: an exact host beats a wildcard, which beats none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum HostFit {
    /// The pattern is empty and fits every host.
    Any,
    /// The pattern's wildcard stands for the host's first label.
    Wildcard,
    /// It is the host.
    Exact,
}

impl HostFit {
    pub(crate) fn of(pattern: &str, host: &str) -> Option<Self> {
        if pattern.is_empty() {
            return Some(Self::Any);
        }
        if pattern.eq_ignore_ascii_case(host) {
            return Some(Self::Exact);
        }
        let (_, parent) = host.split_once('.')?;
        pattern.strip_prefix("*.")?.eq_ignore_ascii_case(parent).then_some(Self::Wildcard)
    }
}

/// Whether any gateway would look at an Ingress.
pub(super) fn is_served(ingress: &Ingress) -> bool {
    let class = ingress.spec.as_ref().and_then(|spec| spec.ingress_class_name.as_deref());
    let annotated = ingress.annotations().get(CLASS_ANNOTATION).map(String::as_str);
    class.or(annotated) != Some(COMPANION_CLASS)
}

/// The best host's longest path; without any, a default backend.
pub(super) fn find<'a>(ingresses: impl Iterator<Item = &'a Ingress>, host: &str, path: &str) -> Option<Backend> {
    let mut best = None;
    let mut fallback = None;
    for ingress in ingresses.filter(|ingress| is_served(ingress)) {
        let Some(spec) = &ingress.spec else { continue };
        let backend = |to: &IngressBackend| {
            let service = to.service.as_ref()?.name.clone();
            Some(Backend { namespace: ingress.namespace()?, service })
        };
        fallback = fallback.or_else(|| spec.default_backend.as_ref().and_then(backend));
        for rule in spec.rules.iter().flatten() {
            let Some(fit) = HostFit::of(rule.host.as_deref().unwrap_or_default(), host) else { continue };
            for candidate in rule.http.iter().flat_map(|http| &http.paths).filter(|p| fits(p, path)) {
                let score = (fit, candidate.path.as_ref().map_or(0, String::len));
                if best.as_ref().is_none_or(|(best, _)| score > *best)
                    && let Some(backend) = backend(&candidate.backend)
                {
                    best = Some((score, backend));
                }
            }
        }
    }
    best.map(|(_, backend)| backend).or(fallback)
}

fn fits(candidate: &HTTPIngressPath, path: &str) -> bool {
    let wanted = candidate.path.as_deref().unwrap_or("/");
    match candidate.path_type.as_str() {
        "Exact" => path == wanted,
        "Prefix" => {
            let wanted = wanted.trim_end_matches('/');
            path.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
        _ => path.starts_with(wanted),
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;
    use serde_json::json;

    use super::*;

    #[test]
    fn hosts_are_ranked() {
        let cases = [
            ("", "a.test", Some(HostFit::Any)),
            ("a.test", "A.test", Some(HostFit::Exact)),
            ("*.test", "a.test", Some(HostFit::Wildcard)),
            ("*.test", "b.a.test", None),
            ("*.test", "test", None),
            ("b.test", "a.test", None),
        ];
        for (pattern, host, expected) in cases {
            assert_eq!(HostFit::of(pattern, host), expected, "{pattern} {host}");
        }
        assert!(HostFit::Exact > HostFit::Wildcard && HostFit::Wildcard > HostFit::Any);
    }

    fn ingress(name: &str, class: Option<&str>, host: &str, paths: &[(&str, &str)]) -> Result<Ingress> {
        let paths: Vec<_> = (paths.iter())
            .map(|(kind, path)| {
                let service = json!({"name": format!("{name}{path}"), "port": {"number": 80}});
                json!({"path": path, "pathType": kind, "backend": {"service": service}})
            })
            .collect();
        Ok(serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "ns"},
            "spec": {"ingressClassName": class, "rules": [{"host": host, "http": {"paths": paths}}]},
        }))?)
    }

    #[test]
    fn the_best_route_wins() -> Result<()> {
        let ingresses = [
            ingress("exact", None, "a.test", &[("Prefix", "/"), ("Prefix", "/api"), ("Exact", "/api/v1")])?,
            ingress("wild", Some("lab"), "*.test", &[("Prefix", "/"), ("ImplementationSpecific", "/api/v1/long")])?,
            ingress("companion", Some(COMPANION_CLASS), "c.test", &[("Prefix", "/")])?,
            serde_json::from_value(json!({
                "metadata": {"name": "default", "namespace": "ns"},
                "spec": {"defaultBackend": {"service": {"name": "fallback", "port": {"number": 80}}}},
            }))?,
        ];
        let cases = [
            ("a.test", "/", "exact/"),
            ("a.test", "/api", "exact/api"),
            ("a.test", "/apis", "exact/"),
            ("a.test", "/api/v1", "exact/api/v1"),
            ("a.test", "/api/v1/long", "exact/api"),
            ("b.test", "/api/v1/longer", "wild/api/v1/long"),
            ("c.test", "/", "wild/"),
            ("c.example", "/", "fallback"),
        ];
        for (host, path, service) in cases {
            let found = find(ingresses.iter(), host, path).map(|b| b.service);
            assert_eq!(found.as_deref(), Some(service), "{host}{path}");
        }
        Ok(())
    }
}
