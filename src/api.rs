//! The Kubernetes objects that certgate defines, and those of others reduced to what it reads.

pub mod domain;
pub mod lenient;
pub mod list;
pub mod partial;
pub mod read;
pub mod verified_hosts;
