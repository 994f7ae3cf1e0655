//! [`Whole`]: an object as it is, with the metadata that is read.

use std::{fmt, marker::PhantomData};

use futures::{Stream, StreamExt as _};
use kube::{Api, Resource, api::ObjectMeta, runtime::watcher};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::Value;

use crate::{
    api::{
        lenient,
        read::{Read, Unreadable},
    },
    core::finding::clean,
};

/// An object of the kind `K`, whatever is in it.
pub struct Whole<K> {
    /// `metadata`, as far as it is read.
    pub metadata: ObjectMeta,
    /// The object as it came.
    pub object: Value,
    kind: PhantomData<fn() -> K>,
}

// === impl Whole ===

impl<'de, K> Deserialize<'de> for Whole<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Value::deserialize(deserializer)?;
        let none = Value::Null;
        let metadata = lenient::metadata(object.get("metadata").unwrap_or(&none)).map_err(D::Error::custom)?;
        Ok(Self { metadata, object, kind: PhantomData })
    }
}

impl<K: DeserializeOwned> Whole<K> {
    /// The object as its type, with the metadata that is read.
    ///
    /// # Errors
    /// Its fields are not that type's.
    pub fn typed(self) -> Result<K, serde_json::Error> {
        let Self { metadata, mut object, .. } = self;
        if let Some(parts) = object.as_object_mut() {
            parts.insert("metadata".to_owned(), serde_json::to_value(metadata)?);
        }
        serde_json::from_value(object)
    }
}

/// Follows the one object of that name; `None`: there is none. One that cannot be read says nothing new, and is told of.
pub fn follow<K>(api: Api<Read<Whole<K>>>, name: &str) -> impl Stream<Item = Result<Option<K>, watcher::Error>> + use<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Send + 'static,
    K::Scope: 'static,
{
    let typed = |seen: Read<Whole<K>>| match seen.result() {
        Ok(whole) => {
            let (namespace, name) = (whole.metadata.namespace.clone(), whole.metadata.name.clone());
            whole.typed().map_err(|error| {
                let metadata = ObjectMeta { namespace, name, ..ObjectMeta::default() };
                Box::new(Unreadable { metadata, error: clean(&error.to_string()), names: None })
            })
        }
        Err(found) => Err(found),
    };
    watcher::watch_object(api, name).filter_map(move |seen| {
        let event = match seen.map(|seen| seen.map(typed)) {
            Ok(None) => Some(Ok(None)),
            Ok(Some(Ok(object))) => Some(Ok(Some(object))),
            Ok(Some(Err(found))) => {
                let (kind, namespace, name) = (K::kind(&()), found.namespace(), found.name());
                tracing::warn!(%kind, namespace, name, error = found.error, "cannot be read: what was known of it holds");
                None
            }
            Err(error) => Some(Err(error)),
        };
        std::future::ready(event)
    })
}

impl<K> Serialize for Whole<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.object.serialize(serializer)
    }
}

impl<K> Clone for Whole<K> {
    fn clone(&self) -> Self {
        Self { metadata: self.metadata.clone(), object: self.object.clone(), kind: PhantomData }
    }
}

impl<K> fmt::Debug for Whole<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Whole").field(&self.object).finish()
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Whole<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    crate::api::partial::named_like!(K);

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;

    use super::*;

    #[test]
    fn an_object_is_its_type_whatever_its_managed_fields_say() {
        let json = r#"{"metadata": {"name": "s", "namespace": "n", "resourceVersion": "7", "creationTimestamp": "9999-12-31T23:59:59Z",
            "managedFields": [{"time": "9999-12-31T23:59:59Z"}]}, "data": {"tls.crt": "YQ=="}, "type": "Opaque"}"#;
        let whole = Read::<Whole<Secret>>::decode(json).object().unwrap();
        assert!(serde_json::from_str::<Secret>(json).is_err(), "as kube reads it");
        let secret = whole.typed().unwrap();
        assert_eq!(secret.metadata.resource_version.as_deref(), Some("7"));
        assert_eq!(secret.data.unwrap()["tls.crt"].0, b"a");
        let odd = Read::<Whole<Secret>>::decode(r#"{"metadata": {"name": "s", "namespace": "n"}, "data": 7}"#);
        assert!(odd.object().unwrap().typed().is_err());
    }
}
