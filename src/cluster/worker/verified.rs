//! The VerifiedHosts of a namespace, written when they change; and, where the
//! API server holds Ingresses against them, written before anything else tells
//! of a verified host.

use std::{
    collections::HashMap,
    sync::{Arc, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    super::{
        apply::WriteError,
        world::{Key, intake::Kept as _, unread::Watched},
    },
    Shared,
};
use crate::{
    api::{
        domain::{Domain, DomainStatus},
        verified_hosts::{NAME, VerifiedHostsSpec},
    },
    core::{
        host::Host,
        reconcile::{
            Effect,
            verified::{self, Entry, Verified},
        },
    },
};

/// From the write of VerifiedHosts to that of a Domain's status: as long as every API server may take to hear of the
/// first. The webhook injects by the second, and what it injects the policies hold against the first.
const HEARD_WITHIN: Duration = Duration::from_millis(500);
/// A host is not withheld for longer, should VerifiedHosts not be writable: then the policies are in want of an object
/// that nobody writes, and a hold without end would tell nobody.
const LONGEST: Duration = Duration::from_secs(10);

/// A host that VerifiedHosts tells of before its Domain does.
pub(super) struct Announced {
    entry: Entry,
    since: Instant,
    written: Option<Instant>,
}

#[cfg(test)]
impl Announced {
    /// One that waits to be written.
    pub(super) fn since(since: Instant) -> Self {
        let entry = Entry { secret: "s".to_owned(), issuer: None };
        Self { entry, since, written: None }
    }
}

/// By namespace and host.
pub(super) type Announcements = HashMap<(Arc<str>, Host), Announced>;

impl Shared {
    /// The same, where the API server holds Ingresses against VerifiedHosts: each namespace has one, if an empty one,
    /// and it tells of a host before the host's Domain does.
    #[must_use]
    pub fn guarding(mut self, guarded: bool) -> Self {
        self.guarded = guarded;
        self
    }

    fn announced(&self) -> MutexGuard<'_, Announcements> {
        self.announced.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) async fn verified(&self, namespace: &Arc<str>) -> Result<(), WriteError> {
        let (mut desired, present, kept) = {
            let world = self.world();
            if world.is_unread(Watched::VerifiedHosts, namespace, NAME) {
                // Another version's, it says more than we would know to write.
                return Ok(());
            }
            let Some(desired) = world.plan_verified(namespace, Timestamp::now()) else { return Ok(()) };
            let kept = self.guarded && world.is_open(namespace);
            (desired, world.verified(namespace).cloned(), kept)
        };
        {
            let mut announced = self.announced();
            // What nobody came back for is told of no longer.
            let now = Instant::now();
            announced.retain(|_, announced| now < announced.since + 2 * LONGEST);
            for ((_, host), announced) in announced.iter().filter(|((of, _), _)| of == namespace) {
                desired.insert(host, announced.entry.clone());
            }
        }
        match present {
            None if desired.is_empty() && !kept => {}
            Some(_) if desired.is_empty() && !kept => self.writer.delete_verified(namespace).await?,
            Some(present) if says(&present, &desired) => {}
            _ => {
                let after = self.writer.write_verified(namespace, &desired).await?;
                tracing::debug!(%namespace, hosts = desired.hosts.len(), "VerifiedHosts written");
                self.change(|world| after.see(world));
            }
        }
        let now = Instant::now();
        let mut announced = self.announced();
        for ((of, host), announced) in announced.iter_mut().filter(|((of, _), _)| of == namespace) {
            let said = verified::entry(&desired.hosts, &desired.issuers, host);
            if said.as_ref() == Some(&announced.entry) && announced.written.is_none() {
                announced.written = Some(now);
                self.queue.add(Key::Host(of.clone(), host.clone()), now + HEARD_WITHIN);
            }
        }
        let ours = announced.iter().filter(|((of, _), _)| of == namespace).map(|(_, announced)| announced.since);
        let first = ours.min();
        drop(announced);
        if let Some(first) = first {
            self.queue.add(Key::Verified(namespace.clone()), first + 2 * LONGEST);
        }
        if let Some(at) = desired.until {
            self.wake(Key::Verified(namespace.clone()), at);
        }
        Ok(())
    }

    /// Whether a status must wait until VerifiedHosts has told of the host, which it is made to.
    pub(super) fn must_wait(&self, namespace: &Arc<str>, host: &Host, domain: &Domain, effect: &Effect) -> bool {
        let Effect::SetStatus(status) = effect else { return false };
        if !self.guarded {
            return false;
        }
        let (entry, stands) = {
            let (world, now) = (self.world(), Timestamp::now());
            let entry = world.would_verify(namespace, host, &with_status(domain, status), now);
            let known = world.verified(namespace);
            let known = known.and_then(|known| verified::entry(&known.hosts, &known.issuers, host));
            // What the Domain itself does not tell yet may be of a leader before, and on its way out.
            let told = world.would_verify(namespace, host, domain, now);
            (entry.clone(), known == entry && told == entry)
        };
        let id = (namespace.clone(), host.clone());
        let now = Instant::now();
        let mut all = self.announced();
        let Some(entry) = entry else {
            all.remove(&id);
            return false;
        };
        let Some(announced) = all.get(&id).filter(|announced| announced.entry == entry) else {
            if stands {
                return false;
            }
            all.insert(id, Announced { entry, since: now, written: None });
            drop(all);
            self.enqueue(Key::Verified(namespace.clone()));
            self.queue.add(Key::Host(namespace.clone(), host.clone()), now + LONGEST);
            return true;
        };
        let heard = announced.written.is_some_and(|written| now >= written + HEARD_WITHIN);
        if !heard && now < announced.since + LONGEST {
            let next = announced.written.map_or(announced.since + LONGEST, |written| written + HEARD_WITHIN);
            self.queue.add(Key::Host(namespace.clone(), host.clone()), next);
            return true;
        }
        if !heard {
            tracing::warn!(
                %namespace, %host,
                "VerifiedHosts cannot be written, so that admission policies may refuse what certgate injects"
            );
        }
        false
    }

    /// A status is written: from here on the Domain itself tells.
    pub(super) fn is_told(&self, namespace: &Arc<str>, host: &Host) {
        if self.guarded && self.announced().remove(&(namespace.clone(), host.clone())).is_some() {
            self.enqueue(Key::Verified(namespace.clone()));
        }
    }
}

fn says(present: &VerifiedHostsSpec, desired: &Verified) -> bool {
    present.hosts == desired.hosts
        && (&present.issuer, &present.issuers) == (&desired.issuer, &desired.issuers)
        && present.orders == desired.orders
}

fn with_status(domain: &Domain, status: &DomainStatus) -> Domain {
    Domain { status: Some(status.clone()), ..domain.clone() }
}
