//! Reading of fields that another version may have written, or that the API server keeps whatever they say: what
//! certgate does not ask for cannot fail, and a time beyond what is reckoned with is the last one that is.

use std::{collections::BTreeMap, fmt, marker::PhantomData};

use jiff::{Timestamp, civil::DateTime};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, OwnerReference, Time};
use kube::api::ObjectMeta;
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor, value::MapAccessDeserializer},
};
use serde_json::Value;

/// Reads `metadata`: what certgate asks for. Neither `managedFields` nor anything else is kept.
///
/// # Errors
/// A field that is asked for has another type.
pub fn metadata<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Slim {
        name: Option<String>,
        namespace: Option<String>,
        uid: Option<String>,
        resource_version: Option<String>,
        #[serde(deserialize_with = "or_default")]
        generation: Option<i64>,
        #[serde(deserialize_with = "time")]
        creation_timestamp: Option<Time>,
        #[serde(deserialize_with = "presence")]
        deletion_timestamp: Option<Time>,
        labels: Option<BTreeMap<String, String>>,
        annotations: Option<BTreeMap<String, String>>,
        owner_references: Option<Vec<Owner>>,
    }
    let slim: Slim = object(deserializer)?;
    Ok(ObjectMeta {
        name: slim.name,
        namespace: slim.namespace,
        uid: slim.uid,
        resource_version: slim.resource_version,
        generation: slim.generation,
        creation_timestamp: slim.creation_timestamp,
        deletion_timestamp: slim.deletion_timestamp,
        labels: slim.labels,
        annotations: slim.annotations,
        owner_references: slim.owner_references.map(|owners| owners.into_iter().map(OwnerReference::from).collect()),
        ..ObjectMeta::default()
    })
}

/// The same, and of `managedFields` one entry with the latest of their times: when the object was last written.
///
/// # Errors
/// A field that is asked for has another type.
pub fn metadata_with_last_write<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    #[derive(Default, Deserialize)]
    #[serde(default, rename_all = "camelCase")]
    struct Written {
        #[serde(deserialize_with = "each")]
        managed_fields: Vec<Entry>,
    }
    #[derive(Default, Deserialize)]
    #[serde(default)]
    struct Entry {
        #[serde(deserialize_with = "time")]
        time: Option<Time>,
    }
    let value = Value::deserialize(deserializer)?;
    let written: Written = object(&value).map_err(D::Error::custom)?;
    let slim = metadata(value).map_err(D::Error::custom)?;
    let latest = written.managed_fields.into_iter().filter_map(|entry| entry.time).max();
    let entry = latest.map(|time| ManagedFieldsEntry { time: Some(time), ..ManagedFieldsEntry::default() });
    Ok(ObjectMeta { managed_fields: entry.map(|entry| vec![entry]), ..slim })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Owner {
    #[serde(deserialize_with = "or_default")]
    api_version: String,
    #[serde(deserialize_with = "or_default")]
    kind: String,
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    uid: String,
    #[serde(deserialize_with = "or_default")]
    controller: Option<bool>,
}

impl From<Owner> for OwnerReference {
    fn from(owner: Owner) -> Self {
        let Owner { api_version, kind, name, uid, controller } = owner;
        Self { api_version, kind, name, uid, controller, block_owner_deletion: None }
    }
}

/// A time; none where there is none or it is no time.
///
/// # Errors
/// None of its own.
pub fn time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    Ok(match deserializer.deserialize_any(TimeVisitor)? {
        Seen::Time(time) => Some(time),
        Seen::Nothing | Seen::Odd(_) => None,
    })
}

/// A time on which something hangs: what is there and no time is an error.
///
/// # Errors
/// It is no time.
pub fn exact_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    match deserializer.deserialize_any(TimeVisitor)? {
        Seen::Time(time) => Ok(Some(time)),
        Seen::Nothing => Ok(None),
        Seen::Odd(what) => Err(D::Error::custom(format_args!("{what} is no time"))),
    }
}

