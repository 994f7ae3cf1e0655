//! How DNS is asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How DNS is asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Dns {
    /// Validating recursive resolvers, `address` or `address:port`. None: those of `/etc/resolv.conf`.
    pub servers: Vec<String>,
    /// Seconds to wait for one answer.
    pub timeout_seconds: f64,
    /// Seconds that all questions about one host may take together.
    pub deadline_seconds: f64,
    /// Whether a zone's own servers are asked too: before "not there" is believed, to tell why a resolver fails, and
    /// whether they agree before a host is called verified.
    pub authoritative: bool,
    /// A name whose DNSSEC signatures are wrong. A resolver that answers for it does not validate, and signed domains
    /// are held while it is asked, because the CA refuses what does not validate. One that denies it, as where there is
    /// no way out, is not judged. Empty: not asked.
    pub bogus_name: String,
    /// The port of authoritative servers; other than 53 only in labs.
    pub authoritative_port: u16,
    /// Whether authoritative servers with private addresses are asked. For labs and
    /// private zones only: whoever owns a domain chooses the addresses of its servers.
    pub allow_private_authoritative: bool,
    /// The shortest wait before a host is looked at again, in seconds.
    pub min_recheck_seconds: u64,
    /// The longest wait on the first day, in seconds.
    pub max_recheck_seconds: u64,
    /// Questions a second to one server.
    pub queries_per_second: u32,
    /// Questions under way to one server.
    pub concurrency: u32,
}

// === impl Dns ===

impl Default for Dns {
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            timeout_seconds: 2.5,
            deadline_seconds: 15.0,
            authoritative: true,
            bogus_name: "dnssec-failed.org".to_owned(),
            authoritative_port: 53,
            allow_private_authoritative: false,
            min_recheck_seconds: 15,
            max_recheck_seconds: 900,
            queries_per_second: 200,
            concurrency: 32,
        }
    }
}
