//! [`Record`]: what certgate added to an Ingress, kept on the Ingress itself in
//! one annotation ([`names::INJECTED`]), so that it can be told from the user's
//! parts and taken away again without a trace.
//!
//! Whoever may write an Ingress may write the record too, and TLS entries that name our Secrets. So neither proves
//! anything: an entry is ours only where what the controller alone writes says so.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::{
    ingress::{Ingress, TlsEntry},
    names, patch,
};

/// What certgate added. Serialised, the value of [`names::INJECTED`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Annotations: key → value as added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// TLS entries: host → Secret.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tls: BTreeMap<String, String>,
    /// Parents that did not exist before.
    #[serde(skip_serializing_if = "Made::is_nothing")]
    pub made: Made,
}

/// Parents that certgate made because they were absent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Made {
    /// `metadata.annotations`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub annotations: bool,
    /// `spec.tls`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
}

/// Our parts as they are on an Ingress now.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Present {
    /// What the record says, reduced to what is really still there.
    pub record: Record,
    /// The record annotation as written, where there is one.
    pub written: Option<String>,
    /// Indices in `spec.tls` of the entries that are ours, ascending.
    pub entries: Vec<usize>,
    /// Indices of the entries that name our Secret for their host and that nothing vouches for, ascending. They stay as
    /// they are until their host is let through.
    pub unproven: Vec<usize>,
}

/// A TLS entry that may be ours.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'a> {
    /// One of its hosts.
    pub host: &'a str,
    /// Its Secret.
    pub secret: &'a str,
    /// Whether the record tells of it.
    pub recorded: bool,
}

/// Whose a TLS entry is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Ours.
    Ours,
    /// It looks like ours.
    Unproven,
    /// The user's.
    Theirs,
}

// === impl Made ===

impl Made {
    fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

// === impl Record ===

impl Record {
    /// Whether nothing was added.
    pub fn is_empty(&self) -> bool {
        self.annotations.is_empty() && self.tls.is_empty()
    }
}

/// The value of [`names::INJECTED`] for a [`Record`] of these parts, keys in order.
pub fn annotation<'a>(
    annotations: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    tls: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    made: Made,
) -> String {
    let mut text = String::with_capacity(64 + 64 * (annotations.len() + tls.len()));
    let mut member = |key: &str, write: &mut dyn FnMut(&mut String)| {
        text.push(if text.is_empty() { '{' } else { ',' });
        patch::string(&mut text, key);
        text.push(':');
        write(&mut text);
    };
    let (mut annotations, mut tls) = (annotations.peekable(), tls.peekable());
    if annotations.peek().is_some() {
        member("annotations", &mut |out| patch::map(out, annotations.by_ref()));
    }
    if tls.peek().is_some() {
        member("tls", &mut |out| patch::map(out, tls.by_ref()));
    }
    if !made.is_nothing() {
        member("made", &mut |out| {
            out.push_str(match (made.annotations, made.tls) {
                (true, true) => r#"{"annotations":true,"tls":true}"#,
                (true, false) => r#"{"annotations":true}"#,
                (false, _) => r#"{"tls":true}"#,
            });
        });
    }
    text.push_str(if text.is_empty() { "{}" } else { "}" });
    text
}

// === impl Present ===

impl Present {
    /// Finds our parts. The record is only believed where the object bears it
    /// out: an annotation that someone changed since is theirs, and so is a TLS
    /// entry with other hosts or another Secret. A TLS entry is ours only where `vouches` says so, which must know it
    /// from what no tenant can write.
    ///
    /// Entries that name a Secret which only certgate would choose may be ours even
    /// where the record was lost (a client that keeps TLS but drops annotations).
    pub fn on(ingress: &Ingress<'_>, vouches: impl Fn(Entry<'_>) -> bool) -> Self {
        let written = ingress.annotation(names::INJECTED);
        let told: Option<Record> = written.and_then(|text| serde_json::from_str(text).ok());
        let lost = told.is_none();
        let told = told.unwrap_or_default();

        let mut record = Record { made: told.made, ..Record::default() };
        let (mut entries, mut unproven) = (Vec::new(), Vec::new());
        for (index, entry) in ingress.tls().iter().enumerate() {
            match whose(entry, &told, &vouches) {
                Whose::Ours => {
                    entries.push(index);
                    let secret = entry.secret_name.as_deref().unwrap_or_default();
                    record.tls.extend(entry.hosts.iter().map(|host| (host.to_string(), secret.to_owned())));
                }
                Whose::Unproven => unproven.push(index),
                Whose::Theirs => {}
            }
        }
        record.annotations = told
            .annotations
            .into_iter()
            .filter(|(key, value)| {
                key != names::INJECTED && ingress.annotation(key).is_some_and(|current| current == value)
            })
            .collect();
        if lost && !(entries.is_empty() && unproven.is_empty()) {
            // With the record gone nothing tells whether the parents were ours; empty ones mean nothing to Kubernetes.
            record.made = Made { annotations: true, tls: true };
        }
        Self { record, written: written.map(str::to_owned), entries, unproven }
    }

    /// The same with every entry that may be ours taken for ours: what an Ingress says of itself.
    pub fn claimed(ingress: &Ingress<'_>) -> Self {
        Self::on(ingress, |_| true)
    }

    /// Whether any part of ours is there, the record itself included.
    pub fn anything(&self) -> bool {
        self.written.is_some() || !self.entries.is_empty()
    }

    /// Whether a TLS entry of ours serves the host.
    pub fn serves(&self, host: &str) -> bool {
        self.record.tls.contains_key(host)
    }

    /// The Secret that a TLS entry of ours for the host names.
    pub fn secret(&self, host: &str) -> Option<&str> {
        self.record.tls.get(host).map(String::as_str)
    }
}

