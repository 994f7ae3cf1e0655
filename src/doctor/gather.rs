//! Looks at everything, side by side and within deadlines. Nothing is left behind: the one write is a dry run.

mod rights;
mod trial;
mod unread;

use std::time::{Duration, Instant};

use futures::future::join_all;
use http::Request;
use jiff::Timestamp;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Namespace, Secret},
        discovery::v1::EndpointSlice,
        networking::v1::Ingress,
    },
    apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
};
use kube::{
    Api, Client, Resource as _, ResourceExt as _,
    api::{ApiResource, DynamicObject, ListParams},
    client::Body,
    core::GroupVersionKind,
};
use serde::Deserialize;

use super::{
    CERT_MANAGER_KINDS, issuing,
    observed::{GatewayNames, Names, Observed, Resolvers, Seen, Server},
};
use crate::{
    api::{
        domain::Domain,
        list,
        partial::{
            gateway::{RainbondCluster, Service},
            metadata::Metadata,
        },
        read::Read,
        verified_hosts::VerifiedHosts,
    },
    cli::crd,
    cluster::gateway::{of_service, target},
    core::policy::{Dns, Policy},
    dns::{Manner, Preflight, parse_server},
    pki::store::TLS_CERTIFICATE,
};

/// The most names of the gateway that are followed.
const MOST_NAMES: usize = 4;
/// Where Rainbond 6 keeps APISIX's configuration: the ConfigMap and its key.
const APISIX_CONFIG: (&str, &str) = ("apisix-gw-config.yaml", "config.yaml");
/// The key of the policy in its ConfigMap.
const POLICY_FILE: &str = "policy.yaml";

/// What to look at, and how.
pub struct Options {
    /// certgate's namespace.
    pub namespace: String,
    /// The prefix of its names.
    pub prefix: String,
    /// The policy, in place of the one in the cluster.
    pub policy: Option<Policy>,
    /// Whether this runs in the cluster, where the Pods' resolvers are at hand.
    pub inside: bool,
    /// How long each question may take.
    pub patience: Duration,
}

/// Why nothing can be looked at.
#[derive(Debug, thiserror::Error)]
pub enum GatherError {
    /// The API server did not answer.
    #[error("the API server does not answer: {0}")]
    Server(#[source] kube::Error),
    /// It did not answer in time.
    #[error("the API server does not answer within {0:?}")]
    Timeout(Duration),
    /// It said something else than its version.
    #[error("the API server does not tell its version: {0}")]
    Version(String),
}

/// Looks at everything.
///
/// # Errors
/// The API server does not answer at all.
pub async fn gather(client: &Client, options: Options) -> Result<Observed, GatherError> {
    let Options { namespace, prefix, policy, inside, patience } = options;
    let look = Look { client: client.clone(), patience };
    let (now, server) = look.server().await?;
    let names = Names::of(&namespace, &prefix, None, None);
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), &namespace);
    let (webhook, controller) = (names.service(), names.controller());
    let (webhook, controller) = tokio::join!(look.one(&deployments, &webhook), look.one(&deployments, &controller));
    let names = Names::of(&namespace, &prefix, webhook.get(), controller.get());
    let policy = match policy {
        Some(policy) => Seen::Here(Ok(policy)),
        None => look.policy(&names).await,
    };
    let mut observed = Observed { now, server, names, webhook, controller, policy, ..Observed::default() };
    look.own(&mut observed).await;
    look.others(&mut observed).await;
    let settings = observed.policy().cloned().unwrap_or_default();
    let found = observed.gateway_service.get().map(of_service);
    let names = target(&settings, found.iter()).cnames;
    let found = tokio::join!(
        look.access(&observed.names, &settings),
        look.trial(observed.configuration.get(), &settings),
        resolvers(&settings.dns, inside),
        gateway_names(&settings.dns, inside, names),
    );
    (observed.access, observed.trial, observed.resolvers, observed.gateway_names) = found;
    Ok(observed)
}

/// One who looks, patiently.
pub(super) struct Look {
    client: Client,
    patience: Duration,
}

