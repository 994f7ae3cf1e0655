//! What an API server means by refusing, told from its codes and by asking again: its sentences are for people, and
//! change. A failed `test` of a JSON Patch, for one, is a 422 with "the server rejected our request due to an error in
//! our request", and so is an object that is not valid.

use kube::{Api, Resource, api::ObjectMeta, core::Status};
use serde::de::DeserializeOwned;

/// The cause in a refusal to create something in a namespace that is going (`v1.NamespaceTerminatingCause`).
const NAMESPACE_TERMINATING: &str = "NamespaceTerminating";

/// What a write that was refused for its content met.
#[derive(Debug)]
pub enum Found {
    /// The object is as it was: the content is what is wrong.
    Unchanged,
    /// Somebody changed the object: what is wrong may be that.
    Changed,
    /// The object is gone.
    Gone,
}

/// Whether an error may mean that the object is another than the one that was meant: a failed test of a JSON Patch, or a
/// uid that is not its own.
pub fn may_be_another(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 422)
}

/// Whether the object is still the one that was meant.
///
/// # Errors
/// The API server does not tell.
pub async fn look_again<K>(
    api: &Api<K>,
    name: &str,
    is_meant: impl Fn(&ObjectMeta) -> bool,
) -> Result<Found, kube::Error>
where
    K: Clone + std::fmt::Debug + DeserializeOwned + Resource<DynamicType = ()>,
{
    Ok(match api.get_opt(name).await? {
        None => Found::Gone,
        Some(object) if is_meant(object.meta()) => Found::Unchanged,
        Some(_) => Found::Changed,
    })
}

/// Tells an object of that version.
pub fn of_version(version: &str) -> impl Fn(&ObjectMeta) -> bool + '_ {
    move |meta| meta.resource_version.as_deref() == Some(version)
}

/// Tells an object of that uid.
pub fn of_uid(uid: &str) -> impl Fn(&ObjectMeta) -> bool + '_ {
    move |meta| meta.uid.as_deref() == Some(uid)
}

/// Whether nothing can be created because the namespace is going.
pub fn is_namespace_going(status: &Status) -> bool {
    let causes = status.details.as_ref().map(|details| details.causes.as_slice()).unwrap_or_default();
    status.code == 403 && causes.iter().any(|cause| cause.reason == NAMESPACE_TERMINATING)
}
