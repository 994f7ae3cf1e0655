//! What the approval gate is worth, and what it costs, on the real API server, cert-manager and ACME server.
//!
//! `cargo bench --bench gate` prints the tables and writes the sections "The gate: …" of docs/benchmarks.md. Arguments
//! choose parts: `dead` (dead hosts beside good ones, with certgate and without) and `held` (what held requests cost);
//! `--within N` bounds the wait for a good host in seconds, `--held N` says how many requests are held.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on ends"
)]

#[path = "../../tests/support/cluster.rs"]
#[allow(dead_code, reason = "each measurement uses its part of it")]
mod cluster;
mod dead;
mod held;
#[path = "../serving/report.rs"]
#[allow(dead_code, reason = "its tables are made otherwise")]
mod report;

use std::time::Duration;

use anyhow::{Result, bail};
use report::Section;

const DEAD: Section = Section {
    title: "The gate: dead hosts beside good ones",
    command: "cargo bench --bench gate -- dead",
    about: "On the real API server, cert-manager, Pebble and DNS as plain processes.",
};
const HELD: Section = Section {
    title: "The gate: held requests",
    command: "cargo bench --bench gate -- held",
    about: "On the real API server, cert-manager, Pebble and DNS as plain processes.",
};

/// What to measure, and how much.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts of the measurement; none: all.
    parts: Vec<String>,
    /// How long a good host is waited for.
    within: Duration,
    /// How many requests are held.
    held: usize,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let mut options = Options { parts: Vec::new(), within: Duration::from_secs(120), held: 10_000 };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--within" => options.within = Duration::from_secs(number(arguments.next())?),
            "--held" => options.held = usize::try_from(number(arguments.next())?)?,
            part @ ("dead" | "held") => options.parts.push(part.to_owned()),
            other => bail!("{other}: unknown; give dead, held, --within SECONDS, --held N"),
        }
    }
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|wanted| wanted == part);
    if wanted("dead") {
        DEAD.put(&dead::measure(&options).await?)?;
    }
    if wanted("held") {
        HELD.put(&held::measure(&options).await?)?;
    }
    Ok(())
}

fn number(text: Option<String>) -> Result<u64> {
    match text.and_then(|text| text.parse().ok()) {
        Some(number) => Ok(number),
        None => bail!("a number is missing"),
    }
}
