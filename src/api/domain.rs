//! `Domain`: one host in one namespace, and what is known of it.

use jiff::Timestamp;
use k8s_openapi::{
    NamespaceResourceScope,
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
};
use kube::{CustomResource, Resource as _, api::ObjectMeta};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{lenient, partial::resource};
use crate::core::{
    certified::Certified,
    finding::Finding,
    knowledge::{Bind, DomainFacts, PlaceFacts, VerdictFacts},
    limits::Spent,
    policy::{
        CertificateSettings, IssuerKind, IssuerRef, KeyAlgorithm, KeyEncoding, PrivateKey, Profile, RotationPolicy,
    },
    reason::{Reason, WhoActs},
};

/// Condition: the pre-flight verdict.
pub const VERIFIED: &str = "Verified";
/// Condition: the certificate is in place.
pub const ISSUED: &str = "Issued";
/// Condition: both.
pub const READY: &str = "Ready";

/// A host that certgate looks after. One per namespace and host, named by
/// [`crate::core::host::Host::object_name`].
///
/// What another version of certgate wrote is read as far as it is understood; what a decision hangs on is never guessed.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct Domain {
    /// `metadata`.
    #[serde(default, deserialize_with = "lenient::metadata")]
    pub metadata: ObjectMeta,
    /// `spec`.
    pub spec: DomainSpec,
    /// `status`.
    #[serde(default, deserialize_with = "lenient::some_object")]
    pub status: Option<DomainStatus>,
}

resource!(Domain, "Domain", "domains", NamespaceResourceScope, "certgate.dev", "v1alpha1");

/// A host that certgate looks after. One per namespace and host, named by
/// [`crate::core::host::Host::object_name`].
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "certgate.dev",
    version = "v1alpha1",
    kind = "Domain",
    root = "DomainDefinition",
    plural = "domains",
    shortname = "dom",
    namespaced,
    status = "DomainStatus",
    doc = "A host that certgate looks after: what its DNS must show, what it shows, who must act, and its certificate.",
    printcolumn = r#"{"name":"Host","type":"string","jsonPath":".spec.host"}"#,
    printcolumn = r#"{"name":"Ready","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].status"}"#,
    printcolumn = r#"{"name":"Reason","type":"string","jsonPath":".status.conditions[?(@.type==\"Ready\")].reason"}"#,
    printcolumn = r#"{"name":"Who acts","type":"string","jsonPath":".status.whoActs"}"#,
    printcolumn = r#"{"name":"Observed","type":"string","jsonPath":".status.observed","priority":1}"#,
    printcolumn = r#"{"name":"Next check","type":"string","jsonPath":".status.nextCheckTime"}"#,
    printcolumn = r#"{"name":"Certificate","type":"string","jsonPath":".status.certificate.name","priority":1}"#,
    printcolumn = r#"{"name":"Expires","type":"string","jsonPath":".status.certificate.notAfter"}"#,
    printcolumn = r#"{"name":"Age","type":"date","jsonPath":".metadata.creationTimestamp"}"#
)]
#[serde(rename_all = "camelCase")]
pub struct DomainSpec {
    /// The host, in lower-case ASCII; `*.example.com` for a wildcard.
    #[schemars(length(min = 1, max = 253))]
    pub host: String,
    /// Flags or exempts the host; unset: annotations, labels and policy speak.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_issue: Option<bool>,
    /// The issuer to use instead of the policy's.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "issuer_ref")]
    pub issuer_ref: Option<IssuerRef>,
    /// What the certificate is like where the Ingress does not say so; beside it policy's settings hold.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "certificate_settings")]
    pub certificate: Option<CertificateSettings>,
}

