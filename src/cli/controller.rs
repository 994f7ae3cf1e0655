//! `certgate controller`: looks after Domains and the Ingresses of flagged hosts.

use std::{net::SocketAddr, path::PathBuf, process::ExitCode, sync::Arc, time::Instant};

use clap::Args;
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::{sync::watch, task::JoinSet};

use super::{
    kubeconfig::{self, KubeconfigError},
    page::PageArgs,
    webhook::ServingCert,
};
use crate::{
    cluster::{
        controller::{Controller, ControllerError},
        lease::LeaseSettings,
        metrics::ControllerMetrics,
        preflight::ByPolicy,
        stage::Stages,
    },
    config::{self, ConfigError, metrics::PolicyMetrics, watch::Reload},
    core::policy::Policy,
    dns::ServersError,
    pki::{self, LifetimeArgs, LifetimeError, PkiMetrics},
    server::{
        admin::Admin,
        listener::{self, ListenError},
        readiness::Readiness,
        shutdown::{Phase, Shutdown, Signals},
    },
    telemetry::{
        dns::DnsMetrics,
        log::{self, LogError, LogFormat},
        trace::TraceArgs,
    },
};

/// Look after Domains: check hosts, say what they wait for, bring Ingresses up to date. One replica leads.
#[derive(Clone, Debug, Args)]
pub struct ControllerArgs {
    /// How to reach the API server; in a pod its ServiceAccount serves.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    kubeconfig: Option<PathBuf>,
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Where /healthz, /readyz and /metrics are.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    admin_listen: SocketAddr,
    #[command(flatten)]
    page: PageArgs,
    /// The namespace of the Lease, the Secrets and the Service.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "certgate-system")]
    namespace: String,
    /// The Lease by which one replica leads.
    #[arg(long, value_name = "NAME", default_value = "certgate-controller")]
    lease: String,
    #[command(flatten)]
    serving: ServingArgs,
    /// The form of the log.
    #[arg(long, value_enum, default_value_t)]
    log_format: LogFormat,
    #[command(flatten)]
    traces: TraceArgs,
}

/// The webhook's certificates, which the leader keeps.
#[derive(Clone, Debug, Args)]
pub struct ServingArgs {
    /// Where the webhook's serving certificate comes from; `files`: not from here.
    #[arg(long, value_enum, default_value_t)]
    pub(super) serving_cert: ServingCert,
    /// The Service that the API server calls.
    #[arg(long, value_name = "NAME", default_value = "certgate-webhook")]
    pub(super) service: String,
    /// The Secret with the CA.
    #[arg(long, value_name = "NAME", default_value = "certgate-ca")]
    pub(super) ca_secret: String,
    /// The Secret with the serving certificate.
    #[arg(long, value_name = "NAME", default_value = "certgate-webhook-tls")]
    pub(super) tls_secret: String,
    /// The ValidatingWebhookConfiguration of the approval gate, whose caBundle is kept where it exists.
    #[arg(long, value_name = "NAME", default_value = "certgate-approval")]
    pub(super) approval_configuration: String,
    /// The MutatingWebhookConfiguration whose caBundle is kept.
    #[arg(long, value_name = "NAME", default_value = "certgate")]
    pub(super) webhook_configuration: String,
    #[command(flatten)]
    pub(super) lifetimes: LifetimeArgs,
    /// The API server holds Ingresses against VerifiedHosts (the chart's admissionPolicy): keep one in each namespace,
    /// and have it tell of a host before anything else does.
    #[arg(long)]
    pub(super) guarded: bool,
}

