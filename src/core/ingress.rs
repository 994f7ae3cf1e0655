//! [`Ingress`]: what certgate reads of an Ingress, borrowed from the bytes it
//! came in. Never the whole object: labels, a few annotations, hosts, TLS entries.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::names;

/// Annotation prefixes and names that certgate reads; all others are only counted.
const READ_ANNOTATIONS: &[&str] = &[
    "certgate.dev/",
    "cert-manager.io/",
    "acme.cert-manager.io/",
    "kubernetes.io/",
    "nginx.ingress.kubernetes.io/l4-enable",
    "nginx.ingress.kubernetes.io/force-ssl-redirect",
];

/// From how many octets on a value is counted octet by octet.
const LONG: usize = 4 * 1024;

/// The parts of a `networking.k8s.io/v1` Ingress that decisions depend on.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Ingress<'a> {
    /// `metadata`. Must be there: a patch of annotations would not apply to an object without.
    #[serde(borrow)]
    pub metadata: Metadata<'a>,
    /// `spec`.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub spec: Spec<'a>,
    /// Its size in JSON, in octets, or more; 0: not known, as where it is small enough not to matter.
    #[serde(skip)]
    pub octets: usize,
}

/// The parts of `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata<'a> {
    /// Empty while `generateName` has not been applied.
    #[serde(borrow, default)]
    pub name: Cow<'a, str>,
    /// Empty in a file that leaves it out.
    #[serde(borrow, default)]
    pub namespace: Cow<'a, str>,
    /// Empty before the object is created.
    #[serde(borrow, default)]
    pub uid: Cow<'a, str>,
    /// All labels.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub labels: Labels<'a>,
    /// The annotations that certgate reads; `None` where the object has no annotations map.
    #[serde(borrow, default)]
    pub annotations: Option<Annotations<'a>>,
    /// Set once deletion has begun.
    #[serde(borrow, default)]
    pub deletion_timestamp: Option<CowStr<'a>>,
}

/// The parts of `spec`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec<'a> {
    /// The class by field.
    #[serde(borrow, default)]
    pub ingress_class_name: Option<CowStr<'a>>,
    /// The rules; only their hosts are read.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub rules: Vec<Rule<'a>>,
    /// The TLS entries; `None` where the field is absent.
    #[serde(borrow, default)]
    pub tls: Option<Vec<TlsEntry<'a>>>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Rule<'a> {
    /// The host as written; `None` or empty: any.
    #[serde(borrow, default)]
    pub host: Option<CowStr<'a>>,
}

/// One entry of `spec.tls`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TlsEntry<'a> {
    /// The hosts; none: all that the Ingress serves.
    #[serde(borrow, default, deserialize_with = "null_as_default")]
    pub hosts: Vec<CowStr<'a>>,
    /// The Secret; none: the gateway's default certificate.
    #[serde(borrow, default)]
    pub secret_name: Option<CowStr<'a>>,
}

/// A string that borrows wherever its JSON form has no escapes. (serde borrows
/// `Cow` only in fields, not inside containers.)
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CowStr<'a>(pub Cow<'a, str>);

/// Key and value pairs: a few as they come, many in the order of their keys, in which they are found.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels<'a>(pub Vec<(Cow<'a, str>, Cow<'a, str>)>);

type Pairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// The annotations that certgate reads, and how many there are in all.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Annotations<'a> {
    /// Those it reads: a few as they come, many in the order of their keys.
    pub read: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    /// The number of all.
    pub total: usize,
    /// The size of all keys and values in octets, or a little more where values are many and short.
    pub octets: usize,
}

// === impl Ingress ===

/// Whether an Ingress is one that certgate itself made: a companion, whose class nobody serves, or a twin. Its label alone
/// does not tell: anybody may write that on an Ingress of an application.
pub fn is_certgates(name: &str, class: Option<&str>, labelled: bool) -> bool {
    class == Some(names::COMPANION_CLASS) || (labelled && name.ends_with(names::TWIN_SUFFIX))
}

