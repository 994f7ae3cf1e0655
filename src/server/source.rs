//! Where serving certificates come from: a Secret that is watched by name, or
//! a pair of files that is read again and again.
//!
//! Files are polled, not watched: the kubelet swaps a symlink two levels up,
//! which leaves nothing to watch at the files themselves. Reading both anew sees
//! every kind of change.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    time::Duration,
};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Client, runtime::WatchStreamExt as _};

use super::certificate::{CertificateFault, ServingCertificate, offer};
use crate::{
    api::partial::whole,
    pki::store::{CA_CERTIFICATE, TLS_CERTIFICATE, TLS_KEY},
    telemetry::metrics::ServerMetrics,
};

/// How often files are read.
pub const POLL: Duration = Duration::from_secs(5);
/// The largest file that is read, in octets: a Secret's bound.
const MAX_FILE: u64 = 1024 * 1024;

/// A certificate and its key as files.
#[derive(Clone, Debug)]
pub struct Files {
    /// The chain, leaf first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why files cannot be served with.
#[derive(Debug, thiserror::Error)]
pub enum FileFault {
    /// One cannot be read.
    #[error("{flag} {}: {why}; give a PEM file that certgate may read", path.display())]
    Unreadable {
        /// The flag that names it.
        flag: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// They are no usable pair.
    #[error("--tls-cert-file {} with --tls-key-file {}: {source}; give a current certificate with its own key", files.certificate.display(), files.key.display())]
    Unusable {
        /// The files.
        files: Files,
        /// Why.
        source: CertificateFault,
    },
}

/// Follows a Secret of type `kubernetes.io/tls`. An absent or unusable one
/// changes nothing.
pub async fn follow_secret(
    client: Client,
    namespace: &str,
    name: &str,
    certificate: &ServingCertificate,
    metrics: &ServerMetrics,
) {
    let mut secrets =
        std::pin::pin!(whole::follow::<Secret>(Api::namespaced(client, namespace), name).default_backoff());
    while let Some(event) = secrets.next().await {
        match event {
            Ok(Some(secret)) => {
                let data = secret.data.unwrap_or_default();
                let field = |key: &str| data.get(key).map(|value| value.0.as_slice());
                let (chain, key) = (field(TLS_CERTIFICATE).unwrap_or_default(), field(TLS_KEY).unwrap_or_default());
                let roots = field(CA_CERTIFICATE).filter(|roots| !roots.is_empty());
                offer(certificate, metrics, name, (chain, key, roots));
            }
            Ok(None) => tracing::info!(
                secret = name,
                "the Secret with the serving certificate is not there; certgate controller makes it (waiting for it)"
            ),
            Err(error) => tracing::warn!(
                secret = name,
                error = &error as &dyn std::error::Error,
                "the watch on the serving certificate fails and is tried again"
            ),
        }
    }
}

/// Reads the files once.
///
/// # Errors
/// They cannot be read or are no usable pair.
pub async fn load_files(
    files: &Files,
    certificate: &ServingCertificate,
    metrics: &ServerMetrics,
) -> Result<(), FileFault> {
    let chain = read("--tls-cert-file", &files.certificate).await?;
    let key = read("--tls-key-file", &files.key).await?;
    offer(certificate, metrics, "files", (&chain, &key, None));
    if certificate.current().is_none() {
        let fault = certificate.install(&chain, &key, None, jiff::Timestamp::now());
        return fault.map(drop).map_err(|source| FileFault::Unusable { files: files.clone(), source });
    }
    Ok(())
}

/// Reads the files again and again. A fault changes nothing.
pub async fn follow_files(
    files: Files,
    poll: Duration,
    certificate: &ServingCertificate,
    metrics: &ServerMetrics,
) -> Infallible {
    let (mut last, mut offered) = (None, None);
    loop {
        tokio::time::sleep(poll).await;
        let read = (read("--tls-cert-file", &files.certificate).await, read("--tls-key-file", &files.key).await);
        let (chain, key) = match read {
            (Ok(chain), Ok(key)) => (chain, key),
            (Err(error), _) | (_, Err(error)) => {
                tracing::warn!(%error, "the serving certificate cannot be read again; the one in use stays");
                continue;
            }
        };
        // Only a change is offered, so that a fault is told once, and only when it has been read
        // twice alike: a pair may be caught between two versions.
        let seen = Some((chain, key));
        if seen == last
            && seen != offered
            && let Some((chain, key)) = &seen
        {
            offer(certificate, metrics, "files", (chain, key, None));
            offered.clone_from(&seen);
        }
        last = seen;
    }
}

async fn read(flag: &'static str, path: &Path) -> Result<Vec<u8>, FileFault> {
    let fault = |why: String| FileFault::Unreadable { flag, path: path.to_owned(), why };
    let size = tokio::fs::metadata(path).await.map_err(|error| fault(error.to_string()))?.len();
    if size > MAX_FILE {
        return Err(fault(format!("it has {size} octets, which no certificate has")));
    }
    tokio::fs::read(path).await.map_err(|error| fault(error.to_string()))
}
