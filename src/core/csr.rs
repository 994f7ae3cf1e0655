//! The names that a certificate request asks for, read from its CSR.
//!
//! cert-manager and the CAs that matter read it with Go (`encoding/json`, `encoding/pem`, `crypto/x509`), and make their
//! order of what Go finds. So a name that Go finds is found here too, or nothing is said of the request at all: what
//! cannot be read, and what can be read in more than one way, by another version of Go or by another library, is an
//! error, and the gate holds it. `tests/csr_as_go_reads.rs` holds both side by side.

mod der;
mod pem;

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};

use super::host::Host;

/// The largest `spec.request` that is read: one with a hundred names of full length and a large RSA key fits well.
pub const MAX_CSR_OCTETS: usize = 64 * 1024;
/// The most names that are looked at; Let's Encrypt allows a hundred.
pub const MAX_NAMES: usize = 1000;

/// Go's `base64.StdEncoding`: padding is a must, and the bits that it leaves over may be anything.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical),
);

/// The names of a CSR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrNames {
    /// DNS names in lower case, each once, and every common name that is one.
    pub hosts: Vec<Host>,
    /// DNS names that are none, which no CA will issue for.
    pub invalid: Vec<String>,
    /// Whether there are names of other kinds (IP, e-mail, URI).
    pub others: bool,
}

/// Why a CSR tells no names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CsrError {
    /// Over [`MAX_CSR_OCTETS`] or [`MAX_NAMES`].
    #[error("it is larger than is read")]
    TooLarge,
    /// Neither PEM nor what PEM should hold.
    #[error("it is not a PEM certificate request")]
    Malformed,
    /// Not everybody would read the same names in it.
    #[error("it can be read in more than one way: {0}")]
    Ambiguous(&'static str),
}

/// Reads the names from `CertificateRequest.spec.request`: base64 of a PEM.
///
/// # Errors
/// Text that is too large, no CSR, or one that can be read in more than one way.
pub fn names(request: &str) -> Result<CsrNames, CsrError> {
    if request.len() > MAX_CSR_OCTETS {
        return Err(CsrError::TooLarge);
    }
    let csr = pem::contents(&decode(request.bytes())?)?;
    let mut found = der::names(&csr)?;
    found.hosts.sort();
    found.hosts.dedup();
    Ok(found)
}

/// Decodes base64 as Go does: line ends count for nothing wherever they are.
fn decode(text: impl Iterator<Item = u8>) -> Result<Vec<u8>, CsrError> {
    let text: Vec<u8> = text.filter(|octet| !matches!(octet, b'\r' | b'\n')).collect();
    BASE64.decode(text).map_err(|_| CsrError::Malformed)
}

// === impl CsrNames ===

impl CsrNames {
    /// Takes down a DNS name as it stands in the request.
    fn add(&mut self, text: &str) {
        match Host::parse(text) {
            // Nobody else makes a name of a text with white space around it, or with a final dot.
            Ok(host) if text.eq_ignore_ascii_case(host.as_str()) => self.hosts.push(host),
            _ => self.invalid.push(super::finding::clean(text)),
        }
    }

    /// Takes down a common name. One that is no DNS name is a display name.
    fn add_common(&mut self, text: &str) {
        self.hosts.extend(Host::parse(text));
    }

    fn count(&self) -> usize {
        self.hosts.len() + self.invalid.len()
    }
}

#[cfg(test)]
mod tests;
