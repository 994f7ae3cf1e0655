//! Asking the console: HTTP with bounds, TLS verified, pages followed, nothing believed by halves.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty, LengthLimitError, Limited};
use hyper_rustls::HttpsConnector;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, pem::PemObject as _};

use crate::core::{
    console::{BadAnswer, MAX_RULES, Page, Rule, read},
    finding::{clean, in_one_line},
};

/// How long one answer may take, its body included.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The largest answer; a rule has about 1 KB.
const MAX_BODY: usize = 64 * 1024 * 1024;
/// How many rules are asked for at once, where the console answers in pages.
const PAGE_SIZE: usize = 500;
/// The longest token.
const MAX_TOKEN: usize = 4096;

/// Why the console said nothing of use.
#[derive(Debug, thiserror::Error)]
pub enum ConsoleError {
    /// The Secret has no usable token.
    #[error("the Secret's `token` is missing, empty or no text of one line")]
    Token,
    /// The Secret's CA certificates are none.
    #[error("the Secret's `ca.crt` has no readable certificate")]
    Ca,
    /// The URL is none.
    #[error("`console.url` is no URL: {0}")]
    Url(String),
    /// No answer.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// No complete answer in time.
    #[error("no complete answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    /// The body ended early, or has no end.
    #[error("the answer is cut short, or larger than {} MiB", MAX_BODY / 1024 / 1024)]
    Body,
    /// The token does not count.
    #[error("the console refuses the token ({0}); it must be an administrator's API token")]
    Refused(StatusCode),
    /// It has no time, or another trouble.
    #[error("the console answers {status}")]
    Status {
        /// What it said.
        status: StatusCode,
        /// For how long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The answer is no list of rules.
    #[error(transparent)]
    Answer(#[from] BadAnswer),
    /// Pages that do not fit together.
    #[error("the list changed while its pages were read")]
    Changed,
}

/// What the Secret holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The token.
    pub token: Vec<u8>,
    /// CA certificates in PEM; `None`: public CAs.
    pub ca: Option<Vec<u8>>,
}

/// A list of rules and how the console would tell that it is unchanged.
#[derive(Clone, Debug, Default)]
struct Known {
    tag: Option<HeaderValue>,
    rules: Vec<Rule>,
    unreadable: usize,
}

/// One console.
pub struct Console {
    http: Client<HttpsConnector<HttpConnector>, Empty<Bytes>>,
    base: String,
    region: String,
    token: HeaderValue,
    timeout: Duration,
    flagged: Option<Known>,
}

/// What was learnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rules {
    /// This cluster's rules.
    pub rules: Vec<Rule>,
    /// How many of them could not be read.
    pub unreadable: usize,
}

// === impl ConsoleError ===

impl ConsoleError {
    /// The word for it in metrics.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Token | Self::Ca | Self::Url(_) => "misconfigured",
            Self::Unreachable(_) | Self::Timeout => "unreachable",
            Self::Refused(_) => "refused",
            Self::Status { .. } => "failing",
            Self::Body | Self::Answer(_) | Self::Changed => "unusable",
        }
    }

    /// For how long the console asks to be left alone.
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

// === impl Console ===

