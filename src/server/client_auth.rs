//! Optional mutual TLS: only clients with a certificate of a given CA, and of
//! given names, may ask. The API server shows one where its
//! `AdmissionConfiguration` names a kubeconfig with a client certificate.

use std::{path::Path, sync::Arc};

use rustls::{
    RootCertStore,
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

/// Why client certificates cannot be checked.
#[derive(Debug, thiserror::Error)]
pub enum ClientAuthError {
    /// The CA file.
    #[error(
        "--client-ca-file {path}: {why}; give a PEM file with the CA certificates that the API server's client certificate is issued by"
    )]
    CaFile {
        /// The file.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// Names without a CA.
    #[error("--client-name has no effect without --client-ca-file; give both")]
    NamesAlone,
}

/// Why a client is refused.
#[derive(Debug, thiserror::Error)]
pub enum ClientRefused {
    /// No certificate, or an unreadable one.
    #[error("the client shows no readable certificate")]
    Unreadable,
    /// A certificate of another name.
    #[error("the client's certificate is for {0:?}, which --client-name does not allow")]
    Name(Vec<String>),
}

/// The names that clients may have; none given: any that the CA vouches for.
#[derive(Clone, Debug)]
pub struct ClientNames(Arc<[String]>);

/// A verifier for the CAs in `file`.
///
/// # Errors
/// The file cannot be read or holds no usable CA.
pub fn verifier(file: &Path) -> Result<Arc<dyn ClientCertVerifier>, ClientAuthError> {
    let fail = |why: String| ClientAuthError::CaFile { path: file.display().to_string(), why };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(file).map_err(|error| fail(error.to_string()))? {
        let certificate = certificate.map_err(|error| fail(error.to_string()))?;
        roots.add(certificate).map_err(|error| fail(error.to_string()))?;
    }
    WebPkiClientVerifier::builder(Arc::new(roots)).build().map_err(|error| fail(error.to_string()))
}

// === impl ClientNames ===

impl ClientNames {
    /// Allows these names.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().collect())
    }

    /// Whether a verified client may ask.
    ///
    /// # Errors
    /// It may not.
    pub fn check(&self, chain: Option<&[CertificateDer<'_>]>) -> Result<(), ClientRefused> {
        if self.0.is_empty() {
            return Ok(());
        }
        let leaf = chain.and_then(<[_]>::first).ok_or(ClientRefused::Unreadable)?;
        let names = names(leaf).ok_or(ClientRefused::Unreadable)?;
        if names.iter().any(|name| self.0.contains(name)) { Ok(()) } else { Err(ClientRefused::Name(names)) }
    }
}

/// Common names and DNS names of a certificate.
fn names(certificate: &CertificateDer<'_>) -> Option<Vec<String>> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
    let alternative = certificate.subject_alternative_name().ok().flatten();
    let dns = alternative.iter().flat_map(|san| &san.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(*name),
        _ => None,
    });
    Some(common.chain(dns).map(str::to_owned).collect())
}
