//! Follows the policy file, so that an edit needs no restart.
//!
//! The file's content is compared every few seconds. That is immune to how it
//! changes: written in place, renamed over, or swapped by the kubelet, which
//! moves the `..data` symlink of a mounted ConfigMap and leaves the file's own
//! inode, on which a file watch would sit, behind for ever.

use std::{path::PathBuf, sync::Arc, time::Duration};

use tokio::sync::watch;

use super::ConfigError;
use crate::core::policy::Policy;

/// How often the file is looked at. The kubelet itself takes up to a minute to update a mounted ConfigMap.
pub const INTERVAL: Duration = Duration::from_secs(3);

/// What came of a change to the file.
#[derive(Debug)]
pub enum Reload<'a> {
    /// The new policy is in force.
    Loaded(&'a Policy),
    /// The file is unusable; the policy before it stays in force.
    Rejected(&'a ConfigError),
}

/// Loads a policy, and returns it with a future that keeps it fresh until nobody holds a receiver.
///
/// `report` is told of each change, once, beside the log: for metrics and Events.
///
/// # Errors
/// The file is unusable now. Later faults are reported and leave the policy as it is.
pub fn watch(
    path: PathBuf,
    interval: Duration,
    mut report: impl FnMut(Reload<'_>) + Send + 'static,
) -> Result<(watch::Receiver<Arc<Policy>>, impl Future<Output = ()> + Send), ConfigError> {
    let first = super::read(&path)?;
    let (sender, receiver) = watch::channel(Arc::new(super::parse(&path, &first)?));
    let follow = async move {
        let mut seen = Seen::Text(first);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                () = tokio::time::sleep(interval) => {}
            }
            let reading = path.clone();
            // A panic or a runtime that is shutting down: nothing was read, so nothing has changed.
            let Ok(read) = tokio::task::spawn_blocking(move || super::read(&reading)).await else { continue };
            let now = match &read {
                Ok(text) => Seen::Text(text.clone()),
                Err(error) => Seen::Fault(error.to_string()),
            };
            if now == seen {
                continue;
            }
            seen = now;
            match read.and_then(|text| super::parse(&path, &text)) {
                Ok(policy) => {
                    tracing::info!(policy = %path.display(), "policy loaded");
                    report(Reload::Loaded(&policy));
                    sender.send_replace(Arc::new(policy));
                }
                Err(error) => {
                    tracing::error!(%error, "policy not loaded; the one before it stays in force");
                    report(Reload::Rejected(&error));
                }
            }
        }
    };
    Ok((receiver, follow))
}

/// What the last look showed, so that the same thing is not reported again.
#[derive(PartialEq)]
enum Seen {
    Text(String),
    Fault(String),
}

#[cfg(test)]
mod tests;
