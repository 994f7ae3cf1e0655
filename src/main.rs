//! The `certgate` command.

use std::{io::Write as _, process::ExitCode};

use certgate::core::finding::in_one_line;
use clap::Parser as _;

fn main() -> ExitCode {
    match certgate::cli::run(certgate::cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) => {
            // A message is all that is left to give; if even that fails, the code still tells.
            let _ = writeln!(std::io::stderr(), "certgate: {}", in_one_line(&*error));
            ExitCode::from(2)
        }
    }
}
