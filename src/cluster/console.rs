//! Bringing Domains in step with the flags in Rainbond 5's console.
//!
//! What follows from an answer is [`crate::core::console`]'s; here it is asked
//! for, by the leader alone, and written.

mod client;

use std::{collections::BTreeSet, convert::Infallible, sync::Arc, time::Duration};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client};
use tokio::sync::watch;

pub use client::{Console, ConsoleError, Credentials, Rules};

use super::{apply::WriteError, metrics::ConsoleMetrics, worker::Shared};
use crate::core::{
    console::{Flag, Mark, Place, confirmed, plan},
    policy::{self, Policy},
};

/// The longest wait after failures in a row.
const MAX_BACKOFF: Duration = Duration::from_secs(900);
/// The key of the token, and that of the CA's certificates, in the Secret.
const TOKEN: &str = "token";
const CA: &str = "ca.crt";

/// Why a look came to nothing.
#[derive(Debug, thiserror::Error)]
enum SyncError {
    #[error("Secret {namespace}/{name} cannot be read: {source}")]
    Secret { namespace: String, name: String, source: kube::Error },
    #[error(transparent)]
    Console(#[from] ConsoleError),
}

/// One leader's dealings with the console.
pub struct ConsoleSync {
    client: Client,
    own_namespace: String,
    /// Where the last success is noted: the leader's Lease, for `certgate doctor`.
    lease: String,
    shared: Arc<Shared>,
    metrics: ConsoleMetrics,
    /// The console as it was last asked, and with what.
    console: Option<(policy::Console, Credentials, Console)>,
    /// What the last answer left in doubt.
    doubtful: BTreeSet<Place>,
    /// Hosts whose flag the API server did not take, so that it is told once.
    refused: BTreeSet<Place>,
}

// === impl SyncError ===

impl SyncError {
    const fn kind(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "misconfigured",
            Self::Console(error) => error.kind(),
        }
    }
}

// === impl ConsoleSync ===

impl ConsoleSync {
    /// Asks nothing yet.
    pub fn new(
        client: Client,
        own_namespace: String,
        lease: String,
        shared: Arc<Shared>,
        metrics: ConsoleMetrics,
    ) -> Self {
        Self {
            client,
            own_namespace,
            lease,
            shared,
            metrics,
            console: None,
            doubtful: BTreeSet::new(),
            refused: BTreeSet::new(),
        }
    }

