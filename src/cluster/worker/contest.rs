//! Writes that somebody takes back: made more and more seldom, and told of with the name of who does it.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::{Arc, MutexGuard, PoisonError},
};

use jiff::Timestamp;

use super::{Shared, events};
use crate::{
    cluster::{
        apply::{CONSOLE_MANAGER, FIELD_MANAGER, WriteError},
        world::{IngressId, Key},
    },
    core::{
        finding::{Finding, Lang},
        reason::Reason,
        reconcile::contest::{Contest, Reverter, Turn, reverter},
    },
};

/// The field manager of the leader's other writes.
const SHORT_MANAGER: &str = "certgate";

/// What was written to which Ingresses of late.
pub(super) type Contests = HashMap<IngressId, Entry>;

/// What was written to one.
#[derive(Default)]
pub(super) struct Entry {
    contest: Contest,
    /// When last.
    written: Timestamp,
    /// After how many times it was last told of.
    told: u32,
}

/// A digest of what is written.
pub(super) fn digest(what: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    hasher.finish()
}

impl Shared {
    fn contests(&self) -> MutexGuard<'_, Contests> {
        self.contests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `what` may be written to an Ingress now. If not, `key` comes back when it may be.
    pub(super) async fn may_write(&self, key: &Key, namespace: &Arc<str>, name: &Arc<str>, what: u64) -> bool {
        let now = self.begun.elapsed();
        let (until, news) = {
            let mut contests = self.contests();
            let Some(entry) = contests.get_mut(&(namespace.clone(), name.clone())) else { return true };
            match entry.contest.turn(what, now) {
                Turn::Write { again } => {
                    if again {
                        self.metrics.reverted();
                    }
                    return true;
                }
                Turn::Wait { until, times } => {
                    let news = entry.told != times && entry.contest.is_contested(now);
                    entry.told = times;
                    (until, news.then_some((entry.written, times)))
                }
            }
        };
        self.queue.add(key.clone(), self.begun + until);
        if let Some((written, times)) = news {
            self.tell_contested(key, namespace, name, written, times).await;
        }
        false
    }

    /// `what` was written to an Ingress.
    pub(super) fn wrote(&self, namespace: &Arc<str>, name: &Arc<str>, what: u64) {
        let now = self.begun.elapsed();
        let mut contests = self.contests();
        let entry = contests.entry((namespace.clone(), name.clone())).or_default();
        entry.contest.wrote(what, now);
        entry.written = Timestamp::now();
    }

    /// Forgets what is over.
    pub(super) fn settle_contests(&self) {
        let now = self.begun.elapsed();
        let mut over = Vec::new();
        let contested = {
            let mut contests = self.contests();
            contests.retain(|id, entry| {
                if entry.told > 0 && !entry.contest.is_contested(now) {
                    entry.told = 0;
                    over.push(id.clone());
                }
                !entry.contest.is_over(now)
            });
            contests.values().filter(|entry| entry.contest.is_contested(now)).count()
        };
        self.metrics.contested(contested);
        for id in over {
            tracing::info!(namespace = %id.0, ingress = %id.1, "what is written to the Ingress stands again");
            self.change(|world| world.set_contested(&id, None));
        }
    }

    /// Tells who takes back what was written. Who that is, the object says, if anything does.
    async fn tell_contested(&self, key: &Key, namespace: &Arc<str>, name: &Arc<str>, written: Timestamp, times: u32) {
        let found = match self.writer.field_managers(namespace, name).await {
            Ok(managers) => {
                let ours = |name: &str| [FIELD_MANAGER, CONSOLE_MANAGER, SHORT_MANAGER].contains(&name);
                reverter(&managers, ours, written)
            }
            // Deleted is taken back too.
            Err(WriteError::Gone) => Reverter::OneOf(Vec::new()),
            Err(error) => {
                tracing::debug!(%namespace, ingress = %name, %error, "who writes the Ingress cannot be read");
                Reverter::OneOf(Vec::new())
            }
        };
        let finding = Finding::new(Reason::ChangesReverted, name);
        let finding = match found {
            Reverter::Wrote(manager) => finding.observed([manager]),
            Reverter::OneOf(managers) => finding.required(managers),
        };
        let message = finding.sentence(Lang::En);
        tracing::warn!(%namespace, ingress = %name, times, reason = %finding.reason, sentence = message, "writes are taken back");
        let id = (namespace.clone(), name.clone());
        self.change(|world| world.set_contested(&id, Some(finding)));
        let regarding = {
            let world = self.world();
            match (world.ingress_uid(namespace, name), key) {
                (Some(uid), _) => Some(events::ingress(namespace, name, uid)),
                (None, Key::Host(namespace, host)) => {
                    world.domain_object(namespace, host).map(|seen| events::domain(&seen.domain))
                }
                (None, _) => None,
            }
        };
        if let Some(regarding) = regarding {
            self.teller.tell(&regarding, Reason::ChangesReverted, &message).await;
        }
    }
}