/// What `/version` says.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Version {
    major: String,
    minor: String,
    git_version: String,
}

// === impl Look ===

impl Look {
    async fn server(&self) -> Result<(Timestamp, Server), GatherError> {
        let request = Request::get("/version").body(Body::empty());
        let request = request.map_err(|error| GatherError::Version(error.to_string()))?;
        let (begun, watch) = (Timestamp::now(), Instant::now());
        let asked = async {
            let response = self.client.send(request).await?;
            let date =
                response.headers().get(http::header::DATE).and_then(|date| date.to_str().ok()).map(str::to_owned);
            let halfway = begun.checked_add(watch.elapsed() / 2).unwrap_or(begun);
            let body = response.into_body().collect_bytes().await?;
            Ok((halfway, date, body))
        };
        let asked = tokio::time::timeout(self.patience, asked).await;
        let (now, date, body) = asked.map_err(|_| GatherError::Timeout(self.patience))?.map_err(GatherError::Server)?;
        let version: Version =
            serde_json::from_slice(&body).map_err(|error| GatherError::Version(error.to_string()))?;
        // Providers write "33+".
        let number =
            |text: &str| text.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
        let date = date.and_then(|date| jiff::fmt::rfc2822::parse(&date).ok()).map(|date| date.timestamp());
        let server = Server {
            version: (number(&version.major), number(&version.minor)),
            git_version: version.git_version,
            date,
        };
        Ok((now, server))
    }

    /// Waits for an answer, but not for ever.
    async fn seen<T>(&self, asked: impl Future<Output = kube::Result<T>>) -> Seen<T> {
        match tokio::time::timeout(self.patience, asked).await {
            Err(_) => Seen::Failed(format!("no answer within {:?}", self.patience)),
            Ok(answer) => seen(answer),
        }
    }

