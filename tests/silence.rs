//! What happens when the API server goes silent: connections stay open, and nothing comes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test may end by panicking"
)]

#[path = "support/cluster.rs"]
#[allow(dead_code, reason = "each test binary uses its part of it")]
mod cluster;

#[path = "silence/audit.rs"]
mod audit;
#[path = "silence/commands.rs"]
mod commands;
#[path = "silence/leaders.rs"]
mod leaders;
#[path = "silence/webhook.rs"]
mod webhook;

use anyhow::Result;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What a replica's admin port says.
async fn page(address: std::net::Ipv4Addr, path: &str) -> Result<String> {
    let mut socket = tokio::net::TcpStream::connect((address, 8080)).await?;
    socket.write_all(format!("GET {path} HTTP/1.1\r\nHost: page\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    let mut said = String::new();
    socket.read_to_string(&mut said).await?;
    Ok(said)
}
