//! [`Policy`]: what the cluster's administrator wants. Plain data with serde
//! and JSON-schema; reading files and reporting their faults is [`crate::config`]'s job.

pub mod certificate;
mod claims;
mod console;
mod dns;

use std::collections::BTreeMap;

pub use certificate::{CertificateSettings, KeyAlgorithm, KeyEncoding, PrivateKey, RotationPolicy};
pub use claims::Claims;
pub use console::Console;
pub use dns::Dns;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

mod rainbond;

use super::limits::policy::LimitsPolicy;
pub use rainbond::{LeftOver, Rainbond};

/// The policy file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Policy {
    /// The issuer of hosts for which nothing else names one.
    pub issuer: Option<IssuerRef>,
    /// Which hosts are flagged where no annotation, Domain, label or rule speaks.
    pub auto_issue: AutoIssue,
    /// What certificates are like where neither the Ingress nor a Domain says so.
    pub certificate: CertificateSettings,
    /// Namespaces that certgate leaves alone, beside kube-system and its own.
    pub exclude_namespaces: Vec<String>,
    /// Suffixes of the platform's own default domains; hosts beneath get no certificate of their own.
    pub platform_domains: Vec<String>,
    /// Where the gateway is reached from outside.
    pub gateway: Gateway,
    /// How DNS is asked.
    pub dns: Dns,
    /// Whether certificate requests are held too, until their names are verified.
    pub gate: ApprovalGate,
    /// For how long a namespace holds its hosts.
    pub claims: Claims,
    /// Whether a fetch over HTTP backs the DNS verdict.
    pub http_reach: HttpReach,
    /// What Rainbond 6's own switch for automatic issuance means.
    pub rainbond: Rainbond,
    /// Which names a CA is known by in CAA records, by ACME directory URL;
    /// adds to the built-in ones (Let's Encrypt, ZeroSSL, Google).
    pub caa_identities: BTreeMap<String, Vec<String>>,
    /// Limits of CAs, by ACME directory URL, where they differ from the built-in ones (Let's Encrypt, production and
    /// staging). Of other CAs none are known but what stands here.
    pub limits: BTreeMap<String, LimitsPolicy>,
    /// Where Rainbond 5 keeps its flags for auto-issuance; unset: nobody looks there.
    pub console: Option<Console>,
    /// Exceptions, in order; for each setting the first matching rule that has it speaks.
    pub rules: Vec<Rule>,
}

/// Which hosts are flagged by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AutoIssue {
    /// Only those that something flags.
    #[default]
    Annotated,
    /// All, unless something says "false".
    All,
}

/// A cert-manager issuer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct IssuerRef {
    /// `ClusterIssuer`, `Issuer`, or an external issuer's kind.
    #[serde(default, deserialize_with = "empty_as_default")]
    // As text: the schema of a custom resource knows no alternatives of types.
    #[schemars(with = "String")]
    pub kind: IssuerKind,
    /// The object's name.
    pub name: String,
    /// The API group, where it is not cert-manager's own.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "default_as_none")]
    pub group: Option<String>,
}

/// Whether a group in a reference to an issuer is cert-manager's own: an empty one is too.
pub fn is_default_group(group: &str) -> bool {
    matches!(group, "" | "cert-manager.io")
}

fn default_as_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.filter(|group| !is_default_group(group)))
}

fn empty_as_default<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IssuerKind, D::Error> {
    Ok(match Option::<IssuerKind>::deserialize(deserializer)? {
        Some(IssuerKind::Other(kind)) if kind.is_empty() => IssuerKind::default(),
        kind => kind.unwrap_or_default(),
    })
}

/// The kind of an issuer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum IssuerKind {
    /// Serves the whole cluster.
    #[default]
    ClusterIssuer,
    /// Serves its own namespace.
    Issuer,
    /// A kind of an external issuer's group.
    #[serde(untagged)]
    Other(String),
}