    async fn one<K>(&self, api: &Api<K>, name: &str) -> Seen<K>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        self.seen(api.get(name)).await
    }

    async fn all<K>(&self, api: &Api<K>, params: ListParams) -> Seen<Vec<K>>
    where
        K: Clone + std::fmt::Debug + serde::de::DeserializeOwned,
    {
        // No page of many need come faster than a list of one page.
        let page = |params: ListParams| async move {
            let asked = api.list(&params);
            let late = |_| kube::Error::Service(format!("no answer within {:?}", self.patience).into());
            tokio::time::timeout(self.patience, asked).await.map_err(late)?
        };
        seen(list::pages(&params, page).await)
    }

    async fn policy(&self, names: &Names) -> Seen<Result<Policy, String>> {
        let api: Api<ConfigMap> = Api::namespaced(self.client.clone(), &names.namespace);
        let map = self.one(&api, &names.policy).await;
        match map.map(|map| map.data.and_then(|mut data| data.remove(POLICY_FILE))) {
            Seen::Here(Some(text)) => {
                let parsed = crate::config::parse(std::path::Path::new(POLICY_FILE), &text);
                Seen::Here(parsed.map_err(|error| error.to_string()))
            }
            Seen::Here(None) | Seen::Absent => Seen::Absent,
            Seen::Forbidden(why) => Seen::Forbidden(why),
            Seen::Failed(why) => Seen::Failed(why),
        }
    }

    /// What is certgate's own.
    async fn own(&self, observed: &mut Observed) {
        let client = || self.client.clone();
        let names = observed.names.clone();
        let namespace = names.namespace.as_str();
        let definitions: Api<CustomResourceDefinition> = Api::all(client());
        let expected = crd::definitions();
        let defined = join_all(expected.iter().map(|expected| {
            let name = expected.name_any();
            let definitions = &definitions;
            async move { self.one(definitions, &name).await }
        }));
        let secrets: Api<Secret> = Api::namespaced(client(), namespace);
        let serving = async {
            let secret = self.one(&secrets, &names.tls_secret).await;
            match secret.map(|secret| secret.data.and_then(|mut data| data.remove(TLS_CERTIFICATE))) {
                Seen::Here(Some(pem)) => Seen::Here(pem.0),
                Seen::Here(None) | Seen::Absent => Seen::Absent,
                Seen::Forbidden(why) => Seen::Forbidden(why),
                Seen::Failed(why) => Seen::Failed(why),
            }
        };
        let (service, controller, approval) = (names.service(), names.controller(), names.approval());
        let (lease, configuration, gate) =
            (Api::namespaced(client(), namespace), Api::all(client()), Api::all(client()));
        let (slices, own_policies) = (Api::namespaced(client(), namespace), Api::namespaced(client(), namespace));
        let domains: Api<Read<Domain>> = Api::all(client());
        let (policies, bindings) = (Api::all(client()), Api::all(client()));
        let namespaces: Api<Read<Metadata<Namespace>>> = Api::all(client());
        let guards: Api<Read<Metadata<VerifiedHosts>>> = Api::all(client());
        // All of them: which are missing cannot be told from a part.
        let every = ListParams::default();
        let of_service = ListParams::default().labels(&format!("kubernetes.io/service-name={service}"));
        let found = tokio::join!(
            defined,
            serving,
            self.one(&lease, &controller),
            self.one(&configuration, &names.prefix),
            self.one(&gate, &approval),
            self.all(&slices, of_service),
            self.all(&own_policies, ListParams::default()),
            self.all(&domains, ListParams::default()),
            self.all(&policies, ListParams::default()),
            self.all(&bindings, ListParams::default()),
            self.seen(list::all(&namespaces, &every)),
            self.seen(list::all(&guards, &every)),
            self.unreadable(),
        );
        observed.namespaces = found.10.map(|list| {
            let staying = list.into_iter().filter(|object| object.meta().deletion_timestamp.is_none());
            staying.map(|object| object.name_any()).collect()
        });
        observed.guarded =
            found.11.map(|list| list.into_iter().filter_map(|object| object.meta().namespace.clone()).collect());
        observed.definitions = expected.into_iter().zip(found.0).collect();
        (observed.serving, observed.lease, observed.configuration) = (found.1, found.2, found.3);
        (observed.approval, observed.endpoints, observed.network_policies) = (found.4, found.5, found.6);
        observed.domains = found.7.map(|domains| domains.into_iter().filter_map(Read::object).collect());
        (observed.admission_policies, observed.bindings) = (found.8, found.9);
        observed.unreadable = found.12;
    }

    /// What is others'.
    async fn others(&self, observed: &mut Observed) {
        let client = || self.client.clone();
        let policy = observed.policy().cloned().unwrap_or_default();
        let definitions: Api<CustomResourceDefinition> = Api::all(client());
        let cert_manager = join_all(CERT_MANAGER_KINDS.map(|name| {
            let definitions = &definitions;
            async move { (name, self.one(definitions, name).await) }
        }));
        let deployments: Api<Deployment> = Api::all(client());
        let labels =
            ListParams::default().labels("app.kubernetes.io/name=cert-manager,app.kubernetes.io/component=controller");
        let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("cert-manager.io", "v1", "ClusterIssuer"));
        let cluster_issuers: Api<DynamicObject> = Api::all_with(client(), &kind);
        let mut wanted: Vec<_> = policy.issuers().filter(|issuer| issuing::is_looked_at(issuer)).cloned().collect();
        wanted.sort();
        wanted.dedup();
        let issuers = join_all(wanted.into_iter().map(|issuer| {
            let api = &cluster_issuers;
            async move {
                let seen = self.one(api, &issuer.name).await;
                (issuer, seen)
            }
        }));
        let gateway = async {
            match &policy.gateway.service {
                Some(service) => {
                    let api: Api<Service> = Api::namespaced(client(), &service.namespace);
                    self.one(&api, &service.name).await
                }
                None => Seen::Absent,
            }
        };
        let rainbond = async {
            if !policy.gateway.rainbond {
                return Seen::Absent;
            }
            let api: Api<RainbondCluster> = Api::all(client());
            let list = self.all(&api, ListParams::default()).await;
            first(list.map(|list| list.into_iter().filter(|object| object.name_any() == "rainbondcluster").collect()))
        };
        let ingresses: Api<Read<Metadata<Ingress>>> = Api::all(client());
        let of_rainbond = ListParams::default().labels("creator=Rainbond,service_id").limit(1);
        let classes = Api::all(client());
        let api_server: Api<EndpointSlice> = Api::namespaced(client(), "default");
        let of_api_server = ListParams::default().labels("kubernetes.io/service-name=kubernetes");
        let apisix = async {
            let (name, key) = APISIX_CONFIG;
            let maps: Api<ConfigMap> = Api::all(client());
            let list = self.all(&maps, ListParams::default().fields(&format!("metadata.name={name}"))).await;
            first(list.map(|list| {
                let file = |map: ConfigMap| Some((map.namespace()?, map.data?.remove(key)?));
                list.into_iter().filter_map(file).collect()
            }))
        };
        let found = tokio::join!(
            cert_manager,
            self.all(&deployments, labels),
            issuers,
            self.all(&classes, ListParams::default()),
            gateway,
            rainbond,
            self.seen(ingresses.list(&of_rainbond)),
            self.one(&definitions, "apisixroutes.apisix.apache.org"),
            self.all(&api_server, of_api_server),
            apisix,
        );
        (observed.cert_manager_definitions, observed.cert_manager, observed.issuers) = (found.0, found.1, found.2);
        (observed.classes, observed.gateway_service, observed.rainbond_cluster) = (found.3, found.4, found.5);
        observed.rainbond_ingresses = first(found.6.map(|list| list.items)).map(|_| ());
        (observed.apisix, observed.api_endpoints, observed.apisix_config) = (found.7.map(|_| ()), found.8, found.9);
    }
}

