//! The watches that feed the [`Index`]: resumed after every kind of failure,
//! with growing pauses; how they are doing is told, never a reason to stop.

use std::{convert::Infallible, sync::Arc, time::Instant};

use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, watcher},
    },
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::{MetricType, gauge::ConstGauge},
};
use tokio::sync::Notify;

use super::{DOMAIN, Index, NAMESPACE};
use crate::{
    api::{domain::Domain, partial::metadata::Metadata, read::Read},
    cluster::health,
};

/// Objects in one page of a list. A page is held as a whole, and more than once over, while it is read; small
/// ones keep the memory that a list leaves behind small.
const PAGE: u32 = 100;

/// Shows the index and its watches as metrics, read when they are scraped.
pub struct WatchMetrics(pub Arc<Index>);

/// Feeds the index for as long as the process lives.
pub async fn watch(index: &Index, client: Client) -> Infallible {
    let config = watcher::Config::default().page_size(PAGE);
    let never = Notify::new();
    let domains = {
        let health = index.watches.of(DOMAIN);
        let api = Api::<Read<Domain>>::all(health::heard_by(client.clone(), health.clone()));
        let config = config.clone();
        let start = move || watcher(api.clone(), config.clone()).default_backoff();
        health::follow(start, |event| index.on_domain(event), health, &never)
    };
    let namespaces = {
        let health = index.watches.of(NAMESPACE);
        let api = Api::<Read<Metadata<Namespace>>>::all(health::heard_by(client, health.clone()));
        let start = move || watcher(api.clone(), config.clone()).default_backoff();
        health::follow(start, |event| index.on_namespace(event), health, &index.list_namespaces)
    };
    futures::join!(domains, namespaces).0
}

// === impl WatchMetrics ===

impl std::fmt::Debug for WatchMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WatchMetrics")
    }
}

impl Collector for WatchMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let size = self.0.size();
        for (name, help, value) in [
            ("certgate_index_domains", "Domains that the webhook knows", size.domains),
            ("certgate_index_namespaces", "Namespaces with flags or Domains that the webhook knows", size.namespaces),
        ] {
            let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let help = "Objects that are there and cannot be read; what was known of them holds";
        let mut family =
            encoder.encode_descriptor("certgate_index_unreadable_objects", help, None, MetricType::Gauge)?;
        for (kind, count) in self.0.watches.unread() {
            ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX))
                .encode(family.encode_family(&[("kind", kind)])?)?;
        }
        let longest = self.0.watches.failing_for(Instant::now()).into_iter().map(|(_, lasting)| lasting).max();
        let gauge = ConstGauge::new(longest.unwrap_or_default().as_secs_f64());
        gauge.encode(encoder.encode_descriptor(
            "certgate_index_watch_failing_seconds",
            "For how long the watch that has been failing longest has been failing; 0: all is well",
            None,
            gauge.metric_type(),
        )?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cluster::scripted::{by_hand, empty_list, status, until},
        core::policy::Policy,
    };

    #[tokio::test]
    async fn a_watch_that_resumed_is_well_though_it_has_nothing_to_tell() {
        let index = Arc::new(Index::new(&Policy::default()));
        let mut server = by_hand();
        let (fed, client) = (Arc::clone(&index), server.client.clone());
        let feeding = tokio::spawn(async move { watch(&fed, client).await });
        let failing = || index.watches.remarks(Instant::now());
        let (mut lists, mut opened) = (0, 0);
        while opened < 2 {
            let asked = server.next().await;
            match (asked.uri.contains("/domains"), asked.is_watch()) {
                (true, false) if lists == 0 => {
                    lists += 1;
                    asked.answer(status(500, "InternalError", "etcd is away"));
                }
                (true, false) => {
                    // Between the failure and this, kube's watcher said that it begins a listing.
                    let [line] = &failing()[..] else { panic!("one watch fails: {:?}", failing()) };
                    assert!(line.starts_with("stale: Domain objects cannot be watched for "), "{line}");
                    assert!(line.ends_with(" s now: etcd is away"), "{line}");
                    asked.answer(empty_list());
                    until(|| failing().is_empty()).await;
                }
                (false, false) => asked.answer(empty_list()),
                (true, true) if lists == 1 => {
                    lists += 1;
                    asked.answer(status(503, "ServiceUnavailable", "later"));
                    until(|| !failing().is_empty()).await;
                }
                (_, true) => {
                    opened += 1;
                    asked.open();
                }
            }
        }
        until(|| failing().is_empty()).await;
        feeding.abort();
    }
}
