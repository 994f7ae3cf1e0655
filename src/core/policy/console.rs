//! Where Rainbond 5's console is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Rainbond 5's console, in whose database the flags for auto-issuance are kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Console {
    /// Its address, such as `https://console.example.com`; `http://` only within the cluster, for the token goes with it.
    pub url: String,
    /// What the console calls this cluster (`region_name`): rules of other clusters are none of ours.
    pub region: String,
    /// A Secret in certgate's own namespace: the API token in `token`, and in `ca.crt` the CA's certificates where the
    /// console's is not of a public one.
    #[serde(default = "default_secret")]
    pub secret: String,
    /// Seconds between two looks.
    #[serde(default = "default_interval")]
    pub interval_seconds: u64,
}

fn default_secret() -> String {
    "certgate-console".to_owned()
}

const fn default_interval() -> u64 {
    60
}