/// What an answer shows.
fn seen<T>(answer: kube::Result<T>) -> Seen<T> {
    match answer {
        Ok(object) => Seen::Here(object),
        Err(kube::Error::Api(status)) if status.code == 404 => Seen::Absent,
        Err(kube::Error::Api(status)) if status.code == 403 || status.code == 401 => {
            Seen::Forbidden(status.message.clone())
        }
        Err(error) => Seen::Failed(error.to_string()),
    }
}

/// The first of a list; an empty one is nothing.
fn first<T>(list: Seen<Vec<T>>) -> Seen<T> {
    match list.map(|list| list.into_iter().next()) {
        Seen::Here(Some(object)) => Seen::Here(object),
        Seen::Here(None) | Seen::Absent => Seen::Absent,
        Seen::Forbidden(why) => Seen::Forbidden(why),
        Seen::Failed(why) => Seen::Failed(why),
    }
}

/// Asks each resolver of the policy whether it is there.
async fn resolvers(dns: &Dns, inside: bool) -> Resolvers {
    if dns.servers.is_empty() {
        if !inside {
            return Resolvers::PodsOwn;
        }
        let answers = vec![("/etc/resolv.conf".to_owned(), answers(dns).await)];
        return Resolvers::Asked { inside, answers };
    }
    let answers = join_all(dns.servers.iter().map(|server| async move {
        let alone = Dns { servers: vec![server.clone()], ..dns.clone() };
        let shown = parse_server(server, 53).map_or_else(|| server.clone(), |address| address.to_string());
        (shown, answers(&alone).await)
    }))
    .await;
    Resolvers::Asked { inside, answers }
}

/// How the servers behave.
async fn answers(dns: &Dns) -> Result<Manner, String> {
    Preflight::new(dns).map_err(|error| error.to_string())?.manner().await
}

/// Where the gateway's own names lead. Asked from here, they are asked as the world would where policy names the
/// resolvers, and else as this machine does.
async fn gateway_names(dns: &Dns, inside: bool, names: Vec<String>) -> GatewayNames {
    let by_pods_resolvers = inside || !dns.servers.is_empty();
    let Ok(preflight) = Preflight::new(dns) else { return GatewayNames::default() };
    let each = join_all(names.into_iter().take(MOST_NAMES).map(|name| async {
        let found = preflight.look_up(name.trim_end_matches('.')).await;
        (name, found)
    }));
    GatewayNames { by_pods_resolvers, each: each.await }
}
