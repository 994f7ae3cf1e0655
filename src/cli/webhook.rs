//! `certgate webhook`: answers admission reviews.

use std::{
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant},
};

use arc_swap::ArcSwap;
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use kube::Client;
use prometheus_client::registry::Registry;
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

use super::kubeconfig::{self, KubeconfigError};
use crate::{
    admission::handler::Admission,
    cluster::index::{self, Index, WatchMetrics},
    config::{self, ConfigError, metrics::PolicyMetrics, watch::Reload},
    core::policy::Policy,
    server::{
        admin::Admin,
        certificate::ServingCertificate,
        client_auth::{self, ClientAuthError, ClientNames},
        descriptors,
        listener::{self, Limits, ListenError, Listener},
        readiness::{PublishedTrust, Readiness},
        shutdown::{Grace, Phase, Shutdown, Signals},
        source::{self, FileFault, Files},
    },
    telemetry::{
        log::{self, LogError, LogFormat},
        metrics::{AdmissionMetrics, ServerMetrics},
        trace::TraceArgs,
    },
};

/// Serve the mutating admission webhook.
#[derive(Clone, Debug, Args)]
pub struct WebhookArgs {
    /// How to reach the API server; in a pod its ServiceAccount serves.
    #[arg(long, value_name = "FILE", env = "KUBECONFIG")]
    pub(super) kubeconfig: Option<PathBuf>,
    /// The policy file.
    #[arg(long, value_name = "FILE")]
    pub(super) policy: Option<PathBuf>,
    /// Where admission reviews are answered.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8443")]
    pub(super) listen: SocketAddr,
    /// Where /healthz, /readyz and /metrics are.
    #[arg(long, value_name = "ADDRESS", default_value = "0.0.0.0:8080")]
    pub(super) admin_listen: SocketAddr,
    /// The namespace of the Secret and the Service.
    #[arg(long, value_name = "NAME", env = "POD_NAMESPACE", default_value = "certgate-system")]
    pub(super) namespace: String,
    /// Where the serving certificate comes from.
    #[arg(long, value_enum, default_value_t)]
    pub(super) serving_cert: ServingCert,
    /// The Secret with the serving certificate (self-managed).
    #[arg(long, value_name = "NAME", default_value = "certgate-webhook-tls")]
    pub(super) tls_secret: String,
    /// The serving certificate, chain included (files).
    #[arg(long, value_name = "FILE", required_if_eq("serving_cert", "files"))]
    pub(super) tls_cert_file: Option<PathBuf>,
    /// Its private key (files).
    #[arg(long, value_name = "FILE", required_if_eq("serving_cert", "files"))]
    pub(super) tls_key_file: Option<PathBuf>,
    /// The MutatingWebhookConfiguration whose caBundle the certificate must verify against.
    #[arg(long, value_name = "NAME", default_value = "certgate")]
    pub(super) webhook_configuration: String,
    /// The ValidatingWebhookConfiguration of the approval gate, whose caBundle the certificate must verify against too.
    #[arg(long, value_name = "NAME")]
    pub(super) approval_configuration: Option<String>,
    /// The ServiceAccount of certgate's controller in the same namespace, whose approvals always stand.
    #[arg(long, value_name = "NAME", default_value = "certgate-controller")]
    pub(super) controller_account: String,
    /// Only clients with a certificate of these CAs may ask.
    #[arg(long, value_name = "FILE")]
    pub(super) client_ca_file: Option<PathBuf>,
    /// Only clients of these names may ask.
    #[arg(long, value_name = "NAME")]
    pub(super) client_name: Vec<String>,
    /// Seconds between SIGTERM and the closing of connections, while the endpoints forget this one.
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    pub(super) grace_seconds: u16,
    /// The form of the log.
    #[arg(long, value_enum, default_value_t)]
    pub(super) log_format: LogFormat,
    #[command(flatten)]
    pub(super) traces: TraceArgs,
}

/// Where the serving certificate comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ServingCert {
    /// A Secret that certgate's controller keeps.
    #[default]
    SelfManaged,
    /// Files, which someone else keeps: cert-manager's Secret mounted, for one.
    Files,
}

