//! Starts real Kubernetes, cert-manager, ACME and DNS as plain processes.

pub mod address;
pub mod dns;
pub mod parts;
pub mod pki;
pub mod process;
mod wait;

pub use wait::wait_for;
