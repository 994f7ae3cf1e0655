//! Workers: take a key, plan from the world as it is, write, look again later.

use std::{
    collections::HashMap,
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures::channel::mpsc;
use jiff::Timestamp;
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    apply::{WriteError, Writer},
    events::{self, Teller},
    metrics::ControllerMetrics,
    queue::Queue,
    world::{Key, Touched, World, intake::Kept as _},
};
use crate::{
    api::domain::{Domain, DomainStatus},
    core::{
        host::Host,
        patch,
        reconcile::{Asked, Checks, Effect, HostPlan, Notes, ingress::Trouble},
    },
};

mod asking;
mod contest;
pub mod limits;
mod requests;
mod stray;
mod troubles;
mod turn;
mod twin;
mod unread;
mod verified;

pub use self::asking::Job;
use self::troubles::Troubles;

/// The first wait after a plan whose writes failed; doubles up to the last.
const FIRST_RETRY: Duration = Duration::from_secs(1);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// The longest while the API server does not answer: it will be back for all at once.
const LAST_UNAVAILABLE: Duration = Duration::from_secs(8);

/// Plans made and written side by side.
pub const WORKERS: usize = 8;
/// Of those, of one namespace: however long its writes take, the others go on.
const SHARE: usize = WORKERS / 2;
/// The Events about the hosts of an Ingress that are published in one turn, and until the next.
const EVENTS_A_TURN: usize = 16;
const EVENTS_PAUSE: Duration = Duration::from_secs(2);
/// How often metrics of the whole are reckoned.
const SHOW_PERIOD: Duration = Duration::from_secs(5);

/// What all tasks of a leading controller share.
pub struct Shared {
    world: RwLock<World>,
    memory: Mutex<HashMap<(Arc<str>, Host), Memory>>,
    /// How often in a row the writes of a key failed.
    failures: Mutex<HashMap<Key, u32>>,
    troubles: Mutex<Troubles>,
    contests: Mutex<contest::Contests>,
    /// Since when times of this process are counted.
    begun: Instant,
    /// The API server did not take the last write.
    unavailable: AtomicBool,
    /// What was told of requests that are held.
    told: Mutex<requests::Told>,
    /// The API server holds Ingresses against VerifiedHosts.
    guarded: bool,
    announced: Mutex<verified::Announcements>,
    queue: Queue<Key>,
    jobs: mpsc::UnboundedSender<Job>,
    writer: Writer,
    teller: Teller,
    metrics: ControllerMetrics,
}

/// What is remembered of a host while the process lives.
#[derive(Clone, Debug, Default)]
struct Memory {
    checks: Checks,
    notes: Notes,
    /// Checks in a row that ended with a failing server.
    failing: u32,
    /// What the last check was asked, where a server did not answer it in time.
    slow: Option<Asked>,
}

// === impl Shared ===

impl Shared {
    /// A world without anything in it yet.
    pub fn new(
        world: World,
        writer: Writer,
        teller: Teller,
        metrics: ControllerMetrics,
        jobs: mpsc::UnboundedSender<Job>,
    ) -> Self {
        Self {
            world: RwLock::new(world),
            memory: Mutex::default(),
            failures: Mutex::default(),
            troubles: Mutex::default(),
            contests: Mutex::default(),
            begun: Instant::now(),
            unavailable: AtomicBool::new(false),
            told: Mutex::default(),
            guarded: false,
            announced: Mutex::default(),
            queue: Queue::new(SHARE),
            jobs,
            writer,
            teller,
            metrics,
        }
    }

    /// What is counted.
    pub fn metrics(&self) -> &ControllerMetrics {
        &self.metrics
    }

    /// Whose turn it is.
    pub fn queue(&self) -> &Queue<Key> {
        &self.queue
    }

    /// The world, to be read for a moment; never across an await.
    pub fn world(&self) -> RwLockReadGuard<'_, World> {
        self.world.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What writes.
    pub const fn writer(&self) -> &Writer {
        &self.writer
    }

