//! [`Answers`]: what DNS said about a host, as plain data. Recorded by the
//! transport, judged by [`super::judge`], written to and read from files by
//! `certgate check --record` and `--replay`.

use serde::{Deserialize, Serialize};

/// All that was asked and answered about one host, in order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Answers(pub Vec<Answer>);

/// One question and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// What was asked.
    #[serde(flatten)]
    pub question: Question,
    /// Which kind of server was asked.
    #[serde(default)]
    pub asked: Asked,
    /// The address of the server that answered, or of the last that did not.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub server: String,
    /// What came of it.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// A name and a record type.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Question {
    /// In lower-case ASCII without the final dot.
    pub name: String,
    /// The record type.
    #[serde(rename = "type")]
    pub kind: Kind,
}

/// The record types that are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names of DNS record types")]
pub enum Kind {
    A,
    Aaaa,
    Caa,
    Ns,
    Txt,
    Ds,
    Dnskey,
}

/// Which kind of server was asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Asked {
    /// A validating recursive resolver.
    #[default]
    Recursive,
    /// The same with DNSSEC validation switched off (CD), to tell a bogus signature from a failing server.
    Unchecked,
    /// A server of the zone, by its name, without recursion.
    Authoritative(String),
    /// One recursive resolver, by its address, about a name that is known not to validate.
    Probe(String),
}

/// What came of a question.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// A message.
    Reply(Reply),
    /// Nothing in time.
    Timeout,
    /// The network or the server's host refused; in the system's words.
    Unreachable(String),
    /// A message that cannot be read, or is beyond bounds; in what respect.
    Malformed(String),
}

/// A message, reduced to what is judged.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Reply {
    /// The response code, extended by EDNS.
    pub rcode: Rcode,
    /// The answer section: the records of the type asked for, and CNAMEs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// The SOA record of the authority section.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub soa: Option<Soa>,
    /// Where the server says that others know better: NS records of the authority section and addresses of the
    /// additional one, kept where there is neither an answer nor a SOA record.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub referral: Vec<Record>,
    /// AD: the resolver vouches for DNSSEC.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub authentic: bool,
    /// AA: the server is authoritative.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub authoritative: bool,
    /// TC over TCP too: records are missing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub truncated: bool,
    /// Extended DNS errors (RFC 8914).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extended: Vec<ExtendedError>,
}

/// A record of the answer section.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose record it is.
    pub name: String,
    /// Seconds that it may still be cached.
    pub ttl: u32,
    /// Its type and value.
    #[serde(flatten)]
    pub data: Data,
}

/// A record's type and value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "type", content = "value", rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names of DNS record types")]
pub enum Data {
    A(::core::net::Ipv4Addr),
    Aaaa(::core::net::Ipv6Addr),
    Cname(String),
    Caa(Caa),
    Ns(String),
    Txt(String),
    Ds(Key),
    Dnskey(Key),
}

/// What a DS or DNSKEY record says of a key (RFC 4034 §2, §5), the key itself left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The key's tag, by which DS and DNSKEY find each other.
    pub tag: u16,
    /// The number of its algorithm.
    pub algorithm: u8,
}

/// A CAA record (RFC 8659 §4), its value undigested.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Caa {
    /// All eight flag bits.
    #[serde(default)]
    pub flags: u8,
    /// The property tag, as written.
    pub tag: String,
    /// The value; octets that are not UTF-8 became U+FFFD, which no grammar of CAA allows either.
    pub value: String,
}

/// What a negative answer says of its zone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Soa {
    /// The zone's apex.
    pub name: String,
    /// The name server that the zone calls its primary (MNAME).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub primary: String,
    /// Seconds that the negative answer may be cached: the lesser of the record's TTL and its MINIMUM (RFC 2308 §5).
    pub negative_ttl: u32,
}

/// An extended DNS error.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExtendedError {
    /// The INFO-CODE.
    pub code: u16,
    /// The EXTRA-TEXT.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// A response code, written as its mnemonic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rcode(pub u16);

/// The text is no response code.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no DNS response code; write a mnemonic such as NXDOMAIN, or RCODE and a number")]
pub struct UnknownRcode(String);

// === impl Answers ===

impl Answers {
    /// The outcome of a question, if it was asked.
    pub fn outcome(&self, name: &str, kind: Kind, asked: &Asked) -> Option<&Outcome> {
        self.answer(name, kind, asked).map(|answer| &answer.outcome)
    }

    /// The same, and who said it.
    pub fn answer(&self, name: &str, kind: Kind, asked: &Asked) -> Option<&Answer> {
        self.0.iter().find(|a| a.question.kind == kind && a.question.name == name && a.asked == *asked)
    }

