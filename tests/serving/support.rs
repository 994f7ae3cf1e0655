//! The webhook's server in a test: real TLS on a loopback port, the real
//! endpoint on an index that the test fills, and a client that keeps connections as the API server does.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use bytes::Bytes;
use certgate::{
    admission::handler::Admission,
    cluster::index::Index,
    core::policy::{AutoIssue, IssuerRef, Policy},
    pki::x509::{self, Pair},
    server::{
        certificate::ServingCertificate,
        client_auth::ClientNames,
        http::Application,
        listener::{Limits, Listener, bind},
        shutdown::{Grace, Phase, Shutdown},
    },
    telemetry::metrics::{AdmissionMetrics, ServerMetrics},
};
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use kube::runtime::watcher::Event;
use prometheus_client::registry::Registry;
use rustls::{ClientConfig, RootCertStore, server::danger::ClientCertVerifier};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{net::TcpStream, task::JoinHandle};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// The name in the serving certificates of tests.
pub const NAME: &str = "certgate-webhook.certgate-system.svc";
/// How long anything in a test may take.
pub const DEADLINE: Duration = Duration::from_secs(60);
/// The time of an hour and more, for lifetimes.
pub const HOUR: Duration = Duration::from_secs(3600);

/// A server that runs.
pub struct Served {
    pub address: SocketAddr,
    pub ca: Pair,
    pub certificate: Arc<ServingCertificate>,
    pub shutdown: Shutdown,
    pub registry: Registry,
    pub task: JoinHandle<()>,
}

/// How a server is set up.
pub struct Setup {
    pub limits: Limits,
    pub grace: Grace,
    pub clients: Option<(Arc<dyn ClientCertVerifier>, ClientNames)>,
}

impl Default for Setup {
    fn default() -> Self {
        let grace = Grace { leaving: Duration::ZERO, closing: DEADLINE };
        Self { limits: Limits::default(), grace, clients: None }
    }
}

pub fn crypto() {
    // Another test of this process may have been first.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A CA, and a leaf of it for [`NAME`].
pub fn certificates() -> (Pair, Pair) {
    let ca = x509::make_ca(Timestamp::now(), HOUR * 24).unwrap();
    let leaf = leaf(&ca);
    (ca, leaf)
}

pub fn leaf(ca: &Pair) -> Pair {
    x509::make_leaf(ca, &[NAME.to_owned()], Timestamp::now(), HOUR).unwrap()
}

/// The endpoint with one verified and one held host in namespace `team-a`.
pub fn admission(registry: &mut Registry) -> Admission {
    let policy =
        Policy { issuer: Some(IssuerRef::cluster("letsencrypt")), auto_issue: AutoIssue::All, ..Policy::default() };
    let index = Arc::new(Index::new(&policy));
    for (host, reason) in [("www.example.com", "Verified"), ("new.example.com", "DomainNotFound")] {
        let domain: certgate::api::read::Read<_> = serde_json::from_value(json!({
            "apiVersion": "certgate.dev/v1alpha1", "kind": "Domain",
            "metadata": {"namespace": "team-a", "name": host}, "spec": {"host": host},
            "status": {"verdict": {"reason": reason, "subject": host, "validUntil": "2099-01-01T00:00:00Z"}},
        }))
        .unwrap();
        index.on_domain(Event::Apply(domain));
    }
    Admission::new(index, Arc::new(ArcSwap::from_pointee(policy)), AdmissionMetrics::register(registry), "certgate")
}

pub async fn serve(setup: Setup) -> Served {
    let mut registry = Registry::default();
    let application = admission(&mut registry);
    serve_application(setup, application, registry).await
}

pub async fn serve_application<A: Application>(setup: Setup, application: A, mut registry: Registry) -> Served {
    crypto();
    let (ca, leaf) = certificates();
    let certificate = Arc::new(ServingCertificate::default());
    certificate.install(leaf.certificate.as_bytes(), leaf.key.as_bytes(), None, Timestamp::now()).unwrap();
    let (verifier, names) = setup.clients.unzip();
    let tls = certificate.server_config(verifier);
    let socket = bind("--listen", "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let shutdown = Shutdown::default();
    let metrics = ServerMetrics::register(&mut registry);
    let listener = Listener::new(socket, tls, names, application, setup.limits, metrics, shutdown.clone());
    let address = listener.address().unwrap();
    let task = tokio::spawn(listener.run(setup.grace));
    Served { address, ca, certificate, shutdown, registry, task }
}

/// A review of a CREATE in namespace `team-a`.
pub fn review(uid: &str, host: &str) -> Vec<u8> {
    review_padded(uid, host, 0)
}

/// The same with `padding` octets in an annotation that nobody reads.
pub fn review_padded(uid: &str, host: &str, padding: usize) -> Vec<u8> {
    serde_json::to_vec(&json!({
        "apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview",
        "request": {
            "uid": uid, "operation": "CREATE", "namespace": "team-a", "name": "shop",
            "resource": {"group": "networking.k8s.io", "version": "v1", "resource": "ingresses"},
            "oldObject": {"metadata": {"annotations": {"padding": "x".repeat(padding)}}},
            "object": {"metadata": {"name": "shop"}, "spec": {"rules": [{"host": host}]}},
        },
    }))
    .unwrap()
}

/// A POST to `/mutate`.
pub fn post(body: impl Into<Bytes>) -> Request<Full<Bytes>> {
    Request::post("/mutate")
        .header("host", NAME)
        .header("content-type", "application/json")
        .body(Full::new(body.into()))
        .unwrap()
}

// === impl Served ===

impl Served {
    /// A client configuration that trusts the server's CA.
    pub fn trust(&self) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
        trust(&self.ca)
    }

    /// A TLS connection without a client certificate.
    pub async fn dial(&self) -> std::io::Result<TlsStream<TcpStream>> {
        dial(self.address, self.trust().with_no_client_auth()).await
    }

    /// A connection that speaks HTTP.
    pub async fn connect(&self) -> Connection {
        Connection::over(self.dial().await.unwrap()).await
    }

    /// The metrics as they are scraped.
    pub fn metrics(&self) -> String {
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &self.registry).unwrap();
        text
    }

    /// Asks the server to leave, and waits until it has.
    pub async fn leave(self) {
        self.shutdown.advance(Phase::Closing);
        tokio::time::timeout(DEADLINE, self.task).await.unwrap().unwrap();
    }
}

