//! One leader among the controller's replicas, by a Lease: the rules of [`crate::core::lease`] carried out.
//!
//! The Lease is written only over the version that was read. A leader whose renewals are not granted is fenced
//! ([`Fence`]) before anybody else may lead, and its work dropped.

use std::{convert::Infallible, fmt, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::MicroTime,
};
use kube::{
    Api, Client,
    api::{ObjectMeta, Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::{task::JoinSet, time::Instant};

use super::{apply::FIELD_MANAGER, metrics::ControllerMetrics, stage::Stages};
use crate::{
    apiserver::fence::Fence,
    core::{
        finding::in_one_line,
        lease::{Candidate, Next, Seen, Timing},
    },
};

/// How long a release may take before the process goes without it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);
/// How soon a leader tries again whose renewal failed at once.
const RETRY: Duration = Duration::from_millis(500);

/// Where the Lease is and who asks for it.
#[derive(Clone, Debug)]
pub struct LeaseSettings {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// This replica, told from all others.
    pub identity: String,
}

/// Runs `work` while this replica leads, from the beginning each time it comes to lead, with a client that sends
/// nothing once it leads no longer. Losing the Lease drops the work where it stands. Returns when `shutdown` does, the
/// Lease released, or with the work's error.
///
/// # Errors
/// The work ended.
pub async fn while_leading<W, F, E>(
    client: Client,
    settings: &LeaseSettings,
    shutdown: impl Future<Output = ()>,
    (stages, metrics): (Stages, ControllerMetrics),
    work: W,
) -> Result<(), E>
where
    W: Fn(Client) -> F,
    F: Future<Output = Result<Infallible, E>>,
{
    let mut election = Election {
        api: Api::namespaced(client.clone(), &settings.namespace),
        settings: settings.clone(),
        candidate: Candidate::new(settings.identity.clone(), Timing::default()),
        begun: Instant::now(),
        stages,
        waits_for: None,
    };
    tokio::pin!(shutdown);
    loop {
        let granted = tokio::select! {
            granted = election.come_to_lead() => granted,
            () = &mut shutdown => return Ok(()),
        };
        tracing::info!(identity = settings.identity, "leading");
        let fence = Arc::new(Fence::new(granted.left(&election)));
        // A task of its own: whatever the work is at does not keep it from renewing.
        let mut keeping = JoinSet::new();
        let kept = Arc::clone(&fence);
        keeping.spawn(async move {
            let kept = election.keep(granted.version, &kept).await;
            (election, kept)
        });
        let ended = tokio::select! {
            result = work(fence.around(client.clone())) => Some(result.map(|never| match never {})),
            () = fence.ended() => None,
            () = &mut shutdown => Some(Ok(())),
        };
        // Before anything else: what is left of the work is stopped in its tasks, and at the latest here.
        fence.end();
        let Some(Ok((returned, Kept { version, lost }))) = keeping.join_next().await else {
            // It only waits and asks, so this is a bug; the Lease runs out by itself.
            return ended.unwrap_or(Ok(()));
        };
        election = returned;
        if let Some(result) = ended {
            if !matches!(lost, Lost::Held(_)) {
                election.release(&version).await;
            }
            return result;
        }
        metrics.lost();
        tracing::warn!(why = %lost, "no longer leading; all work is dropped");
    }
}

/// What asks for the Lease and keeps it.
struct Election {
    api: Api<Lease>,
    settings: LeaseSettings,
    candidate: Candidate,
    begun: Instant,
    stages: Stages,
    /// Who was last seen to lead.
    waits_for: Option<String>,
}

/// A write of the Lease that was granted.
struct Granted {
    version: String,
    until: Duration,
}

/// What became of a Lease that was kept.
struct Kept {
    /// The version that was written last.
    version: String,
    lost: Lost,
}

/// Why one leads no longer.
enum Lost {
    /// The work ended, or the process was stopped for longer than its time.
    TimeOver,
    /// Somebody else holds the Lease.
    Held(String),
    /// No renewal was granted in time.
    NotRenewed(String),
}

/// What came of asking.
enum Asked {
    Granted(Granted),
    /// Somebody else leads.
    Waits {
        holder: String,
        look_after: Duration,
    },
    /// Somebody else wrote first.
    Overtaken,
}

// === impl Granted ===

impl Granted {
    fn left(&self, election: &Election) -> Duration {
        self.until.saturating_sub(election.now())
    }
}

// === impl Lost ===

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimeOver => write!(f, "its time is over"),
            Self::Held(holder) => write!(f, "{holder} holds the Lease"),
            Self::NotRenewed(why) => write!(f, "the Lease was not renewed in time: {why}"),
        }
    }
}

