//! Builds the lab's programs ahead of the first test: `lab-parts [PART…]`, all of them without arguments.

use anyhow::Result;
use certgate_lab::parts::{Part, Parts};
use clap::Parser;

/// Builds the programs that the test lab runs, as far as the cache does not have them.
#[derive(Parser)]
struct Arguments {
    /// What to build; everything when nothing is named.
    #[arg(value_parser = parse_part)]
    parts: Vec<Part>,
}

fn parse_part(name: &str) -> Result<Part, String> {
    let known: Vec<&str> = Part::ALL.iter().map(|part| part.name()).collect();
    Part::from_name(name).ok_or_else(|| format!("known parts are {}", known.join(", ")))
}

fn main() -> Result<()> {
    let Arguments { parts } = Arguments::parse();
    Parts::ensure(if parts.is_empty() { &Part::ALL } else { &parts })?;
    Ok(())
}
