//! `certgate run`: both roles in one process, for development and small clusters.

use std::{process::ExitCode, sync::Arc, time::Duration};

use clap::Args;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use super::{
    controller::{Duties, RunError, ServingArgs},
    kubeconfig,
    page::PageArgs,
    webhook::{Webhook, WebhookArgs, WebhookError},
};
use crate::{
    config::{self, metrics::PolicyMetrics, watch::Reload},
    pki::LifetimeArgs,
    server::{
        admin::Admin,
        listener,
        readiness::Readiness,
        shutdown::{Grace, Phase},
    },
    telemetry::log,
};

/// How long the controller may take to release its Lease once the webhook is done.
const RELEASE: Duration = Duration::from_secs(5);

/// Serve the webhook and lead the controller in one process, for development and small clusters.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    webhook: WebhookArgs,
    /// The Lease by which one replica leads.
    #[arg(long, value_name = "NAME", default_value = "certgate-controller")]
    lease: String,
    /// The Service that the API server calls.
    #[arg(long, value_name = "NAME", default_value = "certgate-webhook")]
    service: String,
    /// The Secret with the CA.
    #[arg(long, value_name = "NAME", default_value = "certgate-ca")]
    ca_secret: String,
    #[command(flatten)]
    lifetimes: LifetimeArgs,
    /// The API server holds Ingresses against VerifiedHosts (the chart's admissionPolicy): keep one in each namespace,
    /// and have it tell of a host before anything else does.
    #[arg(long)]
    guarded: bool,
    #[command(flatten)]
    page: PageArgs,
}

/// Why the process does not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum BothError {
    /// The webhook.
    #[error(transparent)]
    Webhook(#[from] WebhookError),
    /// The controller.
    #[error(transparent)]
    Controller(#[from] RunError),
    /// The controller's task panicked.
    #[error("the controller failed: {0}")]
    Task(#[from] tokio::task::JoinError),
}

/// Runs both until SIGTERM or SIGINT.
///
/// # Errors
/// Unusable configuration, or a part that stopped.
pub async fn run(args: RunArgs) -> Result<ExitCode, BothError> {
    let RunArgs { webhook: args, lease, service, ca_secret, lifetimes, guarded, page } = args;
    let _traces = log::init(args.log_format, &args.traces).map_err(WebhookError::from)?;
    let mut registry = Registry::default();
    let (policies, follow) = match &args.policy {
        Some(file) => {
            let metrics = PolicyMetrics::register(&mut registry);
            let count = move |reload: Reload<'_>| metrics.count(&reload);
            let (policies, follow) =
                config::watch::watch(file.clone(), config::watch::INTERVAL, count).map_err(WebhookError::from)?;
            (policies, Some(follow))
        }
        None => (watch::channel(Arc::default()).1, None),
    };
    let client = kubeconfig::client(args.kubeconfig.as_deref()).await.map_err(WebhookError::from)?;
    let serving = ServingArgs {
        serving_cert: args.serving_cert,
        service,
        ca_secret,
        tls_secret: args.tls_secret.clone(),
        webhook_configuration: args.webhook_configuration.clone(),
        approval_configuration: args
            .approval_configuration
            .clone()
            .unwrap_or_else(|| format!("{}-approval", args.webhook_configuration)),
        lifetimes,
        guarded,
    };
    let duties = Duties::prepare(&serving, &args.namespace, policies.clone(), client.clone(), lease, &mut registry)?;
    let page_client = client.clone();
    let mut webhook = Webhook::prepare(&args, policies, client, &mut registry).await?;
    if let Some(follow) = follow {
        webhook.tasks.spawn(async move {
            follow.await;
            "the watch on the policy file"
        });
    }
    page.start(&page_client, &mut webhook.tasks).await.map_err(WebhookError::from)?;
    let socket = listener::bind("--admin-listen", args.admin_listen).await.map_err(WebhookError::from)?;
    let admin = Admin::new(duties.remarks(webhook.readiness(Readiness::default())), registry, webhook.shutdown.clone());
    webhook.tasks.spawn(async move {
        let error = admin.serve(socket).await.err();
        tracing::error!(?error, "the admin server stopped");
        "the admin server"
    });

    let shutdown = webhook.shutdown.clone();
    let mut leading =
        tokio::spawn(async move { duties.run(async move { shutdown.reached(Phase::Leaving).await }).await });
    let grace = Grace { leaving: Duration::from_secs(args.grace_seconds.into()), ..Grace::default() };
    let leaving = webhook.shutdown.clone();
    let mut serving = std::pin::pin!(webhook.run(grace));
    tokio::select! {
        served = &mut serving => {
            let code = served?;
            if let Ok(led) = tokio::time::timeout(RELEASE, &mut leading).await {
                led?.map_err(RunError::from)?;
            }
            return Ok(code);
        }
        led = &mut leading => {
            led?.map_err(RunError::from)?;
            // It ends without error only once the webhook has begun to leave.
            debug_assert!(leaving.phase() >= Phase::Leaving);
        }
    }
    Ok(serving.await?)
}
