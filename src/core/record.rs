//! [`Record`]: what certgate added to an Ingress, kept on the Ingress itself in
//! one annotation ([`names::INJECTED`]), so that it can be told from the user's
//! parts and taken away again without a trace.
//!
//! Whoever may write an Ingress may write the record too, and TLS entries that name our Secrets. So neither proves
//! anything: an entry is ours only where what the controller alone writes says so.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    host::canonical,
    ingress::{Ingress, TlsEntry},
    names, patch,
};

/// What certgate added. Serialised, the value of [`names::INJECTED`].
///
/// It does not grow with the hosts: which TLS entries are ours follows from the names of their Secrets, and of those that
/// share the Secret of an existing certificate a digest is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Record {
    /// Annotations: key → value as added.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// TLS entries: host → Secret. Written before there was `bound`, and still read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tls: BTreeMap<String, String>,
    /// TLS entries for existing certificates: Secret → [`digest`] of the hosts.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub bound: BTreeMap<String, String>,
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
    /// What the record says, reduced to what is really still there: `tls` holds every entry of ours.
    pub record: Record,
    /// The record as read, where it is one of those that name every TLS entry.
    pub long: Option<Box<Record>>,
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

/// The value of [`names::INJECTED`] for a [`Record`] of these parts, keys in order. `tls`: host and Secret of each entry.
pub fn annotation<'a>(
    annotations: impl ExactSizeIterator<Item = (&'a str, &'a str)>,
    tls: impl Iterator<Item = (&'a str, &'a str)>,
    made: Made,
) -> String {
    let bound = bound(tls);
    let mut text = String::with_capacity(64 + 96 * annotations.len() + 64 * bound.len());
    let mut member = |key: &str, write: &mut dyn FnMut(&mut String)| {
        text.push(if text.is_empty() { '{' } else { ',' });
        patch::string(&mut text, key);
        text.push(':');
        write(&mut text);
    };
    let mut annotations = annotations.peekable();
    if annotations.peek().is_some() {
        member("annotations", &mut |out| patch::map(out, annotations.by_ref()));
    }
    if !bound.is_empty() {
        member("bound", &mut |out| patch::map(out, bound.iter().map(|(secret, digest)| (*secret, digest.as_str()))));
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

/// The digests of the entries whose Secrets do not tell that they are ours.
fn bound<'a>(tls: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<&'a str, String> {
    let mut hosts: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (host, secret) in tls.filter(|(host, secret)| !is_reserved_name(secret, host)) {
        hosts.entry(secret).or_default().push(host);
    }
    hosts.into_iter().map(|(secret, hosts)| (secret, digest(hosts))).collect()
}

/// Stands for the hosts of a TLS entry, in whatever order.
pub fn digest(mut hosts: Vec<&str>) -> String {
    hosts.sort_unstable();
    let digest = Sha256::digest(hosts.join("\n").as_bytes());
    digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect()
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
        let long = (!told.tls.is_empty()).then(|| Box::new(told.clone()));

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
        Self { record, long, written: written.map(str::to_owned), entries, unproven }
    }

    /// The same with every entry that may be ours taken for ours: what an Ingress says of itself.
    pub fn claimed(ingress: &Ingress<'_>) -> Self {
        Self::on(ingress, |_| true)
    }

    /// Whether the record as written, which names every entry, says just this. It is then left as it is: a write for its
    /// form alone is one too many.
    pub fn is_told_at_length<'a>(
        &self,
        annotations: impl Iterator<Item = (&'a str, &'a str)>,
        tls: impl Iterator<Item = (&'a str, &'a str)>,
        made: Made,
    ) -> bool {
        fn same<'b>(told: &BTreeMap<String, String>, mut pairs: impl Iterator<Item = (&'b str, &'b str)>) -> bool {
            // Both are in order of their keys, each once.
            let all = told.iter().all(|(key, value)| pairs.next() == Some((key, value)));
            all && pairs.next().is_none()
        }
        self.long.as_ref().is_some_and(|told| {
            told.made == made && told.bound.is_empty() && same(&told.annotations, annotations) && same(&told.tls, tls)
        })
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
    let bound = || {
        let told = told.bound.get(secret);
        told.is_some_and(|told| *told == digest(entry.hosts.iter().map(|host| &**host).collect()))
    };
    let reserved = matches!(entry.hosts.as_slice(), [host] if is_reserved_name(secret, host));
    let recorded = recorded || bound();
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
pub fn is_reserved_name(secret: &str, host: &str) -> bool {
    let Some(rest) = secret.strip_prefix("certgate-") else { return false };
    let set_apart = ["*.", "wildcard.", "literal."].iter().any(|prefix| host.starts_with(prefix));
    (rest == host && !set_apart && canonical(host))
        || super::host::Host::parse(host).is_ok_and(|parsed| parsed.as_str() == host && parsed.secret_name() == secret)
}

/// Which hosts have a TLS entry of the user's. Built once per Ingress, so that
/// thousands of entries against thousands of rules stay linear.
pub struct UserTls<'a> {
    /// Host as written, and the Secret of its entry; empty: none.
    exact: HashMap<&'a str, &'a str>,
    wildcard_bases: HashMap<&'a str, &'a str>,
    secrets: HashSet<&'a str>,
    /// The Secret of an entry that is for all hosts; empty: none.
    all: Option<&'a str>,
    /// Whether there is any entry.
    pub any: bool,
    /// Whether ingress-shim makes a Certificate of one, given an issuer.
    pub certified: bool,
}

