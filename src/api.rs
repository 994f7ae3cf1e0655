//! The Kubernetes objects that certgate defines.

pub mod domain;
pub mod verified_hosts;
