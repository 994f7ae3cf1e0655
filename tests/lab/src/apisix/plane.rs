//! What APISIX would do with what it was told.

use rustls::sign::CertifiedKey;
use serde_json::Value;

use super::AdminStore;
use crate::gateway::Plane;
use crate::gateway::route::HostFit;
use crate::gateway::tls::certified_key;
use crate::view::{Answered, ClusterView};

/// Answers by the routes and certificates of the admin API.
pub(super) struct AdminPlane {
    pub(super) store: AdminStore,
    pub(super) view: ClusterView,
}

impl Plane for AdminPlane {
    fn answer(&self, host: &str, path: &str) -> Answered {
        let routes = self.store.objects("routes");
        let best = routes.iter().filter_map(|route| Some((score(route, host, path)?, route))).max_by_key(|(s, _)| *s);
        let upstream = best.and_then(|(_, route)| self.store.object("upstreams", route.get("upstream_id")?.as_str()?));
        let Some(upstream) = upstream else { return Answered { status: 404, body: "no route\n".into() } };
        // The controller names an upstream by namespace, Service and port.
        let mut words = upstream.get("name").and_then(Value::as_str).unwrap_or_default().split('_');
        let (namespace, service) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        self.view.answer_for(namespace, service, host, path)
    }

    fn certificate(&self, host: &str) -> Option<CertifiedKey> {
        let certificates = self.store.objects("ssls");
        let fits = certificates.iter().filter_map(|ssl| Some((best_host(ssl, "snis", host)?, ssl)));
        let (_, ssl) = fits.max_by_key(|(fit, _)| *fit)?;
        let pem = |field: &str| ssl.get(field).and_then(Value::as_str).map(str::as_bytes);
        certified_key(pem("cert")?, pem("key")?).ok()
    }
}

fn best_host(object: &Value, field: &str, host: &str) -> Option<HostFit> {
    object.get(field)?.as_array()?.iter().filter_map(|pattern| HostFit::of(pattern.as_str()?, host)).max()
}

/// How well a route fits: the host first, then the priority that the controller gave it, then the length of the path.
fn score(route: &Value, host: &str, path: &str) -> Option<(HostFit, i64, usize)> {
    let fit = match route.get("hosts").or_else(|| route.get("host")) {
        None => HostFit::Any,
        Some(Value::String(pattern)) => HostFit::of(pattern, host)?,
        Some(_) => best_host(route, "hosts", host)?,
    };
    let uris = route.get("uris").and_then(Value::as_array).into_iter().flatten();
    let uris = uris.chain(route.get("uri")).filter_map(Value::as_str);
    let longest = uris.filter(|uri| match uri.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => path == *uri,
    });
    let priority = route.get("priority").and_then(Value::as_i64).unwrap_or_default();
    Some((fit, priority, longest.map(str::len).max()?))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn routes_are_scored_by_host_and_path() {
        let route = json!({"hosts": ["a.test", "*.b.test"], "uris": ["/x", "/x/*"]});
        assert_eq!(score(&route, "a.test", "/x"), Some((HostFit::Exact, 0, 2)));
        assert_eq!(score(&route, "a.test", "/x/y"), Some((HostFit::Exact, 0, 4)));
        assert_eq!(score(&route, "c.b.test", "/x"), Some((HostFit::Wildcard, 0, 2)));
        assert_eq!(score(&route, "a.test", "/xy"), None);
        assert_eq!(score(&route, "c.test", "/x"), None);
        let bare = json!({"uri": "/*", "priority": 5});
        assert_eq!(score(&bare, "c.test", "/x"), Some((HostFit::Any, 5, 2)));
    }
}
