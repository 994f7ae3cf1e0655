//! Watch tasks: one a kind, each feeding the world. They end never: an API
//! server that is away is waited for, and a kind that is not installed too.

use std::{collections::HashSet, convert::Infallible, fmt::Debug, sync::Arc, time::Duration};

use backon::ExponentialBuilder;
use futures::StreamExt as _;
use kube::{
    Api, Client, Resource as _,
    api::ListParams,
    runtime::{
        WatchStreamExt as _,
        utils::{Backoff, ResetTimerBackoff},
        watcher,
    },
};
use serde::de::DeserializeOwned;
use tokio::{sync::oneshot, time::Instant};

use super::{
    health::{self, Health},
    worker::Shared,
    world::{Touched, intake::Kept},
};
use crate::api::read::Read;

/// How long a kind that is not installed is left alone.
const ABSENT_PERIOD: Duration = Duration::from_secs(10);

/// The first wait after a watch failed; doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LAST_RETRY: Duration = Duration::from_secs(5);
/// How long without a failure before the first wait is that short again.
const CALM: Duration = Duration::from_secs(60);

/// How long a kind that may not be read holds up the first plan: it may be that roles are being applied.
const FORBIDDEN_PATIENCE: Duration = Duration::from_secs(5);
/// The same for one that cannot be read for another reason.
const TROUBLE_PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked for until then, and after.
const TROUBLE_PERIOD: Duration = Duration::from_secs(2);

/// What a watch is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// A kind that every cluster has, or that is certgate's own.
    Required,
    /// A kind that may not be installed yet; the text says what is missing without it.
    Optional(&'static str),
}

/// An object's namespace and name.
type Id = (String, String);

/// Watches a kind for ever. `listed` is told when the first listing is in the
/// world, or when it turns out that there is nothing to list.
pub async fn run<K>(
    client: Client,
    config: watcher::Config,
    presence: Presence,
    shared: Arc<Shared>,
    listed: oneshot::Sender<()>,
) -> Infallible
where
    K: Kept + Clone + Debug + DeserializeOwned + Send + 'static,
    K::Scope: 'static,
{
    let health = shared.metrics().watches().of(&K::kind(&()));
    let api = Api::<Read<K>>::all(health::heard_by(client, health.clone()));
    let mut feed = Feed { shared, known: HashSet::new(), listing: None, listed: Some(listed), health, absent: false };
    loop {
        if let Presence::Optional(what) = presence {
            feed.wait_for_kind(&api, what).await;
        }
        let mut events = watcher(api.clone(), config.clone()).backoff(patience()).boxed();
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => feed.take(event),
                Err(error) if presence != Presence::Required && is_not_found(&error) => {
                    feed.forget_all::<K>();
                    break;
                }
                Err(error) if health::is_gone(&error) => {
                    // Going on from there would be refused for ever.
                    tokio::time::sleep(FIRST_RETRY).await;
                    break;
                }
                Err(error) => feed.health.failing(&error),
            }
        }
    }
}

/// How a failed watch is tried again: soon, since a stale world plans in vain, and spread out.
pub fn patience() -> impl Backoff {
    let growing = ExponentialBuilder::default()
        .with_min_delay(FIRST_RETRY)
        .with_max_delay(LAST_RETRY)
        .with_jitter()
        .without_max_times();
    let growing = watcher::ExponentialBackoff::from(growing);
    // A listing begun is no success yet: only after a while without failures is the next one a first.
    ResetTimerBackoff::new(growing, CALM)
}

fn is_not_found(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status)) => status.code == 404,
        _ => false,
    }
}

/// One kind's way into the world.
struct Feed {
    shared: Arc<Shared>,
    /// What the world has of this kind.
    known: HashSet<Id>,
    /// What the listing under way has shown so far.
    listing: Option<Listing>,
    listed: Option<oneshot::Sender<()>>,
    health: Arc<Health>,
    /// The kind was not installed when last asked.
    absent: bool,
}

/// A listing under way.
#[derive(Default)]
struct Listing {
    shown: HashSet<Id>,
    /// It showed something of which not even the name can be read: any object that is known may be that one.
    unsure: bool,
}

// === impl Feed ===

