//! [`Knowledge`]: what is known beside the Ingress itself when a decision falls.
//! The webhook answers it from its watch cache, the controller from its own
//! stores, `certgate explain` from files.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    certified::Certified,
    finding::Finding,
    host::Host,
    policy::{CertificateSettings, IssuerRef, Profile},
    record::{Entry, is_reserved_name},
};

/// What a decision may ask about the cluster. Look-ups only; no waiting.
pub trait Knowledge {
    /// The labels of a namespace that matter: the value of `key`.
    fn namespace_label(&self, namespace: &str, key: &str) -> Option<&str>;
    /// The state of a host, by its canonical text.
    fn domain(&self, namespace: &str, host: &str) -> Option<&DomainFacts>;
    /// Whether anything of the namespace is there and cannot be read.
    fn has_unknown(&self, _namespace: &str) -> bool {
        false
    }
    /// Whether what is known of the host is less than what there is: its Domain or its namespace is there, cannot be read,
    /// and was never known.
    fn is_unknown(&self, _namespace: &str, _host: &Host) -> bool {
        false
    }
    /// Whether any host of the namespace is served by a gateway of that kind.
    fn has_profile(&self, namespace: &str, profile: Profile) -> bool;
    /// Whether a Secret can serve a host.
    fn secret(&self, _namespace: &str, _name: &str, _host: &str) -> SecretFacts {
        SecretFacts::Unknown
    }
}

/// What is known of a Secret with respect to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretFacts {
    /// Nothing.
    Unknown,
    /// It does not exist.
    Missing,
    /// It exists, and nothing says that it is for others.
    Fits,
    /// It is kept by a Certificate for other hosts.
    OfOtherHosts,
}

/// What is known of one host in one namespace: the Domain object, reduced.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DomainFacts {
    /// `spec.autoIssue`.
    pub auto_issue: Option<bool>,
    /// `spec.issuerRef`.
    pub issuer: Option<IssuerRef>,
    /// `spec.certificate`.
    pub settings: Option<Box<CertificateSettings>>,
    /// What the last check concluded; `None` before the first.
    pub verdict: Option<VerdictFacts>,
    /// What the last checks for other issuers concluded.
    pub other_verdicts: Vec<VerdictFacts>,
    /// Where it stands with the CA's limits; `None`: none are known.
    pub place: Option<PlaceFacts>,
    /// A certificate for the host is in place (condition `Issued`).
    pub issued: bool,
    /// Certgate injected the host before: DNS no longer takes that back.
    pub released: bool,
    /// By which issuer it was let through then; `None`: that is not known, so any.
    pub released_issuer: Option<IssuerRef>,
    /// Secrets that TLS entries of certgate's name for the host, while one is left.
    pub injected_secrets: Vec<String>,
    /// The Ingress that carries the issuer annotation; `None`: nobody yet.
    pub lead: Option<Box<str>>,
    /// An existing certificate to bind instead of ordering.
    pub bind: Option<Bind>,
    /// The host's certificate, where there is one: from when on it is valid, as far as that is known, and until when.
    /// As its tenant has it: no proof of anything.
    pub certificate: Option<(Option<Timestamp>, Timestamp)>,
    /// What CAs are known to have certified for the host.
    pub certified: Vec<Certified>,
    /// The kind of gateway that serves the host, where an Ingress of it was seen.
    pub profile: Option<Profile>,
}

/// An existing certificate of the namespace that covers the host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bind {
    /// The Secret that holds it.
    pub secret_name: String,
    /// The Certificate object that keeps it. Where it has another name than
    /// the Secret, ingress-shim would make a second one for a TLS entry of an annotated Ingress.
    pub certificate: String,
}

/// Where a host stands with the CA's limits.
#[derive(Clone, Debug, PartialEq)]
pub enum PlaceFacts {
    /// Nothing is to be ordered now.
    Unasked,
    /// A limit is used up: which, and until when.
    Waiting(Box<VerdictFacts>),
    /// It may order.
    Granted,
}

/// A verdict as far as a decision needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct VerdictFacts {
    /// The reason with its particulars.
    pub finding: Finding,
    /// For which issuer it was reached.
    pub issuer: Option<IssuerRef>,
    /// The ACME directory that the issuer named then, empty where it was no ACME one; `None`: that was not written down.
    pub server: Option<String>,
    /// Until when a good verdict opens the gate.
    pub valid_until: Timestamp,
}

impl VerdictFacts {
    /// Whether it was reached for that ACME directory. What is not known of either speaks against nothing.
    pub fn is_by(&self, server: Option<&str>) -> bool {
        self.server.as_deref().zip(server).is_none_or(|(then, now)| then == now)
    }
}

impl DomainFacts {
    /// The verdict that was reached for an issuer.
    pub fn verdict_for(&self, issuer: &IssuerRef) -> Option<&VerdictFacts> {
        let mut all = self.verdict.iter().chain(&self.other_verdicts);
        all.find(|verdict| verdict.issuer.as_ref() == Some(issuer))
    }

    /// Whether an injection for a certificate of `issuer` is allowed at `now`, and otherwise why not. A verdict belongs to
    /// host and issuer. Once released, DNS trouble no longer closes the gate for that issuer (invariant 4).
    ///
    /// That there is a certificate says nothing: whoever may write Certificates can make one of that name.
    pub fn gate(&self, issuer: Option<&IssuerRef>, now: Timestamp) -> Gate<'_> {
        let is_of = |of: Option<&IssuerRef>| of.is_none() || issuer.is_none() || of == issuer;
        let verdict = self.verdict.as_ref().filter(|verdict| is_of(verdict.issuer.as_ref()));
        match verdict {
            _ if self.released && is_of(self.released_issuer.as_ref()) => Gate::Open(verdict),
            None => Gate::Unknown,
            Some(verdict) if !verdict.finding.reason.opens_gate() => Gate::Closed(verdict),
            Some(verdict) if verdict.valid_until <= now => Gate::Stale(verdict),
            Some(verdict) => match &self.place {
                None | Some(PlaceFacts::Granted) => Gate::Open(Some(verdict)),
                Some(PlaceFacts::Waiting(limit)) => Gate::Closed(limit),
                // The controller has yet to ask.
                Some(PlaceFacts::Unasked) => Gate::Unknown,
            },
        }
    }

    /// The Secrets that TLS entries of certgate's for the host name or may name, beside the one of the host's own.
    pub fn entries_for(&self) -> impl Iterator<Item = &String> {
        self.injected_secrets.iter().chain(self.bind.iter().map(|bind| &bind.secret_name))
    }

    /// Whether a TLS entry with that Secret for the host is certgate's: it was put there, or would be now. Known from what
    /// the controller alone writes; neither the entry nor the record beside it proves anything.
    pub fn vouches_for(&self, entry: Entry<'_>, now: Timestamp) -> bool {
        let looked_after = || self.released || self.bind.is_some() || matches!(self.gate(None, now), Gate::Open(_));
        self.entries_for().any(|secret| secret == entry.secret)
            || (is_reserved_name(entry.secret, entry.host) && looked_after())
    }
}

/// What [`DomainFacts::gate`] says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Gate<'a> {
    /// Inject.
    Open(Option<&'a VerdictFacts>),
    /// Hold, for the verdict's reason.
    Closed(&'a VerdictFacts),
    /// Hold: the verdict was good and is too old.
    Stale(&'a VerdictFacts),
    /// Hold: not checked yet.
    Unknown,
}
