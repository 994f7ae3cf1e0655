//! The floor: hyper on rustls, typed and borrowed parsing, a patch of the same
//! kind; no look-up, no decision, no metrics, no bounds. Nothing that answers an admission review costs less.

use std::{borrow::Cow, convert::Infallible, path::Path, sync::Arc};

use anyhow::{Context as _, Result};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _};
use serde::{Deserialize, Deserializer, de::IgnoredAny};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

/// The argument that makes a process of the benchmark the floor.
pub const ARGUMENT: &str = "serve-floor";

#[derive(Deserialize)]
struct Review<'a> {
    #[serde(borrow)]
    request: Asked<'a>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    uid: Cow<'a, str>,
    #[serde(borrow)]
    object: Object<'a>,
}

#[derive(Deserialize)]
struct Object<'a> {
    #[serde(borrow)]
    metadata: Metadata<'a>,
    #[serde(borrow)]
    spec: Spec<'a>,
}

#[derive(Deserialize)]
struct Metadata<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    annotations: Option<Present>,
}

#[derive(Deserialize)]
struct Spec<'a> {
    #[serde(borrow)]
    rules: Vec<Rule<'a>>,
    tls: Option<Present>,
}

#[derive(Deserialize)]
struct Rule<'a> {
    #[serde(borrow)]
    host: Cow<'a, str>,
}

/// Something that is there and not read.
struct Present;

impl<'de> Deserialize<'de> for Present {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Self)
    }
}

/// The answer to a review.
pub fn answer(body: &[u8]) -> String {
    let Ok(Review { request }) = serde_json::from_slice::<Review<'_>>(body) else { return "{}".to_owned() };
    let mut out = String::with_capacity(1024);
    out.push_str(r#"{"apiVersion":"admission.k8s.io/v1","kind":"AdmissionReview","response":{"uid":""#);
    out.push_str(&request.uid);
    out.push_str(r#"","allowed":true"#);
    if request.object.spec.tls.is_none() {
        let mut patch = String::with_capacity(512);
        patch.push('[');
        if request.object.metadata.annotations.is_none() {
            patch.push_str(r#"{"op":"add","path":"/metadata/annotations","value":{}},"#);
        }
        patch.push_str(r#"{"op":"add","path":"/metadata/annotations/cert-manager.io~1cluster-issuer","value":"le"},"#);
        patch.push_str(r#"{"op":"add","path":"/spec/tls","value":["#);
        for (index, rule) in request.object.spec.rules.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            for part in [
                comma,
                r#"{"hosts":[""#,
                &rule.host,
                r#""],"secretName":""#,
                &request.object.metadata.name,
                r#"-tls"}"#,
            ] {
                patch.push_str(part);
            }
        }
        patch.push_str("]}]");
        out.push_str(r#","patchType":"JSONPatch","patch":""#);
        STANDARD.encode_string(patch, &mut out);
        out.push('"');
    }
    out.push_str("}}");
    out
}

async fn handle(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(answer(&body))));
    response.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(response)
}

/// Serves at the given address with the certificate in the given folder.
pub fn run(arguments: &[String]) -> Result<()> {
    let [address, folder] = arguments else { anyhow::bail!("give an address and a folder") };
    let folder = Path::new(folder);
    let chain = CertificateDer::pem_file_iter(folder.join("tls.crt"))?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(folder.join("tls.key"))?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.send_tls13_tickets = 0;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async move {
        let socket = TcpListener::bind(address).await.context("binding")?;
        loop {
            let (stream, _) = socket.accept().await?;
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = stream.set_nodelay(true);
                let Ok(stream) = acceptor.accept(stream).await else { return };
                let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(handle)).await;
            });
        }
    })
}