pub fn trust(ca: &Pair) -> rustls::ConfigBuilder<ClientConfig, rustls::client::WantsClientCert> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.certificate.as_bytes()).unwrap()).unwrap();
    ClientConfig::builder().with_root_certificates(roots)
}

/// A chain and its key for a client.
pub fn identity(pair: &Pair) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
    let chain = x509::chain(pair.certificate.as_bytes()).unwrap();
    (chain, PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap())
}

pub async fn dial(address: SocketAddr, config: ClientConfig) -> std::io::Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    TlsConnector::from(Arc::new(config)).connect(ServerName::try_from(NAME).unwrap(), stream).await
}

/// One kept connection.
pub struct Connection {
    send: SendRequest<Full<Bytes>>,
    /// The leaf that the server showed.
    pub leaf: CertificateDer<'static>,
    pub ended: JoinHandle<hyper::Result<()>>,
}

impl Connection {
    pub async fn over(stream: TlsStream<TcpStream>) -> Self {
        let leaf = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
        let (send, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        Self { send, leaf, ended: tokio::spawn(connection) }
    }

    /// Whether another request may be sent.
    pub async fn usable(&mut self) -> bool {
        self.send.ready().await.is_ok()
    }

    pub async fn send(&mut self, request: Request<Full<Bytes>>) -> hyper::Result<Response<Bytes>> {
        self.send.ready().await?;
        let response = self.send.send_request(request).await?;
        let (parts, body) = response.into_parts();
        Ok(Response::from_parts(parts, body.collect().await?.to_bytes()))
    }

    /// Sends a review that must be answered, and returns the response in it.
    pub async fn ask(&mut self, uid: &str, host: &str) -> Value {
        let answer = self.send(post(review(uid, host))).await.unwrap();
        assert_eq!(answer.status(), 200);
        let review: Value = serde_json::from_slice(answer.body()).unwrap();
        assert_eq!(review["response"]["uid"], uid);
        assert_eq!(review["response"]["allowed"], true);
        review["response"].clone()
    }
}

/// Waits until a condition holds.
pub async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let reached = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    assert!(tokio::time::timeout(DEADLINE, reached).await.is_ok(), "{what}: not within {DEADLINE:?}");
}