// === impl Election ===

impl Election {
    fn now(&self) -> Duration {
        self.begun.elapsed()
    }

    const fn timing(&self) -> &Timing {
        self.candidate.timing()
    }

    /// Asks for the Lease until it is granted.
    async fn come_to_lead(&mut self) -> Granted {
        loop {
            let wait = match self.ask().await {
                Ok(Asked::Granted(granted)) => {
                    self.stages.asked();
                    self.waits_for = None;
                    return granted;
                }
                Ok(Asked::Waits { holder, look_after }) => {
                    self.stages.asked();
                    if self.waits_for.as_ref() != Some(&holder) {
                        tracing::info!(leader = holder, "standing by");
                        self.waits_for = Some(holder);
                    }
                    look_after
                }
                Ok(Asked::Overtaken) => RETRY,
                Err(error) => {
                    let why = in_one_line(&error);
                    if self.stages.cannot_ask(&why) {
                        let LeaseSettings { namespace, name, .. } = &self.settings;
                        tracing::warn!(lease = name, namespace, error = why, "cannot ask for the Lease; trying again");
                    }
                    self.timing().period
                }
            };
            // Up to a fifth more, so that replicas do not ask at once for ever.
            tokio::time::sleep(wait + wait.mul_f64(fastrand::f64() / 5.0)).await;
        }
    }

    /// Reads the Lease, and writes oneself into it if that is what follows.
    async fn ask(&mut self) -> Result<Asked, kube::Error> {
        let name = self.settings.name.clone();
        let lease = self.patiently(self.api.get_opt(&name)).await?;
        let now = self.now();
        let version = lease.as_ref().and_then(|lease| lease.metadata.resource_version.clone());
        let transitions = lease.as_ref().and_then(|lease| lease.spec.as_ref()?.lease_transitions);
        match self.candidate.look(lease.map(seen), now) {
            Next::Wait { holder, look_after } => Ok(Asked::Waits { holder, look_after }),
            Next::Create => self.create().await,
            Next::Take { anew } => {
                let transitions = anew.then(|| transitions.unwrap_or_default().saturating_add(1));
                self.write(&version.unwrap_or_default(), transitions).await
            }
        }
    }

