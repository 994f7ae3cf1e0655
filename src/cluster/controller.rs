//! The controller: leads, or waits to.

use std::{convert::Infallible, fmt::Debug, pin::Pin, sync::Arc};

use futures::channel::mpsc;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::{Client, runtime::watcher};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{oneshot, watch},
    task::JoinSet,
};

use super::{
    apply::Writer,
    console::ConsoleSync,
    events::Teller,
    gateway,
    lease::{self, LeaseSettings},
    metrics::ControllerMetrics,
    preflight,
    stage::{Stage, Stages},
    watch::{self as kinds, Presence},
    worker::{self, Shared},
    world::{World, intake::Kept},
};
use crate::{
    api::{
        domain::Domain,
        partial::{
            certificate::Certificate,
            certificate_request::CertificateRequest,
            ingress::Ingress,
            issuance::{Challenge, Order},
            issuer,
            metadata::Metadata,
            route::ApisixRoute,
        },
        verified_hosts::VerifiedHosts,
    },
    core::{policy::Policy, verdict::Request},
    dns::{Asker, Looked},
};

/// How many objects a listing asks for at once: an answer is in memory twice, as text and as objects.
const PAGE: u32 = 100;
/// What is missing where the kinds of cert-manager are.
const CERT_MANAGER: &str = "cert-manager";
/// What is missing where the routes of Rainbond 6 are.
const APISIX: &str = "apisix-ingress-controller";
/// What is missing where our own kinds are.
const OWN_CRDS: &str = "certgate's CRDs (certgate crd | kubectl apply -f -)";

/// Answers whether a CA would be able to validate a host.
pub trait Preflight: Clone + Send + Sync + 'static {
    /// Looks now, for somebody. Never fails: trouble is a verdict.
    fn look(&self, asker: &Asker, request: &Request) -> impl Future<Output = Looked> + Send;
    /// How many hosts may be looked at side by side.
    fn width(&self) -> usize;
}

