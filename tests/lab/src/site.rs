//! Where a lab is: what its parts need to know to be started.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Result, bail};

use crate::access::{ADMIN_TOKEN, ClusterAccess, Identity};
use crate::address::LabAddress;
use crate::fetch::{Trust, fetch};
use crate::parts::Parts;
use crate::pki::{Authority, write_signing_key};
use crate::process::Processes;

/// Addresses, files, programs and processes of one lab.
pub(crate) struct Site {
    pub(crate) address: LabAddress,
    pub(crate) directory: PathBuf,
    pub(crate) parts: Parts,
    pub(crate) processes: Arc<Processes>,
    pub(crate) access: ClusterAccess,
    /// Trusts the lab's own authority.
    pub(crate) trust: Trust,
    pub(crate) authority: String,
}

impl Site {
    /// Makes the directory with all keys in it, and starts nothing.
    pub(crate) fn prepare(address: LabAddress, parts: Parts) -> Result<Self> {
        let prefix = format!("certgate-lab-{}-", address.number());
        let directory = tempfile::Builder::new().prefix(&prefix).tempdir()?.keep();
        let processes = Arc::new(Processes::new(directory.clone())?);
        let pki = directory.join("pki");
        fs::create_dir(&pki)?;
        let authority = Authority::new(&format!("lab {}", address.number()))?;
        fs::write(pki.join("ca.crt"), authority.pem())?;
        let addresses = [IpAddr::V4(address.ip())];
        authority.leaf("apiserver", &addresses, &["kubernetes.default.svc", "localhost"])?.write(&pki, "apiserver")?;
        authority.leaf("pebble", &addresses, &["localhost"])?.write(&pki, "pebble")?;
        write_signing_key(&pki, "sa")?;
        fs::write(directory.join("tokens.csv"), format!("{ADMIN_TOKEN},admin,1,\"system:masters\"\n"))?;
        let access = ClusterAccess::new(address.ip(), authority.pem());
        access.write_kubeconfig(&directory.join("kubeconfig"), &Identity::Admin)?;
        let trust = Trust::roots(&authority.pem())?;
        Ok(Self { address, directory, parts, processes, access, trust, authority: authority.pem() })
    }

    pub(crate) fn kubeconfig(&self) -> PathBuf {
        self.directory.join("kubeconfig")
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> String {
        self.directory.join(name).display().to_string()
    }

    pub(crate) fn socket(&self, port: u16) -> SocketAddr {
        SocketAddr::new(IpAddr::V4(self.address.ip()), port)
    }

    /// Whether a server of the lab answers 200.
    pub(crate) async fn answers(&self, port: u16, path: &str, tls: bool, headers: &[Header]) -> Result<bool> {
        let host = self.address.ip().to_string();
        let trust = tls.then_some(&self.trust);
        let answer = fetch(self.socket(port), &host, path, trust, headers).await?;
        if answer.status != 200 {
            bail!("{path} answers {}: {}", answer.status, answer.body.trim());
        }
        Ok(true)
    }
}

pub(crate) type Header = (hyper::header::HeaderName, String);
