//! certgate: automatic HTTPS certificates for applications on Rainbond.
//!
//! A mutating webhook adds cert-manager's annotation and a TLS section to the
//! Ingresses of flagged hosts, once a controller has proved that the CA will be
//! able to validate them. One pure function, [`core::decide`], is asked by
//! both and by the command line. ARCHITECTURE.md maps the tree.

pub mod admission;
pub mod api;
pub mod apiserver;
pub mod cleanup;
pub mod cli;
pub mod cluster;
pub mod config;
pub mod core;
pub mod dns;
pub mod doctor;
pub mod explain;
pub mod page;
pub mod pki;
pub mod reach;
pub mod server;
pub mod status;
pub mod telemetry;
