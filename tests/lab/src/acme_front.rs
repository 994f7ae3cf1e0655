//! A front before Pebble that enforces limits as Let's Encrypt's API does: Pebble itself has none.
//!
//! It passes on what it takes, byte for byte and with the Host header as it came, so that Pebble makes and checks URLs that
//! lead through here. What it has to know it reads from the requests (their payloads are not secret) and from Pebble's answers.

mod limits;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, bail};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use self::limits::Counted;
pub use self::limits::{AcmeLimits, Limit, Refused};
use crate::fetch::{Fetched, Trust, send};
use crate::gateway::accepted;
use crate::lab::Core;
use crate::pebble::Pebble;
use crate::site::Site;

const PORT: u16 = 14001;
/// Larger than any request of an ACME client.
const MAX_BODY: usize = 1 << 20;

/// What the front has counted so far.
#[derive(Clone, Debug, Default)]
pub struct Totals {
    /// Orders that it passed on and Pebble took.
    pub orders: usize,
    /// Certificates that were issued.
    pub certificates: usize,
    /// What it refused, with status 429.
    pub refused: Vec<Refused>,
    /// Certificates that were issued beyond a limit, as orders made at once can be.
    pub beyond: usize,
}

/// The front of a lab.
pub struct AcmeFront {
    core: Arc<Core>,
    shared: Arc<Shared>,
}

struct Shared {
    /// Pebble itself.
    behind: SocketAddr,
    host: String,
    trust: Trust,
    /// The path of newOrder.
    new_order: String,
    counted: Mutex<Counted>,
}

// === impl AcmeFront ===

impl AcmeFront {
    pub(crate) async fn start(core: &Arc<Core>, limits: AcmeLimits) -> Result<Self> {
        let site = &core.site;
        let pebble = Pebble { site };
        let behind = pebble.socket();
        let host = behind.ip().to_string();
        let directory = send(
            behind,
            Some(&site.trust),
            Request::get("/dir").header(header::HOST, &host).header(header::USER_AGENT, "certgate-lab"),
            Bytes::new(),
        )
        .await?;
        let directory: Value = serde_json::from_str(&directory.body).context("Pebble's directory")?;
        let new_order =
            directory.get("newOrder").and_then(Value::as_str).context("no newOrder in Pebble's directory")?;
        let shared = Arc::new(Shared {
            behind,
            host,
            trust: site.trust.clone(),
            new_order: path_of(new_order).context("newOrder is no URL")?.to_owned(),
            counted: Mutex::new(Counted::new(limits)),
        });
        let listener = TcpListener::bind(site.socket(PORT)).await.context("listen for ACME clients")?;
        core.spawn(serve(listener, TlsAcceptor::from(Arc::new(tls(site)?)), shared.clone()));
        Ok(Self { core: core.clone(), shared })
    }

    /// The URL of the directory that leads through here.
    pub fn directory(&self) -> String {
        format!("https://{}/dir", self.core.site.socket(PORT))
    }

    /// A ClusterIssuer that orders through here, to be applied.
    pub fn cluster_issuer(&self, name: &str, solvers: Value) -> Value {
        let mut issuer = Pebble { site: &self.core.site }.cluster_issuer(name, solvers);
        if let Some(server) = issuer.pointer_mut("/spec/acme/server") {
            *server = json!(self.directory());
        }
        issuer
    }

    /// What was counted so far.
    pub fn totals(&self) -> Totals {
        self.shared.counted().totals.clone()
    }
}