impl Feed {
    fn take<K: Kept>(&mut self, event: watcher::Event<Read<K>>) {
        match event {
            watcher::Event::Init => self.listing = Some(Listing::default()),
            watcher::Event::InitApply(object) => {
                if let Some(listing) = &mut self.listing {
                    let id = id(&object);
                    listing.unsure |= id.1.is_empty();
                    listing.shown.insert(id);
                }
                self.see(object);
            }
            watcher::Event::InitDone => {
                let Listing { shown, unsure } = self.listing.take().unwrap_or_default();
                let lost: Vec<Id> = self.known.difference(&shown).filter(|_| !unsure).cloned().collect();
                for id in lost {
                    self.lose::<K>(&id);
                }
                if !unsure {
                    self.health.all_have_names();
                }
                self.health.well();
                self.shared.change(|world| K::listed(world, true));
                if std::mem::take(&mut self.absent) {
                    tracing::info!(kind = %K::kind(&()), "the kind is installed now");
                    self.shared.change(|_| Touched { everything: true, ..Touched::default() });
                }
                self.tell_listed();
            }
            watcher::Event::Apply(object) => {
                self.health.well();
                self.see(object);
            }
            watcher::Event::Delete(object) => {
                self.health.well();
                self.lose::<K>(&id(&object));
            }
        }
    }

    fn see<K: Kept>(&mut self, object: Read<K>) {
        let id = id(&object);
        match object {
            Read::Object(object) => {
                self.health.is_read(&id.0, &id.1);
                self.shared.change(|world| {
                    let mut touched = world.is_read::<K>(&id.0, &id.1);
                    touched.merge(object.see(world));
                    touched
                });
            }
            Read::Unreadable(found) => {
                self.health.cannot_read(&found);
                if id.1.is_empty() {
                    return;
                }
                self.shared.change(|world| world.cannot_read::<K>(&found));
            }
        }
        self.known.insert(id);
    }

    fn lose<K: Kept>(&mut self, id: &Id) {
        self.known.remove(id);
        self.health.is_read(&id.0, &id.1);
        self.shared.change(|world| {
            let mut touched = world.is_read::<K>(&id.0, &id.1);
            touched.merge(K::lose(world, &id.0, &id.1));
            touched
        });
    }

    fn tell_listed(&mut self) {
        if let Some(listed) = self.listed.take() {
            // Nobody listening any more means the controller is going.
            let _ = listed.send(());
        }
    }

    /// The kind is not there (any more), and so none of its objects.
    fn forget_all<K: Kept>(&mut self) {
        for id in std::mem::take(&mut self.known) {
            self.lose::<K>(&id);
        }
        self.shared.change(|world| K::listed(world, false));
    }

    /// Returns once the API server knows the kind.
    async fn wait_for_kind<K>(&mut self, api: &Api<Read<K>>, what: &str)
    where
        K: Kept + Clone + Debug + DeserializeOwned,
        K::Scope: 'static,
    {
        let begun = Instant::now();
        loop {
            match api.list(&ListParams::default().limit(1)).await {
                Ok(_) => return self.health.well(),
                Err(kube::Error::Api(status)) if status.code == 404 => {
                    self.health.unwanted();
                    if !std::mem::replace(&mut self.absent, true) {
                        tracing::warn!(
                            kind = %K::kind(&()),
                            "{what} not installed: the API server knows no {}.{}; waiting for it",
                            K::plural(&()),
                            K::group(&())
                        );
                    }
                    self.tell_listed();
                    tokio::time::sleep(ABSENT_PERIOD).await;
                }
                Err(error) => {
                    self.health.failing(&error);
                    let forbidden = matches!(&error, kube::Error::Api(status) if matches!(status.code, 401 | 403));
                    let patience = if forbidden { FORBIDDEN_PATIENCE } else { TROUBLE_PATIENCE };
                    if begun.elapsed() >= patience && self.listed.is_some() {
                        tracing::error!(
                            kind = %K::kind(&()), %error,
                            "{what}: {}.{} cannot be read; going on without, and taking them up when they can be \
                             (`certgate doctor` names rights that are missing)",
                            K::plural(&()), K::group(&())
                        );
                        // Once it can be read, everything is planned anew.
                        self.absent = true;
                        self.tell_listed();
                    }
                    tokio::time::sleep(TROUBLE_PERIOD).await;
                }
            }
        }
    }
}

fn id<K: Kept>(object: &Read<K>) -> Id {
    let meta = object.meta();
    (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default())
}

#[cfg(test)]
mod tests;
