use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How hosts are held by the namespace that claimed them first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default, rename_all = "camelCase")]
pub struct Claims {
    /// Days for which a namespace holds a host that it had verified, after the last object that wants a certificate for it
    /// has gone: a component that is stopped over a weekend finds its host as it left it. Nothing is ordered or renewed
    /// meanwhile. Counted from when the host was last both wanted and verified, so coming and going does not prolong it;
    /// switching automatic issuance off gives the host up at once.
    pub keep_days: u32,
}

// === impl Claims ===

impl Default for Claims {
    fn default() -> Self {
        Self { keep_days: 7 }
    }
}