/// A time that says by being there that something is so.
fn presence<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Time>, D::Error> {
    Ok(match deserializer.deserialize_any(TimeVisitor)? {
        Seen::Time(time) => Some(time),
        Seen::Nothing => None,
        Seen::Odd(_) => Some(Time(last())),
    })
}

/// A value; the default where it is null or none that is understood.
///
/// # Errors
/// None of its own.
pub fn or_default<'de, D: Deserializer<'de>, T: Default + DeserializeOwned>(deserializer: D) -> Result<T, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).unwrap_or_default())
}

/// A list; what of it is not understood is left out.
///
/// # Errors
/// None of its own.
pub fn each<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(all) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(all.into_iter().filter_map(|one| serde_json::from_value(one).ok()).collect())
}

/// A value; the default where it is null. Kubernetes writes `null` and absence alike for empty lists and maps.
///
/// # Errors
/// It has another type.
pub fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

/// An object; the default where it is null or absent. serde takes a list for a struct, which Kubernetes never means.
///
/// # Errors
/// It is no object, or not that type's.
pub fn object<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(some_object(deserializer)?.unwrap_or_default())
}

/// An object, or `None` where it is null.
///
/// # Errors
/// It is no object, or not that type's.
pub fn some_object<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    struct ObjectVisitor<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
        type Value = Option<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_none<E>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_map(self)
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            T::deserialize(MapAccessDeserializer::new(map)).map(Some)
        }
    }
    deserializer.deserialize_option(ObjectVisitor(PhantomData))
}

/// The last time that is reckoned with, in whole seconds, as Kubernetes keeps them.
fn last() -> Timestamp {
    Timestamp::from_second(Timestamp::MAX.as_second()).unwrap_or(Timestamp::MAX)
}

/// Reads a time of RFC 3339. What Go takes and jiff's Timestamp cannot hold, such as RFC 5280's "no end"
/// (9999-12-31T23:59:59Z), is the last or the first that it can.
pub fn timestamp(text: &str) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    let civil: DateTime = text.get(..19)?.parse().ok()?;
    let in_range = civil.to_zoned(jiff::tz::TimeZone::UTC).map(|zoned| zoned.timestamp()).ok();
    Some(in_range.unwrap_or(if civil.year() > 0 { last() } else { Timestamp::MIN }))
}

