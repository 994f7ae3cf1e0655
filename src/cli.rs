//! The command line: one file per sub-command.

pub mod explain;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Automatic HTTPS certificates for applications on Rainbond: looks before it orders.
#[derive(Debug, Parser)]
#[command(name = "certgate", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Explain(explain::ExplainArgs),
}

/// Runs the sub-command.
///
/// # Errors
/// Unusable input or configuration, in one line that says what and how to mend it.
pub fn run(cli: Cli) -> Result<ExitCode, Box<dyn std::error::Error>> {
    match cli.command {
        Command::Explain(args) => Ok(explain::run(&args)?),
    }
}