fn whose(entry: &TlsEntry<'_>, told: &Record, vouches: impl Fn(Entry<'_>) -> bool) -> Whose {
    let Some(secret) = entry.secret_name.as_deref().filter(|_| !entry.hosts.is_empty()) else { return Whose::Theirs };
    let recorded = entry.hosts.iter().all(|host| told.tls.get(host.0.as_ref()).is_some_and(|s| s == secret));
    let reserved = matches!(entry.hosts.as_slice(), [host] if is_reserved_name(secret, host));
    if !recorded && !reserved {
        return Whose::Theirs;
    }
    match entry.hosts.iter().any(|host| vouches(Entry { host, secret, recorded })) {
        true => Whose::Ours,
        false if reserved => Whose::Unproven,
        // Whatever the record says of a Secret that is not ours by its name: it is the user's.
        false => Whose::Theirs,
    }
}

/// Whether `secret` is the name that certgate itself chooses for `host`.
pub(super) fn is_reserved_name(secret: &str, host: &str) -> bool {
    secret.starts_with("certgate-")
        && super::host::Host::parse(host).is_ok_and(|parsed| parsed.as_str() == host && parsed.secret_name() == secret)
}

/// Which hosts have a TLS entry of the user's. Built once per Ingress, so that
/// thousands of entries against thousands of rules stay linear.
pub struct UserTls<'a> {
    exact: HashSet<&'a str>,
    wildcard_bases: HashSet<&'a str>,
    secrets: HashSet<&'a str>,
    all: bool,
}

// === impl UserTls ===

impl<'a> UserTls<'a> {
    /// Collects the entries that are neither ours nor look like it. `whole_ingress`: the gateway
    /// ignores `tls[].hosts`, so that any entry is for all hosts (Rainbond 5).
    pub fn of(ingress: &'a Ingress<'a>, present: &Present, whole_ingress: bool) -> Self {
        let mut found =
            Self { exact: HashSet::new(), wildcard_bases: HashSet::new(), secrets: HashSet::new(), all: false };
        for (index, entry) in ingress.tls().iter().enumerate() {
            if present.entries.binary_search(&index).is_ok() || present.unproven.binary_search(&index).is_ok() {
                continue;
            }
            found.all |= whole_ingress || entry.hosts.is_empty();
            found.secrets.extend(entry.secret_name.as_deref());
            for host in &entry.hosts {
                found.exact.insert(host.0.as_ref());
                found.wildcard_bases.extend(host.strip_prefix("*."));
            }
        }
        found
    }

    /// Whether the user's TLS covers the host, exactly or by a wildcard.
    pub fn covers(&self, host: &str) -> bool {
        self.all
            || self.exact.contains(host)
            || (!self.wildcard_bases.is_empty()
                && host.split_once('.').is_some_and(|(first, rest)| first != "*" && self.wildcard_bases.contains(rest)))
    }