impl Console {
    /// A console at `url`, of which the rules of `region` count.
    ///
    /// # Errors
    /// URL, token or CA certificates are unusable.
    pub fn new(url: &str, region: &str, credentials: &Credentials) -> Result<Self, ConsoleError> {
        let url = url.trim_end_matches('/');
        url.parse::<Uri>().map_err(|error| ConsoleError::Url(error.to_string()))?;
        let token = credentials.token.trim_ascii();
        if token.is_empty() || token.len() > MAX_TOKEN {
            return Err(ConsoleError::Token);
        }
        let mut token = HeaderValue::from_bytes(token).map_err(|_| ConsoleError::Token)?;
        token.set_sensitive(true);
        let roots = roots(credentials.ca.as_deref())?;
        let provider = std::sync::Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| ConsoleError::Unreachable(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector =
            hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        let http = Client::builder(TokioExecutor::new()).pool_idle_timeout(TIMEOUT).build(connector);
        Ok(Self {
            http,
            base: format!("{url}/openapi/v1/httpdomains"),
            region: region.to_owned(),
            token,
            timeout: TIMEOUT,
            flagged: None,
        })
    }

    /// The rules that are flagged. Unchanged ones need not travel again.
    ///
    /// # Errors
    /// There is no complete answer.
    pub async fn flagged(&mut self) -> Result<Rules, ConsoleError> {
        let known = self.list(true, self.flagged.as_ref()).await?;
        let rules = Rules { rules: known.rules.clone(), unreadable: known.unreadable };
        self.flagged = Some(known);
        Ok(rules)
    }

    /// All rules, flagged or not.
    ///
    /// # Errors
    /// There is no complete answer.
    pub async fn all(&self) -> Result<Rules, ConsoleError> {
        let Known { rules, unreadable, .. } = self.list(false, None).await?;
        Ok(Rules { rules, unreadable })
    }

    async fn list(&self, flagged: bool, before: Option<&Known>) -> Result<Known, ConsoleError> {
        let filter = if flagged { "?auto_ssl=true" } else { "" };
        let tag = before.and_then(|known| known.tag.as_ref());
        let (page, tag) = match (self.get(filter, tag).await?, before) {
            (Some(answer), _) => answer,
            (None, Some(known)) => return Ok(known.clone()),
            // It was not asked whether there is news.
            (None, None) => return Err(ConsoleError::Changed),
        };
        let Some(total) = page.total else {
            return Ok(Known { tag, rules: page.rules, unreadable: page.unreadable });
        };
        let mut known = Known { tag: None, rules: page.rules, unreadable: page.unreadable };
        let (mut count, mut number) = (page.count, 1);
        // Pages of an answer that was not asked for as such may be short; the rest is asked for by their number.
        let size = page.count.clamp(1, PAGE_SIZE);
        let separator = if flagged { '&' } else { '?' };
        while count < total {
            number += 1;
            let query = format!("{filter}{separator}page={number}&page_size={size}");
            let Some((page, _)) = self.get(&query, None).await? else { return Err(ConsoleError::Changed) };
            if page.total != Some(total) || page.count == 0 || number > MAX_RULES {
                return Err(ConsoleError::Changed);
            }
            count += page.count;
            known.rules.extend(page.rules);
            known.unreadable += page.unreadable;
        }
        let ids: std::collections::HashSet<&str> = known.rules.iter().map(|rule| rule.id.as_str()).collect();
        if count != total || ids.len() != known.rules.len() {
            return Err(ConsoleError::Changed);
        }
        Ok(known)
    }

    /// One answer; `None`: unchanged since `tag`.
    async fn get(
        &self,
        query: &str,
        tag: Option<&HeaderValue>,
    ) -> Result<Option<(Page, Option<HeaderValue>)>, ConsoleError> {
        let mut request = Request::get(format!("{}{query}", self.base))
            .header(header::AUTHORIZATION, &self.token)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("certgate/", env!("CARGO_PKG_VERSION")));
        if let Some(tag) = tag {
            request = request.header(header::IF_NONE_MATCH, tag);
        }
        let request = request.body(Empty::new()).map_err(|error| ConsoleError::Url(error.to_string()))?;
        tokio::time::timeout(self.timeout, self.answer(request, tag.is_some()))
            .await
            .map_err(|_| ConsoleError::Timeout)?
    }

    async fn answer(
        &self,
        request: Request<Empty<Bytes>>,
        conditional: bool,
    ) -> Result<Option<(Page, Option<HeaderValue>)>, ConsoleError> {
        let response =
            self.http.request(request).await.map_err(|error| ConsoleError::Unreachable(clean(&in_one_line(&error))))?;
        let (head, body) = response.into_parts();
        match head.status {
            StatusCode::OK => {}
            StatusCode::NOT_MODIFIED if conditional => return Ok(None),
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => return Err(ConsoleError::Refused(status)),
            status => return Err(ConsoleError::Status { status, retry_after: retry_after(&head.headers) }),
        }
        let body = Limited::new(body, MAX_BODY).collect().await.map_err(|error| {
            // Both are told alike: neither is an answer.
            tracing::debug!(too_large = error.is::<LengthLimitError>(), %error, "the console's answer");
            ConsoleError::Body
        })?;
        let page = read(&body.to_bytes(), &self.region)?;
        Ok(Some((page, head.headers.get(header::ETAG).cloned())))
    }
}

fn roots(ca: Option<&[u8]>) -> Result<RootCertStore, ConsoleError> {
    let Some(pem) = ca else { return Ok(webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect()) };
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| ConsoleError::Ca)?;
        roots.add(certificate).map_err(|_| ConsoleError::Ca)?;
    }
    if roots.is_empty() { Err(ConsoleError::Ca) } else { Ok(roots) }
}

/// `Retry-After` in seconds (RFC 9110 §10.2.3); a date is left to our own backoff.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u32 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.into()))
}

#[cfg(test)]
mod tests;
