//! Issuers: what of a cert-manager Issuer or ClusterIssuer decides whether and
//! how a host is validated.

use ::core::fmt;
use std::collections::BTreeMap;

use serde::Deserialize;

use super::{
    host::Host,
    issuance::{self, Refused},
    limits::policy::authority,
    reason::Reason,
    verdict::{CaIdentity, Method},
};
use crate::api::lenient;

/// An issuer, reduced to what pre-flight needs. Reads the object's JSON.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(from = "wire::Issuer")]
pub struct IssuerFacts {
    /// Its ACME settings; `None`: another kind of issuer, which validates nothing through DNS.
    pub acme: Option<Acme>,
    /// The `Ready` condition; `None`: cert-manager has not spoken yet.
    pub ready: Option<bool>,
    /// The condition's message.
    pub message: String,
}

/// The ACME settings of an issuer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Acme {
    /// The directory's URL.
    pub directory_url: String,
    /// The account's URI, once registered.
    pub account_uri: Option<String>,
    /// In the issuer's order.
    pub solvers: Vec<Solver>,
}

/// One solver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Solver {
    /// The challenges that it can solve; cert-manager allows one, and refuses none.
    pub methods: Vec<Method>,
    /// Which hosts it is for; `None`: all.
    pub selector: Option<Selector>,
}

/// Which hosts a solver is for. All that is given must fit.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Selector {
    /// Labels that the Certificate must have; ingress-shim copies them from the Ingress.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub match_labels: BTreeMap<String, String>,
    /// Hosts, exactly.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub dns_names: Vec<String>,
    /// Zones that the host lies in.
    #[serde(deserialize_with = "lenient::null_as_default")]
    pub dns_zones: Vec<String>,
}

/// How an issuer validates a host.
#[derive(Clone, Debug, PartialEq)]
pub enum Validation {
    /// Not at all, as far as DNS is concerned.
    NotNeeded,
    /// By an ACME challenge.
    Acme {
        /// The challenge.
        method: Method,
        /// The CA as CAA records know it.
        ca: CaIdentity,
    },
}

impl IssuerFacts {
    /// Why the CA refused its account for its limits; `None`: it is Ready, or not for that.
    pub fn account_refusal(&self) -> Option<Refused<'_>> {
        if self.ready == Some(false) { issuance::account_refusal(&self.message) } else { None }
    }

    /// How the issuer would validate `host`, on an Ingress with the labels that
    /// `label` looks up; or why it cannot.
    ///
    /// `identities` are policy's `caaIdentities`.
    pub fn validation<'a>(
        &self,
        host: &Host,
        label: impl Fn(&str) -> Option<&'a str>,
        identities: &BTreeMap<String, Vec<String>>,
    ) -> Result<Validation, Reason> {
        let Some(acme) = &self.acme else { return Ok(Validation::NotNeeded) };
        match acme.method(host, label) {
            Some(method) => Ok(Validation::Acme {
                method,
                ca: CaIdentity {
                    names: caa_names(&acme.directory_url, identities),
                    account_uri: acme.account_uri.clone(),
                },
            }),
            None if host.is_wildcard() => Err(Reason::WildcardNeedsDns01),
            None => Err(Reason::NoSolver),
        }
    }
}

impl Acme {
    /// The challenge of the solver that cert-manager would pick for the host
    /// (`pkg/util/solverpicker`): of those that fit, one that names the host goes
    /// before one that names its zone, a nearer zone before a farther one, more
    /// labels before fewer, and the first listed before the rest.
    pub fn method<'a>(&self, host: &Host, label: impl Fn(&str) -> Option<&'a str>) -> Option<Method> {
        let mut best: Option<(Rank, Method)> = None;
        for solver in &self.solvers {
            let Some(method) = solver.method(host) else { continue };
            let Some(rank) = solver.rank(host, &label) else { continue };
            if best.as_ref().is_none_or(|(least, _)| rank > *least) {
                best = Some((rank, method));
            }
        }
        best.map(|(_, method)| method)
    }
}

/// How closely a selector fits: greater is closer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    names_host: bool,
    zone_labels: usize,
    labels: usize,
}

impl Solver {
    /// The challenge that the CA would offer and this solver can meet.
    fn method(&self, host: &Host) -> Option<Method> {
        [Method::Http01, Method::Dns01]
            .into_iter()
            .filter(|method| *method == Method::Dns01 || !host.is_wildcard())
            .find(|method| self.methods.contains(method))
    }

    fn rank<'a>(&self, host: &Host, label: &impl Fn(&str) -> Option<&'a str>) -> Option<Rank> {
        let Some(selector) = &self.selector else {
            return Some(Rank { names_host: false, zone_labels: 0, labels: 0 });
        };
        if !selector.match_labels.iter().all(|(key, value)| label(key) == Some(value.as_str())) {
            return None;
        }
        let names_host = selector.dns_names.iter().any(|name| name == host.as_str());
        if !selector.dns_names.is_empty() && !names_host {
            return None;
        }
        let zone_labels = selector.dns_zones.iter().filter_map(|zone| zone_labels(zone, host)).max();
        if !selector.dns_zones.is_empty() && zone_labels.is_none() {
            return None;
        }
        Some(Rank { names_host, zone_labels: zone_labels.unwrap_or(0), labels: selector.match_labels.len() })
    }
}

/// The zone's number of labels, if the host is in it. The root is nobody's zone.
fn zone_labels(zone: &str, host: &Host) -> Option<usize> {
    let zone = zone.trim_end_matches('.').to_ascii_lowercase();
    if zone.is_empty() {
        return None;
    }
    let rest = host.as_str().strip_suffix(&zone)?;
    (rest.is_empty() || rest.ends_with('.')).then(|| zone.split('.').count())
}

