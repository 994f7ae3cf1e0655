//! [`Verdict`]: what pre-flight concluded for a host.

mod address;
pub mod answers;
mod cdn;
mod certification;
mod challenge;
mod failure;
mod gateway;
mod judge;
mod plan;
pub mod reserved;
mod resolver;
mod trouble;
mod walk;
mod zone;

use ::core::time::Duration;

use serde::{Deserialize, Serialize};

pub use judge::{VERIFIED_RECHECK, VERIFIED_VALIDITY, judge, refuse};
pub use plan::{Ask, Consult, wanted};
pub use reserved::reserved;

use super::{finding::Finding, host::Host, policy::Target};

/// What is asked of pre-flight: would this CA, for this account and method, be
/// able to validate this host, and does the host lead to this gateway?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The host.
    pub host: Host,
    /// The challenge that the issuer will use for it.
    pub method: Method,
    /// What the host must point to.
    pub gateway: GatewayTarget,
    /// The CA as CAA records know it.
    pub ca: CaIdentity,
}

/// An ACME challenge type.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Method {
    /// RFC 8555 §8.3.
    #[default]
    #[serde(rename = "http-01")]
    Http01,
    /// RFC 8555 §8.4.
    #[serde(rename = "dns-01")]
    Dns01,
}

/// What a host must point to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GatewayTarget {
    /// The gateway's addresses.
    pub addresses: Vec<::core::net::IpAddr>,
    /// Names that a CNAME may lead to.
    pub cnames: Vec<String>,
    /// Which of the two is asked for.
    pub target: Target,
    /// Whether reserved addresses count (labs, private CAs).
    pub allow_reserved: bool,
}

/// A CA as CAA records know it (RFC 8659, RFC 8657).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CaIdentity {
    /// Its issuer domain names; none: unknown, so CAA is not judged.
    pub names: Vec<String>,
    /// The ACME account's URI, where known.
    pub account_uri: Option<String>,
}

/// What pre-flight concluded for a host, with all that a person would ask about it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The one finding that decides; its reason opens or closes the gate.
    pub finding: Finding,
    /// What does not block but should be known.
    pub warnings: Vec<Finding>,
    /// Each check that was made, in order.
    pub checks: Vec<Check>,
    /// When to look again, counted from the end of the check.
    pub next_check: Duration,
    /// How long a good verdict opens the gate, counted likewise.
    pub validity: Duration,
}

/// One check of a pre-flight.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What was checked.
    pub name: String,
    /// How it went.
    pub status: CheckStatus,
    /// What was seen.
    pub detail: String,
}

/// How a check went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckStatus {
    /// As the CA needs it.
    Pass,
    /// Not as it should be; the CA would pass it all the same.
    Warn,
    /// The CA would fail it.
    Fail,
    /// Not made, because an earlier one failed or it does not apply.
    Skipped,
}

// === impl Method ===

impl Method {
    /// The challenge type's name (RFC 8555 §9.7.8).
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

// === impl Check ===

impl Check {
    /// A check made.
    pub fn new(name: &str, status: CheckStatus, detail: impl Into<String>) -> Self {
        Self { name: name.to_owned(), status, detail: detail.into() }
    }
}

// === impl Verdict ===

impl Verdict {
    /// Whether the CA would be able to validate the host.
    pub fn ready(&self) -> bool {
        self.finding.reason.opens_gate()
    }
}

#[cfg(test)]
mod tests;
