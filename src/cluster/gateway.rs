//! Where the gateway is reached from outside: what policy says, and what it says to look up.

use std::{convert::Infallible, net::IpAddr, sync::Arc};

use futures::{Stream, StreamExt as _};
use kube::{
    Api, Client, ResourceExt as _,
    api::ListParams,
    runtime::{WatchStreamExt as _, watcher},
};
use tokio::sync::watch;

use super::{watch::patience, worker::Shared};
use crate::{
    api::{
        partial::gateway::{RainbondCluster, Service},
        read::{Read, Unreadable},
    },
    core::{
        host::Host,
        policy::{Gateway, Policy, ServiceRef},
        verdict::GatewayTarget,
    },
};

/// Where something that was looked up is reached.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its names.
    pub names: Vec<String>,
    /// The suffix of the platform's default domains.
    pub suffix: Option<String>,
}

/// Where addresses beside the policy's come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The LoadBalancer Service that policy names.
    Service,
    /// Rainbond's own description of the cluster.
    Rainbond,
}

/// What a host must lead to, by policy and by what was looked up.
pub fn target<'f>(policy: &Policy, found: impl Iterator<Item = &'f Found>) -> GatewayTarget {
    let gateway = &policy.gateway;
    let mut addresses = gateway.addresses.clone();
    let mut cnames = gateway.cnames.clone();
    for Found { addresses: more, names, .. } in found {
        addresses.extend(more);
        cnames.extend(names.iter().cloned());
    }
    // In one order, so that the same gateway is the same question.
    addresses.sort_unstable();
    addresses.dedup();
    cnames.sort_unstable();
    cnames.dedup();
    GatewayTarget { addresses, cnames, target: gateway.target, allow_reserved: gateway.allow_reserved }
}

/// The addresses of a LoadBalancer Service.
pub fn of_service(service: &Service) -> Found {
    let points = &service.status.load_balancer.ingress;
    Found {
        addresses: points.iter().filter_map(|point| point.ip.as_deref()?.parse().ok()).collect(),
        names: points.iter().filter_map(|point| point.hostname.clone()).collect(),
        suffix: None,
    }
}

/// The addresses in a `RainbondCluster` (`rainbond.io/v1alpha1`): those of its
/// gateway as set or found, and its gateway nodes' outer ones; and the suffix of its default domains.
pub fn of_rainbond(cluster: &RainbondCluster) -> Found {
    let ips = cluster.spec.gateway_ingress_ips.iter().map(String::as_str);
    let outer = cluster.spec.nodes_for_gateway.iter().filter_map(|node| node.external_ip.as_deref());
    let suffix = cluster.spec.suffix_http_host.as_deref();
    // Of one label it would be a whole top-level domain.
    let suffix = suffix.and_then(|text| Host::parse(text).ok()).filter(|host| host.base().contains('.'));
    Found {
        addresses: ips.chain(outer).filter_map(|ip| ip.parse().ok()).collect(),
        names: Vec::new(),
        suffix: suffix.map(|host| host.base().to_owned()),
    }
}

/// The policy, with the suffixes of default domains that were looked up.
pub fn with_suffixes<'f>(policy: &Arc<Policy>, found: impl Iterator<Item = &'f Found>) -> Arc<Policy> {
    let known = |suffix: &&String| !policy.platform_domains.contains(*suffix);
    let more: Vec<String> = found.filter_map(|found| found.suffix.as_ref()).filter(known).cloned().collect();
    if more.is_empty() {
        return policy.clone();
    }
    let mut policy = Policy::clone(policy);
    policy.platform_domains.extend(more);
    Arc::new(policy)
}

/// Where Rainbond describes the cluster: the one object of that name, in whatever namespace it was installed.
const RAINBOND_CLUSTER: &str = "rainbondcluster";

fn services(client: &Client, service: &ServiceRef) -> Api<Read<Service>> {
    Api::namespaced(client.clone(), &service.namespace)
}

fn rainbond_clusters(client: &Client) -> Api<Read<RainbondCluster>> {
    Api::all(client.clone())
}

/// What policy says to look up, as it is now. Trouble is left to [`follow`].
pub async fn look(client: &Client, gateway: &Gateway) -> Vec<(Source, Found)> {
    let mut found = Vec::new();
    if let Some(service) = &gateway.service {
        // Listed by name, as it is watched: that is one right fewer than to get it.
        let named = ListParams::default().fields(&format!("metadata.name={}", service.name));
        if let Ok(seen) = services(client, service).list(&named).await {
            let seen = seen.into_iter().filter_map(Read::object);
            found.extend(seen.map(|seen| (Source::Service, of_service(&seen))));
        }
    }
    if gateway.rainbond
        && let Ok(seen) = rainbond_clusters(client).list(&ListParams::default()).await
    {
        let named = seen.into_iter().filter_map(Read::object).filter(|cluster| cluster.name_any() == RAINBOND_CLUSTER);
        found.extend(named.map(|cluster| (Source::Rainbond, of_rainbond(&cluster))));
    }
    found
}

