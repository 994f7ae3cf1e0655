//! Takes certgate out of a cluster: what it added goes, or becomes the users' own.

use std::collections::HashMap;

use k8s_openapi::api::{
    admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration},
    coordination::v1::Lease,
    networking::v1::Ingress as FullIngress,
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    api::{DeleteParams, ListParams, Patch, PatchParams, Preconditions},
};
use serde::de::DeserializeOwned;

use crate::{
    api::{
        domain::Domain,
        list,
        partial::{certificate::Certificate, ingress::Ingress, metadata::Metadata},
        read::Read,
        verified_hosts::VerifiedHosts,
    },
    apiserver::refusal,
    cluster::apply::FIELD_MANAGER,
    core::{
        decide::{disown, strip},
        finding::clean,
        host::Host,
        knowledge::DomainFacts,
        names,
        patch::PatchOp,
        reconcile::{ingress::guarded, twin},
        record::{Entry, Present},
    },
};

/// How often an Ingress that changes under our hands is looked at again.
const ATTEMPTS: usize = 5;

/// What becomes of the TLS that certgate added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Keep {
    /// It goes: annotations, TLS entries and the Certificates behind them. Secrets stay.
    #[default]
    Nothing,
    /// It stays and becomes the users' own: cert-manager goes on renewing. Only certgate's records go.
    Tls,
}

/// What is to be cleaned up, and how.
#[derive(Clone, Debug)]
pub struct Settings {
    /// certgate's own namespace.
    pub namespace: String,
    /// The webhook configuration, which goes first.
    pub webhook_configuration: String,
    /// The controller's Lease, by which a running controller is noticed.
    pub lease: String,
    /// What becomes of TLS.
    pub keep: Keep,
    /// Only tell.
    pub dry_run: bool,
}

/// Why the clean-up stopped. It can be run again: what is done is done.
#[derive(Debug, thiserror::Error)]
pub enum CleanupError {
    /// A controller would put back what is taken away.
    #[error(
        "the controller {holder} is running and would add everything again; \
         scale it down first: kubectl -n {namespace} scale deployment certgate-controller --replicas=0"
    )]
    ControllerRuns {
        /// Who holds the Lease.
        holder: String,
        /// Where.
        namespace: String,
    },
    /// An Ingress kept changing.
    #[error("Ingress {namespace}/{name} keeps changing; run the clean-up again")]
    KeepsChanging {
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
    },
    /// The API server refuses or cannot be reached.
    #[error("{what}: {source}")]
    Api {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: kube::Error,
    },
    /// A patch could not be written down.
    #[error("cannot write a patch: {0}")]
    Patch(#[from] serde_json::Error),
}

/// What Domains say, by namespace and host.
type Domains = HashMap<(String, String), DomainFacts>;

/// Hears what is done, a line each.
pub trait Report {
    /// Something is done, or would be.
    fn line(&mut self, text: &str);
}

fn failed(what: impl Into<String>) -> impl FnOnce(kube::Error) -> CleanupError {
    let what = what.into();
    move |source| CleanupError::Api { what, source }
}

/// What is to be done to an Ingress; none: nothing of ours is on it. `vouches`: whether a TLS entry is ours beyond doubt.
pub fn ingress_patch(
    ingress: &crate::core::ingress::Ingress<'_>,
    keep: Keep,
    vouches: impl Fn(Entry<'_>) -> bool,
) -> Vec<PatchOp> {
    let present = Present::on(ingress, vouches);
    if !present.anything() {
        return Vec::new();
    }
    match keep {
        Keep::Nothing => strip(ingress, &present),
        Keep::Tls => disown(ingress),
    }
}

/// Cleans up.
///
/// # Errors
/// A controller is still running, or the API server refuses.
pub async fn run(client: Client, settings: &Settings, report: &mut dyn Report) -> Result<(), CleanupError> {
    refuse_beside_controller(&client, settings).await?;
    let webhook = &settings.webhook_configuration;
    remove_webhook::<MutatingWebhookConfiguration>(&client, settings, webhook, report).await?;
    let gate = format!("{webhook}-approval");
    remove_webhook::<ValidatingWebhookConfiguration>(&client, settings, &gate, report).await?;
    // The Certificate goes before the entry that asks for it: with the entry gone first,
    // ingress-shim might make it anew from the annotation that is still there.
    let domains = list::<Domain>(&client, "list Domains").await?;
    let domains: Vec<Domain> = domains.into_iter().filter_map(Read::object).collect();
    let domains = domains.iter().map(|one| ((one.namespace().unwrap_or_default(), one.spec.host.clone()), one.facts()));
    let domains: Domains = domains.collect();
    for ingress in list::<Ingress>(&client, "list Ingresses").await? {
        let Some(ingress) = readable(ingress, report) else { continue };
        clean_ingress(&client, settings, ingress, &domains, report).await?;
    }
    if settings.keep == Keep::Nothing {
        remove_companions(&client, settings, report).await?;
        remove_certificates(&client, settings, report).await?;
    } else {
        release_companions(&client, settings, report).await?;
    }
    remove_conditions(&client, settings, report).await?;
    remove_all::<Domain>(&client, settings, report).await?;
    remove_all::<VerifiedHosts>(&client, settings, report).await
}

async fn refuse_beside_controller(client: &Client, settings: &Settings) -> Result<(), CleanupError> {
    let leases: Api<Lease> = Api::namespaced(client.clone(), &settings.namespace);
    let lease = leases.get_opt(&settings.lease).await.map_err(failed("read the controller's Lease"))?;
    let Some(spec) = lease.and_then(|lease| lease.spec) else { return Ok(()) };
    let holder = spec.holder_identity.filter(|holder| !holder.is_empty());
    let seconds = i64::from(spec.lease_duration_seconds.unwrap_or_default());
    let fresh = spec.renew_time.is_some_and(|at| jiff::Timestamp::now().duration_since(at.0).as_secs() <= seconds);
    match holder {
        Some(holder) if fresh => Err(CleanupError::ControllerRuns { holder, namespace: settings.namespace.clone() }),
        _ => Ok(()),
    }
}

async fn remove_webhook<C>(
    client: &Client,
    settings: &Settings,
    name: &str,
    report: &mut dyn Report,
) -> Result<(), CleanupError>
where
    C: Resource<DynamicType = (), Scope = k8s_openapi::ClusterResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let api: Api<C> = Api::all(client.clone());
    let what = format!("delete {} {name}", C::kind(&()));
    if api.get_opt(name).await.map_err(failed(&what))?.is_some() {
        report.line(&format!("{} {name}: deleted", C::kind(&())));
        if !settings.dry_run {
            api.delete(name, &DeleteParams::default()).await.map_err(failed(&what))?;
        }
    }
    Ok(())
}

