//! [`maintain`]: the leader's loop. Watches the two Secrets and the webhook
//! configurations by name, looks at the clock each tick, and does what
//! [`super::plan`] says until there is nothing to do.

use std::{collections::BTreeMap, convert::Infallible, error::Error as _};

use futures::{Stream, StreamExt as _, stream::SelectAll};
use jiff::Timestamp;
use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    core::v1::Secret,
};
use kube::{
    Api, Client, Resource,
    api::{Patch, PatchParams, PostParams},
    runtime::{WatchStreamExt as _, watcher},
};
use prometheus_client::{metrics::gauge::Gauge, registry::Registry};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::api::{
    partial::whole::{self, Whole},
    read::Read,
};

use super::{
    Settings,
    plan::{Id, Observed, Step, plan},
    store::{self, Anchor, CaState, Configuration, Signer},
    x509::{self, X509Error},
};
use crate::apiserver::refusal::{self, Found};

/// Steps in a row without a pause; the longest chain there is has five.
const MAX_STEPS: usize = 8;

/// What is shown of CA and leaf.
#[derive(Clone, Debug, Default)]
pub struct PkiMetrics {
    ca: Gauge,
    leaf: Gauge,
    absent: Gauge,
}

/// Why a step could not be done.
#[derive(Debug, thiserror::Error)]
enum StepError {
    #[error(transparent)]
    Certificate(#[from] X509Error),
    #[error("{what}: {source}")]
    Api { what: &'static str, source: Box<kube::Error> },
    #[error("a webhook configuration was changed or deleted meanwhile")]
    Changed,
    #[error("a patch cannot be written: {0}")]
    Patch(#[from] serde_json::Error),
}

/// Keeps CA, leaf and caBundles for as long as it is polled. Dropping it at
/// any point is safe: each step stands alone and is repeated by the next leader.
pub async fn maintain(client: Client, settings: Settings, metrics: PkiMetrics) -> Infallible {
    let mut changes = watch_all(&client, &settings);
    let mut keeper = Keeper::new(client, settings, metrics);
    let mut tick = tokio::time::interval(keeper.settings.lifetimes.tick());
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(change) = changes.next() => match change {
                Ok(change) => keeper.world.take(change),
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a watch for the webhook's certificates fails and is tried again");
                    continue;
                }
            },
            _ = tick.tick() => {}
        }
        keeper.advance().await;
    }
}

/// A change of what is watched.
enum Change {
    Ca(Option<Box<Secret>>),
    Leaf(Option<Box<Secret>>),
    Mutating(String, Option<Box<MutatingWebhookConfiguration>>),
    Validating(String, Option<Box<ValidatingWebhookConfiguration>>),
}

/// What the watches have shown. Outer `None`: nothing yet.
#[derive(Default)]
struct World {
    ca: Option<Option<Box<Secret>>>,
    leaf: Option<Option<Box<Secret>>>,
    mutating: BTreeMap<String, Option<Box<MutatingWebhookConfiguration>>>,
    validating: BTreeMap<String, Option<Box<ValidatingWebhookConfiguration>>>,
}

struct Keeper {
    client: Client,
    settings: Settings,
    metrics: PkiMetrics,
    world: World,
    trusted_since: BTreeMap<Id, Timestamp>,
    said_absent: bool,
}

type Changes = SelectAll<std::pin::Pin<Box<dyn Stream<Item = Result<Change, watcher::Error>> + Send>>>;

fn watch_all(client: &Client, settings: &Settings) -> Changes {
    fn one<K>(
        api: Api<Read<Whole<K>>>,
        name: &str,
        wrap: impl Fn(Option<Box<K>>) -> Change + Send + 'static,
    ) -> std::pin::Pin<Box<dyn Stream<Item = Result<Change, watcher::Error>> + Send>>
    where
        K: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
        K::Scope: 'static,
    {
        let changes = whole::follow(api, name).default_backoff();
        Box::pin(changes.map(move |change| change.map(|object| wrap(object.map(Box::new)))))
    }
    let secrets: Api<Read<Whole<Secret>>> = Api::namespaced(client.clone(), &settings.namespace);
    let mut all = SelectAll::new();
    all.push(one(secrets.clone(), &settings.ca_secret, Change::Ca));
    all.push(one(secrets, &settings.tls_secret, Change::Leaf));
    for name in &settings.mutating {
        let key = name.clone();
        all.push(one(Api::all(client.clone()), name, move |object| Change::Mutating(key.clone(), object)));
    }
    for name in &settings.validating {
        let key = name.clone();
        all.push(one(Api::all(client.clone()), name, move |object| Change::Validating(key.clone(), object)));
    }
    all
}

// === impl World ===

impl World {
    fn take(&mut self, change: Change) {
        match change {
            Change::Ca(secret) => self.ca = Some(secret),
            Change::Leaf(secret) => self.leaf = Some(secret),
            Change::Mutating(name, object) => drop(self.mutating.insert(name, object)),
            Change::Validating(name, object) => drop(self.validating.insert(name, object)),
        }
    }