// === impl UserTls ===

impl<'a> UserTls<'a> {
    /// Collects the entries that are neither ours nor look like it. `whole_ingress`: the gateway
    /// ignores `tls[].hosts`, so that any entry is for all hosts (Rainbond 5).
    pub fn of(ingress: &'a Ingress<'a>, present: &Present, whole_ingress: bool) -> Self {
        let mut found = Self {
            exact: HashMap::new(),
            wildcard_bases: HashMap::new(),
            secrets: HashSet::new(),
            all: None,
            any: false,
            certified: false,
        };
        for (index, entry) in ingress.tls().iter().enumerate() {
            if present.entries.binary_search(&index).is_ok() || present.unproven.binary_search(&index).is_ok() {
                continue;
            }
            found.any = true;
            let secret = entry.secret_name.as_deref().unwrap_or_default();
            if whole_ingress || entry.hosts.is_empty() {
                found.all = Some(secret);
            }
            found.certified |= !secret.is_empty() && !entry.hosts.is_empty();
            found.secrets.extend(entry.secret_name.as_deref());
            for host in &entry.hosts {
                found.exact.insert(host.0.as_ref(), secret);
                found.wildcard_bases.extend(host.strip_prefix("*.").map(|base| (base, secret)));
            }
        }
        found
    }

    /// Whether the user's TLS covers the host, exactly or by a wildcard.
    pub fn covers(&self, host: &str) -> bool {
        self.secret_of(host).is_some()
    }

    /// The Secret of the entry that covers the host; empty: the entry names none.
    pub fn secret_of(&self, host: &str) -> Option<&'a str> {
        if let Some(secret) = self.exact.get(host) {
            return Some(secret);
        }
        let by_wildcard = || {
            let (first, rest) = host.split_once('.').filter(|_| !self.wildcard_bases.is_empty())?;
            self.wildcard_bases.get(rest).copied().filter(|_| first != "*")
        };
        by_wildcard().or(self.all)
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
                let bound = tls.iter().map(|(host, secret)| (secret.to_string(), digest(vec![host]))).collect();
                let record = Record { annotations: owned(annotations), bound, made, ..Record::default() };
                let text = annotation(annotations.iter().copied(), tls.iter().copied(), made);
                assert_eq!(text, serde_json::to_string(&record).unwrap());
            }
        }
    }

    #[test]
    fn the_record_does_not_grow_with_the_hosts() {
        let made = Made { annotations: true, tls: true };
        let size = |count: usize, secret: fn(&str) -> String| {
            let hosts: Vec<String> = (0..count).map(|n| format!("h{n}.example.com")).collect();
            let tls: Vec<(String, String)> = hosts.into_iter().map(|host| (host.clone(), secret(&host))).collect();
            let pairs = tls.iter().map(|(host, secret)| (host.as_str(), secret.as_str()));
            annotation([("cert-manager.io/cluster-issuer", "le")].into_iter(), pairs, made).len()
        };
        assert_eq!(size(2_200, |host| format!("certgate-{host}")), size(1, |host| format!("certgate-{host}")));
        assert_eq!(size(2_200, |_| "wild".to_owned()), size(1, |_| "wild".to_owned()));
    }

    #[test]
    fn a_bound_entry_is_ours_with_just_the_hosts_that_it_was_given() {
        let on = |hosts: &str| {
            let digest = digest(vec!["a.example.com", "b.example.com"]);
            let json = format!(
                r#"{{"metadata":{{"annotations":{{"certgate.dev/injected":"{{\"bound\":{{\"wild\":\"{digest}\"}}}}"}}}},
                    "spec":{{"tls":[{{"hosts":{hosts},"secretName":"wild"}}]}}}}"#
            );
            Present::claimed(&ingress(&json)).entries
        };
        assert_eq!(on(r#"["b.example.com","a.example.com"]"#), [0]);
        assert_eq!(on(r#"["a.example.com","b.example.com","c.example.com"]"#), [0; 0]);
        assert_eq!(on(r#"["a.example.com"]"#), [0; 0]);
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
