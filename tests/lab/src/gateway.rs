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
use std::time::SystemTime;

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

use crate::view::{Answered, ClusterView, bare_host};

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
                return answer_requests(stream, move |request| handler.answer(request, false)).await;
            };
            match tls.accept(stream).await {
                Ok(stream) => answer_requests(stream, move |request| handler.answer(request, true)).await,
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

/// Serves one connection with a function that needs no time.
pub(crate) async fn answer_requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    answer: impl Fn(&Request<Incoming>) -> Answered,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let Answered { status, body } = answer(&request);
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = hyper::StatusCode::from_u16(status).unwrap_or_default();
        std::future::ready(Ok::<_, Infallible>(response))
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

struct Handler {
    plane: Arc<dyn Plane>,
    log: RequestLog,
}

impl Handler {
    fn answer(&self, request: &Request<Incoming>, tls: bool) -> Answered {
        let host = request.headers().get(header::HOST).and_then(|v| v.to_str().ok()).map(bare_host).unwrap_or_default();
        let answered = self.plane.answer(&host, request.uri().path());
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
