//! Who may see the page: by which name it is called, and with which account's token.

use std::{net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, header};
use k8s_openapi::api::{
    authentication::v1::{TokenReview, TokenReviewSpec, UserInfo},
    authorization::v1::{ResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec},
};
use kube::{Api, Client, api::PostParams};
use moka::future::Cache;
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

/// The cookie that holds a visitor's token.
const COOKIE: &str = "certgate_token";
/// The longest token: with it the cookie is as long as browsers keep (RFC 6265 §6.1).
const MAX_TOKEN: usize = 3_800;
/// How long the API server's word on a token is good.
const VERDICT_LIFETIME: Duration = Duration::from_secs(60);
/// Tokens of which the word is remembered.
const MAX_VERDICTS: u64 = 1_024;
/// Questions to the API server at one time.
const MAX_QUESTIONS: usize = 8;
/// How long one may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a browser keeps the token, in seconds.
const STAY: u32 = 8 * 3_600;

/// The names by which the page may be called. Another name would be that of a
/// stranger's site which made it lead here (DNS rebinding); an address cannot.
#[derive(Clone, Debug, Default)]
pub struct Names(Arc<[String]>);

/// What the cluster says of a visitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// May see all.
    Allowed,
    /// No account, or one that may not.
    Refused,
    /// The cluster cannot be asked.
    Unknown,
}

/// Asks the cluster whose a token is (TokenReview), and whether that account may
/// list Domains everywhere (SubjectAccessReview).
#[derive(Clone)]
pub struct Tokens {
    client: Client,
    verdicts: Cache<[u8; 32], Standing>,
    places: Arc<Semaphore>,
}

// === impl Names ===

impl Names {
    /// The names, beside `localhost` and every address.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a request by this `Host` may be answered.
    pub fn allow(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split(']').next().unwrap_or_default(),
            None => host.rsplit_once(':').map_or(host, |(name, _)| name),
        };
        name.parse::<IpAddr>().is_ok()
            || name.eq_ignore_ascii_case("localhost")
            || self.0.iter().any(|known| known.eq_ignore_ascii_case(name))
    }
}

// === impl Tokens ===

impl Tokens {
    /// Asks by this client.
    pub fn new(client: Client) -> Self {
        let verdicts = Cache::builder().max_capacity(MAX_VERDICTS).time_to_live(VERDICT_LIFETIME).build();
        Self { client, verdicts, places: Arc::new(Semaphore::new(MAX_QUESTIONS)) }
    }

    /// What the cluster says of a token, at most a minute old.
    pub async fn standing(&self, token: &str) -> Standing {
        let key: [u8; 32] = Sha256::digest(token).into();
        if let Some(known) = self.verdicts.get(&key).await {
            return known;
        }
        let Ok(_place) = self.places.try_acquire() else { return Standing::Unknown };
        match tokio::time::timeout(PATIENCE, self.ask(token)).await {
            Ok(Ok(allowed)) => {
                let standing = if allowed { Standing::Allowed } else { Standing::Refused };
                self.verdicts.insert(key, standing).await;
                standing
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "the status page cannot ask the API server about a token");
                Standing::Unknown
            }
            Err(_) => Standing::Unknown,
        }
    }

    async fn ask(&self, token: &str) -> Result<bool, kube::Error> {
        let spec = TokenReviewSpec { token: Some(token.to_owned()), ..TokenReviewSpec::default() };
        let review = TokenReview { spec, ..TokenReview::default() };
        let review = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        let status = review.status.unwrap_or_default();
        let Some(user) = status.user.filter(|_| status.authenticated == Some(true)) else { return Ok(false) };
        let review = SubjectAccessReview { spec: may_list(user), ..SubjectAccessReview::default() };
        let review: SubjectAccessReview = Api::all(self.client.clone()).create(&PostParams::default(), &review).await?;
        Ok(review.status.is_some_and(|status| status.allowed))
    }
}

/// The question whether a user may see what the page shows.
fn may_list(user: UserInfo) -> SubjectAccessReviewSpec {
    SubjectAccessReviewSpec {
        user: user.username,
        groups: user.groups,
        uid: user.uid,
        extra: user.extra,
        resource_attributes: Some(ResourceAttributes {
            group: Some("certgate.dev".into()),
            resource: Some("domains".into()),
            verb: Some("list".into()),
            ..ResourceAttributes::default()
        }),
        ..SubjectAccessReviewSpec::default()
    }
}

/// The token that a request brings, in its header or cookie.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    let cookie = || {
        let cookies = text(header::COOKIE)?.split(';').filter_map(|cookie| cookie.trim().split_once('='));
        cookies.into_iter().find(|(name, _)| *name == COOKIE).map(|(_, token)| token)
    };
    bearer.or_else(cookie).filter(|token| is_token(token))
}

/// Whether a text can be a bearer token (RFC 6750 §2.1).
pub fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    (1..=MAX_TOKEN).contains(&text.len()) && text.bytes().all(fits)
}

/// The cookie that keeps a token; an empty one ends it. No script reads it, no other site's request carries it.
pub fn cookie(token: &str, headers: &HeaderMap) -> String {
    let stay = if token.is_empty() { 0 } else { STAY };
    // Behind a proxy that speaks TLS it never travels without.
    let secure = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    format!(
        "{COOKIE}={token}; HttpOnly; SameSite=Strict; Path=/; Max-Age={stay}{}",
        if secure { "; Secure" } else { "" }
    )
}

/// Whether a request that changes something comes from another site.
pub fn is_foreign(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_localhost_and_named_hosts_are_answered() {
        let names = Names::new(["Certgate.Example.com".to_owned()]);
        for (host, allowed) in [
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("10.1.2.3", true),
            ("localhost:8081", true),
            ("certgate.example.com", true),
            ("CERTGATE.example.com:443", true),
            ("evil.example.com", false),
            ("localhost.evil.example.com", false),
            ("127.0.0.1.evil.example.com:80", false),
            ("[evil.example.com]", false),
            ("", false),
        ] {
            assert_eq!(names.allow(host), allowed, "{host}");
        }
    }

    #[test]
    fn tokens_are_read_from_header_and_cookie_and_nothing_else_passes() {
        let read = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            token(&headers).map(str::to_owned)
        };
        assert_eq!(read("authorization", "Bearer abc.def").as_deref(), Some("abc.def"));
        assert_eq!(read("authorization", "bearer abc").as_deref(), Some("abc"));
        assert_eq!(read("authorization", "Basic abc"), None);
        assert_eq!(read("cookie", "a=b; certgate_token=t0; c=d").as_deref(), Some("t0"));
        assert_eq!(read("cookie", "xcertgate_token=t0"), None);
        assert_eq!(read("cookie", "certgate_token=a b"), None);
        assert_eq!(read("authorization", &format!("Bearer {}", "a".repeat(MAX_TOKEN + 1))), None);
    }

    #[test]
    fn the_cookie_is_for_this_site_and_no_script() {
        let mut headers = HeaderMap::new();
        assert_eq!(cookie("t", &headers), "certgate_token=t; HttpOnly; SameSite=Strict; Path=/; Max-Age=28800");
        headers.insert("x-forwarded-proto", "https".parse().unwrap());
        assert!(cookie("", &headers).ends_with("Max-Age=0; Secure"));
    }
}
