//! [`Read`]: an object as a list, a watch or an answer brings it, decoded by itself: one that cannot be read costs
//! itself and not the list that it is in.

use std::any::TypeId;

use k8s_openapi::NamespaceResourceScope;
use kube::{Resource, api::ObjectMeta};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::DeserializeOwned, ser::Error as _};
use serde_json::value::RawValue;

use super::lenient;
use crate::core::finding::clean;

/// An object that was read, or what is known of one that cannot be.
#[derive(Clone, Debug)]
pub enum Read<K> {
    /// It was read.
    Object(K),
    /// It is there, and cannot be read.
    Unreadable(Box<Unreadable>),
}

/// An object that cannot be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Unreadable {
    /// Of its metadata what tells it apart, as far as that can be read: name, namespace, uid, versions, creation.
    pub metadata: ObjectMeta,
    /// Why it cannot be read, in one line, bounded and safe to print.
    pub error: String,
    /// The names that it is about (`spec.dnsNames`, `spec.host`); `None`: they cannot be read either.
    pub names: Option<Vec<String>>,
}

// === impl Read ===

impl<K> Read<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
    K::Scope: 'static,
{
    /// Reads the JSON of an object. Total: whatever the text is, this says what it is.
    pub fn decode(json: &str) -> Self {
        let error = match serde_json::from_str::<K>(json) {
            Ok(object) => match missing(&object) {
                None => return Self::Object(object),
                Some(what) => what.to_owned(),
            },
            Err(error) => place_of::<K>(json).unwrap_or_else(|| error.to_string()),
        };
        Self::Unreadable(Box::new(Unreadable { error: clean(&error), ..Unreadable::known_of(json) }))
    }
}

impl<K> Read<K> {
    /// The object, where it was read.
    pub fn object(self) -> Option<K> {
        match self {
            Self::Object(object) => Some(object),
            Self::Unreadable(_) => None,
        }
    }

    /// The object, or what is known of it.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn result(self) -> Result<K, Box<Unreadable>> {
        match self {
            Self::Object(object) => Ok(object),
            Self::Unreadable(unreadable) => Err(unreadable),
        }
    }
}

/// What every object must have that is told from others.
fn missing<K: Resource<DynamicType = ()>>(object: &K) -> Option<&'static str>
where
    K::Scope: 'static,
{
    let is_there = |text: &Option<String>| text.as_deref().is_some_and(|text| !text.is_empty());
    let meta = object.meta();
    if !is_there(&meta.name) {
        return Some("it has no metadata.name");
    }
    let namespaced = TypeId::of::<K::Scope>() == TypeId::of::<NamespaceResourceScope>();
    (namespaced && !is_there(&meta.namespace)).then_some("it has no metadata.namespace")
}

/// The error with the field that it arises from.
fn place_of<K: DeserializeOwned>(json: &str) -> Option<String> {
    let mut deserializer = serde_json::Deserializer::from_str(json);
    let error = serde_path_to_error::deserialize::<_, K>(&mut deserializer).err()?;
    let place = error.path().to_string();
    let why = error.into_inner().to_string();
    // Where in the text says nothing to anybody who has not got the text.
    let why = why.rsplit_once(" at line ").map_or(why.as_str(), |(why, _)| why);
    Some(if place == "." { why.to_owned() } else { format!("{place}: {why}") })
}

impl<'de, K> Deserialize<'de> for Read<K>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
    K::Scope: 'static,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Box::<RawValue>::deserialize(deserializer).map(|raw| Self::decode(raw.get()))
    }
}

impl<K: Serialize> Serialize for Read<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Object(object) => object.serialize(serializer),
            Self::Unreadable(found) => Err(S::Error::custom(&found.error)),
        }
    }
}

impl<K: Resource<DynamicType = ()>> Resource for Read<K> {
    type DynamicType = ();
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }
    crate::api::partial::named_like!(K);

    fn meta(&self) -> &ObjectMeta {
        match self {
            Self::Object(object) => object.meta(),
            Self::Unreadable(unreadable) => &unreadable.metadata,
        }
    }
    fn meta_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Object(object) => object.meta_mut(),
            Self::Unreadable(unreadable) => &mut unreadable.metadata,
        }
    }
}

