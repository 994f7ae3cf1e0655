//! What the lab's stand-ins for a gateway and a kubelet see of the cluster.

use std::fmt::Debug;
use std::future::ready;
use std::hash::Hash;

use anyhow::Result;
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Pod, Secret, Service};
use k8s_openapi::api::networking::v1::Ingress;
use kube::runtime::reflector::{self, ObjectRef, Store};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::task::JoinSet;

/// The label that cert-manager puts on the Services of its HTTP-01 solvers.
const SOLVER_LABEL: &str = "acme.cert-manager.io/http01-solver";
pub(crate) const CHALLENGE_PATH: &str = "/.well-known/acme-challenge/";

/// Watched objects.
#[derive(Clone)]
pub(crate) struct ClusterView {
    pub(crate) ingresses: Store<Ingress>,
    pub(crate) services: Store<Service>,
    pub(crate) pods: Store<Pod>,
    pub(crate) secrets: Store<Secret>,
}

/// What stands behind a Service answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) body: String,
}

impl ClusterView {
    /// Starts the watches and waits until all have been seen.
    pub(crate) async fn start(client: &Client, tasks: &mut JoinSet<()>) -> Result<Self> {
        let view = Self {
            ingresses: watch(client, tasks),
            services: watch(client, tasks),
            pods: watch(client, tasks),
            secrets: watch(client, tasks),
        };
        view.ingresses.wait_until_ready().await?;
        view.services.wait_until_ready().await?;
        view.pods.wait_until_ready().await?;
        view.secrets.wait_until_ready().await?;
        Ok(view)
    }

    /// What a Service would say.
    pub(crate) fn answer_for(&self, namespace: &str, service: &str, host: &str, path: &str) -> Answered {
        match self.services.get(&ObjectRef::new(service).within(namespace)) {
            Some(service) => self.answer(&service, host, path),
            None => Answered { status: 503, body: "no such service\n".into() },
        }
    }

    /// What the Pods of a Service would say: those of an application its name, those of a solver the challenge's answer.
    pub(crate) fn answer(&self, service: &Service, host: &str, path: &str) -> Answered {
        if service.labels().contains_key(SOLVER_LABEL) {
            return match self.solve(service, host, path) {
                Some(key) => Answered { status: 200, body: key },
                None => Answered { status: 404, body: "no such challenge\n".into() },
            };
        }
        let name = service.name_any();
        Answered { status: 200, body: format!("backend {}/{name}\n", service.namespace().unwrap_or_default()) }
    }

    /// Does what the solver container would: its arguments say which key answers which token of which host.
    fn solve(&self, service: &Service, host: &str, path: &str) -> Option<String> {
        let selector = service.spec.as_ref()?.selector.as_ref()?;
        let pods = self.pods.state_filter(|pod| {
            pod.namespace() == service.namespace() && selector.iter().all(|(k, v)| pod.labels().get(k) == Some(v))
        });
        let containers = pods.iter().filter_map(|pod| pod.spec.as_ref()).flat_map(|spec| &spec.containers);
        containers.into_iter().find_map(|container| {
            let arguments = container.args.as_ref()?;
            let argument = |name: &str| {
                arguments.iter().find_map(|a| a.trim_start_matches('-').strip_prefix(name)?.strip_prefix('='))
            };
            let token = path.strip_prefix(CHALLENGE_PATH)?;
            let fits = argument("domain")?.eq_ignore_ascii_case(host) && argument("token")? == token;
            fits.then(|| argument("key").map(str::to_owned)).flatten()
        })
    }
}

fn watch<K>(client: &Client, tasks: &mut JoinSet<()>) -> Store<K>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + Debug + Send + Sync + 'static,
    K::DynamicType: Eq + Hash + Clone,
{
    let (store, writer) = reflector::store();
    let events = watcher(Api::<K>::all(client.clone()), watcher::Config::default()).default_backoff().reflect(writer);
    tasks.spawn(events.for_each(|event| {
        if let Err(error) = event {
            // Expected while the API server is stopped by a test.
            tracing::debug!(%error, "a watch of the lab is interrupted");
        }
        ready(())
    }));
    store
}

/// The name in a Host header.
pub(crate) fn bare_host(host: &str) -> String {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::bare_host;

    #[test]
    fn hosts_lose_their_port() {
        for (header, host) in [("A.test", "a.test"), ("a.test:80", "a.test"), ("[::1]:80", "[::1]"), ("[::1]", "[::1]")]
        {
            assert_eq!(bare_host(header), host);
        }
    }
}