enum Seen {
    Nothing,
    Time(Time),
    Odd(&'static str),
}

/// Takes whatever stands where a time should.
struct TimeVisitor;

impl<'de> Visitor<'de> for TimeVisitor {
    type Value = Seen;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time")
    }
    fn visit_unit<E>(self) -> Result<Seen, E> {
        Ok(Seen::Nothing)
    }
    fn visit_none<E>(self) -> Result<Seen, E> {
        Ok(Seen::Nothing)
    }
    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Seen, D::Error> {
        deserializer.deserialize_any(self)
    }
    fn visit_str<E>(self, text: &str) -> Result<Seen, E> {
        Ok(timestamp(text).map_or(Seen::Odd("a text"), |time| Seen::Time(Time(time))))
    }
    fn visit_bool<E>(self, _: bool) -> Result<Seen, E> {
        Ok(Seen::Odd("a boolean"))
    }
    fn visit_i64<E>(self, _: i64) -> Result<Seen, E> {
        Ok(Seen::Odd("a number"))
    }
    fn visit_u64<E>(self, _: u64) -> Result<Seen, E> {
        Ok(Seen::Odd("a number"))
    }
    fn visit_f64<E>(self, _: f64) -> Result<Seen, E> {
        Ok(Seen::Odd("a number"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Seen, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Seen::Odd("a list"))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Seen, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Seen::Odd("an object"))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    #[rstest]
    #[case::as_ever("2026-04-01T00:00:00Z", Some("2026-04-01T00:00:00Z"))]
    #[case::with_an_offset("2026-04-01T02:00:00+02:00", Some("2026-04-01T00:00:00Z"))]
    #[case::with_fractions("2026-04-01T00:00:00.25Z", Some("2026-04-01T00:00:00.25Z"))]
    #[case::no_end("9999-12-31T23:59:59Z", Some("9999-12-30T22:00:00Z"))]
    #[case::no_end_elsewhere("9999-12-31T23:59:59+01:00", Some("9999-12-30T22:00:00Z"))]
    #[case::an_offset_of_a_day("2026-04-01T00:00:00+26:30", Some("2026-04-01T00:00:00Z"))]
    #[case::no_time("soon", None)]
    #[case::nothing("", None)]
    #[case::beyond_years("10000-01-01T00:00:00Z", None)]
    #[case::letters("９９９９-12-31T23:59:59Z", None)]
    fn times_are_read_as_go_writes_them(#[case] text: &str, #[case] expected: Option<&str>) {
        assert_eq!(timestamp(text).map(|time| time.to_string()).as_deref(), expected);
        // Read back from what it is written as, it is the same: no status is ever written for nothing.
        if let Some(time) = timestamp(text).and_then(|time| Timestamp::from_second(time.as_second()).ok()) {
            let written = serde_json::to_value(Time(time)).unwrap();
            assert_eq!(time_of(&written).unwrap(), Some(Time(time)));
        }
    }

    fn time_of(value: &Value) -> Result<Option<Time>, serde_json::Error> {
        exact_time(value)
    }

    #[rstest]
    #[case(json!(null), true)]
    #[case(json!("9999-12-31T23:59:59Z"), true)]
    #[case(json!("never"), false)]
    #[case(json!(7), false)]
    #[case(json!(-7.5), false)]
    #[case(json!(true), false)]
    #[case(json!([["x"]]), false)]
    #[case(json!({"x": {}}), false)]
    fn a_time_that_nobody_needs_never_fails(#[case] value: Value, #[case] is_time: bool) {
        assert!(time(&value).is_ok());
        assert_eq!(exact_time(&value).is_ok(), is_time, "{value}");
        assert_eq!(presence(&value).unwrap().is_some(), !value.is_null(), "it is there, whatever it says");
    }

    #[test]
    fn of_metadata_only_what_is_asked_for_can_fail() {
        let odd = json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "7", "generation": 1.5,
            "creationTimestamp": "9999-12-31T23:59:59Z", "deletionTimestamp": {}, "finalizers": {"x": 1}, "selfLink": 7,
            "managedFields": [{"time": "9999-12-31T23:59:59Z", "fieldsV1": 3}],
            "ownerReferences": [{"kind": "Ingress", "name": "i", "uid": "o", "controller": true, "blockOwnerDeletion": "x"}, {}]});
        let meta = metadata(&odd).unwrap();
        assert_eq!((meta.name.as_deref(), meta.generation, meta.managed_fields), (Some("a"), None, None));
        assert!(meta.deletion_timestamp.is_some() && meta.creation_timestamp.is_some());
        assert_eq!(meta.owner_references.map(|owners| owners.len()), Some(2));
        for odd in [json!({"labels": {"a": 1}}), json!({"labels": []}), json!([]), json!("x"), json!(7)] {
            assert!(metadata(&odd).is_err(), "what decisions read is not guessed: {odd}");
        }
        assert_eq!(metadata(&json!(null)).unwrap(), ObjectMeta::default());
    }

    #[test]
    fn the_last_write_is_the_latest_that_can_be_read() {
        let entries = json!([{"time": "2026-01-01T00:00:00Z"}, {"time": "2026-01-03T00:00:00Z", "fieldsV1": {}}, {"time": 9}, {}]);
        let meta = metadata_with_last_write(json!({"name": "o", "managedFields": entries})).unwrap();
        let times: Vec<_> = meta.managed_fields.unwrap().into_iter().filter_map(|entry| entry.time).collect();
        assert_eq!(times, [Time("2026-01-03T00:00:00Z".parse().unwrap())]);
        let meta = metadata_with_last_write(json!({"name": "o", "managedFields": 7})).unwrap();
        assert_eq!((meta.name.as_deref(), meta.managed_fields), (Some("o"), None));
        assert_eq!(metadata_with_last_write(json!(null)).unwrap(), ObjectMeta::default());
    }
}