/// The issuer domain names of the CAs whose ACME directories are known, as
/// their directories' `caaIdentities` give them.
const DIRECTORIES: &[(&str, &[&str])] = &[
    ("acme-v02.api.letsencrypt.org", &["letsencrypt.org"]),
    ("acme-staging-v02.api.letsencrypt.org", &["letsencrypt.org"]),
    ("acme.zerossl.com", &["sectigo.com", "trust-provider.com", "usertrust.com", "comodoca.com", "comodo.com"]),
    ("acme.sectigo.com", &["sectigo.com", "trust-provider.com", "usertrust.com", "comodoca.com", "comodo.com"]),
    ("dv.acme-v02.api.pki.goog", &["pki.goog"]),
    ("dv.acme-v02.test-api.pki.goog", &["pki.goog"]),
    ("api.buypass.com", &["buypass.com"]),
    ("api.test4.buypass.no", &["buypass.com"]),
    ("acme.ssl.com", &["ssl.com"]),
    ("acme.digicert.com", &["digicert.com"]),
];

/// The names by which CAA records know the CA of an ACME directory, policy's
/// first. None: unknown, so that CAA is not judged.
pub fn caa_names(directory_url: &str, identities: &BTreeMap<String, Vec<String>>) -> Vec<String> {
    let same = |url: &str| url.trim_end_matches('/') == directory_url.trim_end_matches('/');
    let mut names: Vec<String> =
        identities.iter().filter(|(url, _)| same(url)).flat_map(|(_, names)| names.iter().cloned()).collect();
    let authority = authority(directory_url);
    let known = DIRECTORIES.iter().find(|(host, _)| authority.eq_ignore_ascii_case(host));
    for name in known.iter().flat_map(|(_, names)| names.iter()) {
        if !names.iter().any(|have| have == name) {
            names.push((*name).to_owned());
        }
    }
    names
}

impl fmt::Display for Validation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotNeeded => f.write_str("none"),
            Self::Acme { method, .. } => f.write_str(method.as_str()),
        }
    }
}

/// The parts of the object that are read, lenient about the rest: an issuer
/// that cert-manager accepts must not be lost to us for a field of no concern.
mod wire {
    use serde::{Deserialize, de::IgnoredAny};

    use super::{Acme, IssuerFacts, Method, Selector, Solver};
    use crate::api::lenient;

    #[derive(Deserialize)]
    pub(super) struct Issuer {
        #[serde(default)]
        spec: Option<IssuerSpec>,
        #[serde(default)]
        status: Option<IssuerStatus>,
    }

    /// What of an issuer's `spec` is read.
    #[derive(Debug, Default, Deserialize)]
    pub struct IssuerSpec {
        #[serde(default, deserialize_with = "lenient::some_object")]
        acme: Option<AcmeSpec>,
    }

    #[derive(Debug, Deserialize)]
    struct AcmeSpec {
        #[serde(default)]
        server: String,
        #[serde(default)]
        solvers: Option<Vec<SolverSpec>>,
    }

    #[derive(Debug, Deserialize)]
    struct SolverSpec {
        #[serde(default)]
        http01: Option<IgnoredAny>,
        #[serde(default)]
        dns01: Option<IgnoredAny>,
        #[serde(default, deserialize_with = "lenient::some_object")]
        selector: Option<Selector>,
    }

    /// What of an issuer's `status` is read.
    #[derive(Debug, Default, Deserialize)]
    pub struct IssuerStatus {
        #[serde(default)]
        acme: Option<AcmeStatus>,
        #[serde(default)]
        conditions: Option<Vec<Condition>>,
    }

    #[derive(Debug, Deserialize)]
    struct AcmeStatus {
        #[serde(default, deserialize_with = "lenient::null_as_default")]
        uri: String,
    }

    #[derive(Debug, Deserialize)]
    struct Condition {
        #[serde(default)]
        r#type: String,
        #[serde(default)]
        status: String,
        #[serde(default, deserialize_with = "lenient::or_default")]
        message: Option<String>,
    }

    impl From<Issuer> for IssuerFacts {
        fn from(issuer: Issuer) -> Self {
            Self::of(issuer.spec, issuer.status)
        }
    }

    impl IssuerFacts {
        /// What the parts of an issuer say.
        pub fn of(spec: Option<IssuerSpec>, status: Option<IssuerStatus>) -> Self {
            let status = status.unwrap_or_default();
            let ready = status.conditions.into_iter().flatten().find(|condition| condition.r#type == "Ready");
            let account_uri = status.acme.map(|acme| acme.uri).filter(|uri| !uri.is_empty());
            Self {
                acme: spec.unwrap_or_default().acme.map(|acme| Acme {
                    directory_url: acme.server,
                    account_uri,
                    solvers: acme.solvers.into_iter().flatten().map(Solver::from).collect(),
                }),
                ready: ready.as_ref().map(|condition| condition.status == "True"),
                message: ready.and_then(|condition| condition.message).unwrap_or_default(),
            }
        }
    }

    impl From<SolverSpec> for Solver {
        fn from(solver: SolverSpec) -> Self {
            let methods = [(solver.http01, Method::Http01), (solver.dns01, Method::Dns01)];
            Self {
                methods: methods.into_iter().filter_map(|(set, method)| set.map(|_| method)).collect(),
                selector: solver.selector,
            }
        }
    }
}

pub use wire::{IssuerSpec, IssuerStatus};

#[cfg(test)]
mod tests;
