//! Which addresses a lab has.
//!
//! Lab `n` owns 127.50.n.0/24 and, for the cluster's Services, 127.51.n.0/24. All of its servers use fixed ports, so labs
//! run side by side as long as their numbers differ; a locked file for each number sees to that.

use std::env;
use std::fs::{File, TryLockError};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context, Result, bail};

const NUMBERS: std::ops::RangeInclusive<u8> = 1..=250;
/// Ports that tell whether something that knows nothing of our lock files uses an address.
const PROBED_PORTS: [u16; 3] = [53, 2379, 6443];

/// A lab's number, held until this and all clones of its lock are closed.
#[derive(Debug)]
pub struct LabAddress {
    number: u8,
    lock: File,
}

impl LabAddress {
    /// Takes the first number that is free on this machine.
    pub fn take() -> Result<Self> {
        for number in NUMBERS {
            let path = env::temp_dir().join(format!("certgate-lab-{number}.lock"));
            // A file of another user is a number of another user.
            let Ok(lock) = File::options().write(true).create(true).truncate(false).open(&path) else { continue };
            match lock.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(error)) => return Err(error).context(format!("lock {}", path.display())),
            }
            let address = Self { number, lock };
            if address.is_unused()? {
                return Ok(address);
            }
        }
        bail!("all {} lab numbers are taken", NUMBERS.len());
    }

    fn is_unused(&self) -> Result<bool> {
        for port in PROBED_PORTS {
            match TcpListener::bind((self.ip(), port)) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => return Ok(false),
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                    return Err(error).context(format!(
                        "port {port} needs root, or sysctl net.ipv4.ip_unprivileged_port_start={port}"
                    ));
                }
                Err(error) => return Err(error).context(format!("bind {}:{port}", self.ip())),
            }
        }
        Ok(true)
    }

    /// The number.
    pub fn number(&self) -> u8 {
        self.number
    }

    /// The address of everything but replicas.
    pub fn ip(&self) -> Ipv4Addr {
        self.nth(1)
    }

    /// Another address of the lab.
    pub fn nth(&self, last: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, 50, self.number, last)
    }

    /// Where Services get their cluster IPs.
    pub fn service_cidr(&self) -> String {
        format!("127.51.{}.0/24", self.number)
    }

    /// The domain for names of the tests' own; none of them exists until the DNS server is told.
    pub fn domain(&self) -> String {
        format!("lab{}.test", self.number)
    }

    /// A copy for a child: as long as it is open somewhere, the number stays taken.
    pub(crate) fn lock(&self) -> Result<File> {
        Ok(self.lock.try_clone()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_taken_once() -> Result<()> {
        let (a, b) = (LabAddress::take()?, LabAddress::take()?);
        assert_ne!(a.number(), b.number());
        assert_ne!(a.ip(), b.ip());
        let free = a.number();
        let held = a.lock()?;
        drop(a);
        assert!(NUMBERS.clone().take(20).all(|_| LabAddress::take().is_ok_and(|l| l.number() != free)));
        drop(held);
        Ok(())
    }
}