    fn memory(&self) -> MutexGuard<'_, HashMap<(Arc<str>, Host), Memory>> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn troubles(&self) -> MutexGuard<'_, Troubles> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the world, and has made again what that may alter.
    pub fn change(&self, change: impl FnOnce(&mut World) -> Touched) {
        let touched = {
            let mut world = self.world.write().unwrap_or_else(PoisonError::into_inner);
            let touched = change(&mut world);
            if !world.is_settled() {
                return;
            }
            touched
        };
        if !touched.edited.is_empty() {
            let mut memory = self.memory();
            for host in touched.edited {
                memory.entry(host).or_default().checks.edited = true;
            }
        }
        for key in touched.keys {
            self.enqueue(key);
        }
        if touched.everything {
            // The world is held for one namespace at a time.
            let namespaces = self.world().all_namespaces();
            for namespace in namespaces {
                let keys = self.world().keys_in(&namespace);
                keys.into_iter().for_each(|key| self.enqueue(key));
            }
        }
    }

    /// All has been listed: has every plan made.
    pub fn settle(&self) {
        {
            // After a restart what was told is not told again.
            let world = self.world();
            let mut troubles = self.troubles();
            for (ingress, uid, trouble) in world.standing_troubles(Timestamp::now()) {
                troubles.news(ingress, uid, trouble, usize::MAX);
            }
            self.told().standing(&world, Timestamp::now());
        }
        self.change(|world| {
            world.settle();
            world.settle_limits(Timestamp::now());
            Touched { everything: true, ..Touched::default() }
        });
    }

    fn enqueue(&self, key: Key) {
        let delay = match key {
            Key::Ingress(..) | Key::Verified(_) => self.world().gathers(&key),
            _ => Duration::ZERO,
        };
        self.queue.add(key, Instant::now() + delay);
    }

    fn wake(&self, key: Key, at: Timestamp) {
        let wait = Timestamp::now().duration_until(at);
        self.queue.add(key, Instant::now() + Duration::try_from(wait).unwrap_or(Duration::ZERO));
    }
}

/// Kubernetes keeps whole seconds; planning with more would make each status read back look changed.
fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

/// Shows how things stand, for ever.
pub async fn show(shared: Arc<Shared>) -> Infallible {
    let mut tick = tokio::time::interval(SHOW_PERIOD);
    loop {
        tick.tick().await;
        shared.settle_contests();
        shared.metrics.show(&shared.world(), shared.queue.depth(), Timestamp::now());
    }
}

/// Works until the queue is closed.
pub async fn run(shared: Arc<Shared>) {
    while let Some(key) = shared.queue.next().await {
        let result = shared.plan(&key).instrument(turn::span(&key)).await;
        shared.queue.done(&key);
        shared.metrics.planned(result.as_ref().copied());
        shared.settle_failure(key, result);
    }
}

impl Shared {
    /// Sees to it that nothing is lost: what failed is planned again.
    fn settle_failure(&self, key: Key, result: Result<(), WriteError>) {
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        let error = match result {
            Ok(()) => {
                if failures.remove(&key).is_some() && self.unavailable.swap(false, Ordering::Relaxed) {
                    tracing::info!("writes succeed again");
                }
                return;
            }
            // What is gone is final; should it come back, a watch will say so.
            Err(WriteError::Gone) => {
                tracing::debug!(?key, "gone meanwhile");
                failures.remove(&key);
                return;
            }
            Err(error) => error,
        };
        let count = failures.entry(key.clone()).or_default();
        *count = count.saturating_add(1);
        let unavailable = matches!(error, WriteError::Transient(_));
        let longest = if unavailable { LAST_UNAVAILABLE } else { LAST_RETRY };
        let wait = (FIRST_RETRY * (1 << (*count - 1).min(10))).min(longest);
        // Up to a quarter more, so that what failed together does not come back together.
        let wait = wait + wait.mul_f64(fastrand::f64() / 4.0);
        match error {
            WriteError::Conflict if *count < 4 => tracing::debug!(?key, "changed meanwhile; planning anew"),
            // One line for all that wait for the API server, not one each.
            error if unavailable && self.unavailable.swap(true, Ordering::Relaxed) => {
                tracing::debug!(?key, %error, "write failed");
            }
            error => tracing::warn!(?key, %error, retry_after = wait.as_secs_f32(), "write failed"),
        }
        self.queue.add(key, Instant::now() + wait);
    }

