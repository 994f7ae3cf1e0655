//! The watches that feed the [`Index`]: resumed after every kind of failure,
//! with growing pauses; how they are doing is told, never a reason to stop.

use std::{
    convert::Infallible,
    pin::pin,
    time::{Duration, Instant},
};

use futures::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Namespace;
use kube::{
    Api, Client,
    core::{DeserializeGuard, PartialObjectMeta},
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _},
    metrics::gauge::ConstGauge,
};
use tokio::sync::Notify;

use super::Index;
use crate::{api::domain::Domain, cluster::health::Health};

/// How long one watch request lasts, in seconds. A connection that died
/// silently is noticed when this is over, so it bounds how stale the index gets in a partition.
const WATCH_SECONDS: u32 = 60;
/// Objects in one page of a list. A page is held as a whole, and more than once over, while it is read; small
/// ones keep the memory that a list leaves behind small.
const PAGE: u32 = 100;

/// How the watches are doing.
#[derive(Debug, Default)]
pub struct Freshness {
    pub(super) domains: Health,
    pub(super) namespaces: Health,
}

/// Shows the index and its watches as metrics, read when they are scraped.
pub struct WatchMetrics(pub std::sync::Arc<Index>);

/// Feeds the index for as long as the process lives.
pub async fn watch(index: &Index, client: Client) -> Infallible {
    let config = watcher::Config::default().timeout(WATCH_SECONDS).page_size(PAGE);
    let never = Notify::new();
    let domains = {
        let (api, config) = (Api::<DeserializeGuard<Domain>>::all(client.clone()), config.clone());
        follow(
            move || watcher(api.clone(), config.clone()).default_backoff(),
            |event| index.on_domain(event),
            &index.freshness.domains,
            &never,
            "Domains",
        )
    };
    let namespaces = {
        let api = Api::<PartialObjectMeta<Namespace>>::all(client);
        follow(
            move || watcher(api.clone(), config.clone()).default_backoff(),
            |event| index.on_namespace(event),
            &index.freshness.namespaces,
            &index.list_namespaces,
            "Namespaces",
        )
    };
    futures::join!(domains, namespaces).0
}

/// Takes in the events of a watch. Begins anew with a list when told to, and where
/// going on from a resource version that is gone would fail for ever.
async fn follow<K, S>(
    start: impl Fn() -> S,
    mut take: impl FnMut(Event<K>),
    health: &Health,
    again: &Notify,
    what: &'static str,
) -> Infallible
where
    S: Stream<Item = Result<Event<K>, watcher::Error>>,
{
    loop {
        let mut events = pin!(start());
        loop {
            let event = tokio::select! {
                biased;
                () = again.notified() => break,
                event = events.next() => event,
            };
            match event {
                None => break,
                Some(Ok(event)) => {
                    health.well();
                    take(event);
                }
                Some(Err(error)) => {
                    if health.failing() {
                        tracing::warn!(
                            error = &error as &dyn std::error::Error,
                            "the watch on {what} fails and is tried again"
                        );
                    }
                    if is_gone(&error) {
                        break;
                    }
                }
            }
        }
    }
}

/// Whether the resource version to go on from is gone (HTTP 410).
fn is_gone(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::WatchStartFailed(kube::Error::Api(status)) => status.code == 410,
        watcher::Error::WatchError(status) => status.code == 410,
        _ => false,
    }
}

// === impl Freshness ===

impl Freshness {
    /// For how long each watch that fails now has been failing.
    pub fn failing(&self) -> impl Iterator<Item = (&'static str, Duration)> {
        [("Domains", &self.domains), ("Namespaces", &self.namespaces)]
            .into_iter()
            .filter_map(|(what, health)| Some((what, health.failing_for(Instant::now())?)))
    }
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
        let stale = self.0.freshness.failing().map(|(_, age)| age.as_secs_f64()).fold(0.0, f64::max);
        let gauge = ConstGauge::new(stale);
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
    use futures::stream;
    use kube::core::Status;

    use super::*;

    /// HTTP 410, in the stream of a watch or instead of one: what has happened since is not known, so all is listed again.
    #[tokio::test]
    async fn a_watch_whose_version_is_gone_begins_anew_with_a_list() {
        let gone = || Box::new(Status::failure("too old resource version", "Expired").with_code(410));
        let (starts, health, never) = (std::cell::Cell::new(0), Health::default(), Notify::new());
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let start = || {
            starts.set(starts.get() + 1);
            let events: Vec<Result<Event<()>, watcher::Error>> = match starts.get() {
                1 => vec![Ok(Event::Init), Ok(Event::InitDone), Err(watcher::Error::WatchError(gone()))],
                2 => vec![Err(watcher::Error::WatchStartFailed(kube::Error::Api(gone())))],
                _ => vec![Ok(Event::InitDone)],
            };
            stream::iter(events).chain(stream::pending())
        };
        let take = |event| {
            if starts.get() == 3 && matches!(event, Event::InitDone) {
                let _ = tell.take().map(|tell| tell.send(()));
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(5), told);
        tokio::select! {
            never = follow(start, take, &health, &never, "Domains") => match never {},
            told = told => told.unwrap().unwrap(),
        }
        assert_eq!(health.failing_for(Instant::now()), None, "all is well again");
    }
}