    /// Looks again and again, as policy says; not at all while it names no console.
    pub async fn run(mut self, mut policies: watch::Receiver<Arc<Policy>>) -> Infallible {
        let mut failures = 0_u32;
        loop {
            let settings = policies.borrow_and_update().console.clone();
            let wait = match &settings {
                None => None,
                Some(settings) => Some(self.wait_after(settings, &mut failures).await),
            };
            let pause = async {
                match wait {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = pause => {}
                // A policy that changes no more leaves the pause alone.
                Ok(()) = policies.changed() => {}
            }
        }
    }

    /// Looks once, says what came of it, and for how long to wait then.
    async fn wait_after(&mut self, settings: &policy::Console, failures: &mut u32) -> Duration {
        let interval = Duration::from_secs(settings.interval_seconds.max(1));
        match self.look(settings).await {
            Ok(rules) => {
                if *failures > 0 {
                    tracing::info!(url = settings.url, "the console answers again");
                }
                *failures = 0;
                let now = Timestamp::now();
                self.metrics.succeeded(rules, now);
                self.note(now).await;
                interval
            }
            Err(error) => {
                // Once for a row of failures; the metric has them all.
                if *failures == 0 {
                    tracing::warn!(url = settings.url, %error, "the console's flags cannot be read; those known stand");
                }
                self.metrics.failed(error.kind());
                *failures = failures.saturating_add(1);
                let asked = match &error {
                    SyncError::Console(error) => error.retry_after().unwrap_or_default(),
                    SyncError::Secret { .. } => Duration::ZERO,
                };
                interval
                    .saturating_mul(1 << failures.saturating_sub(1).min(8))
                    .max(asked)
                    .min(MAX_BACKOFF.max(interval))
            }
        }
    }

    /// Looks once. Gives the number of flagged rules.
    async fn look(&mut self, settings: &policy::Console) -> Result<usize, SyncError> {
        let credentials = self.credentials(&settings.secret).await?;
        let mut console = match self.console.take() {
            Some((asked, with, console)) if asked == *settings && with == credentials => console,
            _ => Console::new(&settings.url, &settings.region, &credentials)?,
        };
        let result = self.compare(&mut console).await;
        self.console = Some((settings.clone(), credentials, console));
        Ok(result?)
    }

    async fn credentials(&self, name: &str) -> Result<Credentials, SyncError> {
        let secrets: Api<Secret> = Api::namespaced(self.client.clone(), &self.own_namespace);
        let secret = secrets.get(name).await.map_err(|source| SyncError::Secret {
            namespace: self.own_namespace.clone(),
            name: name.to_owned(),
            source,
        })?;
        let mut data = secret.data.unwrap_or_default();
        let token = data.remove(TOKEN).ok_or(ConsoleError::Token)?.0;
        Ok(Credentials { token, ca: data.remove(CA).map(|pem| pem.0) })
    }

    async fn compare(&mut self, console: &mut Console) -> Result<usize, ConsoleError> {
        let Rules { rules, unreadable } = console.flagged().await?;
        if unreadable > 0 {
            tracing::debug!(unreadable, "rules of the console whose host or id cannot be read");
        }
        let (plan, domains) = {
            let world = self.shared.world();
            let (domains, namespaces) = (world.flagged_by_console(), world.namespaces_of_rules(&rules));
            (plan(&rules, |rule| namespaces.get(&rule.id).map(String::as_str), &domains), domains)
        };
        for Flag { place, mark, managed } in &plan.flag {
            self.write(place, Some(mark), *managed).await;
        }
        let taken = if plan.doubtful.is_disjoint(&self.doubtful) {
            BTreeSet::new()
        } else {
            let all = console.all().await?;
            let world = self.shared.world();
            let exists = |namespace: &str, id: &str| world.has_ingress(namespace, id);
            confirmed(&plan.doubtful, &self.doubtful, &all.rules, &domains, exists)
        };
        for place in &taken {
            self.write(place, None, domains.get(place).is_some_and(|seen| seen.managed)).await;
        }
        self.doubtful = plan.doubtful.difference(&taken).cloned().collect();
        Ok(rules.len())
    }

    /// Writes the console's flag for a host, or takes it back. What fails is tried again at the next look.
    async fn write(&mut self, place: &Place, mark: Option<&Mark>, managed: bool) {
        let (namespace, host) = place;
        let rules = mark.map(ToString::to_string);
        match self.shared.writer().flag_domain(namespace, host, rules.as_deref(), managed).await {
            Ok(_) => {
                self.refused.remove(place);
                let change = if mark.is_some() { "flagged by the console" } else { "no longer flagged by the console" };
                tracing::info!(%namespace, %host, rules, "{change}");
            }
            // Somebody said otherwise a moment ago, or the namespace is going.
            Err(WriteError::Conflict | WriteError::Gone) => {
                tracing::debug!(%namespace, %host, "the console's flag is overtaken");
            }
            Err(error) if self.refused.insert(place.clone()) => {
                tracing::warn!(%namespace, %host, %error, "the console's flag is not written; trying again at each look");
            }
            Err(_) => {}
        }
    }

    /// Leaves the time of the last success where an administrator's tools find it.
    async fn note(&self, now: Timestamp) {
        if let Err(error) = self.shared.writer().note_console(&self.own_namespace, &self.lease, now).await {
            tracing::debug!(%error, "the time of the console's last answer is not noted");
        }
    }
}