    async fn host(&self, namespace: &Arc<str>, host: &Host) -> Result<(), WriteError> {
        let id = (namespace.clone(), host.clone());
        let Memory { mut checks, notes, .. } = self.memory().get(&id).cloned().unwrap_or_default();
        let now = whole_seconds(Timestamp::now());
        let (plan, mut domain) = self.plan_host(namespace, host, &mut checks, &notes, now);
        let HostPlan { effects, wake, notes: next_notes, .. } = plan;
        for effect in effects {
            if domain.as_ref().is_some_and(|domain| self.must_wait(namespace, host, domain, &effect)) {
                // It comes back, with all that is left to do.
                return Ok(());
            }
            self.effect(namespace, host, &mut domain, effect).await?;
        }
        {
            let mut memory = self.memory();
            let entry = memory.entry(id.clone()).or_default();
            entry.notes = next_notes;
            // Adopted, or asked anew meanwhile.
            if entry.checks.fresh.as_ref().map(|fresh| fresh.at) == checks.fresh.as_ref().map(|fresh| fresh.at) {
                entry.checks.fresh = None;
            }
            // What was edited makes no difference where nothing was checked yet.
            if domain.is_none() && entry.checks.running.is_none() && entry.notes == Notes::default() {
                memory.remove(&id);
            }
        }
        if let Some(at) = wake {
            self.wake(Key::Host(namespace.clone(), host.clone()), at);
        }
        Ok(())
    }

    async fn effect(
        &self,
        namespace: &Arc<str>,
        host: &Host,
        domain: &mut Option<Domain>,
        effect: Effect,
    ) -> Result<(), WriteError> {
        match effect {
            Effect::CreateDomain => {
                let made = self.writer.create_domain(namespace, host).await?;
                tracing::info!(%namespace, %host, "Domain created");
                self.change(|world| made.see(world));
            }
            Effect::SetStatus(status) => {
                let Some(before) = domain.take() else { return Ok(()) };
                let old = before.status.clone().unwrap_or_default();
                let after = self.writer.set_status(before, *status).await?;
                self.metrics.passed(&old, after.status.as_ref().unwrap_or(&DomainStatus::default()));
                let message = after.status.as_ref().and_then(|status| status.message.clone());
                if message != old.message {
                    let reason = after.status.as_ref().and_then(|status| {
                        crate::core::reconcile::status::reason_of(status, crate::api::domain::READY)
                    });
                    tracing::info!(
                        %namespace, %host, reason = reason.map_or("", |reason| reason.as_str()),
                        ingress = after.status.as_ref().and_then(|status| status.lead.as_deref()),
                        sentence = message.as_deref().unwrap_or_default(), "host changed"
                    );
                }
                *domain = Some(after.clone());
                self.change(|world| after.see(world));
                self.is_told(namespace, host);
            }
            Effect::DeleteDomain => {
                let Some(gone) = domain.take() else { return Ok(()) };
                self.writer.delete_domain(&gone).await?;
                tracing::info!(%namespace, %host, "Domain deleted: nobody wants a certificate");
            }
            Effect::Check { request, asked } => self.ask(namespace, host, *request, asked),
            Effect::DeleteCertificate { name, uid } => {
                self.writer.delete_certificate(namespace, &name, &uid).await?;
                tracing::info!(%namespace, %host, certificate = name, "Certificate deleted");
            }
            Effect::SetCondition { certificate, uid, condition } => {
                let after = self.writer.set_condition(namespace, &certificate, &uid, &condition).await?;
                tracing::debug!(%namespace, %host, certificate, reason = condition.reason, "condition written");
                self.change(|world| after.see(world));
            }
            Effect::TellCertificate { name, uid, reason, message } => {
                tracing::info!(%namespace, %host, certificate = name, %reason, message, "Certificate told of");
                self.teller.tell(&events::certificate(namespace, &name, &uid), reason, &message).await;
            }
            Effect::Nudge { ingress, uid } => {
                let value = whole_seconds(Timestamp::now()).to_string();
                let after = self.writer.nudge(namespace, &ingress, &uid, &value).await?;
                tracing::info!(%namespace, %host, ingress, "Certificate missing: Ingress nudged");
                self.change(|world| after.see(world));
            }
            Effect::WriteCompanion(companion) => {
                let Some(owner) = domain.as_ref() else { return Ok(()) };
                let (name, what) = (Arc::from(companion.name.as_str()), contest::digest(&format!("{companion:?}")));
                let key = Key::Host(namespace.clone(), host.clone());
                if !self.may_write(&key, namespace, &name, what).await {
                    return Ok(());
                }
                let after = self.writer.write_companion(owner, &companion).await?;
                self.wrote(namespace, &name, what);
                tracing::info!(%namespace, %host, companion = companion.name, orders = companion.orders(), "companion written");
                self.change(|world| after.see(world));
            }
            Effect::DeleteCompanion { name, uid } => {
                self.writer.delete_companion(namespace, &name, &uid).await?;
                tracing::info!(%namespace, %host, companion = name, "companion deleted");
            }
            Effect::Tell { ingress, reason, message } => {
                let regarding = match (&ingress, domain.as_ref()) {
                    (Some((name, uid)), _) => events::ingress(namespace, name, uid),
                    (None, Some(domain)) => events::domain(domain),
                    (None, None) => return Ok(()),
                };
                self.teller.tell(&regarding, reason, &message).await;
            }
        }
        Ok(())
    }

