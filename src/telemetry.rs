//! Logs, metrics and traces.

pub mod dns;
pub mod log;
pub mod metrics;
pub mod sample;
pub mod trace;
