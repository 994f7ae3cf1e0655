//! [`Readiness`]: whether requests should come here, and what is missing if not.
//!
//! For the webhook: it is bound, its caches are complete, it is not leaving, and
//! its certificate verifies against the caBundle that the API server uses, the
//! *published* one; anything less would be a call that fails.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::{ClusterResourceScope, api::admissionregistration::v1::WebhookClientConfig};
use kube::{Api, Client, Resource, runtime::WatchStreamExt as _};

use serde::de::DeserializeOwned;

use super::certificate::ServingCertificate;
use crate::{
    api::partial::whole,
    pki::{store::Configuration, x509},
};

/// A condition: nothing, or what is missing, in a line.
type Condition = Box<dyn Fn() -> Result<(), String> + Send + Sync>;
/// A remark: what a person should know, if anything, in lines.
type Remark = Box<dyn Fn() -> Vec<String> + Send + Sync>;

/// Conditions, asked anew each time.
#[derive(Default)]
pub struct Readiness {
    conditions: Vec<Condition>,
    remarks: Vec<Remark>,
}

/// The published caBundle of a webhook configuration of kind `C`, as the watch shows it.
pub struct PublishedTrust<C> {
    name: String,
    namespace: String,
    /// Whether an absent caBundle means the system's roots, which cannot be checked from here.
    system_roots: bool,
    state: ArcSwapOption<Option<C>>,
}

// === impl Readiness ===

impl Readiness {
    /// Adds a condition.
    #[must_use]
    pub fn require(mut self, condition: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        self.conditions.push(Box::new(condition));
        self
    }

    /// Adds a remark, which does not change whether this is ready.
    #[must_use]
    pub fn remark(mut self, remark: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Self {
        self.remarks.push(Box::new(remark));
        self
    }

    /// What is missing, in lines.
    pub fn missing(&self) -> Vec<String> {
        self.conditions.iter().filter_map(|condition| condition().err()).collect()
    }

    /// What should be known besides, in lines.
    pub fn remarks(&self) -> Vec<String> {
        self.remarks.iter().flat_map(|remark| remark()).collect()
    }
}

// === impl PublishedTrust ===

impl<C> PublishedTrust<C>
where
    C: Configuration + Resource<DynamicType = (), Scope = ClusterResourceScope>,
    C: Clone + std::fmt::Debug + DeserializeOwned + Send + 'static,
{
    /// The caBundle of the configuration `name`, for Services in `namespace`.
    pub fn new(name: String, namespace: String, system_roots: bool) -> Arc<Self> {
        Arc::new(Self { name, namespace, system_roots, state: ArcSwapOption::empty() })
    }

    /// Follows the configuration for as long as it is polled.
    pub async fn follow(&self, client: Client) {
        let mut objects = std::pin::pin!(whole::follow::<C>(Api::all(client), &self.name).default_backoff());
        while let Some(event) = objects.next().await {
            match event {
                Ok(object) => self.take(object),
                Err(error) => tracing::warn!(
                    configuration = self.name,
                    error = &error as &dyn std::error::Error,
                    "the watch on the webhook configuration fails and is tried again"
                ),
            }
        }
    }

    fn take(&self, object: Option<C>) {
        self.state.store(Some(Arc::new(object)));
    }

    /// Whether the API server would accept the certificate now.
    ///
    /// # Errors
    /// Why not, in a line.
    pub fn accepts(&self, certificate: &ServingCertificate, now: Timestamp) -> Result<(), String> {
        let Some(loaded) = certificate.current() else {
            return Err("no serving certificate yet".to_owned());
        };
        let (kind, name) = (C::kind(&()), &self.name);
        let state = self.state.load();
        let Some(object) = state.as_deref() else {
            return Err(format!("{kind} {name} is not read yet"));
        };
        let Some(object) = object else {
            return Err(format!("{kind} {name} does not exist"));
        };
        let webhooks = object.webhooks();
        let ours = webhooks.iter().filter_map(|(webhook, client)| Some((*webhook, *client, self.host(client)?)));
        let mut any = false;
        for (webhook, client, host) in ours {
            any = true;
            let bundle = client.ca_bundle.as_ref().map_or(&[][..], |bundle| &bundle.0);
            if bundle.is_empty() && self.system_roots {
                continue;
            }
            if bundle.is_empty() {
                return Err(format!("the caBundle of webhook {webhook} in {name} is empty"));
            }
            let roots =
                x509::chain(bundle).map_err(|error| format!("the caBundle of webhook {webhook} in {name}: {error}"))?;
            x509::verify(loaded.chain(), &roots, Some(&host), now).map_err(|error| {
                format!("the serving certificate against the caBundle of webhook {webhook} in {name}: {error}")
            })?;
        }
        if any { Ok(()) } else { Err(format!("no webhook of {name} calls a Service in namespace {}", self.namespace)) }
    }

    /// The name that the API server verifies for a webhook that may be ours.
    fn host(&self, client: &WebhookClientConfig) -> Option<String> {
        if let Some(service) = &client.service {
            return (service.namespace == self.namespace)
                .then(|| format!("{}.{}.svc", service.name, service.namespace));
        }
        let url: http::Uri = client.url.as_ref()?.parse().ok()?;
        url.host().map(|host| host.trim_matches(['[', ']']).to_owned())
    }
}

#[cfg(test)]
mod tests;
