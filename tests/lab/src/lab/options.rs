//! What a lab is to consist of.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};

use crate::apisix;
use crate::cert_manager::CertManager;
use crate::parts::Part;
use crate::pebble::PebbleOptions;

/// The class that Ingresses of the lab's gateway and of its HTTP-01 solvers have, unless told otherwise.
pub(super) const INGRESS_CLASS: &str = "lab";

/// Who listens on ports 80 and 443.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gateway {
    /// Nobody.
    None,
    /// The lab's own small gateway, for Ingresses of every class.
    #[default]
    Builtin,
    /// Traefik, for Ingresses of the class `lab`.
    Traefik,
    /// The real apisix-ingress-controller, for Ingresses of the class `apisix`, with the lab in APISIX's place: it answers
    /// by what the controller has written to its admin API.
    Apisix,
}

impl Gateway {
    /// For how long the issuer `pebble-fast` waits before it asks the ACME server to look; none where only a self-check
    /// tells that the gateway has loaded a solver's Ingress. The lab's own gateway lets the server's question wait for that.
    pub(super) fn pause_before_challenge(self) -> Option<&'static str> {
        match self {
            Self::None | Self::Builtin | Self::Apisix => Some("200ms"),
            Self::Traefik => None,
        }
    }

    /// The class of the Ingresses that it serves.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::None | Self::Builtin | Self::Traefik => INGRESS_CLASS,
            Self::Apisix => apisix::INGRESS_CLASS,
        }
    }
}

/// Whether the environment asks for more to read.
pub(super) fn is_verbose() -> bool {
    std::env::var_os("CERTGATE_LAB_VERBOSE").is_some_and(|v| !v.is_empty())
}

/// Hears how far a starting lab is.
#[derive(Clone)]
pub struct Progress(Arc<Listener>);

type Listener = dyn Fn(Duration, &str) + Send + Sync;

impl Progress {
    /// Calls a function with the time since the start and what has been reached.
    pub fn new(hear: impl Fn(Duration, &str) + Send + Sync + 'static) -> Self {
        Self(Arc::new(hear))
    }

    /// Writes to standard error when `CERTGATE_LAB_VERBOSE` is set, else nothing.
    #[expect(clippy::print_stderr, reason = "for whoever asked for it by the environment")]
    pub fn from_environment() -> Self {
        let verbose = is_verbose();
        Self::new(move |elapsed, what| {
            if verbose {
                eprintln!("{:7} ms  {what}", elapsed.as_millis());
            }
        })
    }

    pub(super) fn tell(&self, elapsed: Duration, what: &str) {
        (self.0)(elapsed, what);
    }
}

impl fmt::Debug for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Progress")
    }
}

/// What to start, and how. The default is everything that an HTTP-01 certificate needs.
#[derive(Clone, Debug)]
pub struct LabOptions {
    /// Which cert-manager to run, with Pebble beside it.
    pub cert_manager: Option<CertManager>,
    /// Who listens on ports 80 and 443.
    pub gateway: Gateway,
    /// The solver of the issuers `pebble` and `pebble-fast`, if not HTTP-01 by Ingresses of the gateway's class.
    pub solver: Option<Value>,
    /// How Pebble behaves.
    pub pebble: PebbleOptions,
    /// Further arguments of cert-manager.
    pub cert_manager_args: Vec<String>,
    /// Further arguments of the API server, such as `--feature-gates=…`.
    pub apiserver_args: Vec<String>,
    /// Further arguments of the controller manager.
    pub controller_manager_args: Vec<String>,
    /// Whether the API server writes an audit log, with the bodies of all writes.
    pub audit_log: bool,
    /// Who hears how far the start is.
    pub progress: Progress,
}

impl Default for LabOptions {
    fn default() -> Self {
        Self {
            cert_manager: Some(CertManager::V1_21),
            gateway: Gateway::default(),
            solver: None,
            pebble: PebbleOptions::default(),
            cert_manager_args: Vec::new(),
            apiserver_args: Vec::new(),
            controller_manager_args: Vec::new(),
            audit_log: false,
            progress: Progress::from_environment(),
        }
    }
}

impl LabOptions {
    /// An API server and DNS, nothing else.
    pub fn bare() -> Self {
        Self { cert_manager: None, gateway: Gateway::None, ..Self::default() }
    }

    /// The parts that have to be built for it.
    pub fn parts(&self) -> Vec<Part> {
        let mut parts = vec![Part::Core];
        parts.extend(self.cert_manager.map(CertManager::part).filter(|part| *part != Part::Core));
        match self.gateway {
            Gateway::None | Gateway::Builtin => {}
            Gateway::Traefik => parts.push(Part::Traefik),
            Gateway::Apisix => parts.push(Part::Apisix),
        }
        parts
    }

    pub(super) fn solver(&self) -> Value {
        let class = self.gateway.class();
        let http01 = || json!({"http01": {"ingress": {"ingressClassName": class, "serviceType": "ClusterIP"}}});
        self.solver.clone().unwrap_or_else(http01)
    }
}
