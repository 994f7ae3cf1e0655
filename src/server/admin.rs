//! The admin server: `/healthz`, `/readyz` and `/metrics`, in the clear, for
//! the kubelet and Prometheus. Nothing here is on the path of a review.

use std::{fmt::Write as _, sync::Arc};

use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use http::header::CONTENT_TYPE;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::net::TcpListener;

use super::{
    house::Guarded,
    readiness::Readiness,
    seats::Bounds,
    shutdown::{Phase, Shutdown},
};

/// What `/metrics` is written in.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most connections: the kubelet and Prometheus need one each, and whoever else comes takes none of the webhook's
/// file descriptors.
const CONNECTIONS: usize = 64;

/// What the admin server tells of.
pub struct Admin {
    readiness: Readiness,
    registry: Registry,
    shutdown: Shutdown,
}

// === impl Admin ===

impl Admin {
    /// Tells of these. A process that is leaving is not ready, whatever else holds.
    pub fn new(readiness: Readiness, registry: Registry, shutdown: Shutdown) -> Arc<Self> {
        Arc::new(Self { readiness, registry, shutdown })
    }

    /// The routes.
    pub fn router(self: Arc<Self>) -> Router {
        Router::new()
            .route("/healthz", get(|| async { "ok\n" }))
            .route("/readyz", get(readyz))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    /// Serves until the process ends.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn serve(self: Arc<Self>, socket: TcpListener) -> std::io::Result<()> {
        let bounds = Bounds { all: CONNECTIONS, unanswered: CONNECTIONS / 2 };
        axum::serve(Guarded::new(socket, bounds), self.router()).await
    }
}

async fn readyz(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let mut missing = admin.readiness.missing();
    if admin.shutdown.phase() != Phase::Running {
        missing.push("shutting down".to_owned());
    }
    let (status, head) = if missing.is_empty() {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not ready:\n")
    };
    let mut body = head.to_owned();
    for line in missing.into_iter().chain(admin.readiness.remarks()) {
        body.push_str(&line);
        body.push('\n');
    }
    (status, body)
}

async fn metrics(State(admin): State<Arc<Admin>>) -> impl IntoResponse {
    let mut body = String::with_capacity(8 * 1024);
    let status = match encode(&mut body, &admin.registry) {
        Ok(()) => StatusCode::OK,
        Err(error) => {
            body.clear();
            let _ = writeln!(body, "metrics cannot be written: {error}");
            StatusCode::INTERNAL_SERVER_ERROR
        }
    };
    (status, [(CONTENT_TYPE, OPEN_METRICS)], body)
}

#[cfg(test)]
mod tests;
