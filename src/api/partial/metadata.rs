//! [`Metadata`]: an object of which only metadata is asked for, and of that only what is read.

use std::marker::PhantomData;

use kube::{Resource, api::ObjectMeta};
use serde::Deserialize;

use crate::api::lenient;

/// The metadata of an object of the kind `K`; the API server sends no more of it (`PartialObjectMetadata`).
#[derive(Deserialize)]
pub struct Metadata<K> {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    #[serde(skip, default)]
    kind: PhantomData<fn() -> K>,
}

// === impl Metadata ===

impl<K> Metadata<K> {
    /// An object of that metadata.
    pub const fn new(metadata: ObjectMeta) -> Self {
        Self { metadata, kind: PhantomData }
    }
}

impl<K> Clone for Metadata<K> {
    fn clone(&self) -> Self {
        Self::new(self.metadata.clone())
    }
}

impl<K> std::fmt::Debug for Metadata<K> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Metadata").field(&self.metadata).finish()
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Metadata<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        true
    }
    crate::api::partial::named_like!(K);

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
