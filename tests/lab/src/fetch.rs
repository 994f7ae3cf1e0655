//! One HTTP request over a connection of its own, to an address of our choice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, anyhow};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::http::request::Builder;
use hyper::{HeaderMap, Request, header};
use hyper_util::rt::TokioIo;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// RFC 8555 wants one, and Pebble insists.
const USER_AGENT: &str = "certgate-lab";
const TIMEOUT: Duration = Duration::from_secs(5);

/// A response.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// The status code.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, as far as it is text.
    pub body: String,
    /// The server's certificate, over TLS.
    pub leaf: Option<LeafCertificate>,
}

impl Fetched {
    /// A header's value, when there is one and it is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}

/// What a certificate says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeafCertificate {
    /// The serial number, in hexadecimal digits.
    pub serial: String,
    /// Start of its validity.
    pub not_before: SystemTime,
    /// End of its validity.
    pub not_after: SystemTime,
    /// The issuer's distinguished name.
    pub issuer: String,
    /// The DNS names that it is for.
    pub names: Vec<String>,
}

impl LeafCertificate {
    /// Reads the first certificate of a PEM file, such as `tls.crt` of a Secret.
    pub fn from_pem(pem: &[u8]) -> Result<Self> {
        Self::from_der(&CertificateDer::from_pem_slice(pem)?)
    }

    fn from_der(der: &[u8]) -> Result<Self> {
        let (_, certificate) = X509Certificate::from_der(der)?;
        let time = |t: x509_parser::time::ASN1Time| {
            SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(t.timestamp()).unwrap_or_default())
        };
        let names = certificate.subject_alternative_name()?.map(|extension| &extension.value.general_names);
        let names = names.into_iter().flatten().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some((*name).to_owned()),
            _ => None,
        });
        Ok(Self {
            serial: certificate.raw_serial().iter().map(|byte| format!("{byte:02x}")).collect(),
            not_before: time(certificate.validity().not_before),
            not_after: time(certificate.validity().not_after),
            issuer: certificate.issuer().to_string(),
            names: names.collect(),
        })
    }
}

/// Whom to trust.
#[derive(Clone)]
pub(crate) struct Trust(Arc<ClientConfig>);

impl Trust {
    /// The certificates in a PEM file.
    pub(crate) fn roots(pem: &str) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            roots.add(certificate?)?;
        }
        Ok(Self(Arc::new(builder()?.with_root_certificates(roots).with_no_client_auth())))
    }
}

impl Trust {
    /// Whoever answers, as a kubelet's probes do.
    pub(crate) fn anyone() -> Result<Self> {
        let builder = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(Anyone));
        Ok(Self(Arc::new(builder.with_no_client_auth())))
    }
}

#[derive(Debug)]
struct Anyone;

impl ServerCertVerifier for Anyone {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?)
}

/// GETs `path` of `host` from the server at `addr`, over TLS when `trust` says whom to trust.
pub(crate) async fn fetch(
    addr: SocketAddr,
    host: &str,
    path: &str,
    trust: Option<&Trust>,
    headers: &[(header::HeaderName, String)],
) -> Result<Fetched> {
    let scheme = if trust.is_some() { "https" } else { "http" };
    let request = async {
        let stream = TcpStream::connect(addr).await?;
        let Some(Trust(config)) = trust else { return exchange(stream, host, path, headers).await };
        let name = ServerName::try_from(host.to_owned())?;
        let stream = TlsConnector::from(config.clone()).connect(name, stream).await?;
        let peer = stream.get_ref().1.peer_certificates().and_then(<[_]>::first).context("no certificate")?;
        let leaf = LeafCertificate::from_der(peer)?;
        Ok(Fetched { leaf: Some(leaf), ..exchange(stream, host, path, headers).await? })
    };
    (tokio::time::timeout(TIMEOUT, request).await)
        .map_err(|_| anyhow!("no answer within {TIMEOUT:?}"))
        .and_then(|result| result)
        .with_context(|| format!("GET {scheme}://{host}{path} at {addr}"))
}

/// Sends a request, whose Host header says what it is for, to the server at `addr`.
pub(crate) async fn send(addr: SocketAddr, trust: Option<&Trust>, request: Builder, body: Bytes) -> Result<Fetched> {
    let request = request.body(Full::new(body))?;
    let answer = async {
        let stream = TcpStream::connect(addr).await?;
        let Some(Trust(config)) = trust else { return roundtrip(stream, request).await };
        let name = ServerName::from(addr.ip());
        roundtrip(TlsConnector::from(config.clone()).connect(name, stream).await?, request).await
    };
    (tokio::time::timeout(TIMEOUT, answer).await).map_err(|_| anyhow!("{addr} does not answer within {TIMEOUT:?}"))?
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    host: &str,
    path: &str,
    headers: &[(header::HeaderName, String)],
) -> Result<Fetched> {
    let mut request = Request::get(path)
        .header(header::HOST, host)
        .header(header::CONNECTION, "close")
        .header(header::USER_AGENT, USER_AGENT);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    roundtrip(stream, request.body(Full::new(Bytes::new()))?).await
}

async fn roundtrip(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Fetched> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let connection = tokio::spawn(connection);
    let response = sender.send_request(request).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    connection.abort();
    Ok(Fetched {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        leaf: None,
    })
}
