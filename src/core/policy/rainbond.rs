//! What policy says of Rainbond 6's own switch for automatic issuance.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rainbond 6's own switch for automatic issuance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Rainbond {
    /// Whether the switch flags hosts: an ApisixRoute's label `cert-manager-enabled`, and the Certificates that the switch
    /// makes.
    pub routes: bool,
    /// What becomes of a Certificate that the switch made and that no route needs any more.
    pub left_over_certificates: LeftOver,
    /// Seconds that a host must be on no route before its Certificate counts as left over.
    pub left_over_seconds: u32,
}

/// What becomes of a Certificate that Rainbond left behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeftOver {
    /// It is reported, and keeps being renewed.
    #[default]
    Report,
    /// It is reported and deleted. Its Secret stays.
    Remove,
}

// === impl Rainbond ===

impl Default for Rainbond {
    fn default() -> Self {
        Self { routes: false, left_over_certificates: LeftOver::Report, left_over_seconds: 600 }
    }
}
