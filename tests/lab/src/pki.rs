//! The lab's certificate authority and the keys of its servers.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A certificate authority that signs servers' certificates.
#[derive(Debug)]
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate with its key, both as PEM.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The certificate.
    pub certificate: String,
    /// Its private key, PKCS #8.
    pub key: String,
}

impl Authority {
    /// Makes a new one.
    pub fn new(common_name: &str) -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    /// Its certificate.
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A server's certificate for some addresses and names.
    pub fn leaf(&self, common_name: &str, addresses: &[IpAddr], names: &[&str]) -> Result<Leaf> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        for address in addresses {
            params.subject_alt_names.push(SanType::IpAddress(*address));
        }
        for name in names {
            params.subject_alt_names.push(SanType::DnsName((*name).try_into()?));
        }
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        Ok(Leaf { certificate: certificate.pem(), key: key.serialize_pem() })
    }
}

impl Leaf {
    /// Writes `NAME.crt` and `NAME.key`.
    pub fn write(&self, directory: &Path, name: &str) -> Result<()> {
        write_private(&directory.join(format!("{name}.key")), &self.key)?;
        fs::write(directory.join(format!("{name}.crt")), &self.certificate)?;
        Ok(())
    }
}

/// Writes `NAME.key` and `NAME.pub`: what service account tokens are signed with.
pub fn write_signing_key(directory: &Path, name: &str) -> Result<()> {
    let key = KeyPair::generate()?;
    write_private(&directory.join(format!("{name}.key")), &key.serialize_pem())?;
    fs::write(directory.join(format!("{name}.pub")), key.public_key_pem())?;
    Ok(())
}

fn write_private(path: &Path, text: &str) -> Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let mut file = (fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path))
        .with_context(|| format!("write {}", path.display()))?;
    Ok(file.write_all(text.as_bytes())?)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;
    use std::sync::Arc;

    use rustls::client::WebPkiServerVerifier;
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName, UnixTime};

    use super::*;

    #[test]
    fn leaves_verify_for_their_names_only() -> Result<()> {
        let authority = Authority::new("lab")?;
        let leaf = authority.leaf("server", &[IpAddr::V4(Ipv4Addr::LOCALHOST)], &["svc.ns.svc"])?;
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes())?)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build()?;
        let der = CertificateDer::from_pem_slice(leaf.certificate.as_bytes())?;
        for (name, ok) in [("127.0.0.1", true), ("svc.ns.svc", true), ("other.ns.svc", false), ("127.0.0.2", false)] {
            let name = ServerName::try_from(name)?;
            let verified = rustls::client::danger::ServerCertVerifier::verify_server_cert(
                verifier.as_ref(),
                &der,
                &[],
                &name,
                &[],
                UnixTime::now(),
            );
            assert_eq!(verified.is_ok(), ok, "{name:?}");
        }
        Ok(())
    }

    #[test]
    fn private_keys_are_private() -> Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir()?;
        write_signing_key(directory.path(), "sa")?;
        let mode = fs::metadata(directory.path().join("sa.key"))?.permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(fs::read_to_string(directory.path().join("sa.pub"))?.contains("BEGIN PUBLIC KEY"));
        Ok(())
    }
}