    /// The outcome at the recursive resolvers; where it is no answer, that without DNSSEC validation.
    pub fn unvalidated(&self, name: &str, kind: Kind) -> Option<&Outcome> {
        let recursive = self.outcome(name, kind, &Asked::Recursive);
        match recursive {
            Some(Outcome::Reply(Reply { rcode: Rcode::NO_ERROR | Rcode::NAME_ERROR, .. })) => recursive,
            _ => self.outcome(name, kind, &Asked::Unchecked).or(recursive),
        }
    }

    /// What the servers of zones said about a question, each by its name.
    pub fn authoritative<'s>(&'s self, name: &str, kind: Kind) -> impl Iterator<Item = (&'s str, &'s Outcome)> {
        self.0.iter().filter(move |a| a.question.kind == kind && a.question.name == name).filter_map(|a| {
            match &a.asked {
                Asked::Authoritative(ns) => Some((ns.as_str(), &a.outcome)),
                _ => None,
            }
        })
    }

    /// The names of the authoritative servers that were asked, in order.
    pub fn authoritative_servers(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for answer in &self.0 {
            if let Asked::Authoritative(ns) = &answer.asked
                && !names.contains(&ns.as_str())
            {
                names.push(ns.as_str());
            }
        }
        names
    }
}

// === impl Question ===

impl Question {
    /// A question.
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self { name: name.into(), kind }
    }
}

// === impl Kind ===

impl Kind {
    /// The type's mnemonic.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Ns => "NS",
            Self::Txt => "TXT",
            Self::Ds => "DS",
            Self::Dnskey => "DNSKEY",
        }
    }
}

// === impl Data ===

impl Data {
    /// Whether the value is of that type.
    pub const fn is(&self, kind: Kind) -> bool {
        matches!(
            (self, kind),
            (Self::A(_), Kind::A)
                | (Self::Aaaa(_), Kind::Aaaa)
                | (Self::Caa(_), Kind::Caa)
                | (Self::Ns(_), Kind::Ns)
                | (Self::Txt(_), Kind::Txt)
                | (Self::Ds(_), Kind::Ds)
                | (Self::Dnskey(_), Kind::Dnskey)
        )
    }
}

impl std::fmt::Display for Data {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::A(ip) => ip.fmt(f),
            Self::Aaaa(ip) => ip.fmt(f),
            Self::Cname(name) | Self::Ns(name) => f.write_str(name),
            Self::Txt(text) => write!(f, "\"{text}\""),
            Self::Caa(caa) => caa.fmt(f),
            Self::Ds(key) | Self::Dnskey(key) => write!(f, "{} {}", key.tag, key.algorithm),
        }
    }
}

impl std::fmt::Display for Caa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {} \"{}\"", self.flags, self.tag, self.value)
    }
}

// === impl Rcode ===

impl Rcode {
    /// NOERROR.
    pub const NO_ERROR: Self = Self(0);
    /// SERVFAIL.
    pub const SERVER_FAILURE: Self = Self(2);
    /// NXDOMAIN.
    pub const NAME_ERROR: Self = Self(3);
    /// REFUSED.
    pub const REFUSED: Self = Self(5);

    const NAMES: &'static [(u16, &'static str)] = &[
        (0, "NOERROR"),
        (1, "FORMERR"),
        (2, "SERVFAIL"),
        (3, "NXDOMAIN"),
        (4, "NOTIMP"),
        (5, "REFUSED"),
        (6, "YXDOMAIN"),
        (7, "YXRRSET"),
        (8, "NXRRSET"),
        (9, "NOTAUTH"),
        (10, "NOTZONE"),
        (16, "BADVERS"),
        (23, "BADCOOKIE"),
    ];
}

impl std::fmt::Display for Rcode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Self::NAMES.iter().find(|(code, _)| *code == self.0) {
            Some((_, name)) => f.write_str(name),
            None => write!(f, "RCODE{}", self.0),
        }
    }
}

impl From<Rcode> for String {
    fn from(rcode: Rcode) -> Self {
        rcode.to_string()
    }
}

impl TryFrom<String> for Rcode {
    type Error = UnknownRcode;
    fn try_from(text: String) -> Result<Self, UnknownRcode> {
        let named = Self::NAMES.iter().find(|(_, name)| *name == text).map(|(code, _)| *code);
        match named.or_else(|| text.strip_prefix("RCODE")?.parse().ok()) {
            Some(code) => Ok(Self(code)),
            None => Err(UnknownRcode(text)),
        }
    }
}
