//! Tenants with every right in their own namespace who mean no good, on a real API server.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on fails"
)]

#[path = "hostile/claims.rs"]
mod claims;
#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;
#[path = "hostile/gate.rs"]
mod gate;
#[path = "hostile/neighbours.rs"]
mod neighbours;
#[path = "hostile/unreadable.rs"]
mod unreadable;
