//! Pre-flight for the controller: whose host is looked at next, and through which engine.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::{FutureExt as _, StreamExt as _, channel::mpsc, stream::FuturesUnordered};
use jiff::Timestamp;
use tokio::sync::watch;
use tracing::{Instrument as _, Span};

use super::{controller::Preflight, worker::Job};
use crate::{
    core::{
        host::Host,
        policy::{Dns, Policy},
        turns::checks::{Checks, Lane, Party, Place, Width, Zone},
        verdict::{Request, Verdict},
    },
    dns::{self, Asker, Looked, ServersError},
    reach::Reach,
    telemetry::{dns::DnsMetrics, trace},
};

/// How long the HTTP probe of a short look may take.
const QUICK_REACH: Duration = Duration::from_secs(2);
/// The most hosts that are looked at side by side, however many questions the servers may be asked.
const MOST: usize = 64;
/// How many domains' name servers are remembered.
const MAX_KNOWN: u64 = 10_000;
/// How often it is looked whether hosts still wait for what was asked.
const TIDY: Duration = Duration::from_secs(60);

/// Who asks about hosts.
pub trait Awaits {
    /// Whether the answer is still waited for.
    fn awaits(&self, job: &Job) -> bool;
    /// Here it is.
    fn answered(&self, job: Job, verdict: Verdict, at: Timestamp);
    /// It will not come, since nobody waits for it.
    fn abandoned(&self, job: Job);
}

/// Asks DNS, and HTTP where policy wants it, through another engine as soon as policy names other servers or limits.
#[derive(Clone)]
pub struct ByPolicy {
    policies: watch::Receiver<Arc<Policy>>,
    current: Arc<Mutex<(Dns, dns::Preflight)>>,
    metrics: DnsMetrics,
}

// === impl ByPolicy ===

impl ByPolicy {
    /// An engine for the policy in force.
    ///
    /// # Errors
    /// Policy names no usable resolver, and the system's cannot be read.
    pub fn new(policies: watch::Receiver<Arc<Policy>>, metrics: DnsMetrics) -> Result<Self, ServersError> {
        let settings = policies.borrow().dns.clone();
        let engine = dns::Preflight::counted(&settings, metrics.clone())?;
        Ok(Self { policies, current: Arc::new(Mutex::new((settings, engine))), metrics })
    }

    fn engine(&self) -> dns::Preflight {
        let wanted = self.policies.borrow().dns.clone();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != wanted {
            match dns::Preflight::counted(&wanted, self.metrics.clone()) {
                Ok(engine) => *current = (wanted, engine),
                Err(error) => {
                    tracing::error!(%error, "policy's DNS servers are unusable; the ones before stay in use");
                    current.0 = wanted;
                }
            }
        }
        current.1.clone()
    }
}

impl Preflight for ByPolicy {
    async fn look(&self, asker: &Asker, request: &Request) -> Looked {
        let (engine, mode) = (self.engine(), self.policies.borrow().http_reach);
        let mut looked = engine.look(asker, request).await;
        let Some(verdict) = looked.verdict.take() else { return looked };
        let reach = Reach::new(engine, mode).asked_by(asker.clone());
        looked.verdict = match asker.lane {
            Lane::Slow => Some(reach.back(request, verdict).await),
            Lane::Quick => tokio::time::timeout(QUICK_REACH, reach.back(request, verdict)).await.ok(),
        };
        looked.silent |= looked.verdict.is_none();
        looked
    }

    fn width(&self) -> usize {
        self.engine().width()
    }
}

/// Whose host, and where it is.
type Id = (Arc<str>, Host);

/// The hosts that wait for a look.
struct Desk {
    checks: Checks<(u64, Job)>,
    /// The newest question about each host that waits or is looked at, by number: it takes the place of any before.
    newest: HashMap<Id, u64>,
    number: u64,
    /// Who operates a domain's name servers.
    operators: moka::sync::Cache<Arc<str>, Arc<str>>,
}

// === impl Desk ===

impl Desk {
    fn new(width: usize) -> Self {
        Self {
            checks: Checks::new(Width::quick(width), Width::slow(width)),
            newest: HashMap::new(),
            number: 0,
            operators: moka::sync::Cache::new(MAX_KNOWN),
        }
    }