/// The policy, with certgate's own namespace left alone whatever it says.
pub fn exempting(policy: &Policy, namespace: &str) -> Arc<Policy> {
    let mut policy = policy.clone();
    policy.exclude_namespaces.push(namespace.to_owned());
    Arc::new(policy)
}

/// Keeps the world told of where the gateway is reached, and of policy.
pub async fn follow(
    client: Client,
    mut policies: watch::Receiver<Arc<Policy>>,
    own_namespace: &str,
    shared: Arc<Shared>,
) -> Infallible {
    loop {
        let policy = exempting(&policies.borrow_and_update(), own_namespace);
        let gateway = policy.gateway.clone();
        shared.change(|world| world.set_policy(policy));
        tokio::select! {
            never = look_up(&client, &gateway, &shared) => match never {},
            changed = policies.changed() => if changed.is_err() {
                // Nobody reads the file any more: the policy stays as it is.
                match look_up(&client, &gateway, &shared).await {}
            },
        }
    }
}

async fn look_up(client: &Client, gateway: &Gateway, shared: &Shared) -> Infallible {
    let service = async {
        let Some(service) = &gateway.service else {
            shared.change(|world| world.set_found(Source::Service, Found::default()));
            return std::future::pending().await;
        };
        let seen = watcher::watch_object(services(client, service), &service.name).backoff(patience());
        keep(Source::Service, seen, of_service, shared).await
    };
    let rainbond = async {
        if !gateway.rainbond {
            shared.change(|world| world.set_found(Source::Rainbond, Found::default()));
            return std::future::pending().await;
        }
        let seen = watcher::watch_object(rainbond_clusters(client), RAINBOND_CLUSTER).backoff(patience());
        keep(Source::Rainbond, seen, of_rainbond, shared).await
    };
    tokio::select! {
        never = service => never,
        never = rainbond => never,
    }
}

async fn keep<K>(
    source: Source,
    found: impl Stream<Item = Result<Option<Read<K>>, watcher::Error>>,
    of: fn(&K) -> Found,
    shared: &Shared,
) -> Infallible {
    let mut found = std::pin::pin!(found);
    let mut failing = false;
    loop {
        match found.next().await {
            Some(Ok(Some(Read::Object(seen)))) => {
                failing = false;
                shared.change(|world| world.set_found(source, of(&seen)));
            }
            Some(Ok(Some(Read::Unreadable(found)))) => {
                failing = false;
                let Unreadable { error, .. } = *found;
                tracing::warn!(?source, error, "the gateway's addresses cannot be read there; those known stand");
            }
            Some(Ok(None)) => {
                failing = false;
                tracing::warn!(?source, "the gateway's addresses are to be looked up there, but it does not exist");
                shared.change(|world| world.set_found(source, Found::default()));
            }
            Some(Err(error)) if !std::mem::replace(&mut failing, true) => {
                tracing::warn!(?source, %error, "the gateway's addresses cannot be looked up; trying again");
            }
            Some(Err(_)) => {}
            None => return std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn addresses_come_from_policy_service_and_rainbond() {
        let policy: Policy =
            serde_json::from_value(json!({"gateway": {"addresses": ["203.0.113.9"], "cnames": ["gw.example.net"]}}))
                .unwrap();
        let service: Service = serde_json::from_value(json!({"metadata": {}, "status": {"loadBalancer": {"ingress":
            [{"ip": "203.0.113.7"}, {"hostname": "lb.example.net"}, {"ip": "no address"}]}}}))
        .unwrap();
        let rainbond: RainbondCluster = serde_json::from_value(json!({"metadata": {}, "spec": {
            "gatewayIngressIPs": ["203.0.113.8"], "suffixHTTPHost": "203.0.113.8.nip.io",
            "nodesForGateway": [{"name": "n", "internalIP": "10.0.0.1", "externalIP": "203.0.113.7"}, {"internalIP": "10.0.0.2"}]}}))
        .unwrap();
        let target = target(&policy, [of_service(&service), of_rainbond(&rainbond)].iter());
        let addresses: Vec<String> = target.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["203.0.113.7", "203.0.113.8", "203.0.113.9"]);
        assert_eq!(target.cnames, ["gw.example.net", "lb.example.net"]);
        let policy = with_suffixes(&Arc::new(policy), [of_service(&service), of_rainbond(&rainbond)].iter());
        assert!(policy.is_platform_domain("gr1-5000-team.203.0.113.8.nip.io"));
        assert!(!policy.is_platform_domain("www.example.com"));
    }

    #[test]
    fn a_suffix_that_is_no_domain_exempts_nothing() {
        for suffix in [json!("com"), json!(""), json!("*"), json!("a b.example"), json!(7)] {
            let cluster: RainbondCluster =
                serde_json::from_value(json!({"metadata": {}, "spec": {"suffixHTTPHost": suffix}})).unwrap();
            assert_eq!(of_rainbond(&cluster), Found::default(), "{suffix}");
        }
    }

    #[test]
    fn what_says_nothing_adds_nothing() {
        let empty: RainbondCluster = serde_json::from_value(json!({"metadata": {}, "spec": "x"})).unwrap();
        assert_eq!(of_rainbond(&empty), Found::default());
        assert_eq!(of_service(&Service::default()), Found::default());
    }
}
