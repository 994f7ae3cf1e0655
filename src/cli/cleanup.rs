//! `certgate cleanup`: takes certgate out of a cluster.

use std::{io::Write as _, path::PathBuf, process::ExitCode};

use super::kubeconfig;
use crate::cleanup::{self, CleanupError, Keep, Report, Settings};

/// Take out of the cluster what certgate added to it.
///
/// Scale the controller down first. The webhook configuration goes first, then what is on Ingresses,
/// then Certificates, companions, Domains and VerifiedHosts. Secrets stay, and so does everything of the users'.
/// Can be run again at any time.
#[derive(Debug, clap::Args)]
pub struct CleanupArgs {
    /// What stays of the TLS that certgate added.
    #[arg(long, value_enum, default_value_t)]
    keep: Keep,
    /// Only tell what would be done.
    #[arg(long)]
    dry_run: bool,
    /// How to reach the cluster; else KUBECONFIG, ~/.kube/config or the pod's own account.
    #[arg(long, env = "KUBECONFIG", value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// certgate's own namespace.
    #[arg(long, env = "POD_NAMESPACE", default_value = "certgate-system")]
    namespace: String,
    /// The MutatingWebhookConfiguration.
    #[arg(long, default_value = "certgate")]
    webhook_configuration: String,
    /// The controller's Lease.
    #[arg(long, default_value = "certgate-controller")]
    lease: String,
}

/// Why the clean-up stopped.
#[derive(Debug, thiserror::Error)]
pub enum CleanupCommandError {
    /// No way to the cluster.
    #[error(transparent)]
    Kubeconfig(#[from] kubeconfig::KubeconfigError),
    /// It cannot go on.
    #[error(transparent)]
    Cleanup(#[from] CleanupError),
}

struct Lines {
    prefix: &'static str,
}

impl Report for Lines {
    fn line(&mut self, text: &str) {
        // A closed pipe is no reason to leave the work half done.
        let _ = writeln!(std::io::stdout(), "{}{text}", self.prefix);
    }
}

/// Cleans up, telling each step.
///
/// # Errors
/// No way to the cluster, a running controller, or a refusal.
pub async fn run(args: CleanupArgs) -> Result<ExitCode, CleanupCommandError> {
    let client = kubeconfig::client(args.kubeconfig.as_deref()).await?;
    let settings = Settings {
        namespace: args.namespace,
        webhook_configuration: args.webhook_configuration,
        lease: args.lease,
        keep: args.keep,
        dry_run: args.dry_run,
    };
    let mut lines = Lines { prefix: if settings.dry_run { "would: " } else { "" } };
    cleanup::run(client, &settings, &mut lines).await?;
    Ok(ExitCode::SUCCESS)
}