/// Where the gateway is reached from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Gateway {
    /// Public IPv4 and IPv6 addresses that custom domains must point to.
    pub addresses: Vec<::core::net::IpAddr>,
    /// Names that custom domains may be CNAMEs to, beside pointing at an address.
    pub cnames: Vec<String>,
    /// What counts as pointing to the gateway.
    pub target: Target,
    /// A LoadBalancer Service whose status adds addresses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceRef>,
    /// Whether `RainbondCluster.spec.gatewayIngressIPs` and gateway nodes add addresses, and `suffixHTTPHost` a platform
    /// domain.
    pub rainbond: bool,
    /// Whether an Ingress' own `status.loadBalancer` adds addresses.
    pub ingress_status: bool,
    /// Whether private and loopback addresses may be the gateway's. For labs and
    /// private CAs only: a public CA never connects to one.
    pub allow_reserved: bool,
}

/// What counts as pointing to the gateway.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Target {
    /// An address of the gateway, or a CNAME to one of `cnames`.
    #[default]
    Addresses,
    /// A CNAME to one of `cnames`.
    Cname,
    /// Any public address: for gateways behind NAT or a CDN whose addresses nobody knows. `addresses` may then be
    /// those within the cluster: with `httpReach` a server that does not answer as they do is warned of.
    AnyPublic,
}

/// A Service by namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ServiceRef {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The gate on CertificateRequests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct ApprovalGate {
    /// Which requests are held until their names are verified.
    pub mode: GateMode,
    /// A renewal is let through, whatever DNS shows, when the certificate that this issuer's CA made has no more than these
    /// days left, or a sixth of its lifetime where that is less.
    pub let_through_days: u32,
    /// Whether certgate itself approves what it has verified. Off where another approver must decide
    /// (approver-policy): then certgate only keeps others from approving too early.
    pub approve: bool,
}

/// Which CertificateRequests are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GateMode {
    /// None.
    #[default]
    Off,
    /// Those with a name that certgate looks after.
    Annotated,
    /// All of the policy's issuers.
    All,
}

/// What the HTTP probe is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum HttpReach {
    /// No probe.
    #[default]
    Off,
    /// A failure warns.
    Warn,
    /// A failure holds the host.
    Block,
}

/// One exception: when all of `match` fits, the settings given apply.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Rule {
    /// What the rule applies to; empty: everything.
    pub r#match: Match,
    /// Flag the host, or exempt it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auto_issue: Option<bool>,
    /// The issuer to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<IssuerRef>,
    /// The gateway profile to use.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub profile: Option<Profile>,
    /// How the certificate is ordered and bound.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuance: Option<Issuance>,
    /// What becomes of plain HTTP (profile `rainbond-v5`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<PlainHttp>,
}

/// What a rule applies to. All that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Match {
    /// Host globs, any of which fits; `*` stands for any characters, dots included.
    pub hosts: Vec<String>,
    /// Namespace globs, any of which fits.
    pub namespaces: Vec<String>,
    /// Labels that the namespace must have.
    pub namespace_labels: BTreeMap<String, String>,
    /// Labels that the Ingress must have.
    pub labels: BTreeMap<String, String>,
    /// The Ingress class, by field or annotation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// The kind of gateway that serves an Ingress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Profile {
    /// Rainbond 5's own OpenResty gateway.
    RainbondV5,
    /// APISIX, as Rainbond 6 brings it.
    Apisix,
    /// Any other.
    Standard,
}

/// How a certificate is ordered and bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Issuance {
    /// Annotation and TLS entry go on the application's Ingress at once.
    Inline,
    /// A companion Ingress orders; the application's Ingress gets its TLS entry when the Secret is there.
    Companion,
}

/// What becomes of plain HTTP once a host has TLS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlainHttp {
    /// Redirected to HTTPS.
    Redirect,
    /// Served as before.
    Keep,
}

// === impl Policy ===

/// The namespace that is never touched, whatever policy says.
const KUBE_SYSTEM: &str = "kube-system";

impl Policy {
    /// Whether a namespace is left alone.
    pub fn excludes(&self, namespace: &str) -> bool {
        namespace == KUBE_SYSTEM || self.exclude_namespaces.iter().any(|name| name == namespace)
    }