    async fn ingress(&self, namespace: &Arc<str>, name: &Arc<str>) -> Result<(), WriteError> {
        if self.world().must_leave(namespace, name) {
            return Ok(());
        }
        let planned = {
            let world = self.world();
            let planned = world.plan_ingress(namespace, name, whole_seconds(Timestamp::now()));
            planned.map(|(seen, plan)| (plan, seen.resource_version.clone(), seen.ingress.metadata.uid.to_string()))
        };
        let Some((plan, resource_version, uid)) = planned else {
            self.troubles().told.remove(&(namespace.clone(), name.clone()));
            return self.twin(namespace, name, None).await;
        };
        for (host, action, reason) in &plan.hosts {
            tracing::debug!(%namespace, ingress = %name, host, action = action.as_str(), %reason, "decided");
        }
        self.tell_trouble(namespace, name, &uid, plan.trouble).await;
        if plan.patch.is_empty() {
            return self.twin(namespace, name, plan.twin).await;
        }
        let (mut text, key) = (String::new(), Key::Ingress(namespace.clone(), name.clone()));
        patch::write(&plan.patch, &mut text);
        let what = contest::digest(&text);
        if !self.may_write(&key, namespace, name, what).await {
            return self.twin(namespace, name, plan.twin).await;
        }
        let after = self.writer.patch_ingress(namespace, name, &plan.patch, &resource_version).await?;
        self.wrote(namespace, name, what);
        for (host, action, reason) in &plan.hosts {
            tracing::info!(%namespace, ingress = %name, host, action = action.as_str(), %reason, "Ingress patched");
        }
        for (certificate, uid) in &plan.strays {
            self.writer.delete_certificate(namespace, certificate, uid).await?;
            tracing::info!(%namespace, ingress = %name, certificate, "Certificate of a TLS entry of the user's deleted");
        }
        // The twin follows in the plan that this change brings.
        self.change(|world| after.see(world));
        Ok(())
    }

    /// Tells of what no Domain tells, once for each Ingress, host and reason.
    async fn tell_trouble(&self, namespace: &Arc<str>, name: &Arc<str>, uid: &str, trouble: Vec<Trouble>) {
        let (news, more) = self.troubles().news((namespace.clone(), name.clone()), uid, trouble, EVENTS_A_TURN);
        if more {
            self.queue.add(Key::Ingress(namespace.clone(), name.clone()), Instant::now() + EVENTS_PAUSE);
        }
        for trouble in news {
            let Trouble { host, reason, message } = trouble;
            tracing::info!(%namespace, ingress = %name, host, %reason, "host cannot be served");
            self.teller.tell(&events::ingress(namespace, name, uid), reason, &message).await;
        }
    }
}

#[cfg(test)]
mod tests;
