//! Questions to pre-flight: how they leave, and what becomes of their answers.

use std::{sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::{Shared, whole_seconds};
use crate::{
    cluster::{preflight::Awaits, world::Key},
    core::{
        host::Host,
        reconcile::{Asked, Fresh},
        schedule,
        verdict::{Request, Verdict},
    },
};

/// A question to pre-flight, on its way.
#[derive(Clone, Debug)]
pub struct Job {
    /// Whose.
    pub namespace: Arc<str>,
    /// About which host.
    pub host: Host,
    /// What.
    pub request: Request,
    /// The last look for the same was left without answers.
    pub slow: bool,
    asked: Asked,
}

impl Shared {
    pub(super) fn ask(&self, namespace: &Arc<str>, host: &Host, request: Request, asked: Asked) {
        let slow = {
            let mut memory = self.memory();
            let entry = memory.entry((namespace.clone(), host.clone())).or_default();
            entry.checks.running = Some(asked.clone());
            entry.checks.edited = false;
            entry.slow.as_ref() == Some(&asked)
        };
        let (namespace, host) = (namespace.clone(), host.clone());
        // The receiver lives as long as the controller leads.
        let _ = self.jobs.unbounded_send(Job { namespace, host, request, slow, asked });
    }

    fn record(&self, job: Job, mut verdict: Verdict, at: Timestamp) {
        let Job { namespace, host, asked, slow, .. } = job;
        self.metrics.checked(verdict.finding.reason);
        let (held_for, policy) = {
            let world = self.world();
            let status = world.domain_object(&namespace, &host).and_then(|seen| seen.domain.status.as_ref());
            let held_since = status.and_then(|status| status.held_since.as_ref()).map(|time| time.0);
            let held_for = held_since.map_or(SignedDuration::ZERO, |since| since.duration_until(at));
            (Duration::try_from(held_for).unwrap_or_default(), world.policy().clone())
        };
        {
            let mut memory = self.memory();
            let entry = memory.entry((namespace.clone(), host.clone())).or_default();
            let transient = schedule::is_transient(verdict.finding.reason);
            entry.failing = if transient { entry.failing.saturating_add(1) } else { 0 };
            let jitter = fastrand::f64() * 2.0 - 1.0;
            verdict.next_check = schedule::next_check(&verdict, held_for, entry.failing, jitter, &policy.dns);
            tracing::debug!(
                %namespace, %host, reason = %verdict.finding.reason,
                next_check = verdict.next_check.as_secs_f32(), "checked"
            );
            entry.slow = slow.then(|| asked.clone());
            entry.checks.running = None;
            entry.checks.fresh = Some(Fresh { asked, verdict, at: whole_seconds(at) });
        }
        self.enqueue(Key::Host(namespace, host));
    }
}

impl Awaits for Shared {
    fn awaits(&self, job: &Job) -> bool {
        // While there is no Domain nobody asks, and nobody would be told.
        let exists = self.world().domain_object(&job.namespace, &job.host).is_some();
        let memory = self.memory();
        let entry = memory.get(&(job.namespace.clone(), job.host.clone()));
        exists && entry.is_some_and(|entry| entry.checks.running.as_ref() == Some(&job.asked))
    }

    fn answered(&self, job: Job, verdict: Verdict, at: Timestamp) {
        self.record(job, verdict, at);
    }

    fn abandoned(&self, job: Job) {
        let id = (job.namespace, job.host);
        if let Some(entry) = self.memory().get_mut(&id)
            && entry.checks.running.as_ref() == Some(&job.asked)
        {
            entry.checks.running = None;
        }
        // Should somebody want the host after all, it is asked anew.
        self.enqueue(Key::Host(id.0, id.1));
    }
}

#[cfg(test)]
impl Job {
    /// A question about a host, for tests of who is asked next.
    pub(in crate::cluster) fn about(namespace: &str, host: &str, slow: bool) -> Self {
        use crate::core::verdict::{CaIdentity, GatewayTarget, Method};
        let host = Host::parse(host).unwrap();
        let (gateway, ca) = (GatewayTarget::default(), CaIdentity::default());
        let request = Request { host: host.clone(), method: Method::Http01, gateway, ca };
        Self { namespace: namespace.into(), host, request, slow, asked: Asked::default() }
    }
}