    /// Whether every watch has shown what there is.
    fn complete(&self, settings: &Settings) -> bool {
        self.ca.is_some()
            && self.leaf.is_some()
            && settings.mutating.iter().all(|name| self.mutating.contains_key(name))
            && settings.validating.iter().all(|name| self.validating.contains_key(name))
    }

    fn configurations(&self) -> impl Iterator<Item = &dyn Configuration> {
        let mutating = self.mutating.values().flatten().map(|object| &**object as &dyn Configuration);
        mutating.chain(self.validating.values().flatten().map(|object| &**object as &dyn Configuration))
    }
}

// === impl Keeper ===

impl Keeper {
    fn new(client: Client, settings: Settings, metrics: PkiMetrics) -> Self {
        let (world, trusted_since) = (World::default(), BTreeMap::new());
        Self { client, settings, metrics, world, trusted_since, said_absent: false }
    }

    /// Does one step after the other until there is none to do or one fails.
    /// What failed is tried again at the next change or tick.
    async fn advance(&mut self) {
        for _ in 0..MAX_STEPS {
            if !self.world.complete(&self.settings) {
                return;
            }
            let now = Timestamp::now();
            let (cas, carried, observed) = self.observe(now);
            self.show(&observed);
            let Some(step) = plan(&observed, &self.settings.lifetimes, now) else { return };
            match self.perform(step, cas, carried, &observed, now).await {
                Ok(()) => tracing::info!(?step, "the webhook's certificates: step done"),
                Err(error) if is_conflict(&error) => {
                    tracing::debug!(?step, %error, "someone else was first; looking again");
                    return;
                }
                Err(error) => {
                    let cause = error.source().map(ToString::to_string);
                    tracing::warn!(?step, %error, cause, "the webhook's certificates: step failed and is tried again");
                    return;
                }
            }
        }
    }

    fn observe(&mut self, now: Timestamp) -> (CaState, Option<Anchor>, Observed) {
        let ca_secret = self.world.ca.as_ref().and_then(Option::as_deref);
        let cas = ca_secret.map(CaState::read).unwrap_or_default();
        let names = self.settings.dns_names();
        let leaf_secret = self.world.leaf.as_ref().and_then(Option::as_deref);
        let (leaf, carried) = leaf_secret.and_then(|secret| store::read_leaf(secret, &cas, &names, now)).unzip();
        let carried = carried.flatten();
        let published: Vec<Vec<Id>> =
            self.world.configurations().flat_map(|object| store::published(object, &self.settings)).collect();
        self.note_trust(&published, now);
        let observed = Observed {
            current: cas.current.as_ref().map(|signer| signer.ca),
            next: cas.next.as_ref().map(|signer| signer.ca),
            previous: cas.previous.as_ref().map(|anchor| anchor.ca),
            leaf,
            carried: carried.as_ref().map(|anchor| anchor.ca),
            published,
            trusted_since: self.trusted_since.clone(),
        };
        (cas, carried, observed)
    }

    /// Notes since when each CA is published everywhere. A clock that was set back begins anew.
    fn note_trust(&mut self, published: &[Vec<Id>], now: Timestamp) {
        let everywhere = |id: &Id| published.iter().all(|bundle| bundle.contains(id));
        self.trusted_since.retain(|id, since| *since <= now && !published.is_empty() && everywhere(id));
        for id in published.first().into_iter().flatten().filter(|id| everywhere(id)) {
            self.trusted_since.entry(*id).or_insert(now);
        }
    }

    fn show(&mut self, observed: &Observed) {
        self.metrics.ca.set(observed.current.map_or(0, |ca| ca.validity.not_after.as_second()));
        self.metrics.leaf.set(observed.leaf.map_or(0, |leaf| leaf.validity.not_after.as_second()));
        let absent = observed.published.is_empty();
        self.metrics.absent.set(i64::from(absent));
        if absent && !self.said_absent {
            let (mutating, service) = (self.settings.mutating.join(", "), &self.settings.service);
            tracing::warn!(
                "no webhook of MutatingWebhookConfiguration {mutating} calls Service {service}, so the API server \
                 does not ask certgate yet; install the chart or webhook-config/ (waiting for it)"
            );
        }
        self.said_absent = absent;
    }

    async fn perform(
        &mut self,
        step: Step,
        cas: CaState,
        carried: Option<Anchor>,
        observed: &Observed,
        now: Timestamp,
    ) -> Result<(), StepError> {
        let lifetimes = self.settings.lifetimes;
        match step {
            Step::CreateCa => {
                let current = Some(Signer::new(x509::make_ca(now, lifetimes.ca)?)?);
                // A CA whose key is gone may have signed what is being served.
                let previous = carried.or_else(|| cas.promoted().previous);
                self.write_ca(CaState { current, next: None, previous }).await
            }
            Step::StageNext => {
                let next = Some(Signer::new(x509::make_ca(now, lifetimes.ca)?)?);
                self.write_ca(CaState { next, ..cas }).await
            }
            Step::Promote => self.write_ca(cas.promoted()).await,
            Step::IssueLeaf => match &cas.current {
                Some(issuer) => self.write_leaf(issuer, now).await,
                None => Ok(()),
            },
            Step::Publish => self.publish(&cas, carried.as_ref(), &observed.bundle(now)).await,
        }
    }