    /// Whether a host lies under one of the platform's own suffixes.
    pub fn is_platform_domain(&self, host: &str) -> bool {
        self.platform_domains.iter().any(|suffix| {
            let suffix = suffix.trim_start_matches("*.").trim_start_matches('.');
            !suffix.is_empty() && host.strip_suffix(suffix).is_some_and(|rest| rest.ends_with('.'))
        })
    }

    /// The issuers that the policy names, the default first.
    pub fn issuers(&self) -> impl Iterator<Item = &IssuerRef> {
        self.issuer.iter().chain(self.rules.iter().filter_map(|rule| rule.issuer.as_ref()))
    }
}

// === impl ApprovalGate ===

impl Default for ApprovalGate {
    fn default() -> Self {
        Self { mode: GateMode::Off, let_through_days: 7, approve: true }
    }
}

// === impl IssuerRef ===

impl IssuerRef {
    /// A ClusterIssuer of that name.
    pub fn cluster(name: impl Into<String>) -> Self {
        Self { kind: IssuerKind::ClusterIssuer, name: name.into(), group: None }
    }

    /// Whether the issuer is of cert-manager's own group.
    pub fn is_builtin(&self) -> bool {
        self.group.as_deref().is_none_or(is_default_group)
    }
}

// === impl IssuerKind ===

impl IssuerKind {
    /// The kind as Kubernetes writes it.
    pub fn as_str(&self) -> &str {
        match self {
            Self::ClusterIssuer => "ClusterIssuer",
            Self::Issuer => "Issuer",
            Self::Other(kind) => kind,
        }
    }
}

impl std::fmt::Display for IssuerRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

// === impl Profile ===

impl Profile {
    /// The word used in policy and output.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RainbondV5 => "rainbond-v5",
            Self::Apisix => "apisix",
            Self::Standard => "standard",
        }
    }

    /// How the profile orders where policy does not say: on APISIX a TLS entry
    /// whose Secret is missing takes the whole Ingress down.
    pub const fn default_issuance(self) -> Issuance {
        match self {
            Self::Apisix => Issuance::Companion,
            Self::RainbondV5 | Self::Standard => Issuance::Inline,
        }
    }
}

/// What a rule's `match` is held against.
#[derive(Clone, Copy)]
pub struct Subject<'a, L, N> {
    /// The host in canonical form; `None` asks for rules about the whole Ingress, where host globs never fit.
    pub host: Option<&'a str>,
    /// The Ingress' namespace.
    pub namespace: &'a str,
    /// The namespace's labels: key → value.
    pub namespace_label: N,
    /// The Ingress' labels: key → value.
    pub label: L,
    /// The Ingress' class.
    pub class: Option<&'a str>,
}

// === impl Match ===

impl Match {
    /// Whether all that is given fits.
    pub fn fits<'a, L, N>(&self, subject: &Subject<'a, L, N>) -> bool
    where
        L: Fn(&str) -> Option<&'a str>,
        N: Fn(&str) -> Option<&'a str>,
    {
        (self.hosts.is_empty() || subject.host.is_some_and(|host| self.hosts.iter().any(|glob| glob_fits(glob, host))))
            && (self.namespaces.is_empty() || self.namespaces.iter().any(|glob| glob_fits(glob, subject.namespace)))
            && self.class.as_deref().is_none_or(|class| subject.class == Some(class))
            && self.labels.iter().all(|(key, value)| (subject.label)(key) == Some(value.as_str()))
            && self.namespace_labels.iter().all(|(key, value)| (subject.namespace_label)(key) == Some(value.as_str()))
    }
}

/// Whether `text` fits `glob`, in which `*` stands for any run of characters.
/// Linear in practice: one backtrack point, no recursion.
pub fn glob_fits(glob: &str, text: &str) -> bool {
    let (pattern, text) = (glob.as_bytes(), text.as_bytes());
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, t));
                p += 1;
            }
            Some(byte) if text.get(t) == Some(byte) => {
                p += 1;
                t += 1;
            }
            _ => match star {
                Some((star_p, star_t)) => {
                    p = star_p + 1;
                    t = star_t + 1;
                    star = Some((star_p, t));
                }
                None => return false,
            },
        }
    }
    pattern.get(p..).unwrap_or_default().iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests;