/// What the controller knows of the host. Written by the controller alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, rename_all = "camelCase")]
pub struct DomainStatus {
    /// `Verified`, `Issued`, `Ready`.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "conditions")]
    pub conditions: Vec<Condition>,
    /// What the host waits for, in a sentence.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub message: Option<String>,
    /// Who must act: nobody, domain-owner, dns-host, app-developer, cluster-admin or ca.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub who_acts: Option<String>,
    /// What DNS shows.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub observed: Vec<String>,
    /// What DNS must show.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub required: Vec<String>,
    /// The verdict in full, as data.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub verdict: Option<VerdictStatus>,
    /// The verdicts for other issuers, of which Certificates for the host wait.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub other_verdicts: Vec<OtherVerdict>,
    /// How far issuance got, as data.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub issuance: Option<IssuanceStatus>,
    /// Where the host stands with the CA's limits; absent where none are known.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "place")]
    pub place: Option<PlaceStatus>,
    /// The latest orders of certificates that this host comes first in, as the CA counts them.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub orders: Vec<Spent>,
    /// What CAs are known to have certified for the host: near its end a renewal is let through, whatever DNS shows.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub certified: Vec<Certified>,
    /// What else should be known.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::each")]
    pub warnings: Vec<String>,
    /// When DNS was last looked at, of the looks that are written down. While a host is held, one that finds nothing new is
    /// written only once an eighth of the time that the host has been held has passed since the last, or an hour.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub last_check_time: Option<Time>,
    /// When DNS is looked at next, as of `lastCheckTime`. A time that has passed: it was looked at since, and was as before.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub next_check_time: Option<Time>,
    /// Since when the host has been waiting, unchanged, for its verdict to turn good.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub held_since: Option<Time>,
    /// Certgate has injected the host; DNS trouble no longer takes that back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub released: bool,
    /// Since when.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub released_since: Option<Time>,
    /// By which issuer it was let through.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "issuer_ref")]
    pub released_issuer: Option<IssuerRef>,
    /// Secrets that TLS entries of certgate's name for the host, while one is left: what vouches for such an entry.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "lenient::null_as_default")]
    pub injected_secrets: Vec<String>,
    /// Since when the namespace has held the host, which no other then gets. Absent where it does not hold it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::exact_time")]
    pub claimed_since: Option<Time>,
    /// Until when it holds the host while nothing wants a certificate for it.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub kept_until: Option<Time>,
    /// The Ingress that carries the issuer annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lead: Option<String>,
    /// An existing certificate that is bound instead of ordering.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::some_object")]
    pub bind: Option<Bind>,
    /// The kind of gateway that serves the host.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub profile: Option<Profile>,
    /// The certificate.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::some_object")]
    pub certificate: Option<CertificateStatus>,
    /// A digest of what the last check asked: another gateway, issuer or CA asks for a check at once.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub checked_for: Option<String>,
    /// The last value of `certgate.dev/check-now` that was acted on.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "lenient::or_default")]
    pub checked_now: Option<String>,
}

/// The verdict as data, from which webhook and CLI make the same sentence.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct VerdictStatus {
    /// The reason's name.
    pub reason: String,
    /// The DNS name at fault.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub subject: String,
    /// One more particular.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The issuer for which the verdict holds.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "issuer_ref")]
    pub issuer: Option<IssuerRef>,
    /// The ACME directory that the issuer named then, empty where it was no ACME one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Until when a good verdict opens the gate.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub valid_until: Option<Time>,
}

/// A verdict for another issuer than the host is kept for, with what else a verdict comes with.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OtherVerdict {
    /// The verdict.
    #[serde(flatten)]
    pub verdict: VerdictStatus,
    /// What DNS shows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// What DNS must show.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<String>,
    /// When DNS was last looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_check_time: Option<Time>,
    /// When DNS is looked at next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_check_time: Option<Time>,
    /// A digest of what the last check asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_for: Option<String>,
    /// The last value of `certgate.dev/check-now` that was acted on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_now: Option<String>,
}

/// Where a host stands with the CA's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlaceStatus {
    /// Nothing is to be ordered now.
    Unasked,
    /// A limit is used up; `issuance` says which, and until when.
    Waiting,
    /// It may order.
    Granted,
}

