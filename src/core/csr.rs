//! The names that a certificate request asks for, read from its CSR.

use base64::Engine as _;
use x509_parser::{
    certification_request::X509CertificationRequest,
    extensions::{GeneralName, ParsedExtension},
    prelude::FromDer as _,
};

use super::host::Host;

/// The largest CSR that is read: one with a hundred names of full length and a large RSA key fits well.
pub const MAX_CSR_OCTETS: usize = 64 * 1024;
/// The most names that are looked at; Let's Encrypt allows a hundred.
pub const MAX_NAMES: usize = 1000;

/// The names of a CSR.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsrNames {
    /// DNS names, normalised, each once, common name included.
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
    #[error("the certificate request is larger than is read")]
    TooLarge,
    /// Neither PEM nor what PEM should hold.
    #[error("spec.request is not a PEM certificate request")]
    Malformed,
}

/// Reads the names from `CertificateRequest.spec.request`: base64 of a PEM.
///
/// # Errors
/// Text that is too large or no CSR.
pub fn names(request: &str) -> Result<CsrNames, CsrError> {
    if request.len() > MAX_CSR_OCTETS {
        return Err(CsrError::TooLarge);
    }
    let pem = base64::engine::general_purpose::STANDARD.decode(request).map_err(|_| CsrError::Malformed)?;
    let (_, pem) = x509_parser::pem::parse_x509_pem(&pem).map_err(|_| CsrError::Malformed)?;
    let (_, csr) = X509CertificationRequest::from_der(&pem.contents).map_err(|_| CsrError::Malformed)?;
    let mut found = CsrNames::default();
    for name in csr.certification_request_info.subject.iter_common_name() {
        // A common name that is no DNS name is a display name.
        if let Some(host) = name.as_str().ok().and_then(|text| Host::parse(text).ok()) {
            found.hosts.push(host);
        }
    }
    let mut count = 0;
    for extension in csr.requested_extensions().into_iter().flatten() {
        let ParsedExtension::SubjectAlternativeName(alternative) = extension else { continue };
        for name in &alternative.general_names {
            count += 1;
            if count > MAX_NAMES {
                return Err(CsrError::TooLarge);
            }
            match name {
                GeneralName::DNSName(text) => match Host::parse(text) {
                    Ok(host) => found.hosts.push(host),
                    Err(_) => found.invalid.push(super::finding::clean(text)),
                },
                _ => found.others = true,
            }
        }
    }
    found.hosts.sort();
    found.hosts.dedup();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(names: &[&str], common_name: Option<&str>) -> String {
        let mut params =
            rcgen::CertificateParams::new(names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>()).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if let Some(name) = common_name {
            params.distinguished_name.push(rcgen::DnType::CommonName, name);
        }
        let key = rcgen::KeyPair::generate().unwrap();
        let pem = params.serialize_request(&key).unwrap().pem().unwrap();
        base64::engine::general_purpose::STANDARD.encode(pem)
    }

    fn texts(found: &CsrNames) -> Vec<&str> {
        found.hosts.iter().map(Host::as_str).collect()
    }

    #[test]
    fn alternative_names_and_a_common_name_that_is_a_host_are_found() {
        let found =
            names(&request(&["b.example.com", "*.example.com", "b.example.com"], Some("a.example.com"))).unwrap();
        assert_eq!(texts(&found), ["*.example.com", "a.example.com", "b.example.com"]);
        assert!(!found.others);
        assert_eq!(texts(&names(&request(&["b.example.com"], Some("My Shop"))).unwrap()), ["b.example.com"]);
    }

    #[test]
    fn addresses_are_names_of_another_kind() {
        let found = names(&request(&["192.0.2.1"], None)).unwrap();
        assert!(found.hosts.is_empty() && found.others);
    }

    #[test]
    fn garbage_is_told_from_names() {
        assert_eq!(names(""), Err(CsrError::Malformed));
        assert_eq!(names("%%%"), Err(CsrError::Malformed));
        assert_eq!(names(&"A".repeat(MAX_CSR_OCTETS + 1)), Err(CsrError::TooLarge));
        let whole = request(&["a.example.com"], None);
        for cut in 0..whole.len() {
            // Never a panic. Only the end of the PEM's last line may be cut off unnoticed.
            assert!(names(&whole[..cut]).is_err() || cut + 40 > whole.len(), "{cut}");
        }
    }
}
