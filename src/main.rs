//! The `certgate` command.

use std::{error::Error, io::Write as _, process::ExitCode};

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

/// An error and its causes, as far as it does not tell them itself.
fn in_one_line(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = inner.source();
    }
    line.replace('\n', " ")
}
