//! [`follow`]: a watch for ever, and its health.

use std::{convert::Infallible, pin::pin, sync::Arc};

use futures::{Stream, StreamExt as _};
use kube::runtime::watcher::{self, Event};
use tokio::sync::Notify;

use super::{Health, is_gone};

/// Takes in the events of a watch. Begins anew with a list when told to, and where
/// going on from a resource version that is gone would fail for ever.
pub async fn follow<K, S>(
    start: impl Fn() -> S,
    mut take: impl FnMut(Event<K>),
    health: Arc<Health>,
    again: &Notify,
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
                    // A listing under way is no answer yet: what is known is still what was.
                    if !matches!(event, Event::Init | Event::InitApply(_)) {
                        health.well();
                    }
                    take(event);
                }
                Some(Err(error)) if is_gone(&error) => break,
                Some(Err(error)) => health.failing(&error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use futures::stream;
    use kube::core::Status;

    use super::*;
    use crate::cluster::health::Watches;

    /// HTTP 410, in the stream of a watch or instead of one: what has happened since is not known, so all is listed again.
    #[tokio::test]
    async fn a_watch_whose_version_is_gone_begins_anew_with_a_list() {
        let gone = || Box::new(Status::failure("too old resource version", "Expired").with_code(410));
        let (starts, watches, never) = (std::cell::Cell::new(0), Watches::default(), Notify::new());
        let (tell, told) = tokio::sync::oneshot::channel();
        let mut tell = Some(tell);
        let start = || {
            starts.set(starts.get() + 1);
            let events: Vec<Result<Event<()>, watcher::Error>> = match starts.get() {
                1 => vec![Ok(Event::Init), Ok(Event::InitDone), Err(watcher::Error::WatchError(gone()))],
                2 => vec![Err(watcher::Error::WatchStartFailed(kube::Error::Api(gone())))],
                _ => vec![Ok(Event::Init)],
            };
            stream::iter(events).chain(stream::pending())
        };
        let take = |event| {
            if starts.get() == 3 && matches!(event, Event::Init) {
                let _ = tell.take().map(|tell| tell.send(()));
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(60), told);
        tokio::select! {
            never = follow(start, take, watches.of("Domain"), &never) => match never {},
            told = told => told.unwrap().unwrap(),
        }
        assert!(watches.remarks(Instant::now()).is_empty(), "this is no trouble");
    }
}