impl<'a> Ingress<'a> {
    /// The value of an annotation that certgate reads.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.metadata.annotations.as_ref()?.get(key)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.metadata.labels.get(key)
    }

    /// The class, by field or by the older annotation.
    pub fn class(&self) -> Option<&str> {
        self.spec.ingress_class_name.as_deref().or_else(|| self.annotation("kubernetes.io/ingress.class"))
    }

    /// Whether it is one that certgate itself made.
    pub fn is_certgates(&self) -> bool {
        is_certgates(&self.metadata.name, self.class(), self.label(names::COMPANION_OF).is_some())
    }

    /// The TLS entries, none where the field is absent.
    pub fn tls(&self) -> &[TlsEntry<'a>] {
        self.spec.tls.as_deref().unwrap_or_default()
    }

    /// The rules' hosts as written, in order, repeats included.
    pub fn rule_hosts(&self) -> impl Iterator<Item = &str> {
        self.spec.rules.iter().map(|rule| rule.host.as_deref().unwrap_or_default())
    }
}

/// Up to so many pairs are looked through one by one.
const FEW: usize = 16;

/// Many pairs in the order of their keys. API servers write them so; whoever does not must not make each look-up a walk
/// through all of them, once for each host.
fn in_order<'a>(mut pairs: Pairs<'a>) -> Pairs<'a> {
    if pairs.len() > FEW && !pairs.is_sorted_by(|(one, _), (other, _)| one <= other) {
        pairs.sort_by(|(one, _), (other, _)| one.cmp(other));
    }
    pairs
}

fn look_up<'p>(pairs: &'p [(Cow<'_, str>, Cow<'_, str>)], key: &str) -> Option<&'p str> {
    let found = if pairs.len() > FEW {
        pairs.get(pairs.partition_point(|(one, _)| &**one < key)).filter(|(one, _)| one == key)
    } else {
        pairs.iter().find(|(one, _)| one == key)
    };
    found.map(|(_, value)| value.as_ref())
}

// === impl Labels ===

impl<'a> Labels<'a> {
    /// These pairs.
    pub fn new(pairs: Pairs<'a>) -> Self {
        Self(in_order(pairs))
    }
}

impl Labels<'_> {
    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&str> {
        look_up(&self.0, key)
    }
}

// === impl Annotations ===

impl Annotations<'_> {
    /// Whether certgate reads annotations of that key.
    pub fn is_read(key: &str) -> bool {
        READ_ANNOTATIONS.iter().any(|prefix| key.starts_with(prefix))
    }

    /// The value of a key that is read.
    pub fn get(&self, key: &str) -> Option<&str> {
        look_up(&self.read, key)
    }
}

// === impl CowStr ===

impl std::ops::Deref for CowStr<'_> {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for CowStr<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CowVisitor;
        impl<'de> Visitor<'de> for CowVisitor {
            type Value = Cow<'de, str>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }
            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Cow::Borrowed(text))
            }
            fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text.to_owned()))
            }
            fn visit_string<E>(self, text: String) -> Result<Self::Value, E> {
                Ok(Cow::Owned(text))
            }
        }
        deserializer.deserialize_str(CowVisitor).map(CowStr)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Labels<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct LabelsVisitor;
        impl<'de> Visitor<'de> for LabelsVisitor {
            type Value = Labels<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::with_capacity(map.size_hint().unwrap_or(8));
                while let Some((key, value)) = map.next_entry::<CowStr<'de>, CowStr<'de>>()? {
                    pairs.push((key.0, value.0));
                }
                Ok(Labels::new(pairs))
            }
        }
        deserializer.deserialize_map(LabelsVisitor)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Annotations<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnnotationsVisitor;
        impl<'de> Visitor<'de> for AnnotationsVisitor {
            type Value = Annotations<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of strings")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut annotations = Annotations::default();
                while let Some(key) = map.next_key::<CowStr<'de>>()? {
                    annotations.total += 1;
                    annotations.octets += key.len();
                    if Annotations::is_read(&key) {
                        let value = map.next_value::<CowStr<'de>>()?;
                        annotations.octets += value.len();
                        annotations.read.push((key.0, value.0));
                    } else {
                        let raw = map.next_value::<&'de RawValue>()?.get();
                        // Skipped, not unescaped: the raw length is an upper bound that costs nothing. What is long
                        // is counted, as just that may be near Kubernetes' bound.
                        annotations.octets += if raw.len() > LONG { unescaped(raw) } else { raw.len() };
                    }
                }
                annotations.read = in_order(annotations.read);
                Ok(annotations)
            }
        }
        deserializer.deserialize_map(AnnotationsVisitor)
    }
}