// === impl Unreadable ===

impl Unreadable {
    /// Reads what can be: each field by itself.
    fn known_of(json: &str) -> Self {
        #[derive(Default, Deserialize)]
        struct Object<'a> {
            #[serde(borrow)]
            metadata: Option<&'a RawValue>,
            #[serde(borrow)]
            spec: Option<&'a RawValue>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Identity<'a> {
            #[serde(borrow)]
            name: Option<&'a RawValue>,
            #[serde(borrow)]
            namespace: Option<&'a RawValue>,
            #[serde(borrow)]
            uid: Option<&'a RawValue>,
            #[serde(borrow)]
            resource_version: Option<&'a RawValue>,
            #[serde(borrow)]
            creation_timestamp: Option<&'a RawValue>,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Spec<'a> {
            #[serde(borrow)]
            dns_names: Option<&'a RawValue>,
            #[serde(borrow)]
            host: Option<&'a RawValue>,
        }
        fn part<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Option<T> {
            serde_json::from_str(raw?.get()).ok()
        }
        let object: Object<'_> = serde_json::from_str(json).unwrap_or_default();
        let identity: Identity<'_> = part(object.metadata).unwrap_or_default();
        let text = |raw| part::<String>(raw).filter(|text| !text.is_empty());
        let created = |raw: &RawValue| lenient::time(&mut serde_json::Deserializer::from_str(raw.get())).ok().flatten();
        let spec: Spec<'_> = part(object.spec).unwrap_or_default();
        Self {
            metadata: ObjectMeta {
                name: text(identity.name),
                namespace: text(identity.namespace),
                uid: text(identity.uid),
                resource_version: text(identity.resource_version),
                creation_timestamp: identity.creation_timestamp.and_then(created),
                ..ObjectMeta::default()
            },
            error: String::new(),
            names: part(spec.dns_names).or_else(|| text(spec.host).map(|host| vec![host])),
        }
    }

    /// Its namespace; empty: it has none, or that cannot be read.
    pub fn namespace(&self) -> &str {
        self.metadata.namespace.as_deref().unwrap_or_default()
    }

    /// Its name; empty: that cannot be read.
    pub fn name(&self) -> &str {
        self.metadata.name.as_deref().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use kube::core::{ObjectList, WatchEvent};
    use rstest::rstest;

    use super::*;
    use crate::api::partial::{certificate::Certificate, ingress::Ingress, issuer::ClusterIssuer};

    fn unreadable<K>(json: &str) -> Unreadable
    where
        K: Resource<DynamicType = ()> + DeserializeOwned,
        K::Scope: 'static,
    {
        match Read::<K>::decode(json) {
            Read::Unreadable(unreadable) => *unreadable,
            Read::Object(_) => panic!("can be read: {json}"),
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_field_that_is_odd() {
        let found = unreadable::<Certificate>(
            r#"{"metadata": {"name": "c", "namespace": "n", "uid": "u", "resourceVersion": "7"},
                "spec": {"secretName": "c", "dnsNames": ["a.example.com"]}, "status": {"notAfter": {"seconds": 7}}}"#,
        );
        assert_eq!((found.namespace(), found.name()), ("n", "c"));
        assert_eq!((found.metadata.uid.as_deref(), found.metadata.resource_version.as_deref()), (Some("u"), Some("7")));
        assert_eq!(found.error, "status.notAfter: an object is no time");
        assert_eq!(found.names.as_deref(), Some(&["a.example.com".to_owned()][..]));
    }

    #[rstest]
    #[case(r"17", "")]
    #[case(r"null", "")]
    #[case(r"[]", "")]
    #[case(r#"{"metadata": {"name": 7, "namespace": "n"}}"#, "")]
    #[case(r#"{"metadata": {"name": "", "namespace": "n"}}"#, "")]
    #[case(r#"{"metadata": {"name": "c"}}"#, "c")]
    #[case(r#"{"metadata": {"name": "c", "namespace": "n", "labels": [1e999]}}"#, "c")]
    #[case(r#"{"metadata": {"name": "c", "namespace": "n"}, "spec": "\ud800"}"#, "c")]
    fn of_anything_it_is_said_what_it_is(#[case] json: &str, #[case] name: &str) {
        let found = unreadable::<Certificate>(json);
        assert_eq!(found.name(), name, "{json}");
        assert!(!found.error.is_empty() && found.error.len() < 300);
    }

    #[test]
    fn an_error_repeats_no_more_than_a_line_of_what_a_tenant_wrote() {
        let long = "\\u001b[31m\\n".repeat(10_000);
        let found = unreadable::<Ingress>(&format!(
            r#"{{"metadata": {{"name": "i", "namespace": "n"}}, "spec": {{"rules": "{long}"}}}}"#
        ));
        assert!(found.error.len() < 300 && !found.error.contains(char::is_control), "{}", found.error);
    }

    #[test]
    fn in_a_list_one_that_is_odd_costs_itself_alone() {
        let list: ObjectList<Read<Ingress>> = serde_json::from_str(
            r#"{"kind": "IngressList", "apiVersion": "networking.k8s.io/v1", "metadata": {"resourceVersion": "9"}, "items": [
                {"metadata": {"name": "a", "namespace": "n", "managedFields": [{"time": "9999-12-31T23:59:59Z"}]}},
                {"metadata": {"name": "odd", "namespace": "n", "labels": 7}}, 7,
                {"metadata": {"name": "b", "namespace": "n"}, "spec": {"rules": null, "tls": [{"hosts": null}]}}]}"#,
        )
        .unwrap();
        let names = list.items.iter().map(|one| (one.meta().name.as_deref(), one.clone().object().is_some()));
        assert_eq!(
            names.collect::<Vec<_>>(),
            [(Some("a"), true), (Some("odd"), false), (None, false), (Some("b"), true)]
        );
    }

    #[test]
    fn in_a_watch_an_event_comes_through_whatever_it_is_about() {
        let event = |json: &str| serde_json::from_str::<WatchEvent<Read<ClusterIssuer>>>(json).unwrap();
        let odd = event(r#"{"type": "ADDED", "object": {"metadata": {"name": 7, "resourceVersion": "9"}}}"#);
        assert!(matches!(&odd, WatchEvent::Added(Read::Unreadable(_))));
        let WatchEvent::Added(odd) = odd else { return };
        assert_eq!(odd.meta().resource_version.as_deref(), Some("9"), "the watch goes on from there");
        let bookmark = r#"{"type": "BOOKMARK", "object": {"kind": "ClusterIssuer", "apiVersion": "v1", "metadata": {"resourceVersion": "9", "creationTimestamp": null}}}"#;
        assert!(matches!(event(bookmark), WatchEvent::Bookmark(_)));
        let gone = r#"{"type": "ERROR", "object": {"kind": "Status", "apiVersion": "v1", "code": 410, "reason": "Expired", "message": "too old"}}"#;
        assert!(matches!(event(gone), WatchEvent::Error(status) if status.code == 410));
    }

    /// 10,000 levels: what is not read is walked over, and what is read costs the object.
    #[test]
    fn depth_is_no_danger() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        let json = format!(r#"{{"metadata": {{"name": "i", "namespace": "n"}}, "status": {{"other": {deep}}}}}"#);
        assert!(Read::<Ingress>::decode(&json).object().is_some());
        let solver = format!(r#"{{"acme": {{"solvers": [{{"dns01": {{"webhook": {{"config": {deep}}}}}}}]}}}}"#);
        let issuer = Read::<ClusterIssuer>::decode(&format!(r#"{{"metadata": {{"name": "i"}}, "spec": {solver}}}"#));
        assert!(issuer.object().is_some());
        let certificate = unreadable::<Certificate>(&format!(
            r#"{{"metadata": {{"name": "c", "namespace": "n"}}, "status": {{"conditions": [{{"message": {deep}}}]}}}}"#
        ));
        assert_eq!(certificate.name(), "c");
    }
}