/// How far issuance got, from which the same sentence is made in any language.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IssuanceStatus {
    /// The reason's name.
    pub reason: String,
    /// What the CA said: a limit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub observed: Vec<String>,
    /// One more particular: a time, an address, a link.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// The reason from which this one follows; what was said and the particular are then its.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// The certificate of a host.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// The Certificate object's name.
    pub name: String,
    /// The Secret's name.
    pub secret_name: String,
    /// From when on it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub not_before: Option<Time>,
    /// Until when it is valid.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "lenient::time")]
    pub not_after: Option<Time>,
}

// === impl DomainStatus ===

impl DomainStatus {
    /// By which issuer the host was let through. Versions that did not write it down kept the verdict's.
    pub fn released_issuer(&self) -> Option<&IssuerRef> {
        let verdict = || self.verdict.as_ref()?.issuer.as_ref();
        self.released_issuer.as_ref().or_else(verdict).filter(|_| self.released)
    }
}

// === what is read of another version ===

/// An issuer; what else is said of it is not read.
fn issuer_ref<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IssuerRef>, D::Error> {
    #[derive(Deserialize)]
    struct Known {
        #[serde(default)]
        kind: IssuerKind,
        name: String,
        #[serde(default)]
        group: Option<String>,
    }
    let known: Option<Known> = lenient::some_object(deserializer)?;
    Ok(known.map(|Known { kind, name, group }| IssuerRef { kind, name, group }))
}

/// What a certificate is like; what else is said of it is not read, and no word for a part of it is guessed.
fn certificate_settings<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<CertificateSettings>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Known {
        duration: Option<String>,
        renew_before: Option<String>,
        #[serde(default, deserialize_with = "lenient::some_object")]
        private_key: Option<Key>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Key {
        algorithm: Option<KeyAlgorithm>,
        size: Option<u32>,
        encoding: Option<KeyEncoding>,
        rotation_policy: Option<RotationPolicy>,
    }
    let known: Option<Known> = lenient::some_object(deserializer)?;
    let key =
        |Key { algorithm, size, encoding, rotation_policy }| PrivateKey { algorithm, size, encoding, rotation_policy };
    Ok(known.map(|Known { duration, renew_before, private_key }| CertificateSettings {
        duration,
        renew_before,
        private_key: private_key.map(key),
    }))
}

/// Conditions; those without a type are left out.
fn conditions<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Known {
        r#type: String,
        #[serde(default, deserialize_with = "lenient::or_default")]
        status: String,
        #[serde(default, deserialize_with = "lenient::or_default")]
        reason: String,
        #[serde(default, deserialize_with = "lenient::or_default")]
        message: String,
        #[serde(default, deserialize_with = "lenient::or_default")]
        observed_generation: Option<i64>,
        #[serde(default, deserialize_with = "lenient::time")]
        last_transition_time: Option<Time>,
    }
    let known = lenient::each::<_, Known>(deserializer)?.into_iter();
    let condition = |known: Known| Condition {
        type_: known.r#type,
        status: known.status,
        reason: known.reason,
        message: known.message,
        observed_generation: known.observed_generation,
        last_transition_time: known.last_transition_time.unwrap_or(Time(Timestamp::UNIX_EPOCH)),
    };
    Ok(known.map(condition).collect())
}

/// A place. One that is not understood does not let anybody order: it is asked for anew.
fn place<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PlaceStatus>, D::Error> {
    let said = Option::<serde_json::Value>::deserialize(deserializer)?.filter(|said| !said.is_null());
    Ok(said.map(|said| serde_json::from_value(said).unwrap_or(PlaceStatus::Unasked)))
}

// === impl IssuanceStatus ===

impl IssuanceStatus {
    /// A finding as it is kept.
    pub fn of(finding: &Finding) -> Self {
        let told = finding.cause.as_deref().unwrap_or(finding);
        Self {
            reason: finding.reason.as_str().to_owned(),
            observed: told.observed.clone(),
            note: told.note.clone(),
            cause: finding.cause.as_ref().map(|cause| cause.reason.as_str().to_owned()),
        }
    }

