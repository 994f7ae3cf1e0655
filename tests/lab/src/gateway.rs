//! A small ingress gateway on ports 80 and 443 of a lab.
//!
//! It serves Ingresses of every class but certgate's companions, which nobody serves, and answers for the backends itself.
//! For TLS it has what the Ingresses' `tls` sections and their Secrets give it, and no default certificate.

pub(crate) mod route;
pub(crate) mod tls;

use std::convert::Infallible;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::sign::CertifiedKey;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::pebble;
use crate::view::{Answered, CHALLENGE_PATH, ClusterView, bare_host};

/// For so long the CA's question waits for the route to a solver; Pebble gives up after 15 s.
const ROUTED_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// A request that the gateway, or a backend behind a real one, has answered.
#[derive(Clone, Debug)]
pub struct RequestSeen {
    /// When.
    pub at: SystemTime,
    /// The Host header.
    pub host: String,
    /// The path.
    pub path: String,
    /// Whether it came over TLS.
    pub tls: bool,
    /// The User-Agent header.
    pub agent: String,
    /// What was answered.
    pub status: u16,
}

/// The requests so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct RequestLog(Arc<Mutex<Vec<RequestSeen>>>);

impl RequestLog {
    pub(crate) fn all(&self) -> Vec<RequestSeen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn push(&self, seen: RequestSeen) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(seen);
    }
}

/// Listens on an address of the lab.
pub(crate) async fn listen(ip: IpAddr, port: u16) -> Result<TcpListener> {
    let addr = SocketAddr::new(ip, port);
    TcpListener::bind(addr).await.with_context(|| format!("listen on {addr}"))
}

/// What a gateway has been told: where requests go and which certificates it has.
pub(crate) trait Plane: Send + Sync + 'static {
    /// Answers a request.
    fn answer(&self, host: &str, path: &str) -> Answered;

    /// The certificate for a server name.
    fn certificate(&self, host: &str) -> Option<CertifiedKey>;
}

/// Serves both ports until the tasks are dropped.
pub(crate) async fn start(ip: IpAddr, plane: Arc<dyn Plane>, log: &RequestLog, tasks: &mut JoinSet<()>) -> Result<()> {
    let (plain, secure) = (listen(ip, 80).await?, listen(ip, 443).await?);
    let acceptor = TlsAcceptor::from(Arc::new(tls::config(plane.clone())?));
    let handler = Arc::new(Handler { plane, log: log.clone() });
    tasks.spawn(serve(plain, None, handler.clone()));
    tasks.spawn(serve(secure, Some(acceptor), handler));
    Ok(())
}

/// Accepts connections and answers their requests.
async fn serve(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Arc<Handler>) {
    loop {
        let Some(stream) = accepted(listener.accept().await) else { continue };
        let (handler, tls) = (handler.clone(), tls.clone());
        tokio::spawn(async move {
            let Some(tls) = tls else {
                return answer_requests(stream, async move |request| handler.answer(request, false).await).await;
            };
            match tls.accept(stream).await {
                Ok(stream) => answer_requests(stream, async move |request| handler.answer(request, true).await).await,
                Err(error) => tracing::debug!(%error, "no TLS handshake"),
            }
        });
    }
}

pub(crate) fn accepted<T>(result: io::Result<(T, SocketAddr)>) -> Option<T> {
    match result {
        Ok((stream, _)) => Some(stream),
        Err(error) => {
            tracing::debug!(%error, "a connection was lost before it was accepted");
            None
        }
    }
}

/// Serves one connection.
pub(crate) async fn answer_requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    answer: impl AsyncFn(&Request<Incoming>) -> Answered,
) {
    let answer = &answer;
    let service = service_fn(async |request: Request<Incoming>| {
        let Answered { status, body } = answer(&request).await;
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        Ok::<_, Infallible>(response)
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a connection to the lab's gateway ended");
    }
}

/// Writes down a request and its answer.
pub(crate) fn record(log: &RequestLog, request: &Request<Incoming>, tls: bool, status: u16) {
    let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    log.push(RequestSeen {
        at: SystemTime::now(),
        host: text(header::HOST),
        path: request.uri().path().to_owned(),
        tls,
        agent: text(header::USER_AGENT),
        status,
    });
}

/// The answer to a challenge, waited for until the route to its solver is there: on a busy machine the CA may ask before
/// the gateway has heard of it, and each such failure is an order that no test has counted on.
async fn solved(token: &str, answer: impl Fn() -> Answered) -> Answered {
    let deadline = Instant::now() + ROUTED_WITHIN;
    loop {
        let answered = answer();
        // A key authorization begins with the token (RFC 8555 section 8.1).
        let is_key = answered.body.strip_prefix(token).is_some_and(|rest| rest.starts_with('.'));
        if is_key || Instant::now() >= deadline {
            return answered;
        }
        tokio::time::sleep(LOOK).await;
    }
}

struct Handler {
    plane: Arc<dyn Plane>,
    log: RequestLog,
}

impl Handler {
    async fn answer(&self, request: &Request<Incoming>, tls: bool) -> Answered {
        let text = |name| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let (host, path) = (bare_host(text(header::HOST)), request.uri().path());
        let answer = || self.plane.answer(&host, path);
        let answered = match path.strip_prefix(CHALLENGE_PATH) {
            Some(token) if text(header::USER_AGENT).contains(pebble::AGENT) => solved(token, answer).await,
            _ => answer(),
        };
        record(&self.log, request, tls, answered.status);
        answered
    }
}

/// The built-in gateway goes by the Ingresses themselves.
pub(crate) struct Ingresses(pub(crate) ClusterView);

impl Plane for Ingresses {
    fn answer(&self, host: &str, path: &str) -> Answered {
        let ingresses = self.0.ingresses.state();
        match route::find(ingresses.iter().map(AsRef::as_ref), host, path) {
            Some(backend) => self.0.answer_for(&backend.namespace, &backend.service, host, path),
            None => Answered { status: 404, body: "no route\n".into() },
        }
    }

    fn certificate(&self, host: &str) -> Option<CertifiedKey> {
        tls::from_secrets(&self.0, host)
    }
}