/// Why the controller does not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The log's filter.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The policy file.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// The way to the API server.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// The DNS servers.
    #[error(transparent)]
    Servers(#[from] ServersError),
    /// The certificates' lifetimes.
    #[error(transparent)]
    Lifetimes(#[from] LifetimeError),
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Signals.
    #[error("signals cannot be listened for: {0}")]
    Signal(std::io::Error),
    /// The controller.
    #[error(transparent)]
    Controller(#[from] ControllerError),
    /// A part beside it that must not end did.
    #[error("{0} stopped, and nothing works without: the process ends")]
    Stopped(&'static str),
}

/// Runs until SIGTERM or SIGINT; the Lease is then released.
///
/// # Errors
/// Unusable configuration, or a part that stopped.
pub async fn run(args: ControllerArgs) -> Result<ExitCode, RunError> {
    let _traces = log::init(args.log_format, &args.traces)?;
    let mut signals = Signals::new().map_err(RunError::Signal)?;
    let mut tasks: JoinSet<&'static str> = JoinSet::new();
    let mut registry = Registry::default();
    let policies = match &args.policy {
        Some(file) => {
            let metrics = PolicyMetrics::register(&mut registry);
            let count = move |reload: Reload<'_>| metrics.count(&reload);
            let (policies, follow) = config::watch::watch(file.clone(), config::watch::INTERVAL, count)?;
            tasks.spawn(async move {
                follow.await;
                "the watch on the policy file"
            });
            policies
        }
        None => watch::channel(Arc::default()).1,
    };
    let client = kubeconfig::client(args.kubeconfig.as_deref()).await?;
    args.page.start(&client, &mut tasks).await?;
    let duties = Duties::prepare(&args.serving, &args.namespace, policies, client, args.lease, &mut registry)?;
    let socket = listener::bind("--admin-listen", args.admin_listen).await?;
    let shutdown = Shutdown::default();
    let stages = duties.stages();
    let readiness = duties.remarks(Readiness::default()).require(move || stages.ready());
    let admin = Admin::new(readiness, registry, shutdown.clone());
    tasks.spawn(async move {
        let error = admin.serve(socket).await.err();
        tracing::error!(?error, "the admin server stopped");
        "the admin server"
    });

    let leaving = shutdown.clone();
    let running = duties.run(async move { leaving.reached(Phase::Leaving).await });
    tokio::pin!(running);
    tokio::select! {
        result = &mut running => return result.map(|()| ExitCode::SUCCESS).map_err(RunError::from),
        stopped = tasks.join_next(), if !tasks.is_empty() => return Err(RunError::Stopped(name(stopped))),
        () = signals.next() => {}
    }
    tracing::info!("signal: leaving");
    shutdown.advance(Phase::Leaving);
    tokio::select! {
        result = running => result?,
        () = signals.next() => {
            tracing::warn!("second signal: ending at once");
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The name of what ended; what panicked has none left.
fn name(stopped: Option<Result<&'static str, tokio::task::JoinError>>) -> &'static str {
    match stopped {
        Some(Ok(name)) => name,
        _ => "a task",
    }
}

/// All that a leader does.
pub struct Duties {
    controller: Controller<ByPolicy>,
    /// `None`: somebody else keeps the webhook's certificates.
    certificates: Option<(pki::Settings, PkiMetrics)>,
}

// === impl Duties ===

impl Duties {
    /// Gets everything ready; metrics go into `registry`.
    ///
    /// # Errors
    /// Unusable configuration.
    pub fn prepare(
        serving: &ServingArgs,
        namespace: &str,
        policies: watch::Receiver<Arc<Policy>>,
        client: Client,
        lease: String,
        registry: &mut Registry,
    ) -> Result<Self, RunError> {
        let certificates = match serving.serving_cert {
            ServingCert::SelfManaged => Some((serving.settings(namespace)?, PkiMetrics::register(registry))),
            ServingCert::Files => None,
        };
        let controller = Controller {
            client,
            preflight: ByPolicy::new(policies.clone(), DnsMetrics::register(registry))?,
            policies,
            own_namespace: namespace.to_owned(),
            guarded: serving.guarded,
            lease: LeaseSettings { namespace: namespace.to_owned(), name: lease, identity: identity() },
            metrics: ControllerMetrics::register(registry),
            stages: Stages::default(),
        };
        Ok(Self { controller, certificates })
    }

    /// How far this replica has come.
    pub fn stages(&self) -> Stages {
        self.controller.stages.clone()
    }

    /// With remarks about what cannot be watched: it goes on, but may not know all.
    #[must_use]
    pub fn remarks(&self, readiness: Readiness) -> Readiness {
        let (metrics, stages) = (self.controller.metrics.clone(), self.stages());
        readiness
            .remark(move || metrics.watches().remarks(Instant::now()))
            .remark(move || stages.remarks(Instant::now()))
    }

    /// Leads when it is this replica's turn, until `shutdown`.
    ///
    /// # Errors
    /// A part stopped that must not.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> Result<(), ControllerError> {
        let Self { controller, certificates } = self;
        let keep = |client: Client| {
            let certificates = certificates.clone();
            async move {
                match certificates {
                    Some((settings, metrics)) => pki::maintain(client, settings, metrics).await,
                    None => std::future::pending().await,
                }
            }
        };
        controller.run(keep, shutdown).await
    }
}

// === impl ServingArgs ===

impl ServingArgs {
    fn settings(&self, namespace: &str) -> Result<pki::Settings, LifetimeError> {
        Ok(pki::Settings {
            namespace: namespace.to_owned(),
            service: self.service.clone(),
            ca_secret: self.ca_secret.clone(),
            tls_secret: self.tls_secret.clone(),
            mutating: vec![self.webhook_configuration.clone()],
            validating: vec![self.approval_configuration.clone()],
            lifetimes: (&self.lifetimes).try_into()?,
        })
    }
}

/// What tells this replica from all others: the pod's name, which is its host
/// name, and chance, since a restarted container keeps the name.
fn identity() -> String {
    let pod = std::env::var("POD_NAME").or_else(|_| std::env::var("HOSTNAME")).unwrap_or_default();
    let pod: String = pod.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(63).collect();
    format!("{}-{:08x}", if pod.is_empty() { "certgate" } else { &pod }, fastrand::u32(..))
}