async fn clean_ingress(
    client: &Client,
    settings: &Settings,
    mut ingress: Ingress,
    domains: &Domains,
    report: &mut dyn Report,
) -> Result<(), CleanupError> {
    let (namespace, name) = (ingress.namespace().unwrap_or_default(), ingress.name_any());
    let api: Api<Read<Ingress>> = Api::namespaced(client.clone(), &namespace);
    let what = format!("clean Ingress {namespace}/{name}");
    for _ in 0..ATTEMPTS {
        let version = ingress.resource_version().unwrap_or_default();
        let companion = ingress.is_certgates();
        // Here the record's word is enough: it is the tenant's own loss.
        let now = jiff::Timestamp::now();
        let vouches = |entry: Entry<'_>| {
            let domain = domains.get(&(namespace.clone(), entry.host.to_owned()));
            entry.recorded || domain.is_some_and(|facts| facts.vouches_for(entry, now))
        };
        let patch = ingress_patch(&ingress.into_core(), settings.keep, vouches);
        if patch.is_empty() || companion {
            return Ok(());
        }
        if settings.dry_run {
            report.line(&format!("Ingress {namespace}/{name}: {} changes", patch.len()));
            return Ok(());
        }
        let patch: json_patch::Patch = serde_json::from_value(guarded(&patch, &version)?)?;
        let patch = Patch::Json::<()>(patch);
        match api.patch(&name, &PatchParams::default(), &patch).await {
            Ok(_) => {
                report.line(&format!("Ingress {namespace}/{name}: cleaned"));
                return Ok(());
            }
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            // A failed test is told from a patch that is refused by whether there was a change.
            Err(error) if refusal::may_be_another(&error) => {
                let found =
                    refusal::look_again(&api, &name, refusal::of_version(&version)).await.map_err(failed(&what))?;
                if matches!(found, refusal::Found::Unchanged) {
                    return Err(failed(&what)(error));
                }
            }
            Err(source) => return Err(failed(&what)(source)),
        }
        match api.get_opt(&name).await.map_err(failed(&what))? {
            Some(again) => match readable(again, report) {
                Some(again) => ingress = again,
                None => return Ok(()),
            },
            None => return Ok(()),
        }
    }
    Err(CleanupError::KeepsChanging { namespace, name })
}

/// The object; of one that cannot be read it is told that it stays as it is.
fn readable<K: Resource<DynamicType = ()>>(object: Read<K>, report: &mut dyn Report) -> Option<K> {
    let found = match object.result() {
        Ok(object) => return Some(object),
        Err(found) => found,
    };
    let (namespace, name) = (clean(found.namespace()), clean(found.name()));
    report.line(&format!(
        "{} {namespace}/{name}: cannot be read ({}), so it stays as it is",
        K::kind(&()),
        found.error
    ));
    None
}

/// The Ingresses that certgate itself made.
async fn companions(client: &Client) -> Result<Vec<Ingress>, CleanupError> {
    let labelled = ListParams::default().labels(names::COMPANION_OF);
    let found = list_by::<Ingress>(client, "list companions", &labelled).await?;
    Ok(found.into_iter().filter_map(Read::object).filter(Ingress::is_certgates).collect())
}

async fn remove_companions(client: &Client, settings: &Settings, report: &mut dyn Report) -> Result<(), CleanupError> {
    for companion in companions(client).await? {
        delete::<FullIngress>(client, settings, "companion Ingress", &companion.metadata, report).await?;
    }
    Ok(())
}

