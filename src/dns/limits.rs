//! How hard one server is asked: so many questions at once, so many a second.

use std::{net::SocketAddr, num::NonZeroU32, sync::Arc, time::Duration};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::{InMemoryState, NotKeyed},
};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::core::policy::Dns;

/// How many servers' limits are kept, and for how long after their last use.
const MAX_SERVERS: u64 = 10_000;
const IDLE: Duration = Duration::from_secs(600);

/// The limits of all servers.
#[derive(Clone)]
pub(super) struct Limits {
    per_server: moka::sync::Cache<SocketAddr, Arc<Limit>>,
    concurrency: usize,
    quota: Quota,
}

/// The limits of one server.
pub(super) struct Limit {
    places: Semaphore,
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
}

impl Limits {
    pub(super) fn new(policy: &Dns) -> Self {
        let per_second = NonZeroU32::new(policy.queries_per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            per_server: moka::sync::Cache::builder().max_capacity(MAX_SERVERS).time_to_idle(IDLE).build(),
            concurrency: usize::try_from(policy.concurrency.max(1)).unwrap_or(1).min(Semaphore::MAX_PERMITS),
            quota: Quota::per_second(per_second),
        }
    }

    /// The limits of that server, shared by all who ask it.
    pub(super) fn of(&self, server: SocketAddr) -> Arc<Limit> {
        self.per_server.get_with(server, || {
            Arc::new(Limit { places: Semaphore::new(self.concurrency), rate: RateLimiter::direct(self.quota) })
        })
    }
}

impl Limit {
    /// Waits for a turn. The place is given back when the permit is dropped.
    pub(super) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        let permit = self.places.acquire().await.ok();
        let clock = DefaultClock::default();
        while let Err(not_yet) = self.rate.check() {
            tokio::time::sleep(not_yet.wait_time_from(clock.now())).await;
        }
        permit
    }
}