    /// Whether the user's TLS names the Secret.
    pub fn names_secret(&self, secret: &str) -> bool {
        self.secrets.contains(secret)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ingress(json: &str) -> Ingress<'_> {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn the_record_is_believed_only_where_the_object_bears_it_out() {
        let on = ingress(
            r#"{"metadata":{"annotations":{
                "certgate.dev/injected":"{\"annotations\":{\"cert-manager.io/cluster-issuer\":\"le\",\"cert-manager.io/issuer\":\"x\"},\"tls\":{\"a.example.com\":\"s1\",\"b.example.com\":\"s2\"}}",
                "cert-manager.io/cluster-issuer":"changed-by-the-user"}},
              "spec":{"tls":[{"hosts":["u.example.com"],"secretName":"theirs"},{"hosts":["a.example.com"],"secretName":"s1"},{"hosts":["b.example.com","c.example.com"],"secretName":"s2"}]}}"#,
        );
        let present = Present::claimed(&on);
        assert_eq!(present.entries, [1]);
        assert_eq!(present.record.tls, BTreeMap::from([("a.example.com".to_owned(), "s1".to_owned())]));
        assert!(present.record.annotations.is_empty());
    }

    #[test]
    fn the_record_is_written_as_it_is_read() {
        let some: &[(&str, &str)] = &[("a", "1"), ("b", "x\"\\y\n")];
        for (annotations, tls) in [(&some[..0], &some[..0]), (some, &some[..1]), (&some[..0], some), (some, &some[..0])]
        {
            for made in [(false, false), (true, false), (false, true), (true, true)] {
                let made = Made { annotations: made.0, tls: made.1 };
                let owned =
                    |pairs: &[(&str, &str)]| pairs.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
                let record = Record { annotations: owned(annotations), tls: owned(tls), made };
                let text = annotation(annotations.iter().copied(), tls.iter().copied(), made);
                assert_eq!(text, serde_json::to_string(&record).unwrap());
            }
        }
    }

    #[test]
    fn entries_with_our_own_secret_names_may_be_ours_without_a_record() {
        let on = ingress(
            r#"{"metadata":{},"spec":{"tls":[{"hosts":["a.example.com"],"secretName":"certgate-a.example.com"},{"hosts":["b.example.com"],"secretName":"certgate-a.example.com"}]}}"#,
        );
        assert_eq!(Present::claimed(&on).entries, [0]);
        let unknown = Present::on(&on, |_| false);
        assert_eq!((unknown.entries, unknown.unproven), (vec![], vec![0]), "nothing vouches for it");
        assert!(unknown.record.tls.is_empty());
    }

    #[test]
    fn a_record_that_nothing_vouches_for_makes_no_entry_ours() {
        let on = ingress(
            r#"{"metadata":{"annotations":{"certgate.dev/injected":
                "{\"tls\":{\"a.example.com\":\"bought\",\"b.example.com\":\"certgate-b.example.com\"}}"}},
              "spec":{"tls":[{"hosts":["a.example.com"],"secretName":"bought"},{"hosts":["b.example.com"],"secretName":"certgate-b.example.com"}]}}"#,
        );
        let present = Present::on(&on, |entry| entry.host == "b.example.com");
        assert_eq!((present.entries, present.unproven), (vec![1], vec![]));
        let present = Present::on(&on, |_| false);
        assert_eq!((present.entries, present.unproven), (vec![], vec![1]), "the bought one is the user's");
    }

    #[test]
    fn a_record_cannot_claim_itself_or_garbage() {
        for value in
            ["", "null", "[]", "{\\\"tls\\\":7}", "{\\\"annotations\\\":{\\\"certgate.dev/injected\\\":\\\"x\\\"}}"]
        {
            let json = format!(r#"{{"metadata":{{"annotations":{{"certgate.dev/injected":"{value}"}}}}}}"#);
            let present = Present::claimed(&ingress(&json));
            assert!(present.record.is_empty() && present.anything(), "{value}");
        }
    }

    #[test]
    fn user_tls_covers_exactly_what_their_entries_say() {
        let on = ingress(
            r#"{"metadata":{},"spec":{"tls":[{"hosts":["a.example.com","*.wild.example.com"],"secretName":"s"}]}}"#,
        );
        let user = UserTls::of(&on, &Present::default(), false);
        for (host, expected) in [
            ("a.example.com", true),
            ("b.example.com", false),
            ("x.wild.example.com", true),
            ("x.y.wild.example.com", false),
            ("*.wild.example.com", true),
            ("wild.example.com", false),
        ] {
            assert_eq!(user.covers(host), expected, "{host}");
        }
        assert!(UserTls::of(&on, &Present::default(), true).covers("b.example.com"));
        let hostless = ingress(r#"{"metadata":{},"spec":{"tls":[{"secretName":"s"}]}}"#);
        assert!(UserTls::of(&hostless, &Present::default(), false).covers("any.example.com"));
    }
}
