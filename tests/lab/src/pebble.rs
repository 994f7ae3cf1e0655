//! Pebble: Let's Encrypt's small ACME server for tests.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::fetch::fetch;
use crate::process::Program;
use crate::site::Site;

pub(crate) const NAME: &str = "pebble";
const ACME_PORT: u16 = 14000;
const ADMIN_PORT: u16 = 15000;
const READY_WITHIN: Duration = Duration::from_secs(90);
/// Part of the User-Agent with which it asks for a challenge's answer.
pub(crate) const AGENT: &str = "LetsEncrypt-Pebble-VA";
/// What Pebble logs for each newOrder request that it accepts.
const ORDER_LINE: &str = "Added order ";

/// How it behaves.
#[derive(Clone, Debug, Default)]
pub struct PebbleOptions {
    /// How many per cent of good nonces are refused, as the protocol allows. None, unless that is what a test is about.
    pub nonce_reject: u8,
    /// How many per cent of identifiers get an authorization that is valid already. Zero makes every order a challenge.
    pub authz_reuse: u8,
    /// The CAA identities that its directory announces, `pebble.letsencrypt.org` when there is none. It looks at no CAA
    /// records itself.
    pub caa_identities: Vec<String>,
    /// Its profiles, each with how many seconds its certificates are valid. An order that asks for none gets any of them.
    pub profiles: Vec<(String, u64)>,
}

pub(crate) fn start(site: &Site, options: &PebbleOptions) -> Result<()> {
    let profiles: serde_json::Map<String, Value> =
        options.profiles.iter().map(|(name, seconds)| (name.clone(), json!({"validityPeriod": seconds}))).collect();
    let config = json!({"pebble": {
        "listenAddress": site.socket(ACME_PORT).to_string(),
        "managementListenAddress": site.socket(ADMIN_PORT).to_string(),
        "certificate": site.path("pki/pebble.crt"),
        "privateKey": site.path("pki/pebble.key"),
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "keyAlgorithm": "ecdsa",
        "caaIdentities": options.caa_identities,
        "profiles": profiles,
        "retryAfter": {"authz": 1, "order": 1},
        "domainBlocklist": [BLOCKED],
    }});
    fs::write(site.directory.join("pebble.json"), config.to_string())?;
    let program = Program::new(NAME, site.parts.program("pebble")?)
        .args(["-config", &site.path("pebble.json"), "-strict", "-dnsserver", &site.socket(53).to_string()])
        .env("PEBBLE_VA_NOSLEEP", "1")
        .env("PEBBLE_AUTHZREUSE", options.authz_reuse.to_string())
        .env("PEBBLE_WFE_NONCEREJECT", options.nonce_reject.to_string());
    site.processes.start(program)
}

pub(crate) async fn wait_ready(site: &Site) -> Result<()> {
    site.processes.wait_ready(NAME, READY_WITHIN, async || site.answers(ACME_PORT, "/dir", true, &[]).await).await
}

/// A domain for which the CA refuses to issue, as public ones refuse some.
pub const BLOCKED: &str = "blocked.example.net";

/// A lab's ACME server.
pub struct Pebble<'a> {
    pub(crate) site: &'a Site,
}

impl Pebble<'_> {
    /// The URL of its ACME directory.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.site.socket(ACME_PORT))
    }

    /// Where it listens.
    pub(crate) fn socket(&self) -> std::net::SocketAddr {
        self.site.socket(ACME_PORT)
    }

    /// How many orders it has accepted since the lab was started.
    pub fn orders(&self) -> Result<usize> {
        Ok(self.order_lines()?.len())
    }

    /// What it has logged of each order that it accepted.
    pub(crate) fn order_lines(&self) -> Result<Vec<String>> {
        let log: PathBuf = self.site.processes.log_path(NAME);
        let text = fs::read_to_string(&log).with_context(|| format!("read {}", log.display()))?;
        Ok(text.lines().filter(|line| line.contains(ORDER_LINE)).map(str::to_owned).collect())
    }

    /// The root of the certificates that it issues. A restart makes another one.
    pub async fn root_pem(&self) -> Result<String> {
        let host = self.site.address.ip().to_string();
        let root = fetch(self.site.socket(ADMIN_PORT), &host, "/roots/0", Some(&self.site.trust), &[]).await?;
        Ok(root.body)
    }

    /// A ClusterIssuer for it, to be applied.
    pub fn cluster_issuer(&self, name: &str, solvers: Value) -> Value {
        json!({
            "apiVersion": "cert-manager.io/v1",
            "kind": "ClusterIssuer",
            "metadata": {"name": name},
            "spec": {"acme": {
                "server": self.directory(),
                "caBundle": STANDARD.encode(&self.site.authority),
                "privateKeySecretRef": {"name": format!("{name}-account")},
                "solvers": solvers,
            }},
        })
    }
}
