//! One leader among the controller's replicas, by a Lease.

use std::{convert::Infallible, time::Duration};

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;

/// How long a leader that went without a word is waited for, in seconds.
/// Also what a hand-over takes at most: who waits learns of a release when the term it knows of ends.
const TERM_SECONDS: u64 = 8;
/// How long before the end of its term a leader renews it, in seconds.
const MARGIN_SECONDS: u64 = 4;
/// How long a release may take before the process goes without it.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

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

/// Why leading ended for good.
#[derive(Debug, thiserror::Error)]
pub enum LeaseError<E> {
    /// The work did.
    #[error(transparent)]
    Work(E),
    /// The task that renews the Lease ended, which it never should.
    #[error("the Lease is no longer renewed: {0}")]
    Renewal(String),
}

/// Runs `work` while this replica leads, from the beginning each time it comes
/// to lead. Losing the Lease drops the work where it stands. Returns when
/// `shutdown` does, the Lease released, or with the work's error. `waits` is
/// called once the API server has let this replica ask for the Lease.
///
/// # Errors
/// The work ended, or the Lease can no longer be renewed.
pub async fn while_leading<W, F, E>(
    client: Client,
    settings: &LeaseSettings,
    shutdown: impl Future<Output = ()>,
    waits: impl FnOnce(),
    work: W,
) -> Result<(), LeaseError<E>>
where
    W: Fn() -> F,
    F: Future<Output = Result<Infallible, E>>,
{
    tokio::pin!(shutdown);
    let manager = tokio::select! {
        manager = candidate(client, settings) => manager,
        () = &mut shutdown => return Ok(()),
    };
    waits();
    let (mut leading, mut renewal) = manager.watch().await;
    let result = tokio::select! {
        result = lead_in_turns(&mut leading, &work) => result.map_err(LeaseError::Work),
        ended = &mut renewal => {
            let why = match ended {
                Ok(Ok(_)) => "it was given up".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(error) => error.to_string(),
            };
            return Err(LeaseError::Renewal(why));
        }
        () = &mut shutdown => Ok(()),
    };
    // With nobody listening the Lease is released.
    drop(leading);
    match tokio::time::timeout(RELEASE_TIMEOUT, renewal).await {
        Ok(Ok(Ok(_))) => tracing::info!(lease = settings.name, "Lease released"),
        Ok(Ok(Err(error))) => tracing::warn!(lease = settings.name, %error, "Lease not released"),
        Ok(Err(error)) => tracing::warn!(lease = settings.name, %error, "Lease not released"),
        Err(_) => tracing::warn!(lease = settings.name, "Lease not released in time"),
    }
    result
}

async fn lead_in_turns<W, F, E>(leading: &mut watch::Receiver<bool>, work: &W) -> Result<(), E>
where
    W: Fn() -> F,
    F: Future<Output = Result<Infallible, E>>,
{
    loop {
        // The sender lives in the renewal task, whose end is seen elsewhere.
        if leading.wait_for(|leads| *leads).await.is_err() {
            return std::future::pending().await;
        }
        tracing::info!("leading");
        tokio::select! {
            result = work() => match result {
                Ok(never) => match never {},
                Err(error) => return Err(error),
            },
            _ = leading.wait_for(|leads| !*leads) => tracing::warn!("no longer leading"),
        }
    }
}

/// Asks for the Lease until the API server answers.
async fn candidate(client: Client, settings: &LeaseSettings) -> LeaseManager {
    let mut wait = Duration::from_secs(1);
    loop {
        let built: Result<_, LeaseManagerError> = LeaseManagerBuilder::new(client.clone(), &settings.name)
            .with_namespace(&settings.namespace)
            .with_identity(&settings.identity)
            .with_field_manager(format!("certgate-{}", settings.identity))
            .with_grace(MARGIN_SECONDS)
            .with_duration(TERM_SECONDS)
            .build()
            .await;
        match built {
            Ok(manager) => return manager,
            Err(error) => {
                tracing::warn!(
                    lease = settings.name, namespace = settings.namespace, %error,
                    "cannot ask for the Lease; trying again"
                );
                tokio::time::sleep(wait).await;
                wait = (wait * 2).min(Duration::from_secs(10));
            }
        }
    }
}
