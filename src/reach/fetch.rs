//! One GET to one address, as the CA's validator would send it.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, DigitallySignedStruct, SignatureScheme,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, WebPkiSupportedAlgorithms},
    pki_types::{CertificateDer, ServerName, UnixTime},
};
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;
use url::Url;

/// How long a connection may take (Boulder's `singleDialTimeout`).
const DIAL: Duration = Duration::from_secs(10);
/// How long the answer may take after that: as long as all of it.
const ANSWER: Duration = Duration::from_secs(20);
/// How long is waited for the next piece of a page.
const PAGE: Duration = Duration::from_secs(1);
/// The most of an answer's head that is read, and of its headers. The CA's bounds are those of Go's client, megabytes; no
/// more is granted to whoever answers here, and what goes beyond is none of the CA's failures.
const MAX_HEAD: usize = 256 * 1024;
const MAX_HEADERS: usize = 1024;
/// The most of a body that is read.
const MAX_BODY: usize = 4 * 1024;

/// What came back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answered {
    pub status: u16,
    pub location: Option<String>,
    /// The `Server` header, by which servers are told apart.
    pub server: String,
    /// What the answer begins with, where it is a page: filters are told by theirs.
    pub body: String,
}

/// Why nothing did.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoAnswer {
    #[error("connection refused")]
    Refused,
    #[error("no connection in time")]
    DialTimeout,
    #[error("no connection: {0}")]
    Dial(String),
    #[error("connected, but no answer in time")]
    Timeout,
    #[error("TLS handshake failed")]
    Tls,
    #[error("what answers does not speak HTTP")]
    NotHttp,
    #[error("the answer's head is too large to be looked at")]
    TooLarge,
}

impl NoAnswer {
    /// Whether there was no connection at all: then the CA tries IPv4.
    pub(super) const fn is_dial(&self) -> bool {
        matches!(self, Self::Refused | Self::DialTimeout | Self::Dial(_))
    }
}

/// Fetches `url` from `address`. Little of the body is read: nobody but the CA knows what it must be.
pub(super) async fn get(url: &Url, address: SocketAddr, referer: Option<&Url>) -> Result<Answered, NoAnswer> {
    let stream = match timeout(DIAL, TcpStream::connect(address)).await {
        Err(_) => return Err(NoAnswer::DialTimeout),
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => return Err(NoAnswer::Refused),
        Ok(Err(error)) => return Err(NoAnswer::Dial(error.kind().to_string())),
        Ok(Ok(stream)) => stream,
    };
    let answer = async {
        if url.scheme() == "https" {
            let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let name = ServerName::try_from(host).map_err(|_| NoAnswer::Tls)?;
            let stream = connector()?.connect(name, stream).await.map_err(|_| NoAnswer::Tls)?;
            send(url, referer, TokioIo::new(stream)).await
        } else {
            send(url, referer, TokioIo::new(stream)).await
        }
    };
    timeout(ANSWER, answer).await.unwrap_or(Err(NoAnswer::Timeout))
}

async fn send<I>(url: &Url, referer: Option<&Url>, io: I) -> Result<Answered, NoAnswer>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        .handshake(io)
        .await
        .map_err(|_| NoAnswer::NotHttp)?;
    let authority = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str().unwrap_or_default()),
        None => url.host_str().unwrap_or_default().to_owned(),
    };
    let target = url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
    let request = Request::get(target)
        .header(header::HOST, authority)
        .header(header::ACCEPT, "*/*")
        .header(header::USER_AGENT, concat!("certgate/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    let request = match referer {
        Some(referer) => request.header(header::REFERER, without_user(referer)),
        None => request,
    };
    let request = request.body(Empty::<Bytes>::new()).map_err(|_| NoAnswer::NotHttp)?;
    let mut response = std::pin::pin!(sender.send_request(request));
    let mut connection = std::pin::pin!(connection);
    let mut over = false;
    let response = tokio::select! {
        response = &mut response => response,
        // The connection is over; whether an answer came first, the other half knows.
        _ = &mut connection => {
            over = true;
            response.await
        }
    };
    let response = response.map_err(|error| match error.is_parse_too_large() {
        true => NoAnswer::TooLarge,
        false => NoAnswer::NotHttp,
    })?;
    let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let (status, location, server) =
        (response.status().as_u16(), text(header::LOCATION), text(header::SERVER).unwrap_or_default());
    let mut beginning = std::pin::pin!(beginning(response.into_body()));
    let body = if over {
        beginning.await
    } else {
        tokio::select! {
            body = &mut beginning => body,
            _ = &mut connection => beginning.await,
        }
    };
    Ok(Answered { status, location, server, body })
}

fn without_user(url: &Url) -> String {
    let mut url = url.clone();
    // Neither fails for a URL with a host.
    let _ = url.set_username("").and(url.set_password(None));
    url.to_string()
}

/// What a body begins with; one that breaks off or keeps us waiting ends there.
async fn beginning(mut body: Incoming) -> String {
    let mut bytes = Vec::new();
    while bytes.len() < MAX_BODY
        && let Ok(Some(Ok(frame))) = timeout(PAGE, body.frame()).await
    {
        bytes.extend(frame.into_data().unwrap_or_default());
    }
    bytes.truncate(MAX_BODY);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// TLS without looking at the certificate, as the CA does: the host is only about to get one.
fn connector() -> Result<TlsConnector, NoAnswer> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let algorithms = provider.signature_verification_algorithms;
    let config = ClientConfig::builder_with_provider(provider as Arc<CryptoProvider>)
        .with_safe_default_protocol_versions()
        .map_err(|_| NoAnswer::Tls)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(algorithms)))
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// Takes any certificate; the handshake's signature must still fit it.
#[derive(Debug)]
struct AnyCertificate(WebPkiSupportedAlgorithms);

impl ServerCertVerifier for AnyCertificate {
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
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