    /// The finding, about that host; `None`: a reason of another version.
    pub fn finding(&self, host: &str) -> Option<Finding> {
        let finding =
            |reason| Some(Finding::new(Reason::from_name(reason)?, host).observed(&self.observed).note(&self.note));
        match self.cause.as_deref().and_then(finding) {
            Some(cause) => Some(Finding::new(Reason::from_name(&self.reason)?, host).because(cause)),
            None => finding(&self.reason),
        }
    }
}

// === impl VerdictStatus ===

impl VerdictStatus {
    /// The verdict as decisions need it; `None`: a reason of another version.
    fn facts(&self, observed: &[String], required: &[String]) -> Option<VerdictFacts> {
        let finding = Finding::new(Reason::from_name(&self.reason)?, &self.subject);
        Some(VerdictFacts {
            finding: finding.observed(observed).required(required).note(&self.note),
            issuer: self.issuer.clone(),
            server: self.server.clone(),
            valid_until: self.valid_until.as_ref().map(|t| t.0).unwrap_or_default(),
        })
    }
}

// === impl Domain ===

impl Serialize for Domain {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Written<'a> {
            api_version: &'a str,
            kind: &'a str,
            metadata: &'a ObjectMeta,
            spec: &'a DomainSpec,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<&'a DomainStatus>,
        }
        let Self { metadata, spec, status } = self;
        let (api_version, kind) = (&*Self::api_version(&()), &*Self::kind(&()));
        Written { api_version, kind, metadata, spec, status: status.as_ref() }.serialize(serializer)
    }
}

impl Domain {
    /// A Domain of that name, without a namespace.
    pub fn new(name: &str, spec: DomainSpec) -> Self {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
        Self { metadata, spec, status: None }
    }

    /// The object reduced to what decisions need.
    pub fn facts(&self) -> DomainFacts {
        let status = self.status.clone().unwrap_or_default();
        let verdict = status.verdict.as_ref().and_then(|v| v.facts(&status.observed, &status.required));
        let other_verdicts = status.other_verdicts.iter();
        let other_verdicts = other_verdicts.filter_map(|v| v.verdict.facts(&v.observed, &v.required)).collect();
        let certificate = status.certificate.as_ref().and_then(|certificate| {
            Some((certificate.not_before.as_ref().map(|t| t.0), certificate.not_after.as_ref()?.0))
        });
        let released_issuer = status.released_issuer().cloned();
        DomainFacts {
            auto_issue: self.spec.auto_issue,
            issuer: self.spec.issuer_ref.clone(),
            settings: self.spec.certificate.clone().map(Box::new),
            verdict,
            other_verdicts,
            place: status.place.map(|place| match place {
                PlaceStatus::Unasked => PlaceFacts::Unasked,
                PlaceStatus::Granted => PlaceFacts::Granted,
                PlaceStatus::Waiting => {
                    let told = status.issuance.as_ref().and_then(|issuance| issuance.finding(&self.spec.host));
                    let told = told.filter(|finding| finding.reason == Reason::RateLimited);
                    PlaceFacts::Waiting(Box::new(VerdictFacts {
                        finding: told.unwrap_or_else(|| Finding::new(Reason::RateLimited, &self.spec.host)),
                        issuer: None,
                        server: None,
                        valid_until: Timestamp::MAX,
                    }))
                }
            }),
            issued: self.condition_is_true(ISSUED),
            released: status.released,
            released_issuer,
            injected_secrets: status.injected_secrets,
            lead: status.lead.map(String::into_boxed_str),
            bind: status.bind,
            certificate,
            certified: status.certified,
            profile: status.profile,
        }
    }

    /// Whether the condition of that type is `True`.
    pub fn condition_is_true(&self, kind: &str) -> bool {
        self.status.iter().flat_map(|s| &s.conditions).any(|c| c.type_ == kind && c.status == "True")
    }

    /// Who must act, as the status says it.
    pub fn who_acts(&self) -> Option<WhoActs> {
        let word = self.status.as_ref()?.who_acts.as_deref()?;
        serde_json::from_value(serde_json::Value::String(word.to_owned())).ok()
    }
}

#[cfg(test)]
mod tests;
