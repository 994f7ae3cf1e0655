//! [`Writer`]: every write of the controller, and what its failures mean.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use k8s_openapi::{api::coordination::v1::Lease, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions},
};
use serde_json::{Value, json};

use crate::{
    api::{
        domain::{Domain, DomainSpec, DomainStatus},
        lenient,
        partial::{
            certificate::Certificate, certificate_request::CertificateRequest, ingress::Ingress, metadata::Metadata,
            whole::Whole,
        },
        read::Read,
        verified_hosts::{NAME, VerifiedHosts, VerifiedHostsSpec},
    },
    apiserver::refusal::{self, Found},
    core::{
        host::Host,
        names,
        patch::PatchOp,
        reconcile::{
            companion::Companion, contest::FieldManager, ingress::guarded, switch::CertificateCondition, twin,
            verified::Verified,
        },
    },
};

/// The field manager of all that the controller writes.
pub const FIELD_MANAGER: &str = "certgate-controller";
/// The field manager of the flags from Rainbond's console.
pub const CONSOLE_MANAGER: &str = "certgate-console";
/// The Service that companions name as their backend; nobody serves them, so it need not exist.
const COMPANION_BACKEND: &str = "certgate-companion";

/// Why a write did not happen.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The object changed since the plan was made: plan anew.
    #[error("the object has changed meanwhile")]
    Conflict,
    /// The object or its namespace is gone or going: nothing is left to do.
    #[error("the object or its namespace is gone")]
    Gone,
    /// The API server is not reachable, overloaded or failing: try again later.
    #[error("the API server cannot take it now: {0}")]
    Transient(#[source] kube::Error),
    /// It is done, and what came of it cannot be read: what is known stays as it was.
    #[error("the object cannot be read: {0}")]
    Unreadable(String),
    /// The API server does not take it: trying again at once would not help.
    #[error("the API server refuses: {0}")]
    Refused(#[source] kube::Error),
}

/// Writes to the cluster.
#[derive(Clone)]
pub struct Writer {
    client: Client,
}

// === impl WriteError ===

impl From<kube::Error> for WriteError {
    fn from(error: kube::Error) -> Self {
        let kube::Error::Api(status) = &error else { return Self::Transient(error) };
        match status.code {
            404 | 410 => Self::Gone,
            409 => Self::Conflict,
            403 if refusal::is_namespace_going(status) => Self::Gone,
            408 | 429 | 500.. => Self::Transient(error),
            _ => Self::Refused(error),
        }
    }
}

// === impl Writer ===

impl Writer {
    /// Writes through `client`.
    pub fn new(client: Client) -> Self {
        Self { client }
    }

    /// Makes a Domain for a host.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn create_domain(&self, namespace: &str, host: &Host) -> Result<Domain, WriteError> {
        let domain = Read::Object(Domain {
            metadata: ObjectMeta {
                name: Some(host.object_name()),
                namespace: Some(namespace.to_owned()),
                labels: Some([(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned())].into()),
                ..ObjectMeta::default()
            },
            spec: DomainSpec { host: host.to_string(), ..DomainSpec::default() },
            status: None,
        });
        let api: Api<Read<Domain>> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        understood(patiently(|| api.create(&params, &domain)).await)
    }

    /// Flags a Domain as the console's `rules` ask for, making it where there is none; `None` takes that back, and
    /// leaves what others wrote. `managed`: the Domain is certgate's own.
    ///
    /// # Errors
    /// The API server did not take it; a conflict: somebody else flags or exempts the host.
    pub async fn flag_domain(
        &self,
        namespace: &str,
        host: &Host,
        rules: Option<&str>,
        managed: bool,
    ) -> Result<Domain, WriteError> {
        let pair = |key: &str, value: &str| [(key.to_owned(), value.to_owned())].into();
        let object = Domain {
            metadata: ObjectMeta {
                name: Some(host.object_name()),
                labels: managed.then(|| pair(names::MANAGED_BY, names::MANAGER)),
                annotations: rules.map(|rules| pair(names::CONSOLE_RULES, rules)),
                ..ObjectMeta::default()
            },
            spec: DomainSpec { host: host.to_string(), auto_issue: rules.map(|_| true), ..DomainSpec::default() },
            status: None,
        };
        let api: Api<Read<Domain>> = Api::namespaced(self.client.clone(), namespace);
        // A manager of its own, which owns the flag and nothing else; not forced, so a person's word stands.
        let params = PatchParams { field_manager: Some(CONSOLE_MANAGER.to_owned()), ..PatchParams::default() };
        let (name, patch) = (host.object_name(), Patch::Apply(object));
        understood(patiently(|| api.patch(&name, &params, &patch)).await)
    }

    /// Notes on the leader's Lease when the console last answered.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn note_console(&self, namespace: &str, lease: &str, at: jiff::Timestamp) -> Result<(), WriteError> {
        let patch = json!({"metadata": {"annotations": {names::CONSOLE_ANSWERED: at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}}});
        let api: Api<Read<Metadata<Lease>>> = Api::namespaced(self.client.clone(), namespace);
        let (params, patch) = (manager(), Patch::Merge(patch));
        patiently(|| api.patch(lease, &params, &patch)).await.map(|_| ())
    }

    /// Replaces the status of `domain`, if it is still of that version.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn set_status(&self, mut domain: Domain, status: DomainStatus) -> Result<Domain, WriteError> {
        let meta = domain.meta();
        let (namespace, name) = (meta.namespace.clone().unwrap_or_default(), meta.name.clone().unwrap_or_default());
        domain.status = Some(status);
        let api: Api<Read<Domain>> = Api::namespaced(self.client.clone(), &namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let domain = Read::Object(domain);
        understood(patiently(|| api.replace_status(&name, &params, &domain)).await)
    }

    /// Deletes a Domain, if it is still of that version.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn delete_domain(&self, domain: &Domain) -> Result<(), WriteError> {
        let meta = domain.meta();
        let params = exactly(meta.uid.clone(), meta.resource_version.clone());
        self.delete::<Domain>(
            meta.namespace.as_deref().unwrap_or_default(),
            meta.name.as_deref().unwrap_or_default(),
            params,
        )
        .await
    }

    /// Deletes the Certificate of that uid.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn delete_certificate(&self, namespace: &str, name: &str, uid: &str) -> Result<(), WriteError> {
        self.delete::<Certificate>(namespace, name, exactly(Some(uid.to_owned()), None)).await
    }

    /// Approves a CertificateRequest, if it is still of that version. `conditions`: those that it has.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn approve(
        &self,
        namespace: &str,
        name: &str,
        resource_version: &str,
        mut conditions: Vec<Value>,
        message: &str,
    ) -> Result<CertificateRequest, WriteError> {
        conditions.push(json!({
            "type": "Approved", "status": "True", "reason": "certgate.dev", "message": message,
            "lastTransitionTime": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        }));
        let patch = json!({"metadata": {"resourceVersion": resource_version}, "status": {"conditions": conditions}});
        let api: Api<Read<CertificateRequest>> = Api::namespaced(self.client.clone(), namespace);
        let (params, patch) = (manager(), Patch::Merge(patch));
        understood(patiently(|| api.patch_status(name, &params, &patch)).await)
    }

    /// Writes our condition on the Certificate of that uid. Applied on our behalf, it leaves cert-manager's as they are.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn set_condition(
        &self,
        namespace: &str,
        name: &str,
        uid: &str,
        condition: &CertificateCondition,
    ) -> Result<Certificate, WriteError> {
        let CertificateCondition { status, reason, message, since } = condition;
        let object = json!({
            "apiVersion": Certificate::api_version(&()),
            "kind": Certificate::kind(&()),
            "metadata": {"name": name, "uid": uid},
            "status": {"conditions": [{
                "type": names::CONDITION, "status": status, "reason": reason, "message": message,
                "lastTransitionTime": since.map(|at| at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()),
            }]},
        });
        let api: Api<Read<Certificate>> = Api::namespaced(self.client.clone(), namespace);
        let (params, patch) = (manager().force(), Patch::Apply(object));
        let result = patiently(|| api.patch_status(name, &params, &patch)).await;
        understood(told_apart(result, &api, name, refusal::of_uid(uid)).await)
    }

    /// Who writes an Ingress, by its `metadata.managedFields`.
    ///
    /// # Errors
    /// The API server does not tell.
    pub async fn field_managers(&self, namespace: &str, name: &str) -> Result<Vec<FieldManager>, WriteError> {
        let api: Api<Read<Whole<Ingress>>> = Api::namespaced(self.client.clone(), namespace);
        let object = understood(patiently(|| api.get(name)).await)?.object;
        let entries = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        let manager = |entry: &Value| {
            let text = |field: &str| entry.get(field).and_then(Value::as_str);
            Some(FieldManager {
                name: text("manager")?.to_owned(),
                at: text("time").and_then(lenient::timestamp),
                subresource: text("subresource").map(str::to_owned),
            })
        };
        Ok(entries.into_iter().flatten().filter_map(manager).collect())
    }

    /// Applies a JSON Patch to an Ingress, if it is still of that version.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn patch_ingress(
        &self,
        namespace: &str,
        name: &str,
        patch: &[PatchOp],
        version: &str,
    ) -> Result<Ingress, WriteError> {
        let unwritable = |error| WriteError::Refused(kube::Error::SerdeError(error));
        let patch = guarded(patch, version).and_then(serde_json::from_value).map_err(unwritable)?;
        let api: Api<Read<Ingress>> = Api::namespaced(self.client.clone(), namespace);
        let (params, patch) = (manager(), Patch::Json::<()>(patch));
        let result = patiently(|| api.patch(name, &params, &patch)).await;
        understood(told_apart(result, &api, name, refusal::of_version(version)).await)
    }

    /// Writes an annotation that only makes watchers of the Ingress of that uid look again.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn nudge(&self, namespace: &str, name: &str, uid: &str, value: &str) -> Result<Ingress, WriteError> {
        let patch = json!({"metadata": {"uid": uid, "annotations": {names::NUDGE: value}}});
        let api: Api<Read<Ingress>> = Api::namespaced(self.client.clone(), namespace);
        let (params, patch) = (manager(), Patch::Merge(patch));
        let result = patiently(|| api.patch(name, &params, &patch)).await;
        understood(told_apart(result, &api, name, refusal::of_uid(uid)).await)
    }

    /// Creates a companion, owned by the Domain; or replaces the one of its uid, if it still is this very one.
    ///
    /// # Errors
    /// The API server did not take it; a conflict: an Ingress of that name is there which is not that one.
    pub async fn write_companion(&self, domain: &Domain, companion: &Companion) -> Result<Ingress, WriteError> {
        let namespace = domain.metadata.namespace.clone().unwrap_or_default();
        let owner = owner(domain)?;
        let object = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": companion.name,
                "labels": companion.labels,
                "annotations": companion.annotations,
                "ownerReferences": [owner],
            },
            "spec": {
                "ingressClassName": names::COMPANION_CLASS,
                // A `resource` backend would crash Rainbond 5's gateway.
                "defaultBackend": {"service": {"name": COMPANION_BACKEND, "port": {"number": 80}}},
                "tls": [{"hosts": [companion.host], "secretName": companion.secret_name}],
            },
        });
        let uid = Some(companion.uid.as_str()).filter(|uid| !uid.is_empty());
        self.put_whole(&namespace, &companion.name, uid, object).await
    }

    /// Creates an Ingress all of whose fields are ours, or replaces that of a uid: never one that somebody else made under
    /// its name meanwhile.
    async fn put_whole(
        &self,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        mut object: Value,
    ) -> Result<Ingress, WriteError> {
        let refused = |error| WriteError::Refused(kube::Error::SerdeError(error));
        if let (Some(uid), Some(metadata)) = (uid, object.get_mut("metadata").and_then(Value::as_object_mut)) {
            metadata.insert("uid".to_owned(), json!(uid));
        }
        let object: Whole<Ingress> = serde_json::from_value(object).map_err(refused)?;
        let object = Read::Object(object);
        let api: Api<Read<Whole<Ingress>>> = Api::namespaced(self.client.clone(), namespace);
        let params = PostParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PostParams::default() };
        let after = match uid {
            Some(_) => patiently(|| api.replace(name, &params, &object)).await,
            None => patiently(|| api.create(&params, &object)).await,
        };
        let after = understood(after)?.object;
        understood(Ok(Read::decode(&after.to_string())))
    }

    /// Creates an Ingress' twin, owned by the Domain; or brings the one of that uid in step.
    ///
    /// # Errors
    /// The API server did not take it; a conflict: an Ingress of that name is there which is not that one.
    pub async fn write_twin(
        &self,
        domain: &Domain,
        ingress: &str,
        host: &Host,
        uid: Option<&str>,
    ) -> Result<Ingress, WriteError> {
        let namespace = domain.metadata.namespace.clone().unwrap_or_default();
        let whole: Api<Read<Whole<Ingress>>> = Api::namespaced(self.client.clone(), &namespace);
        let original = understood(patiently(|| whole.get(ingress)).await)?.object;
        let Some(mut wanted) = twin::object(&original, host) else { return Err(WriteError::Gone) };
        let Some(metadata) = wanted.get_mut("metadata").and_then(Value::as_object_mut) else {
            return Err(WriteError::Gone);
        };
        metadata.insert("ownerReferences".to_owned(), json!([owner(domain)?]));
        let name = metadata.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.put_whole(&namespace, &name, uid, wanted).await
    }

    /// Deletes the companion or twin of that uid.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn delete_companion(&self, namespace: &str, name: &str, uid: &str) -> Result<(), WriteError> {
        self.delete::<Ingress>(namespace, name, exactly(Some(uid.to_owned()), None)).await
    }

    /// Writes a namespace's VerifiedHosts.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn write_verified(&self, namespace: &str, verified: &Verified) -> Result<VerifiedHosts, WriteError> {
        let Verified { hosts, issuer, issuers, orders, .. } = verified.clone();
        let spec = VerifiedHostsSpec { hosts, issuer, issuers, orders };
        let mut object = VerifiedHosts::new(NAME, spec);
        object.metadata.labels = Some([(names::MANAGED_BY.to_owned(), names::MANAGER.to_owned())].into());
        let api: Api<Read<VerifiedHosts>> = Api::namespaced(self.client.clone(), namespace);
        let (params, patch) = (manager().force(), Patch::Apply(object));
        understood(patiently(|| api.patch(NAME, &params, &patch)).await)
    }

    /// Deletes a namespace's VerifiedHosts.
    ///
    /// # Errors
    /// The API server did not take it.
    pub async fn delete_verified(&self, namespace: &str) -> Result<(), WriteError> {
        self.delete::<VerifiedHosts>(namespace, NAME, DeleteParams::default()).await
    }

    async fn delete<K>(&self, namespace: &str, name: &str, params: DeleteParams) -> Result<(), WriteError>
    where
        K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned,
    {
        // The answer may be the object, and whatever that says, it is gone.
        let api: Api<Read<K>> = Api::namespaced(self.client.clone(), namespace);
        match patiently(|| api.delete(name, &params)).await {
            // Gone is what was wanted.
            Ok(_) | Err(WriteError::Gone) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

/// The object that the API server answers with, once it has taken a write.
fn understood<K>(answer: Result<Read<K>, WriteError>) -> Result<K, WriteError> {
    answer?.result().map_err(|found| WriteError::Unreadable(found.error))
}

/// A refusal to write an object that is no longer the one that was meant is a conflict.
async fn told_apart<K>(
    result: Result<K, WriteError>,
    api: &Api<K>,
    name: &str,
    is_meant: impl Fn(&ObjectMeta) -> bool,
) -> Result<K, WriteError>
where
    K: Clone + std::fmt::Debug + serde::de::DeserializeOwned + Resource<DynamicType = ()>,
{
    match result {
        Err(WriteError::Refused(error)) if refusal::may_be_another(&error) => {
            Err(match refusal::look_again(api, name, is_meant).await? {
                Found::Unchanged => WriteError::Refused(error),
                Found::Changed => WriteError::Conflict,
                Found::Gone => WriteError::Gone,
            })
        }
        result => result,
    }
}

fn owner(domain: &Domain) -> Result<OwnerReference, WriteError> {
    Ok(OwnerReference { block_owner_deletion: None, ..domain.controller_owner_ref(&()).ok_or(WriteError::Gone)? })
}

fn manager() -> PatchParams {
    PatchParams { field_manager: Some(FIELD_MANAGER.to_owned()), ..PatchParams::default() }
}

fn exactly(uid: Option<String>, resource_version: Option<String>) -> DeleteParams {
    DeleteParams { preconditions: Some(Preconditions { uid, resource_version }), ..DeleteParams::default() }
}

/// Tries again for a moment while the API server cannot take a request.
/// Longer troubles are the queue's: the plan may be another by then.
async fn patiently<T, F, Fut>(request: F) -> Result<T, WriteError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, kube::Error>>,
{
    let mut request = request;
    let backoff = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(3)
        .with_jitter();
    (move || {
        let attempt = request();
        async move { attempt.await.map_err(WriteError::from) }
    })
    .retry(backoff)
    .when(|error| matches!(error, WriteError::Transient(_)))
    .await
}

#[cfg(test)]
mod tests;