    fn take(&mut self, job: Job) {
        self.number += 1;
        self.newest.insert(id(&job), self.number);
        self.line_up(if job.slow { Lane::Slow } else { Lane::Quick }, self.number, job);
    }

    fn line_up(&mut self, lane: Lane, number: u64, job: Job) {
        let domain: Arc<str> = job.host.registered_domain().into();
        let servers = self.operators.get(&domain);
        let party = Party { namespace: job.namespace.clone(), zone: Zone { domain, servers } };
        self.checks.push(lane, party, (number, job));
    }

    fn is_newest(&self, number: u64, job: &Job) -> bool {
        self.newest.get(&id(job)) == Some(&number)
    }

    /// The next look, of those that are still waited for.
    fn next(&mut self, asked: &impl Awaits) -> Option<(Place, u64, Job)> {
        loop {
            let (place, (number, job)) = self.checks.next()?;
            if self.is_newest(number, &job) {
                if asked.awaits(&job) {
                    return Some((place, number, job));
                }
                self.newest.remove(&id(&job));
                asked.abandoned(job);
            }
            self.checks.done(place);
        }
    }

    /// A look is over.
    fn ended(&mut self, place: Place, number: u64, mut job: Job, looked: Looked, asked: &impl Awaits) {
        self.checks.done(place);
        if let Some(servers) = looked.servers {
            self.operators.insert(job.host.registered_domain().into(), servers);
        }
        if !self.is_newest(number, &job) {
            return;
        }
        job.slow = looked.silent;
        if looked.verdict.is_none() && asked.awaits(&job) {
            return self.line_up(Lane::Slow, number, job);
        }
        self.newest.remove(&id(&job));
        match looked.verdict {
            Some(verdict) => asked.answered(job, verdict, Timestamp::now()),
            None => asked.abandoned(job),
        }
    }

    /// Forgets what nobody waits for.
    fn tidy(&mut self, asked: &impl Awaits) {
        let mut idle = Vec::new();
        let newest = &self.newest;
        self.checks.retain(|(number, job)| {
            if newest.get(&id(job)) != Some(number) {
                return false;
            }
            let awaited = asked.awaits(job);
            if !awaited {
                idle.push(job.clone());
            }
            awaited
        });
        for job in idle {
            self.newest.remove(&id(&job));
            asked.abandoned(job);
        }
    }
}

fn id(job: &Job) -> Id {
    (job.namespace.clone(), job.host.clone())
}

/// Answers questions, many side by side, until there will be none any more.
pub async fn answer<P: Preflight>(mut questions: mpsc::UnboundedReceiver<Job>, preflight: P, asked: Arc<impl Awaits>) {
    let width = || preflight.width().clamp(1, MOST);
    let mut desk = Desk::new(width());
    let mut looks = FuturesUnordered::new();
    let mut tidy = tokio::time::interval(TIDY);
    loop {
        tokio::select! {
            job = questions.next() => match job {
                Some(job) => desk.take(job),
                None => return,
            },
            Some((place, number, job, looked)) = looks.next() => desk.ended(place, number, job, looked, &*asked),
            _ = tidy.tick() => {
                desk.checks.set_widths(Width::quick(width()), Width::slow(width()));
                desk.tidy(&*asked);
            }
        }
        // All that has been asked, so that turns are taken among all.
        while let Some(Some(job)) = questions.next().now_or_never() {
            desk.take(job);
        }
        while let Some((place, number, job)) = desk.next(&*asked) {
            looks.push(look(preflight.clone(), place, number, job));
        }
    }
}

async fn look<P: Preflight>(preflight: P, place: Place, number: u64, job: Job) -> (Place, u64, Job, Looked) {
    let span = tracing::info_span!(
        target: trace::TARGET, "check",
        namespace = %job.namespace, host = %job.host, lane = ?place.lane, reason = tracing::field::Empty
    );
    let asker = Asker { namespace: job.namespace.clone(), lane: place.lane };
    let looked = async {
        let looked = preflight.look(&asker, &job.request).await;
        if let Some(verdict) = &looked.verdict {
            Span::current().record("reason", verdict.finding.reason.as_str());
        }
        looked
    };
    let looked = looked.instrument(span).await;
    (place, number, job, looked)
}

#[cfg(test)]
mod tests;
