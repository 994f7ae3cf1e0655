use std::sync::{Arc, Mutex};

use axum::{Router, extract::State, routing::post};
use clap::Parser;
use tokio::net::TcpListener;
use tracing_subscriber::layer::SubscriberExt as _;

use super::*;

#[derive(Parser)]
struct Cli {
    #[command(flatten)]
    traces: TraceArgs,
}

fn args(args: &[&str]) -> Result<TraceArgs, clap::Error> {
    Cli::try_parse_from([&["certgate"], args].concat()).map(|cli| cli.traces)
}

#[test]
fn a_collector_is_an_http_address() {
    assert!(args(&["--otlp-endpoint=http://otel:4318/"]).is_ok());
    for wrong in ["otel:4318", "ftp://otel", "http://", "/v1/traces"] {
        let error = args(&[&format!("--otlp-endpoint={wrong}")]).err().unwrap().to_string();
        assert!(error.contains("http://otel-collector:4318") || error.contains("invalid"), "{error}");
    }
}

/// A collector that keeps what it gets.
async fn collector() -> (String, Arc<Mutex<Vec<u8>>>) {
    let got = Arc::new(Mutex::new(Vec::new()));
    let keep = async |State(got): State<Arc<Mutex<Vec<u8>>>>, body: Bytes| got.lock().unwrap().extend_from_slice(&body);
    let routes = Router::new().route("/v1/traces", post(keep)).with_state(got.clone());
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", socket.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(socket, routes).await });
    (address, got)
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_reach_the_collector_and_nothing_else_does() {
    let (address, got) = collector().await;
    let (traces, layer) = args(&[&format!("--otlp-endpoint={address}")]).unwrap().layer().unwrap();
    let subscriber = tracing_subscriber::registry().with(layer);
    tracing::subscriber::with_default(subscriber, || {
        let check =
            tracing::info_span!(target: TARGET, "check", host = "www.example.com", reason = tracing::field::Empty);
        check.record("reason", "DomainNotFound");
        check.in_scope(|| tracing::info_span!(target: TARGET, "dns question").in_scope(|| {}));
        drop(check);
        tracing::info_span!("of another target").in_scope(|| {});
    });
    tokio::task::spawn_blocking(|| drop(traces)).await.unwrap();
    let got = got.lock().unwrap().clone();
    let has = |text: &str| got.windows(text.len()).any(|window| window == text.as_bytes());
    for text in ["certgate", "check", "dns question", "www.example.com", "DomainNotFound"] {
        assert!(has(text), "{text} did not arrive in {} octets", got.len());
    }
    assert!(!has("of another target"));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_collector_a_span_is_not_even_made() {
    let (_, layer) = args(&[]).unwrap().layer::<tracing_subscriber::Registry>().unwrap();
    assert!(layer.is_none());
    // The filter that is in force where RUST_LOG does not say.
    let log = tracing_subscriber::fmt::layer().with_filter(super::super::log::default_filter());
    let subscriber = tracing_subscriber::registry().with(log);
    tracing::subscriber::with_default(subscriber, || {
        assert!(tracing::info_span!(target: TARGET, "check").is_disabled());
        assert!(!tracing::info_span!(target: "certgate::cluster", "ours").is_disabled());
    });
}