/// Why the webhook does not run, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// The log's filter.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The policy file.
    #[error(transparent)]
    Policy(#[from] ConfigError),
    /// The way to the API server.
    #[error(transparent)]
    Kubeconfig(#[from] KubeconfigError),
    /// An address.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The client CA.
    #[error(transparent)]
    ClientAuth(#[from] ClientAuthError),
    /// The serving certificate's files.
    #[error(transparent)]
    Files(#[from] FileFault),
    /// Signals.
    #[error("signals cannot be listened for: {0}")]
    Signal(std::io::Error),
    /// A task that must not end did.
    #[error("{0} stopped, and nothing works without: the process ends")]
    Stopped(&'static str),
}

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// Unusable configuration, or a part that stopped.
pub async fn run(args: WebhookArgs) -> Result<ExitCode, WebhookError> {
    let _traces = log::init(args.log_format, &args.traces)?;
    let mut registry = Registry::default();
    let (policies, follow) = match &args.policy {
        Some(file) => {
            let metrics = PolicyMetrics::register(&mut registry);
            let count = move |reload: Reload<'_>| metrics.count(&reload);
            let (policies, follow) = config::watch::watch(file.clone(), config::watch::INTERVAL, count)?;
            (policies, Some(follow))
        }
        None => (watch::channel(Arc::default()).1, None),
    };
    let client = kubeconfig::client(args.kubeconfig.as_deref()).await?;
    let mut webhook = Webhook::prepare(&args, policies, client, &mut registry).await?;
    if let Some(follow) = follow {
        webhook.tasks.spawn(async move {
            follow.await;
            "the watch on the policy file"
        });
    }
    let socket = listener::bind("--admin-listen", args.admin_listen).await?;
    let address = socket.local_addr().unwrap_or(args.admin_listen);
    tracing::info!(%address, "listening for probes and scrapes");
    let admin = Admin::new(webhook.readiness(Readiness::default()), registry, webhook.shutdown.clone());
    webhook.tasks.spawn(async move {
        let error = admin.serve(socket).await.err();
        tracing::error!(?error, "the admin server stopped");
        "the admin server"
    });
    webhook.run(Grace { leaving: Duration::from_secs(args.grace_seconds.into()), ..Grace::default() }).await
}

/// The webhook, bound and ready to run.
pub struct Webhook {
    index: Arc<Index>,
    certificate: Arc<ServingCertificate>,
    trust: Arc<PublishedTrust<MutatingWebhookConfiguration>>,
    approval: Option<Arc<PublishedTrust<ValidatingWebhookConfiguration>>>,
    listener: Listener<Admission>,
    signals: Signals,
    /// Ends when the process does, step by step.
    pub shutdown: Shutdown,
    /// Everything that must run for as long as the process; each yields its name if it ends.
    pub tasks: JoinSet<&'static str>,
}

// === impl Webhook ===

impl Webhook {
    /// Binds and starts the watches; metrics go into `registry`.
    ///
    /// # Errors
    /// Unusable configuration.
    pub async fn prepare(
        args: &WebhookArgs,
        policies: watch::Receiver<Arc<Policy>>,
        client: Client,
        registry: &mut Registry,
    ) -> Result<Self, WebhookError> {
        let signals = Signals::new().map_err(WebhookError::Signal)?;
        let metrics = ServerMetrics::register(registry);
        let policy = Arc::new(ArcSwap::from_pointee(exempting(&policies.borrow(), &args.namespace)));
        let index = Arc::new(Index::new(&policy.load()));
        registry.register_collector(Box::new(WatchMetrics(Arc::clone(&index))));
        let certificate = Arc::new(ServingCertificate::default());
        let files = args.files();
        if let Some(files) = &files {
            source::load_files(files, &certificate, &metrics).await?;
        }
        let tls = certificate.server_config(match &args.client_ca_file {
            Some(file) => Some(client_auth::verifier(file)?),
            None if !args.client_name.is_empty() => return Err(ClientAuthError::NamesAlone.into()),
            None => None,
        });
        let clients = args.client_ca_file.as_ref().map(|_| ClientNames::new(args.client_name.iter().cloned()));
        let socket: TcpListener = listener::bind("--listen", args.listen).await?;
        let address = socket.local_addr().unwrap_or(args.listen);
        tracing::info!(%address, "listening for admission reviews");
        let shutdown = Shutdown::default();
        let admission = Admission::new(
            Arc::clone(&index),
            Arc::clone(&policy),
            AdmissionMetrics::register(registry),
            args.approver(),
        );
        let mut limits = Limits::default();
        if let Some(files) = descriptors::limit() {
            limits.connections = limits.connections.within(files);
        }
        let listener = Listener::new(socket, tls, clients, admission, limits, metrics.clone(), shutdown.clone());
        let trust = PublishedTrust::new(args.webhook_configuration.clone(), args.namespace.clone(), files.is_some());
        let approval = args.approval_configuration.as_ref();
        let approval = approval.map(|name| PublishedTrust::new(name.clone(), args.namespace.clone(), files.is_some()));
        let mut webhook =
            Self { index, certificate, trust, approval, listener, signals, shutdown, tasks: JoinSet::new() };
        webhook.watch(args, client, files, metrics);
        webhook.follow_policy(policies, policy, args.namespace.clone());
        Ok(webhook)
    }

    fn follow_policy(
        &mut self,
        mut policies: watch::Receiver<Arc<Policy>>,
        policy: Arc<ArcSwap<Policy>>,
        namespace: String,
    ) {
        let index = Arc::clone(&self.index);
        self.tasks.spawn(async move {
            while policies.changed().await.is_ok() {
                let new = exempting(&policies.borrow_and_update(), &namespace);
                index.follow(&new);
                policy.store(Arc::new(new));
            }
            // No file, so no change: whoever keeps the file fresh answers for itself.
            std::future::pending::<&'static str>().await
        });
    }

    fn watch(&mut self, args: &WebhookArgs, client: Client, files: Option<Files>, metrics: ServerMetrics) {
        let (index, trust, certificate) =
            (Arc::clone(&self.index), Arc::clone(&self.trust), Arc::clone(&self.certificate));
        let fed = client.clone();
        self.tasks.spawn(async move { match index::watch(&index, fed).await {} });
        let followed = client.clone();
        self.tasks.spawn(async move {
            trust.follow(followed).await;
            "the watch on the webhook configuration"
        });
        if let Some(trust) = self.approval.clone() {
            let followed = client.clone();
            self.tasks.spawn(async move {
                trust.follow(followed).await;
                "the watch on the approval gate's configuration"
            });
        }
        let (namespace, secret) = (args.namespace.clone(), args.tls_secret.clone());
        self.tasks.spawn(async move {
            match files {
                Some(files) => match source::follow_files(files, source::POLL, &certificate, &metrics).await {},
                None => source::follow_secret(client, &namespace, &secret, &certificate, &metrics).await,
            }
            "the watch on the serving certificate"
        });
    }

    /// What must hold for requests to come here, added to what else must.
    pub fn readiness(&self, readiness: Readiness) -> Readiness {
        let (index, watched) = (Arc::clone(&self.index), Arc::clone(&self.index));
        let (trust, approval, certificate) =
            (Arc::clone(&self.trust), self.approval.clone(), Arc::clone(&self.certificate));
        readiness
            .require(move || index.complete().map_err(str::to_owned))
            .require(move || {
                let now = Timestamp::now();
                trust.accepts(&certificate, now)?;
                approval.as_ref().map_or(Ok(()), |trust| trust.accepts(&certificate, now))
            })
            .remark(move || watched.watches.remarks(Instant::now()))
    }

    /// Serves until a signal, then leaves within `grace`; a second signal ends at once.
    ///
    /// # Errors
    /// A part stopped that must not.
    pub async fn run(mut self, grace: Grace) -> Result<ExitCode, WebhookError> {
        let shutdown = self.shutdown.clone();
        let mut serving = std::pin::pin!(self.listener.run(grace));
        tokio::select! {
            () = &mut serving => return Err(WebhookError::Stopped("the listener")),
            stopped = self.tasks.join_next() => return Err(WebhookError::Stopped(name(stopped))),
            () = self.signals.next() => {}
        }
        shutdown.advance(Phase::Leaving);
        tracing::info!(seconds = grace.leaving.as_secs(), "signal: unready from now, serving on for a while");
        let leaving = async {
            tokio::time::sleep(grace.leaving).await;
            shutdown.advance(Phase::Closing);
        };
        tokio::select! {
            ((), ()) = async { tokio::join!(&mut serving, leaving) } => tracing::info!("all connections are closed"),
            stopped = self.tasks.join_next() => return Err(WebhookError::Stopped(name(stopped))),
            () = self.signals.next() => {
                tracing::warn!("second signal: ending at once");
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The policy, with certgate's own namespace left alone whatever it says.
fn exempting(policy: &Policy, namespace: &str) -> Policy {
    let mut policy = policy.clone();
    policy.exclude_namespaces.push(namespace.to_owned());
    policy
}

/// The name of what ended; what panicked has none left.
fn name(stopped: Option<Result<&'static str, tokio::task::JoinError>>) -> &'static str {
    match stopped {
        Some(Ok(name)) => name,
        _ => "a task",
    }
}

// === impl WebhookArgs ===

impl WebhookArgs {
    /// The user name of certgate's controller.
    fn approver(&self) -> String {
        format!("system:serviceaccount:{}:{}", self.namespace, self.controller_account)
    }

    fn files(&self) -> Option<Files> {
        let (certificate, key) = (self.tls_cert_file.clone()?, self.tls_key_file.clone()?);
        (self.serving_cert == ServingCert::Files).then_some(Files { certificate, key })
    }
}