fn tls(site: &Site) -> Result<ServerConfig> {
    let chain = CertificateDer::pem_file_iter(site.path("pki/pebble.crt"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(site.path("pki/pebble.key"))?;
    let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let mut config =
        builder.with_safe_default_protocol_versions()?.with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn path_of(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    rest.find('/').and_then(|at| rest.get(at..))
}

async fn serve(listener: TcpListener, tls: TlsAcceptor, shared: Arc<Shared>) {
    loop {
        let Some(stream) = accepted(listener.accept().await) else { continue };
        let (tls, shared) = (tls.clone(), shared.clone());
        tokio::spawn(async move {
            let stream = match tls.accept(stream).await {
                Ok(stream) => stream,
                Err(error) => return tracing::debug!(%error, "no TLS handshake"),
            };
            let service = service_fn(|request| {
                let shared = shared.clone();
                async move { Ok::<_, Infallible>(shared.answer(request).await) }
            });
            if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
                tracing::debug!(%error, "a connection of an ACME client ended");
            }
        });
    }
}

/// What an ACME request says.
struct Said {
    /// The account's URL, or its key where it has none yet.
    account: String,
    payload: Value,
}

/// Reads a JWS without verifying it: that is Pebble's part.
fn read(body: &[u8]) -> Option<Said> {
    let jws: Value = serde_json::from_slice(body).ok()?;
    let part = |name: &str| URL_SAFE_NO_PAD.decode(jws.get(name)?.as_str()?).ok();
    let protected: Value = serde_json::from_slice(&part("protected")?).ok()?;
    let account = protected.get("kid").or_else(|| protected.get("jwk"))?;
    let account = account.as_str().map_or_else(|| account.to_string(), str::to_owned);
    Some(Said { account, payload: serde_json::from_slice(&part("payload")?).unwrap_or_default() })
}

/// The DNS names of an order.
fn names(order: &Value) -> Vec<String> {
    let identifiers = order.get("identifiers").and_then(Value::as_array).into_iter().flatten();
    let mut names: Vec<String> =
        identifiers.filter_map(|one| Some(one.get("value")?.as_str()?.to_ascii_lowercase())).collect();
    names.sort();
    names.dedup();
    names
}

// === impl Shared ===

impl Shared {
    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        self.pass(request).await.unwrap_or_else(|error| {
            let text = format!("{error:#}\n");
            tracing::warn!(%error, "an ACME request was not passed on");
            respond(Response::builder().status(StatusCode::BAD_GATEWAY), text)
        })
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Full<Bytes>>> {
        let (parts, body) = request.into_parts();
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else { bail!("the request is too long") };
        let body = body.to_bytes();
        let path = parts.uri.path().to_owned();
        let said = read(&body).filter(|_| parts.method == Method::POST);
        let ordering = said.as_ref().filter(|_| path == self.new_order);
        if let Some(Said { account, payload }) = ordering
            && let Err(refused) = self.counted().order(account, &names(payload), Timestamp::now())
        {
            return Ok(refusal(&refused));
        }
        let mut passed = Request::builder().method(parts.method.clone()).uri(&path);
        for (name, value) in parts.headers.iter().filter(|(name, _)| !is_of_connection(name)) {
            passed = passed.header(name, value);
        }
        if !parts.headers.contains_key(header::HOST) {
            passed = passed.header(header::HOST, &self.host);
        }
        let answer = send(self.behind, Some(&self.trust), passed, body).await?;
        if let Some(said) = &said {
            self.learn(&path, said, &answer);
        }
        let mut response = Response::builder().status(answer.status);
        for (name, value) in answer.headers.iter().filter(|(name, _)| !is_of_connection(name)) {
            response = response.header(name, value);
        }
        Ok(respond(response, answer.body))
    }

    /// What Pebble's answer says of orders, authorizations and certificates.
    fn learn(&self, path: &str, said: &Said, answer: &Fetched) {
        let now = Timestamp::now();
        let mut counted = self.counted();
        if path == self.new_order && answer.status != 201 {
            counted.take_back(&said.account, now);
        }
        let Ok(object) = serde_json::from_str::<Value>(&answer.body) else { return };
        let finalize = object.get("finalize").and_then(Value::as_str).and_then(path_of);
        if let Some(finalize) = finalize {
            if path == self.new_order {
                counted.ordered(finalize, names(&object));
            } else if matches!(object.get("status").and_then(Value::as_str), Some("processing" | "valid")) {
                counted.certified(finalize, now);
            }
        }
        let invalid = object.get("status").and_then(Value::as_str) == Some("invalid");
        if let Some(name) = object.pointer("/identifier/value").and_then(Value::as_str).filter(|_| invalid) {
            counted.failed(path, &said.account, name, now);
        }
    }
}

/// Headers that are about one connection, and what hyper writes itself.
fn is_of_connection(name: &header::HeaderName) -> bool {
    [header::CONNECTION, header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::ACCEPT_ENCODING].contains(name)
}

fn refusal(refused: &Refused) -> Response<Full<Bytes>> {
    let problem = json!({"type": "urn:ietf:params:acme:error:rateLimited", "detail": refused.detail, "status": 429});
    let response = Response::builder()
        .status(StatusCode::TOO_MANY_REQUESTS)
        .header(header::CONTENT_TYPE, "application/problem+json")
        .header(header::RETRY_AFTER, refused.retry_after.to_string());
    respond(response, problem.to_string())
}

fn respond(response: hyper::http::response::Builder, body: String) -> Response<Full<Bytes>> {
    response.body(Full::new(Bytes::from(body))).unwrap_or_default()
}
