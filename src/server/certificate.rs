//! [`ServingCertificate`]: the certificate in use. Swapped as a whole, between
//! two handshakes, and only for one that is proved fit; else the old one stays.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use jiff::Timestamp;
use rustls::{
    ServerConfig,
    server::{ClientHello, ResolvesServerCert, danger::ClientCertVerifier},
    sign::CertifiedKey,
};
use rustls_pki_types::CertificateDer;

use crate::{
    pki::{
        plan::Validity,
        x509::{self, X509Error},
    },
    telemetry::metrics::ServerMetrics,
};

/// Why a certificate is not taken into use.
#[derive(Debug, thiserror::Error)]
pub enum CertificateFault {
    /// It is unusable as such.
    #[error(transparent)]
    X509(#[from] X509Error),
    /// It is over, or has not begun.
    #[error("the certificate is valid from {} to {}, which is not now", .0.not_before, .0.not_after)]
    NotNow(Validity),
}

/// The certificate in use, if there is one.
#[derive(Debug, Default)]
pub struct ServingCertificate {
    current: ArcSwapOption<Loaded>,
}

/// A certificate that was proved fit when it came.
#[derive(Debug)]
pub struct Loaded {
    key: Arc<CertifiedKey>,
    /// From when to when it is valid.
    pub validity: Validity,
}

// === impl ServingCertificate ===

impl ServingCertificate {
    /// Takes a chain and its key into use. `roots`: what the chain must lead to,
    /// where that is known. True if it is another than before.
    ///
    /// # Errors
    /// It is not fit, and the old one stays.
    pub fn install(
        &self,
        chain_pem: &[u8],
        key_pem: &[u8],
        roots_pem: Option<&[u8]>,
        now: Timestamp,
    ) -> Result<bool, CertificateFault> {
        let key = x509::certified_key(chain_pem, key_pem)?;
        if self.current.load().as_ref().is_some_and(|loaded| loaded.key.cert == key.cert) {
            return Ok(false);
        }
        let validity = x509::validity(key.cert.first().ok_or(X509Error::Empty)?)?;
        if !validity.holds(now) {
            return Err(CertificateFault::NotNow(validity));
        }
        match roots_pem {
            Some(roots) => x509::verify(&key.cert, &x509::chain(roots)?, None, now)?,
            None => verify_among_themselves(&key.cert, now)?,
        }
        self.current.store(Some(Arc::new(Loaded { key: Arc::new(key), validity })));
        Ok(true)
    }

    /// What is in use.
    pub fn current(&self) -> Option<Arc<Loaded>> {
        self.current.load_full()
    }

    /// TLS with this certificate, for HTTP/1.1, which is what the API server speaks to webhooks.
    pub fn server_config(self: &Arc<Self>, clients: Option<Arc<dyn ClientCertVerifier>>) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder();
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::clone(self) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        // The API server keeps connections and does not resume sessions; tickets would only cost.
        config.send_tls13_tickets = 0;
        Arc::new(config)
    }
}

/// A chain that comes without a root must at least hang together.
fn verify_among_themselves(chain: &[CertificateDer<'_>], now: Timestamp) -> Result<(), X509Error> {
    match chain {
        [_, .., last] => {
            x509::verify(chain.get(..chain.len() - 1).unwrap_or_default(), std::slice::from_ref(last), None, now)
        }
        _ => Ok(()),
    }
}

impl ResolvesServerCert for ServingCertificate {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.current.load().as_ref().map(|loaded| Arc::clone(&loaded.key))
    }
}

// === impl Loaded ===

impl Loaded {
    /// The chain, leaf first.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.key.cert
    }
}

/// Installs and tells of it: log and metrics.
pub fn offer(
    certificate: &ServingCertificate,
    metrics: &ServerMetrics,
    source: &str,
    pems: (&[u8], &[u8], Option<&[u8]>),
) {
    let (chain, key, roots) = pems;
    match certificate.install(chain, key, roots, Timestamp::now()) {
        Ok(true) => {
            metrics.certificate_swaps.inc();
            if let Some(loaded) = certificate.current() {
                metrics.certificate_expiry.set(loaded.validity.not_after.as_second());
                tracing::info!(source, not_after = %loaded.validity.not_after, "serving certificate taken into use");
            }
        }
        Ok(false) => {}
        Err(error) => {
            metrics.certificate_faults.inc();
            tracing::warn!(source, %error, "a serving certificate cannot be used; the one before it, if any, stays");
        }
    }
}

#[cfg(test)]
mod tests;
