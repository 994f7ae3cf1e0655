//! Structured logs on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

/// What is logged where `RUST_LOG` does not say: our own words, and others' warnings. kube's client logs every
/// failed request as an error of its own; who asked says the same again, and what is done about it.
const DEFAULT_FILTER: &str = "warn,certgate=info,kube_client::client::builder=off";

/// The form of the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `RUST_LOG` is no filter.
    #[error("RUST_LOG: {0}; write for example RUST_LOG=certgate=debug")]
    Filter(String),
}

/// Begins to log. A second call, as tests make it, changes nothing.
///
/// # Errors
/// `RUST_LOG` is no filter.
pub fn init(format: LogFormat) -> Result<(), LogError> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.trim().is_empty() => {
            EnvFilter::try_new(&text).map_err(|error| LogError::Filter(error.to_string()))?
        }
        _ => EnvFilter::new(DEFAULT_FILTER),
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    // An error means that a subscriber is there already.
    let _ = match format {
        LogFormat::Text => registry.with(layer.with_ansi(std::io::stderr().is_terminal())).try_init(),
        LogFormat::Json => registry.with(layer.json().flatten_event(true)).try_init(),
    };
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_filter_is_one_and_silences_what_is_said_twice() {
        let filter = EnvFilter::try_new(DEFAULT_FILTER).unwrap();
        let text = filter.to_string();
        for directive in ["warn", "certgate=info", "kube_client::client::builder=off"] {
            assert!(text.split(',').any(|part| part == directive), "{text}");
        }
    }
}
