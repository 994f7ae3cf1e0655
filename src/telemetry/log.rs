//! Structured logs on standard error.

use std::io::IsTerminal as _;

use clap::ValueEnum;
use tracing_subscriber::{
    EnvFilter, Layer, fmt::MakeWriter, layer::SubscriberExt as _, registry::LookupSpan, util::SubscriberInitExt as _,
};

use super::trace::{TraceArgs, TraceError, Traces};

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
    /// Traces.
    #[error(transparent)]
    Traces(#[from] TraceError),
}

/// Begins to log, and to trace where that is asked for. A second call, as tests make it, changes nothing.
///
/// # Errors
/// `RUST_LOG` is no filter; traces cannot be sent.
pub fn init(format: LogFormat, traces: &TraceArgs) -> Result<Traces, LogError> {
    let filter = match std::env::var(EnvFilter::DEFAULT_ENV) {
        Ok(text) if !text.trim().is_empty() => {
            EnvFilter::try_new(&text).map_err(|error| LogError::Filter(error.to_string()))?
        }
        _ => default_filter(),
    };
    let log = layer(format, std::io::stderr, std::io::stderr().is_terminal());
    let (guard, traces) = traces.layer()?;
    let registry = tracing_subscriber::registry().with(log.with_filter(filter));
    // An error means that a subscriber is there already. An absent layer beside the log's would want every span.
    let _ = match traces {
        Some(traces) => registry.with(traces).try_init(),
        None => registry.try_init(),
    };
    Ok(guard)
}

/// The filter where `RUST_LOG` does not say.
pub(super) fn default_filter() -> EnvFilter {
    EnvFilter::new(DEFAULT_FILTER)
}

fn layer<S, W>(format: LogFormat, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'span> LookupSpan<'span>,
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer);
    match format {
        LogFormat::Text => layer.with_ansi(colours).boxed(),
        LogFormat::Json => layer.json().flatten_event(true).boxed(),
    }
}

/// For tests: what is logged while something is done.
#[cfg(test)]
pub(crate) fn captured(format: LogFormat, filter: EnvFilter, done: impl FnOnce()) -> String {
    use std::{
        io::{Read as _, Seek as _},
        sync::Arc,
    };

    let kept = Arc::new(tempfile::tempfile().unwrap());
    let log = layer(format, kept.clone(), false).with_filter(filter);
    tracing::subscriber::with_default(tracing_subscriber::registry().with(log), done);
    let mut text = String::new();
    (&*kept).rewind().unwrap();
    (&*kept).read_to_string(&mut text).unwrap();
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn logged(format: LogFormat) -> String {
        captured(format, default_filter(), || {
            tracing::info!(
                namespace = "team-a",
                ingress = "web",
                host = "www.example.com",
                reason = "Issued",
                "host changed"
            );
            tracing::debug!("too much");
        })
    }

    #[test]
    fn a_change_is_one_line_with_all_that_one_searches_for() {
        let text = logged(LogFormat::Text);
        assert_eq!(text.lines().count(), 1);
        assert!(text.contains("INFO"), "{text}");
        for word in
            ["host changed", "namespace=\"team-a\"", "ingress=\"web\"", "host=\"www.example.com\"", "reason=\"Issued\""]
        {
            assert!(text.contains(word), "{word} not in {text}");
        }
        let line: serde_json::Value = serde_json::from_str(&logged(LogFormat::Json)).unwrap();
        assert_eq!((&line["level"], &line["message"]), (&"INFO".into(), &"host changed".into()));
        assert_eq!((&line["host"], &line["reason"]), (&"www.example.com".into(), &"Issued".into()));
        assert_eq!((&line["namespace"], &line["ingress"]), (&"team-a".into(), &"web".into()));
    }

    #[test]
    fn the_default_filter_is_one_and_silences_what_is_said_twice() {
        let filter = EnvFilter::try_new(DEFAULT_FILTER).unwrap();
        let text = filter.to_string();
        for directive in ["warn", "certgate=info", "kube_client::client::builder=off"] {
            assert!(text.split(',').any(|part| part == directive), "{text}");
        }
    }
}
