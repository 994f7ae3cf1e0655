//! `certgate schema`: the JSON schema of the policy file, for editors and CI.

use std::{io::Write as _, process::ExitCode};

/// Print the JSON schema of the policy file.
#[derive(Debug, clap::Args)]
pub struct SchemaArgs {}

/// Why the schema cannot be printed.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// It cannot be put into JSON.
    #[error("cannot write the schema as JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// It cannot be written.
    #[error("cannot print the schema: {0}")]
    Print(#[from] std::io::Error),
}

/// Prints it.
///
/// # Errors
/// Standard output is closed.
pub fn run(_: &SchemaArgs) -> Result<ExitCode, SchemaError> {
    let schema = serde_json::to_string_pretty(&crate::config::schema())?;
    writeln!(anstream::stdout(), "{schema}")?;
    Ok(ExitCode::SUCCESS)
}