    async fn create(&self) -> Result<Asked, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata: ObjectMeta { name: Some(self.settings.name.clone()), ..ObjectMeta::default() },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.settings.identity.clone()),
                lease_duration_seconds: Some(self.term_seconds()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_transitions: Some(0),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let asked = self.now();
        self.granted(asked, self.patiently(self.api.create(&params, &lease)).await)
    }

    /// Writes oneself into the Lease, if it is still of that version. `transitions`: after somebody else.
    async fn write(&self, version: &str, transitions: Option<i32>) -> Result<Asked, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let mut spec = json!({
            "holderIdentity": self.settings.identity, "leaseDurationSeconds": self.term_seconds(), "renewTime": now,
        });
        if let (Some(transitions), Some(spec)) = (transitions, spec.as_object_mut()) {
            spec.insert("acquireTime".to_owned(), json!(now));
            spec.insert("leaseTransitions".to_owned(), json!(transitions));
        }
        let asked = self.now();
        self.granted(asked, self.patiently(self.patch(version, spec)).await)
    }

    async fn patch(&self, version: &str, spec: serde_json::Value) -> Result<Lease, kube::Error> {
        // A merge patch with a resourceVersion meets a true 409, and leaves alone what it does not name.
        let patch = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "spec": spec}));
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() };
        self.api.patch(&self.settings.name, &params, &patch).await
    }

    fn granted(&self, asked: Duration, answer: Result<Lease, kube::Error>) -> Result<Asked, kube::Error> {
        match answer {
            Ok(lease) => {
                let version = lease.metadata.resource_version.unwrap_or_default();
                Ok(Asked::Granted(Granted { version, until: self.candidate.leads_until(asked) }))
            }
            // It was changed, made or deleted meanwhile.
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(Asked::Overtaken),
            Err(error) => Err(error),
        }
    }

    /// Renews the Lease until it is lost or the fence is over.
    async fn keep(&mut self, mut version: String, fence: &Fence) -> Kept {
        let mut trouble = None;
        loop {
            let wait = if trouble.is_none() { self.timing().period } else { RETRY };
            let renewed = async {
                tokio::time::sleep(wait).await;
                match self.write(&version, None).await {
                    // Not by another leader, perhaps: notes are kept on it, and an answer may have been lost.
                    Ok(Asked::Overtaken) => self.ask().await,
                    other => other,
                }
            };
            let renewed = tokio::select! {
                biased;
                () = fence.ended() => {
                    let lost = trouble.map_or(Lost::TimeOver, Lost::NotRenewed);
                    return Kept { version, lost };
                }
                renewed = renewed => renewed,
            };
            match renewed {
                Ok(Asked::Granted(granted)) => {
                    fence.extend(granted.left(self));
                    version = granted.version;
                    self.stages.asked();
                    if trouble.take().is_some() {
                        tracing::info!("the Lease is renewed again");
                    }
                }
                Ok(Asked::Waits { holder, .. }) => {
                    fence.end();
                    return Kept { version, lost: Lost::Held(holder) };
                }
                Ok(Asked::Overtaken) => trouble = trouble.or_else(|| Some("others write it".to_owned())),
                Err(error) => {
                    let why = in_one_line(&error);
                    if self.stages.cannot_ask(&why) {
                        tracing::warn!(error = why, "the Lease is not renewed; trying again");
                    }
                    trouble = Some(why);
                }
            }
        }
    }

    /// Lets go of the Lease, so that others need not wait.
    async fn release(&self, version: &str) {
        let name = &self.settings.name;
        // As client-go does.
        let spec = json!({"holderIdentity": "", "leaseDurationSeconds": 1, "renewTime": MicroTime(Timestamp::now())});
        let released = async {
            match self.patch(version, spec.clone()).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => return other.map(|_| ()),
            }
            let lease = self.api.get(name).await?;
            let version = lease.metadata.resource_version.clone().unwrap_or_default();
            match seen(lease).holder {
                Some(holder) if holder == self.settings.identity => {
                    self.patch(&version, spec.clone()).await.map(|_| ())
                }
                _ => Ok(()),
            }
        };
        match tokio::time::timeout(RELEASE_TIMEOUT, released).await {
            Ok(Ok(())) => tracing::info!(lease = name, "Lease released"),
            Ok(Err(error)) => tracing::warn!(lease = name, %error, "Lease not released"),
            Err(_) => tracing::warn!(lease = name, "Lease not released in time"),
        }
    }

    /// Waits for an answer about the Lease, and no longer than there is time for another try.
    async fn patiently<T>(&self, asked: impl Future<Output = Result<T, kube::Error>>) -> Result<T, kube::Error> {
        let patience = self.timing().patience;
        let silent = |_| kube::Error::Service(format!("no answer within {} s", patience.as_secs()).into());
        tokio::time::timeout(patience, asked).await.unwrap_or_else(|elapsed| Err(silent(elapsed)))
    }

    fn term_seconds(&self) -> i32 {
        i32::try_from(self.timing().term.as_secs()).unwrap_or(i32::MAX)
    }
}

fn seen(lease: Lease) -> Seen {
    let spec = lease.spec.unwrap_or_default();
    Seen {
        version: lease.metadata.resource_version.unwrap_or_default(),
        holder: spec.holder_identity.filter(|holder| !holder.is_empty()),
        term: spec
            .lease_duration_seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(Duration::from_secs),
    }
}

#[cfg(test)]
mod tests;
