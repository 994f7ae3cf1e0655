//! Pre-flight as policy has it now.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;

use super::controller::Preflight;
use crate::{
    core::{
        policy::{Dns, Policy},
        verdict::{Request, Verdict},
    },
    dns::{self, ServersError},
    reach::Reach,
    telemetry::dns::DnsMetrics,
};

/// Asks DNS, and HTTP where policy wants it, through another engine as soon as policy names other servers or limits.
#[derive(Clone)]
pub struct ByPolicy {
    policies: watch::Receiver<Arc<Policy>>,
    current: Arc<Mutex<(Dns, dns::Preflight)>>,
    metrics: DnsMetrics,
}

// === impl ByPolicy ===

impl ByPolicy {
    /// An engine for the policy in force.
    ///
    /// # Errors
    /// Policy names no usable resolver, and the system's cannot be read.
    pub fn new(policies: watch::Receiver<Arc<Policy>>, metrics: DnsMetrics) -> Result<Self, ServersError> {
        let settings = policies.borrow().dns.clone();
        let engine = dns::Preflight::counted(&settings, metrics.clone())?;
        Ok(Self { policies, current: Arc::new(Mutex::new((settings, engine))), metrics })
    }

    fn engine(&self) -> dns::Preflight {
        let wanted = self.policies.borrow().dns.clone();
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.0 != wanted {
            match dns::Preflight::counted(&wanted, self.metrics.clone()) {
                Ok(engine) => *current = (wanted, engine),
                Err(error) => {
                    tracing::error!(%error, "policy's DNS servers are unusable; the ones before stay in use");
                    current.0 = wanted;
                }
            }
        }
        current.1.clone()
    }
}

impl Preflight for ByPolicy {
    async fn check(&self, request: &Request) -> Verdict {
        let reach = self.policies.borrow().http_reach;
        Reach::new(self.engine(), reach).check(request).await
    }
}