/// What certgate said on Certificates that are not its own.
async fn remove_conditions(client: &Client, settings: &Settings, report: &mut dyn Report) -> Result<(), CleanupError> {
    for certificate in list::<Certificate>(client, "list Certificates").await? {
        let Some(certificate) = readable(certificate, report) else { continue };
        if certificate.condition(names::CONDITION).is_none() {
            continue;
        }
        let (namespace, name) = (certificate.namespace().unwrap_or_default(), certificate.name_any());
        report.line(&format!("Certificate {namespace}/{name}: certgate's condition removed"));
        if settings.dry_run {
            continue;
        }
        let api: Api<Read<Certificate>> = Api::namespaced(client.clone(), &namespace);
        // Applying nothing gives up what was applied before.
        let nothing = serde_json::json!({"apiVersion": Certificate::api_version(&()), "kind": Certificate::kind(&()),
            "metadata": {"name": name}, "status": {}});
        match api.patch_status(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(nothing)).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(source) => return Err(failed(format!("clean Certificate {namespace}/{name}"))(source)),
        }
    }
    Ok(())
}

/// Companions that stay must not go with their Domains: a twin goes with its Ingress from now on.
async fn release_companions(client: &Client, settings: &Settings, report: &mut dyn Report) -> Result<(), CleanupError> {
    for companion in companions(client).await? {
        let (namespace, name) = (companion.namespace().unwrap_or_default(), companion.name_any());
        report.line(&format!("companion Ingress {namespace}/{name}: kept, and certgate's no longer"));
        if !settings.dry_run {
            let api: Api<Read<Metadata<FullIngress>>> = Api::namespaced(client.clone(), &namespace);
            let what = format!("release companion Ingress {namespace}/{name}");
            let original = match twin::original(&name) {
                Some(original) => api.get_opt(original).await.map_err(failed(&what))?,
                None => None,
            };
            let owner = original.map(|original| {
                serde_json::json!([{"apiVersion": FullIngress::api_version(&()), "kind": FullIngress::kind(&()),
                    "name": original.meta().name, "uid": original.meta().uid}])
            });
            let patch = Patch::Merge(serde_json::json!({"metadata": {"ownerReferences": owner}}));
            api.patch(&name, &PatchParams::default(), &patch).await.map_err(failed(what))?;
        }
    }
    Ok(())
}

/// Certificates that ingress-shim made for our entries; with the annotation gone it leaves them renewing.
async fn remove_certificates(
    client: &Client,
    settings: &Settings,
    report: &mut dyn Report,
) -> Result<(), CleanupError> {
    for certificate in list::<Certificate>(client, "list Certificates").await? {
        let Some(certificate) = readable(certificate, report) else { continue };
        let by_shim = certificate.controller().is_some_and(|owner| owner.kind == "Ingress");
        let ours =
            certificate.spec.dns_names.first().and_then(|name| Host::parse(name).ok()).is_some_and(|host| {
                certificate.spec.dns_names.len() == 1 && certificate.name_any() == host.secret_name()
            });
        if by_shim && ours {
            delete::<Certificate>(client, settings, "Certificate", &certificate.metadata, report).await?;
        }
    }
    Ok(())
}

async fn remove_all<K>(client: &Client, settings: &Settings, report: &mut dyn Report) -> Result<(), CleanupError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    // By metadata alone: those that cannot be read go too.
    for object in list::<Metadata<K>>(client, "list certgate's own objects").await? {
        delete::<K>(client, settings, &K::kind(&()), object.meta(), report).await?;
    }
    Ok(())
}

async fn delete<K>(
    client: &Client,
    settings: &Settings,
    what: &str,
    meta: &kube::api::ObjectMeta,
    report: &mut dyn Report,
) -> Result<(), CleanupError>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + std::fmt::Debug
        + DeserializeOwned,
{
    let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
    report.line(&format!("{what} {namespace}/{name}: deleted"));
    if settings.dry_run {
        return Ok(());
    }
    let exactly = Preconditions { uid: meta.uid.clone(), resource_version: None };
    let params = DeleteParams { preconditions: Some(exactly), ..DeleteParams::default() };
    match Api::<Read<K>>::namespaced(client.clone(), &namespace).delete(&name, &params).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
        Err(source) => Err(failed(format!("delete {what} {namespace}/{name}"))(source)),
    }
}

/// All objects of a kind, page by page; none where the cluster does not know the kind.
async fn list<K>(client: &Client, what: &str) -> Result<Vec<Read<K>>, CleanupError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    K::Scope: 'static,
{
    list_by(client, what, &ListParams::default()).await
}

/// The same of those that fit.
async fn list_by<K>(client: &Client, what: &str, fitting: &ListParams) -> Result<Vec<Read<K>>, CleanupError>
where
    K: Resource<DynamicType = ()> + Clone + std::fmt::Debug + DeserializeOwned,
    K::Scope: 'static,
{
    match list::all(&Api::<Read<K>>::all(client.clone()), fitting).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(Vec::new()),
        listed => listed.map_err(failed(what)),
    }
}
