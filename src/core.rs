//! The decision, pure: from an Ingress, what is known of its hosts, and policy,
//! to what to do and why.
//!
//! Nothing in here knows of kube clients, tokio, sockets, files, clocks or
//! logs. Functions are total: hostile input makes a reason, never a panic and
//! never an error. Time is an argument.

pub mod approval;
pub mod caa;
pub mod certified;
pub mod console;
pub mod csr;
pub mod decide;
pub mod decision;
pub mod finding;
pub mod host;
pub mod ingress;
pub mod issuance;
pub mod issuer;
pub mod knowledge;
pub mod lease;
pub mod limits;
pub mod names;
pub mod patch;
pub mod plain_run;
pub mod policy;
pub mod rainbond;
pub mod reason;
pub mod reconcile;
pub mod record;
pub mod schedule;
pub mod settings;
pub mod shim;
pub mod text;
pub mod turns;
pub mod verdict;
