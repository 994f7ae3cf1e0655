//! The CA's limits: how many orders, certificates and failures it takes, and
//! who of those that wait goes next, so that it never has to refuse.
//!
//! The CA counts with token buckets that refill steadily (Let's Encrypt,
//! "Rate Limits"; Boulder `ratelimits/gcra.go`), and so does [`Bucket`]. Each
//! is filled from what objects show of orders, with each time taken for the
//! latest that it can have been: what is left here is never more than what is left there.

pub mod bucket;
pub mod budget;
pub mod fair;
pub mod keys;
pub mod ledger;
pub mod past;
pub mod policy;
pub mod refusal;

pub use bucket::{Bucket, Rate};
pub use budget::Budget;
pub use keys::{Account, Ask, Class, Id, Key, Names, Renewal};
pub use ledger::{Progress, Seen, Spent};
pub use past::PastOrder;
pub use policy::{CaLimits, RatePolicy};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::text;

/// What a CA limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// New orders of an account.
    NewOrders,
    /// Certificates for the names below one registered domain, whoever orders them.
    CertificatesPerDomain,
    /// Certificates for exactly the same names, whoever orders them.
    CertificatesPerSet,
    /// Failed authorizations of a name, by account.
    FailedAuthorizations,
    /// Failures of a name in a row, by account, after which the CA pauses it.
    ConsecutiveFailures,
}

/// Where a host stands with the CA's limits.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Place {
    /// The CA has no limits that are known, and refused nothing.
    #[default]
    Free,
    /// Nobody asked yet.
    Unasked,
    /// It may order now: its place in every limit is kept.
    Granted,
    /// A limit is used up.
    Waiting(Wait),
}

/// What a host waits for.
#[derive(Clone, Debug, PartialEq)]
pub struct Wait {
    /// The limit.
    pub limit: Kind,
    /// Of what: a registered domain or a name; empty for an account.
    pub of: String,
    /// When its turn comes, as far as is known now.
    pub until: Timestamp,
    /// The CA said so itself.
    pub refused: bool,
}

// === impl Kind ===

impl Kind {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::NewOrders,
        Self::CertificatesPerDomain,
        Self::CertificatesPerSet,
        Self::FailedAuthorizations,
        Self::ConsecutiveFailures,
    ];

    /// The word used in status, output and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NewOrders => "new-orders",
            Self::CertificatesPerDomain => "certificates-per-domain",
            Self::CertificatesPerSet => "certificates-per-set",
            Self::FailedAuthorizations => "failed-authorizations",
            Self::ConsecutiveFailures => "consecutive-failures",
        }
    }

    /// The limit of that word.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == name)
    }
}

// === impl Wait ===

impl Wait {
    /// The time as people read it.
    pub fn until_text(&self) -> String {
        text::not_before(self.until)
    }
}
