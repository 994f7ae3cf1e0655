//! A CA that takes every account and no order: one directory says that a limit
//! is reached, the other that it is out of service.

use std::net::SocketAddr;

use anyhow::Result;
use axum::{
    Router,
    extract::{Path, State},
    http::{HeaderValue, StatusCode},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::json;
use tokio::net::TcpListener;

/// Its limit, as Let's Encrypt words it.
pub(crate) const LIMIT: &str =
    "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s";

/// Starts one, and returns the address below which are the directories `limited` and `broken`.
pub(crate) async fn start() -> Result<String> {
    let socket = TcpListener::bind("127.0.0.1:0").await?;
    let address = socket.local_addr()?;
    let routes = Router::new()
        .route("/{kind}/directory", get(directory))
        .route("/{kind}/nonce", get(async || answer(StatusCode::OK, "")))
        .route("/{kind}/account", post(account))
        .route("/{kind}/account/1", post(account))
        .route("/{kind}/order", post(order))
        .with_state(address);
    tokio::spawn(async move { axum::serve(socket, routes).await });
    Ok(format!("http://{address}"))
}

/// Every answer brings a nonce (RFC 8555 §6.5).
fn answer(status: StatusCode, body: impl IntoResponse) -> Response {
    let nonce = format!("{:032x}", fastrand::u128(..));
    (status, [("replay-nonce", nonce.as_str()), ("cache-control", "no-store")], body).into_response()
}

async fn directory(State(address): State<SocketAddr>, Path(kind): Path<String>) -> Response {
    let at = |what: &str| format!("http://{address}/{kind}/{what}");
    answer(
        StatusCode::OK,
        json!({
            "newNonce": at("nonce"), "newAccount": at("account"), "newOrder": at("order"),
            "revokeCert": at("revoke"), "keyChange": at("key"), "meta": {},
        })
        .to_string(),
    )
}

async fn account(State(address): State<SocketAddr>, Path(kind): Path<String>) -> Response {
    let mut created = answer(StatusCode::CREATED, json!({"status": "valid"}).to_string());
    if let Ok(location) = format!("http://{address}/{kind}/account/1").parse() {
        created.headers_mut().insert("location", location);
    }
    created
}

async fn order(Path(kind): Path<String>) -> Response {
    let (status, problem, detail) = match kind.as_str() {
        "limited" => (
            StatusCode::TOO_MANY_REQUESTS,
            "rateLimited",
            format!(
                "Error creating new order :: {LIMIT}, retry after 2030-11-25 13:37:01 UTC: see https://letsencrypt.org/docs/rate-limits/"
            ),
        ),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "serverInternal", "Service busy; retry later.".to_owned()),
    };
    let body =
        json!({"type": format!("urn:ietf:params:acme:error:{problem}"), "detail": detail, "status": status.as_u16()});
    let mut refused = answer(status, body.to_string());
    refused.headers_mut().insert("retry-after", HeaderValue::from_static("3600"));
    refused
}