    async fn write_ca(&mut self, cas: CaState) -> Result<(), StepError> {
        let old = self.world.ca.as_ref().and_then(Option::as_deref);
        let secret = store::secret(&self.settings.ca_secret, "Opaque", cas.data(), old);
        let written = self.write(secret).await.map_err(failed("writing the CA's Secret"))?;
        self.world.ca = Some(Some(Box::new(written)));
        Ok(())
    }

    async fn write_leaf(&mut self, issuer: &Signer, now: Timestamp) -> Result<(), StepError> {
        let leaf = x509::make_leaf(&issuer.pair, &self.settings.dns_names(), now, self.settings.lifetimes.leaf)?;
        let old = self.world.leaf.as_ref().and_then(Option::as_deref);
        let data = store::leaf_data(&leaf, issuer);
        let secret = store::secret(&self.settings.tls_secret, "kubernetes.io/tls", data, old);
        let written = self.write(secret).await.map_err(failed("writing the serving certificate's Secret"))?;
        self.world.leaf = Some(Some(Box::new(written)));
        Ok(())
    }

    /// Creates a Secret, or replaces the one with the same resourceVersion.
    async fn write(&self, secret: Secret) -> Result<Secret, kube::Error> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), &self.settings.namespace);
        let params = PostParams { field_manager: Some("certgate".to_owned()), ..PostParams::default() };
        match (&secret.metadata.name, &secret.metadata.resource_version) {
            (Some(name), Some(_)) => api.replace(name, &params, &secret).await,
            _ => api.create(&params, &secret).await,
        }
    }

    async fn publish(&mut self, cas: &CaState, carried: Option<&Anchor>, ids: &[Id]) -> Result<(), StepError> {
        let pem = store::bundle_pem(ids, cas, carried);
        let (client, settings) = (&self.client, &self.settings);
        for object in self.world.mutating.values_mut().flatten() {
            publish_in(client, object, store::bundle_patch(&**object, settings, &pem, ids)).await?;
        }
        for object in self.world.validating.values_mut().flatten() {
            publish_in(client, object, store::bundle_patch(&**object, settings, &pem, ids)).await?;
        }
        Ok(())
    }
}

/// Patches a configuration, if there is more to it than its test.
async fn publish_in<K>(client: &Client, object: &mut Box<K>, patch: Vec<Value>) -> Result<(), StepError>
where
    K: Resource<DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug + Configuration,
    K: Resource<Scope = k8s_openapi::ClusterResourceScope>,
{
    let Some(name) = Configuration::meta(&**object).name.clone().filter(|_| patch.len() > 1) else {
        return Ok(());
    };
    let patch = Patch::<()>::Json(serde_json::from_value(Value::Array(patch))?);
    let api: Api<Read<Whole<K>>> = Api::all(client.clone());
    let failed = failed("publishing the CA in a webhook configuration");
    match api.patch(&name, &PatchParams::apply("certgate"), &patch).await {
        // What cannot be read the watch will show, or leave as it is known.
        Ok(written) => {
            if let Some(Ok(written)) = written.object().map(Whole::typed) {
                **object = written;
            }
        }
        Err(error) if refusal::may_be_another(&error) => {
            let version = Configuration::meta(&**object).resource_version.clone().unwrap_or_default();
            return Err(
                match refusal::look_again(&api, &name, refusal::of_version(&version)).await.map_err(&failed)? {
                    Found::Unchanged => failed(error),
                    Found::Changed | Found::Gone => StepError::Changed,
                },
            );
        }
        Err(error) => return Err(failed(error)),
    }
    Ok(())
}

fn failed(what: &'static str) -> impl Fn(kube::Error) -> StepError {
    move |source| StepError::Api { what, source: Box::new(source) }
}

/// Someone wrote before us, or the object is gone: the watch will show it.
fn is_conflict(error: &StepError) -> bool {
    match error {
        StepError::Changed => true,
        StepError::Api { source, .. } => {
            matches!(&**source, kube::Error::Api(status) if matches!(status.code, 404 | 409))
        }
        StepError::Certificate(_) | StepError::Patch(_) => false,
    }
}

// === impl PkiMetrics ===

impl PkiMetrics {
    /// Registers the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("certgate_ca_not_after_timestamp_seconds", "When the signing CA ends", metrics.ca.clone());
        registry.register(
            "certgate_leaf_not_after_timestamp_seconds",
            "When the serving certificate in the Secret ends",
            metrics.leaf.clone(),
        );
        registry.register(
            "certgate_webhook_configuration_absent",
            "1 while no webhook configuration calls certgate",
            metrics.absent.clone(),
        );
        metrics
    }
}