/// Why the controller ended.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// A task ended that never should; its name.
    #[error("the controller's {0} ended, and nothing works without: the process ends")]
    TaskEnded(&'static str),
    /// A task panicked.
    #[error("a task of the controller failed: {0}")]
    TaskFailed(#[from] tokio::task::JoinError),
}

/// What a controller works with; clones share it.
#[derive(Clone)]
pub struct Controller<P> {
    /// The way to the API server.
    pub client: Client,
    /// The policy in force.
    pub policies: watch::Receiver<Arc<Policy>>,
    /// certgate's own namespace, which is left alone whatever policy says.
    pub own_namespace: String,
    /// Who answers for DNS.
    pub preflight: P,
    /// Whether the API server holds Ingresses against VerifiedHosts.
    pub guarded: bool,
    /// Which replica leads.
    pub lease: LeaseSettings,
    /// What is counted.
    pub metrics: ControllerMetrics,
    /// How far this replica has come.
    pub stages: Stages,
}

// === impl Controller ===

impl<P: Preflight> Controller<P> {
    /// Leads when it is this replica's turn, until `shutdown`.
    ///
    /// `duty` is what else a leader does for as long as it leads (keeping the serving certificates), with a client that
    /// sends nothing after that.
    ///
    /// # Errors
    /// A task ended that never should.
    pub async fn run<D, F>(self, duty: D, shutdown: impl Future<Output = ()>) -> Result<(), ControllerError>
    where
        D: Fn(Client) -> F,
        F: Future<Output = Infallible>,
    {
        // One for the whole process: it aggregates what is published again.
        let teller = Teller::new(self.client.clone(), self.lease.identity.clone());
        let work = |fenced: Client| {
            let (duty, teller) = (duty(fenced.clone()), teller.through(fenced.clone()));
            let this = &self;
            async move {
                let _leading = Leading::begin(this.metrics.clone(), this.stages.clone());
                tokio::select! {
                    result = this.lead(&fenced, teller) => result,
                    never = duty => match never {},
                }
            }
        };
        let told = (self.stages.clone(), self.metrics.clone());
        lease::while_leading(self.client.clone(), &self.lease, shutdown, told, work).await
    }

    /// A leader's work: never ends but by error. Dropped, it stops at once; whatever it left half done is seen and
    /// finished by the next leader.
    async fn lead(&self, client: &Client, teller: Teller) -> Result<Infallible, ControllerError> {
        let Self { policies, own_namespace, preflight, metrics, guarded, stages, .. } = self;
        let (jobs, questions) = mpsc::unbounded();
        let policy = gateway::exempting(&policies.borrow(), own_namespace);
        let gateway = policy.gateway.clone();
        let writer = Writer::new(client.clone());
        let shared = Shared::new(World::new(policy), writer, teller, metrics.clone(), jobs).guarding(*guarded);
        let shared = Arc::new(shared);

        let mut tasks =
            Tasks { set: JoinSet::new(), listed: Vec::new(), client: client.clone(), shared: shared.clone() };
        tasks.watch::<Ingress>(Presence::Required);
        tasks.watch::<Metadata<Namespace>>(Presence::Required);
        tasks.watch::<Metadata<Secret>>(Presence::Required);
        tasks.watch::<Domain>(Presence::Optional(OWN_CRDS));
        tasks.watch::<VerifiedHosts>(Presence::Optional(OWN_CRDS));
        tasks.watch::<Certificate>(Presence::Optional(CERT_MANAGER));
        tasks.watch::<CertificateRequest>(Presence::Optional(CERT_MANAGER));
        tasks.watch::<Order>(Presence::Optional(CERT_MANAGER));
        tasks.watch::<Challenge>(Presence::Optional(CERT_MANAGER));
        tasks.watch::<issuer::Issuer>(Presence::Optional(CERT_MANAGER));
        tasks.watch::<issuer::ClusterIssuer>(Presence::Optional(CERT_MANAGER));
        tasks.watch_when::<ApisixRoute>(Presence::Optional(APISIX), policies.clone(), |policy| policy.rainbond.routes);
        let Tasks { mut set, listed, .. } = tasks;
        tokio::select! {
            () = all(listed) => {}
            ended = set.join_next() => return Err(name_of(ended)),
        }
        for (source, found) in gateway::look(client, &gateway).await {
            shared.change(|world| world.set_found(source, found));
        }
        shared.settle();
        stages.enter(Stage::Reconciling);
        tracing::info!("all is listed; reconciling");

        let mut spawn = |name, task: Pin<Box<dyn Future<Output = ()> + Send>>| {
            set.spawn(async move {
                task.await;
                name
            });
        };
        for _ in 0..worker::WORKERS {
            spawn("worker", Box::pin(worker::run(shared.clone())));
        }
        spawn("pre-flight", Box::pin(preflight::answer(questions, preflight.clone(), shared.clone())));
        let console = ConsoleSync::new(
            client.clone(),
            own_namespace.clone(),
            self.lease.name.clone(),
            shared.clone(),
            metrics.console.clone(),
        );
        let looked_at = policies.clone();
        set.spawn(async move { match console.run(looked_at).await {} });
        let (followed, shown) = (shared.clone(), shared);
        let (client, policies, own_namespace) = (client.clone(), policies.clone(), own_namespace.clone());
        set.spawn(async move { match gateway::follow(client, policies, &own_namespace, followed).await {} });
        let turns = shown.clone();
        set.spawn(async move { match worker::limits::run(turns).await {} });
        set.spawn(async move { match worker::show(shown).await {} });
        Err(name_of(set.join_next().await))
    }
}

/// Returns when every watch has listed its kind. One that ended instead is seen elsewhere.
async fn all(listed: Vec<oneshot::Receiver<()>>) {
    for listed in listed {
        let _ = listed.await;
    }
}

/// Shows that this replica leads, for as long as it lives.
struct Leading(ControllerMetrics, Stages);

impl Leading {
    fn begin(metrics: ControllerMetrics, stages: Stages) -> Self {
        // First, so that nobody who sees it lead finds it ready to stand by.
        stages.enter(Stage::Listing);
        metrics.leads(true);
        Self(metrics, stages)
    }
}

impl Drop for Leading {
    fn drop(&mut self) {
        self.0.leads(false);
        self.1.enter(Stage::Waiting);
    }
}

fn name_of(ended: Option<Result<&'static str, tokio::task::JoinError>>) -> ControllerError {
    match ended {
        Some(Ok(name)) => ControllerError::TaskEnded(name),
        Some(Err(error)) => ControllerError::TaskFailed(error),
        None => ControllerError::TaskEnded("tasks"),
    }
}

/// The watches as they are started.
struct Tasks {
    set: JoinSet<&'static str>,
    listed: Vec<oneshot::Receiver<()>>,
    client: Client,
    shared: Arc<Shared>,
}

// === impl Tasks ===

impl Tasks {
    fn watch<K>(&mut self, presence: Presence)
    where
        K: Kept + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::Scope: 'static,
    {
        let (tell, listed) = oneshot::channel();
        self.listed.push(listed);
        let config = watcher::Config::default().page_size(PAGE);
        let task = kinds::run::<K>(self.client.clone(), config, presence, self.shared.clone(), tell);
        self.set.spawn(async move { match task.await {} });
    }

    /// Watches once policy asks for it; nobody waits for that.
    fn watch_when<K>(
        &mut self,
        presence: Presence,
        mut policies: watch::Receiver<Arc<Policy>>,
        wanted: fn(&Policy) -> bool,
    ) where
        K: Kept + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
        K::Scope: 'static,
    {
        if wanted(&policies.borrow()) {
            return self.watch::<K>(presence);
        }
        let (client, shared) = (self.client.clone(), self.shared.clone());
        self.set.spawn(async move {
            if policies.wait_for(|policy| wanted(policy.as_ref())).await.is_err() {
                // The policy changes no more.
                return std::future::pending().await;
            }
            let (tell, _) = oneshot::channel();
            match kinds::run::<K>(client, watcher::Config::default().page_size(PAGE), presence, shared, tell).await {}
        });
    }
}
