//! [`Fence`]: what a leader sends goes out only while it leads.

use std::{
    future::poll_fn,
    pin::pin,
    sync::Arc,
    task::Poll,
    time::{Duration, SystemTime},
};

use http::Request;
use kube::{Client, client::Body};
use tokio::{sync::watch, time::Instant};
use tower::BoxError;

/// How often an end that only the clock on the wall tells of is looked for, where nothing else looks.
const LOOK: Duration = Duration::from_secs(1);

/// A leader's time, which is put off by each renewal and ends once.
///
/// It is over by whichever clock says so: the monotonic one stands still while a machine sleeps, and the other one may
/// be set back. Set forward, it costs a leadership, and harms nobody.
#[derive(Debug)]
pub struct Fence(watch::Sender<Option<End>>);

/// When it ends.
#[derive(Clone, Copy, Debug)]
struct End {
    monotonic: Instant,
    wall: SystemTime,
}

/// Why a request was not sent, or its answer not waited for.
#[derive(Debug, thiserror::Error)]
#[error("this replica leads no longer")]
pub struct Over;

// === impl End ===

impl End {
    fn after(left: Duration) -> Self {
        Self { monotonic: Instant::now() + left, wall: SystemTime::now() + left }
    }

    fn is_past(&self) -> bool {
        self.monotonic <= Instant::now() || self.wall <= SystemTime::now()
    }
}

// === impl Fence ===

impl Fence {
    /// One that ends after so long.
    pub fn new(left: Duration) -> Self {
        Self(watch::Sender::new(Some(End::after(left))))
    }

    /// Puts the end off until after so long. What is over stays so: its work was dropped.
    pub fn extend(&self, left: Duration) {
        self.0.send_modify(|end| *end = end.filter(|end| !end.is_past()).map(|_| End::after(left)));
    }

    /// Ends it now.
    pub fn end(&self) {
        self.0.send_modify(|end| *end = None);
    }

    /// Whether it is not over.
    pub fn stands(&self) -> bool {
        let Some(end) = *self.0.borrow() else { return false };
        if end.is_past() {
            // For good, whatever becomes of the clocks.
            self.end();
            return false;
        }
        true
    }

    /// Returns once it is over.
    pub async fn ended(&self) {
        let mut changes = self.0.subscribe();
        while self.stands() {
            let end = (*changes.borrow_and_update()).map(|end| end.monotonic);
            let next = end.unwrap_or_else(Instant::now).min(Instant::now() + LOOK);
            tokio::select! {
                () = tokio::time::sleep_until(next) => {}
                // The sender lives as long as this.
                _ = changes.changed() => {}
            }
        }
    }

    /// A client that sends nothing after the end, and gives up then what it waits for.
    ///
    /// What was sent before cannot be called back: it may still be done. What guards against that is in the requests.
    pub fn around(self: &Arc<Self>, client: Client) -> Client {
        let namespace = client.default_namespace().to_owned();
        let fence = Arc::clone(self);
        let service = tower::service_fn(move |request: Request<Body>| {
            let (client, fence) = (client.clone(), Arc::clone(&fence));
            async move {
                let (mut answer, mut ended) = (pin!(client.send(request)), pin!(fence.ended()));
                // The clock is asked each time before anything moves: a process that was stopped is woken by
                // whatever comes first.
                poll_fn(|context| {
                    if !fence.stands() || ended.as_mut().poll(context).is_ready() {
                        return Poll::Ready(Err(BoxError::from(Over)));
                    }
                    answer.as_mut().poll(context).map_err(BoxError::from)
                })
                .await
            }
        });
        Client::new(service, namespace)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use http::Response;

    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_is_put_off_by_renewals_and_ends_once() {
        let fence = Fence::new(5 * S);
        tokio::time::advance(4 * S).await;
        fence.extend(5 * S);
        tokio::time::advance(4 * S).await;
        assert!(fence.stands());
        let begun = Instant::now();
        fence.ended().await;
        assert_eq!(begun.elapsed().as_secs(), 1);
        assert!(!fence.stands());
        // A renewal whose answer came too late.
        fence.extend(5 * S);
        assert!(!fence.stands());
        let given_up = Fence::new(5 * S);
        given_up.end();
        given_up.extend(5 * S);
        assert!(!given_up.stands());
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_renewal_revives_nothing_though_nobody_looked_in_between() {
        let fence = Fence::new(5 * S);
        tokio::time::advance(6 * S).await;
        fence.extend(5 * S);
        assert!(!fence.stands());
    }

    #[test]
    fn either_clock_ends_it() {
        let (past, future) = (Duration::ZERO, 60 * S);
        for (monotonic, wall, over) in [(future, future, false), (past, future, true), (future, past, true)] {
            let end = End { monotonic: Instant::now() + monotonic, wall: SystemTime::now() + wall };
            assert_eq!(end.is_past(), over, "{monotonic:?} {wall:?}");
        }
    }

    /// An API server that never answers: a client of it, and how many requests came and are still waited for.
    fn silent() -> (Client, Arc<AtomicUsize>, Arc<AtomicUsize>) {
        struct Waiting(Arc<AtomicUsize>);
        impl Drop for Waiting {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let (came, waiting) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, waits) = (came.clone(), waiting.clone());
        let service = tower::service_fn(move |_: Request<Body>| {
            count.fetch_add(1, Ordering::SeqCst);
            waits.fetch_add(1, Ordering::SeqCst);
            let waiting = Waiting(waits.clone());
            async move {
                let _waiting = waiting;
                std::future::pending::<Result<Response<Body>, Infallible>>().await
            }
        });
        (Client::new(service, "default"), came, waiting)
    }

    fn request() -> Request<Body> {
        Request::patch("/api/v1/namespaces/n").body(Body::empty()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn after_the_end_nothing_is_sent_and_what_is_waited_for_is_given_up() {
        let (client, came, waiting) = silent();
        let fence = Arc::new(Fence::new(5 * S));
        let fenced = fence.around(client);
        let eight = (0..8).map(|_| fenced.send(request()));
        let begun = Instant::now();
        let ended = futures::future::join_all(eight).await;
        assert_eq!((begun.elapsed().as_secs(), came.load(Ordering::SeqCst)), (5, 8));
        assert!(
            ended.iter().all(|ended| ended.as_ref().is_err_and(|error| error.to_string().contains("leads no longer")))
        );
        assert_eq!(waiting.load(Ordering::SeqCst), 0, "the requests themselves are dropped");
        assert!(fenced.send(request()).await.is_err());
        assert_eq!(came.load(Ordering::SeqCst), 8);
    }
}
