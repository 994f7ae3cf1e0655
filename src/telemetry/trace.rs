//! Traces by OTLP (protobuf over HTTP), where they are asked for. Spans are of a
//! target of their own that no log filter of ours lets through: without a
//! collector each costs a look at one flag.

use std::{pin::Pin, time::Duration};

use bytes::Bytes;
use clap::Args;
use http::{Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing_subscriber::{Layer, filter::Targets, registry::LookupSpan};

/// The target of all spans.
pub const TARGET: &str = "otel";
/// How long the collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the last spans may take when the process ends.
const LAST_PATIENCE: Duration = Duration::from_secs(2);
/// The most of an answer that is read.
const MAX_ANSWER: usize = 64 * 1024;

/// Whether traces are made.
#[derive(Clone, Debug, Default, Args)]
pub struct TraceArgs {
    /// Send traces to this OpenTelemetry collector (OTLP, protobuf over HTTP), as in http://otel-collector:4318; unset,
    /// none are made. How many is said by OTEL_TRACES_SAMPLER.
    #[arg(long, value_name = "URL", env = "OTEL_EXPORTER_OTLP_ENDPOINT", value_parser = endpoint)]
    otlp_endpoint: Option<Uri>,
}

/// Why traces cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// The system's roots of trust.
    #[error("the system's CA certificates cannot be read, which a collector at https needs: {0}")]
    Roots(std::io::Error),
    /// The exporter.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
}

/// Keeps traces flowing; the last ones are sent when it is dropped.
#[derive(Debug, Default)]
pub struct Traces(Option<SdkTracerProvider>);

fn endpoint(text: &str) -> Result<Uri, String> {
    let wrong = "give the collector's address as in http://otel-collector:4318";
    let uri: Uri = text.trim_end_matches('/').parse().map_err(|error| format!("{error}; {wrong}"))?;
    match (uri.scheme_str(), uri.host()) {
        (Some("http" | "https"), Some(_)) => Ok(uri),
        _ => Err(wrong.to_owned()),
    }
}

// === impl TraceArgs ===

impl TraceArgs {
    /// The layer that makes traces, if they are asked for. Belongs to the runtime that it is called in.
    ///
    /// # Errors
    /// They cannot be sent.
    pub(super) fn layer<S>(&self) -> Result<(Traces, Option<impl Layer<S> + use<S>>), TraceError>
    where
        S: tracing::Subscriber + for<'span> LookupSpan<'span> + Send + Sync,
    {
        let Some(endpoint) = &self.otlp_endpoint else { return Ok((Traces::default(), None)) };
        let exporter = opentelemetry_otlp::SpanExporter::builder()
            .with_http()
            .with_http_client(Collector::new()?)
            .with_endpoint(format!("{}/v1/traces", endpoint.to_string().trim_end_matches('/')))
            .with_timeout(PATIENCE)
            .build()?;
        let resource = Resource::builder().with_service_name("certgate").build();
        let provider = SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("certgate"));
        let layer = layer.with_filter(Targets::new().with_target(TARGET, tracing::Level::INFO));
        Ok((Traces(Some(provider)), Some(layer)))
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Some(provider) = &self.0 {
            // Too late to tell anybody.
            let _ = provider.shutdown_with_timeout(LAST_PATIENCE);
        }
    }
}

/// The way to the collector. The exporter has a thread of its own; what is sent is sent by our runtime.
#[derive(Clone, Debug)]
struct Collector {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    runtime: Handle,
}

// === impl Collector ===

impl Collector {
    fn new() -> Result<Self, TraceError> {
        let provider = rustls::crypto::aws_lc_rs::default_provider();
        let connector = HttpsConnectorBuilder::new()
            .with_provider_and_native_roots(provider)
            .map_err(TraceError::Roots)?
            .https_or_http()
            .enable_http1()
            .build();
        Ok(Self { client: Client::builder(TokioExecutor::new()).build(connector), runtime: Handle::current() })
    }
}

impl HttpClient for Collector {
    fn send_bytes<'c, 'f>(
        &'c self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'c: 'f,
        Self: 'f,
    {
        let client = self.client.clone();
        let sent = self.runtime.spawn(async move {
            let exchange = async move {
                let (head, body) = client.request(request.map(Full::new)).await?.into_parts();
                let body = Limited::new(body, MAX_ANSWER).collect().await?.to_bytes();
                Ok::<_, HttpError>(Response::from_parts(head, body))
            };
            tokio::time::timeout(PATIENCE, exchange).await?
        });
        Box::pin(async move { sent.await? })
    }
}

#[cfg(test)]
mod tests;