/// The length in octets of the text that a JSON string stands for.
fn unescaped(raw: &str) -> usize {
    let text = raw.strip_prefix('"').and_then(|raw| raw.strip_suffix('"')).unwrap_or(raw);
    let mut rest = text.as_bytes();
    let mut length = 0;
    while let Some(at) = rest.iter().position(|octet| *octet == b'\\') {
        length += at;
        let Some(escape) = rest.get(at + 1..) else { break };
        // Of a pair of surrogates each half counts for two octets; the whole character has four.
        let (taken, octets) = match escape.first() {
            Some(b'u') => (5, hex(escape.get(1..5).unwrap_or_default())),
            _ => (1, 1),
        };
        length += octets;
        rest = escape.get(taken..).unwrap_or_default();
    }
    length + rest.len()
}

/// How many octets a character of that number takes in UTF-8.
fn hex(digits: &[u8]) -> usize {
    let number = std::str::from_utf8(digits).ok().and_then(|digits| u32::from_str_radix(digits, 16).ok());
    match number.unwrap_or(0xffff) {
        0..0x80 => 1,
        0x80..0x800 | 0xd800..0xe000 => 2,
        _ => 3,
    }
}

/// Kubernetes writes `null` and absence alike for empty lists and maps.
fn null_as_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_escapes_is_borrowed() -> Result<(), serde_json::Error> {
        let json = r#"{"metadata":{"name":"a","namespace":"n","labels":{"k":"v"},
            "annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"a\":1}","certgate.dev/auto-issue":"true"}},
            "spec":{"rules":[{"host":"a.example.com","http":{"paths":[]}},{}],"tls":[{"hosts":["b.example.com"],"secretName":"s"}]}}"#;
        let ingress: Ingress<'_> = serde_json::from_str(json)?;
        assert!(matches!(ingress.metadata.name, Cow::Borrowed("a")));
        assert!(
            ingress.spec.rules.first().is_some_and(|r| matches!(r.host, Some(CowStr(Cow::Borrowed("a.example.com")))))
        );
        assert!(ingress.tls().iter().flat_map(|t| &t.hosts).all(|h| matches!(h.0, Cow::Borrowed(_))));
        assert!(ingress.metadata.labels.0.iter().all(|(k, v)| matches!((k, v), (Cow::Borrowed(_), Cow::Borrowed(_)))));
        assert_eq!(ingress.metadata.annotations.as_ref().map(|a| (a.total, a.read.len())), Some((2, 1)));
        assert_eq!(ingress.annotation("certgate.dev/auto-issue"), Some("true"));
        Ok(())
    }

    #[test]
    fn many_are_found_in_whatever_order_they_came() -> Result<(), serde_json::Error> {
        for count in [3, 40] {
            let pairs = (0..count).map(|n| (n * 7) % count);
            let map: Vec<String> = pairs.map(|n| format!(r#""certgate.dev/k{n}":"{n}""#)).collect();
            let json = format!(r#"{{"metadata":{{"labels":{{{0}}},"annotations":{{{0}}}}}}}"#, map.join(","));
            let ingress: Ingress<'_> = serde_json::from_str(&json)?;
            for n in 0..count {
                let (key, value) = (format!("certgate.dev/k{n}"), n.to_string());
                assert_eq!(ingress.annotation(&key), Some(value.as_str()));
                assert_eq!(ingress.label(&key), Some(value.as_str()));
            }
            assert_eq!((ingress.annotation("certgate.dev/"), ingress.label("z")), (None, None));
        }
        Ok(())
    }

    #[test]
    fn long_values_are_counted_as_they_are() -> Result<(), serde_json::Error> {
        for character in ["a", "\"", "\\", "\n", "é", "例", "😀", "\u{1}"] {
            let value = character.repeat(LONG);
            let json = serde_json::json!({"metadata": {"annotations": {"k": value}}}).to_string();
            let escaped: String = value.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect();
            for json in [json, format!(r#"{{"metadata":{{"annotations":{{"k":"{escaped}"}}}}}}"#)] {
                let ingress: Ingress<'_> = serde_json::from_str(&json)?;
                assert_eq!(ingress.metadata.annotations.map(|all| all.octets), Some(1 + value.len()), "{character:?}");
            }
        }
        Ok(())
    }

    #[test]
    fn nulls_are_absences() -> Result<(), serde_json::Error> {
        let json = r#"{"metadata":{"labels":null,"annotations":null},"spec":{"rules":null,"tls":null}}"#;
        assert_eq!(serde_json::from_str::<Ingress<'_>>(json)?, Ingress::default());
        Ok(())
    }
}
