//! What an admission review costs: certgate beside the least that an answer can
//! cost (hyper and rustls, nothing else) and beside the same mutation in Go's
//! standard framework, in turn on one pinned core, from the same bodies.
//!
//! `cargo bench --bench serving` prints the tables and writes docs/benchmarks.md.
//! Arguments choose parts: `cluster`, `controller`, `serving`, `hostile`, `memory`; `--seconds N`, `--rounds N` and
//! `--bodies N` how long and how much.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub,
    reason = "a measurement that cannot go on ends"
)]

mod apiserver;
mod bodies;
mod cluster;
mod contender;
mod controller;
mod floor;
mod hostile;
mod load;
mod memory;
mod report;
mod serving;

use std::time::Duration;

use anyhow::{Result, bail};

/// What to measure, and for how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Parts of the measurement; none: all.
    parts: Vec<String>,
    /// Seconds of load in each round.
    seconds: Duration,
    /// Rounds, of whose figures the median counts.
    rounds: usize,
    /// How many of the bodies, the smallest first.
    bodies: usize,
}

fn main() -> Result<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench").peekable();
    if arguments.peek().is_some_and(|argument| argument == floor::ARGUMENT) {
        return floor::run(&arguments.skip(1).collect::<Vec<_>>());
    }
    let mut options = Options { parts: Vec::new(), seconds: Duration::from_millis(700), rounds: 7, bodies: 3 };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => options.seconds = Duration::from_secs_f64(next(&mut arguments)?),
            "--rounds" => options.rounds = next(&mut arguments)?,
            "--bodies" => options.bodies = next(&mut arguments)?,
            part @ ("serving" | "hostile" | "memory" | "cluster" | "controller") => options.parts.push(part.to_owned()),
            other => {
                bail!(
                    "{other}: unknown; give cluster, controller, serving, hostile, memory, --seconds N, --rounds N, --bodies N"
                )
            }
        }
    }
    let wanted = |part: &str| options.parts.is_empty() || options.parts.iter().any(|wanted| wanted == part);
    if wanted("cluster") {
        // First, while this process may still run on every core.
        cluster::measure(&options)?;
    }
    if wanted("controller") {
        controller::measure()?;
    }
    contender::pin_this_process();
    if wanted("serving") {
        serving::measure(&options)?;
    }
    if wanted("hostile") {
        hostile::measure(&options)?;
    }
    if wanted("memory") {
        memory::measure()?;
    }
    Ok(())
}

fn next<T: std::str::FromStr>(arguments: &mut impl Iterator<Item = String>) -> Result<T> {
    match arguments.next().and_then(|text| text.parse().ok()) {
        Some(value) => Ok(value),
        None => bail!("a number is missing"),
    }
}

/// A runtime on the core that is left to the load.
pub fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?)
}
