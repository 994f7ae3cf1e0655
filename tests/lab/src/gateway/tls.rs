//! The certificate for a server name.

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::Plane;
use super::route::{HostFit, is_served};
use crate::view::ClusterView;

pub(super) fn config(plane: Arc<dyn Plane>) -> Result<ServerConfig> {
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let mut config = (builder.with_safe_default_protocol_versions()?)
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(FromPlane(plane)));
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

struct FromPlane(Arc<dyn Plane>);

impl fmt::Debug for FromPlane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FromPlane")
    }
}

impl ResolvesServerCert for FromPlane {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.certificate(hello.server_name()?).map(Arc::new)
    }
}

/// What the `tls` sections of Ingresses and their Secrets have for a host.
pub(super) fn from_secrets(view: &ClusterView, host: &str) -> Option<CertifiedKey> {
    let mut best = None;
    for ingress in view.ingresses.state() {
        let Some(spec) = ingress.spec.as_ref().filter(|_| is_served(&ingress)) else { continue };
        for section in spec.tls.iter().flatten() {
            let fit = section.hosts.iter().flatten().filter_map(|pattern| HostFit::of(pattern, host)).max();
            let (Some(fit), Some(name)) = (fit, &section.secret_name) else { continue };
            if best.as_ref().is_some_and(|(best, _)| fit <= *best) {
                continue;
            }
            let namespace = ingress.namespace().unwrap_or_default();
            let secret = view.secrets.get(&ObjectRef::new(name).within(&namespace));
            let data = secret.as_ref().and_then(|secret| secret.data.as_ref());
            let pair = data.and_then(|data| Some((data.get("tls.crt")?, data.get("tls.key")?)));
            if let Some(key) = pair.and_then(|(chain, key)| certified_key(&chain.0, &key.0).ok()) {
                best = Some((fit, key));
            }
        }
    }
    best.map(|(_, key)| key)
}

/// A chain and its key, both PEM.
pub(crate) fn certified_key(chain: &[u8], key: &[u8]) -> Result<CertifiedKey> {
    let chain = CertificateDer::pem_slice_iter(chain).collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_slice(key)?;
    Ok(CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())?)
}
