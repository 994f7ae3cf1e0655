//! Makes and reads certificates. Everything read is bounded: a Secret is at most 1 MiB.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
};
use rustls::{
    RootCertStore,
    client::{verify_server_cert_signed_by_trust_anchor, verify_server_name},
    crypto::{CryptoProvider, aws_lc_rs},
    server::ParsedCertificate,
    sign::CertifiedKey,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject as _};
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::plan::{Ca, Id, Validity};

/// Certificates are valid a little before they are made, because clocks differ.
const MAX_BACKDATE: Duration = Duration::from_secs(60 * 60);
/// The most certificates that are read of one file or field.
const MAX_CHAIN: usize = 16;

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub enum X509Error {
    /// No PEM, or none of the right kind.
    #[error("no certificate in PEM form can be read: {0}")]
    Pem(String),
    /// No certificate in it.
    #[error("there is no certificate in it")]
    Empty,
    /// Longer than any chain.
    #[error("there are more than {MAX_CHAIN} certificates in it")]
    TooMany,
    /// A certificate is not one.
    #[error("the certificate cannot be read: {0}")]
    Certificate(String),
    /// The key is not one.
    #[error("the private key cannot be read: {0}")]
    Key(String),
    /// Key and certificate are of two pairs.
    #[error("the private key does not belong to the certificate")]
    KeyMismatch,
    /// The certificate is not what it is needed for.
    #[error("the certificate does not verify: {0}")]
    Untrusted(String),
    /// A certificate cannot be made.
    #[error("the certificate cannot be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate with its key, as PEM.
#[derive(Clone)]
pub struct Pair {
    /// The certificate, or chain.
    pub certificate: String,
    /// The private key (PKCS #8).
    pub key: String,
}

/// Reads a chain, leaf first.
///
/// # Errors
/// It is not one.
pub fn chain(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, X509Error> {
    let mut chain = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        if chain.len() == MAX_CHAIN {
            return Err(X509Error::TooMany);
        }
        chain.push(certificate.map_err(|error| X509Error::Pem(error.to_string()))?);
    }
    if chain.is_empty() { Err(X509Error::Empty) } else { Ok(chain) }
}

/// Reads a chain and its key, and proves that they belong together.
///
/// # Errors
/// They cannot be read or do not.
pub fn certified_key(chain_pem: &[u8], key_pem: &[u8]) -> Result<CertifiedKey, X509Error> {
    let chain = chain(chain_pem)?;
    let key = PrivateKeyDer::from_pem_slice(key_pem).map_err(|error| X509Error::Key(error.to_string()))?;
    let key = provider().key_provider.load_private_key(key).map_err(|error| X509Error::Key(error.to_string()))?;
    let certified = CertifiedKey::new(chain, key);
    match certified.keys_match() {
        Ok(()) => Ok(certified),
        Err(rustls::Error::InconsistentKeys(_)) => Err(X509Error::KeyMismatch),
        Err(error) => Err(X509Error::Certificate(error.to_string())),
    }
}

/// From when to when a certificate is valid.
///
/// # Errors
/// It cannot be read.
pub fn validity(certificate: &CertificateDer<'_>) -> Result<Validity, X509Error> {
    let (_, parsed) =
        X509Certificate::from_der(certificate).map_err(|error| X509Error::Certificate(error.to_string()))?;
    let moment =
        |seconds: i64| Timestamp::from_second(seconds).map_err(|error| X509Error::Certificate(error.to_string()));
    Ok(Validity {
        not_before: moment(parsed.validity().not_before.timestamp())?,
        not_after: moment(parsed.validity().not_after.timestamp())?,
    })
}

/// A CA certificate as [`super::plan`] sees it.
///
/// # Errors
/// It cannot be read.
pub fn ca(certificate: &CertificateDer<'_>) -> Result<Ca, X509Error> {
    Ok(Ca { id: id(certificate), validity: validity(certificate)? })
}

/// The digest of a certificate.
pub fn id(certificate: &CertificateDer<'_>) -> Id {
    Sha256::digest(certificate).into()
}

/// Proves that `chain` leads to one of `roots` at `now` and is for `name`, if one is given.
///
/// # Errors
/// It does not, or is not.
pub fn verify(
    chain: &[CertificateDer<'_>],
    roots: &[CertificateDer<'_>],
    name: Option<&str>,
    now: Timestamp,
) -> Result<(), X509Error> {
    let untrusted = |error: rustls::Error| X509Error::Untrusted(error.to_string());
    let (leaf, intermediates) = chain.split_first().ok_or(X509Error::Empty)?;
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().map(|root| root.clone().into_owned()));
    let parsed = ParsedCertificate::try_from(leaf).map_err(untrusted)?;
    let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now.as_second()).unwrap_or(0)));
    let algorithms = provider().signature_verification_algorithms.all;
    verify_server_cert_signed_by_trust_anchor(&parsed, &store, intermediates, now, algorithms).map_err(untrusted)?;
    if let Some(name) = name {
        let server_name =
            ServerName::try_from(name).map_err(|_| X509Error::Untrusted(format!("{name:?} is no name of a server")))?;
        verify_server_name(&parsed, &server_name).map_err(untrusted)?;
    }
    Ok(())
}

/// Makes a CA that is valid from about `now` for `lifetime`.
///
/// # Errors
/// It cannot be made.
pub fn make_ca(now: Timestamp, lifetime: Duration) -> Result<Pair, X509Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::default();
    // Each CA has a subject of its own, so that chains are built without trial and error.
    let tag: String = Sha256::digest(key.public_key_raw()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    params.distinguished_name.push(DnType::CommonName, format!("certgate webhook CA {tag}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    (params.not_before, params.not_after) = (moment(backdated(now, lifetime)), moment(add(now, lifetime)));
    let certificate = params.self_signed(&key)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

/// Makes a serving certificate for `names`, signed by `ca`, valid from about
/// `now` for `lifetime` and never longer than the CA.
///
/// # Errors
/// The CA cannot be read, or the certificate not be made.
pub fn make_leaf(ca: &Pair, names: &[String], now: Timestamp, lifetime: Duration) -> Result<Pair, X509Error> {
    let ca_chain = chain(ca.certificate.as_bytes())?;
    let ca_ends = validity(ca_chain.first().ok_or(X509Error::Empty)?)?.not_after;
    let issuer = Issuer::from_ca_cert_pem(&ca.certificate, KeyPair::from_pem(&ca.key)?)?;
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(names)?;
    if let Some(name) = names.first() {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name.chars().take(64).collect::<String>());
    }
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    let not_after = add(now, lifetime).min(ca_ends);
    (params.not_before, params.not_after) = (moment(backdated(now, lifetime)), moment(not_after));
    let certificate = params.signed_by(&key, &issuer)?;
    Ok(Pair { certificate: certificate.pem(), key: key.serialize_pem() })
}

fn backdated(now: Timestamp, lifetime: Duration) -> Timestamp {
    now.checked_sub(MAX_BACKDATE.min(lifetime / 10)).unwrap_or(now)
}

fn add(now: Timestamp, lifetime: Duration) -> Timestamp {
    now.checked_add(lifetime).unwrap_or(Timestamp::MAX)
}

/// rcgen's kind of time.
fn moment<T: From<SystemTime>>(time: Timestamp) -> T {
    SystemTime::from(time).into()
}

fn provider() -> std::sync::Arc<CryptoProvider> {
    CryptoProvider::get_default().cloned().unwrap_or_else(|| std::sync::Arc::new(aws_lc_rs::default_provider()))
}

#[cfg(test)]
mod tests;
