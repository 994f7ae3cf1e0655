//! How hard one server is asked: so many questions at once, so many a second, and in turns between namespaces.

use std::{
    net::SocketAddr,
    num::NonZeroU32,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock as _, DefaultClock},
    state::{InMemoryState, NotKeyed},
};
use tokio::sync::oneshot;

use super::Asker;
use crate::core::{
    policy::Dns,
    turns::asks::{Asks, Turn},
};

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
    state: Mutex<State>,
    rate: RateLimiter<NotKeyed, InMemoryState, DefaultClock>,
}

struct State {
    asks: Asks<oneshot::Sender<Permit>>,
    /// Somebody is waiting for the rate to let the next question go.
    is_timed: bool,
}

/// A place for one question, given back when it is dropped.
pub(super) struct Permit {
    limit: Arc<Limit>,
    turn: Option<Turn>,
}

impl Limits {
    pub(super) fn new(policy: &Dns) -> Self {
        let per_second = NonZeroU32::new(policy.queries_per_second).unwrap_or(NonZeroU32::MIN);
        Self {
            per_server: moka::sync::Cache::builder().max_capacity(MAX_SERVERS).time_to_idle(IDLE).build(),
            concurrency: usize::try_from(policy.concurrency.max(1)).unwrap_or(usize::MAX),
            quota: Quota::per_second(per_second),
        }
    }

    /// The limits of that server, shared by all who ask it.
    pub(super) fn of(&self, server: SocketAddr) -> Arc<Limit> {
        self.per_server.get_with(server, || {
            let state = State { asks: Asks::new(self.concurrency), is_timed: false };
            Arc::new(Limit { state: Mutex::new(state), rate: RateLimiter::direct(self.quota) })
        })
    }
}

impl Limit {
    /// Waits for a turn.
    pub(super) async fn turn(self: &Arc<Self>, asker: &Asker) -> Option<Permit> {
        let (tell, told) = oneshot::channel();
        self.lock().asks.push(asker.namespace.clone(), asker.lane, tell);
        self.go_on();
        // The sender waits in the state, which `self` keeps.
        told.await.ok()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements that could panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets go whoever can.
    fn go_on(self: &Arc<Self>) {
        loop {
            let mut state = self.lock();
            if !state.asks.is_ready() {
                return;
            }
            if let Err(not_yet) = self.rate.check() {
                if !std::mem::replace(&mut state.is_timed, true) {
                    drop(state);
                    let wait = not_yet.wait_time_from(DefaultClock::default().now());
                    let limit = Arc::clone(self);
                    tokio::spawn(async move {
                        tokio::time::sleep(wait).await;
                        limit.lock().is_timed = false;
                        limit.go_on();
                    });
                }
                return;
            }
            let Some((turn, waiter)) = state.asks.next() else { return };
            drop(state);
            // Who no longer waits hands the place on.
            if let Err(mut permit) = waiter.send(Permit { limit: Arc::clone(self), turn: Some(turn) }) {
                permit.give_back();
            }
        }
    }
}

impl Permit {
    fn give_back(&mut self) -> bool {
        let Some(turn) = self.turn.take() else { return false };
        self.limit.lock().asks.done(&turn);
        true
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if self.give_back() {
            self.limit.go_on();
        }
    }
}
