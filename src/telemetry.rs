//! Logs and metrics.

pub mod dns;
pub mod log;
pub mod metrics;
pub mod sample;
