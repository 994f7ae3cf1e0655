//! Which redirects the CA follows: the rules of Boulder's `va/http.go`
//! (`processRedirect`, `extractRequestTarget`), in its words.

use std::net::IpAddr;

use url::{Host as UrlHost, Url};

use crate::core::{
    host::{Host, NotPublic},
    verdict::reserved,
};

/// Redirects that are followed; the one after is too many.
const MAX_REDIRECTS: usize = 11;
/// The longest path of a redirect's target.
const MAX_PATH: usize = 2000;

/// The ports of a validation: 80 and 443, but in tests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// For `http`.
    pub http: u16,
    /// For `https`.
    pub https: u16,
}

impl Default for Ports {
    fn default() -> Self {
        Self { http: 80, https: 443 }
    }
}

/// Why a redirect is not followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say it")]
pub enum BadRedirect {
    #[error("too many redirects")]
    TooMany,
    #[error("redirect loop")]
    Loop,
    #[error("redirect status {0}, which the CA does not follow")]
    Status(u16),
    #[error("the redirect names no usable target")]
    Unreadable,
    #[error("only http and https are followed, not {0:?}")]
    Scheme(String),
    #[error("only ports {0} and {1} are followed, not {2}")]
    Port(u16, u16, u16),
    #[error("the redirect's target has no host")]
    NoHost,
    #[error("the redirect's target {0:?} lacks a / after the host")]
    MissingSlash(String),
    #[error("the redirect's target is longer than 2000 octets")]
    TooLong,
    #[error("the redirect's target is a reserved address ({0})")]
    Reserved(IpAddr),
    #[error("the redirect's target {0:?} does not end in a public top-level domain")]
    NotPublic(String),
    #[error("the redirect's target {0:?} has no public address")]
    NoAddress(String),
}

/// The target of a redirect that the CA would follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hop {
    pub url: Url,
    pub port: u16,
}

/// Where the answer to the last of `visited` leads; `None`: it is no redirect.
///
/// `lenient` lets private names and addresses pass, for labs.
pub(super) fn follow(
    visited: &[Url],
    status: u16,
    location: Option<&str>,
    ports: Ports,
    lenient: bool,
) -> Result<Option<Hop>, BadRedirect> {
    // What the CA's HTTP library takes for a redirect; other codes are answers.
    let (301 | 302 | 303 | 307 | 308, Some(location)) = (status, location) else { return Ok(None) };
    if visited.len() > MAX_REDIRECTS {
        return Err(BadRedirect::TooMany);
    }
    if status == 303 {
        return Err(BadRedirect::Status(status));
    }
    let base = visited.last().ok_or(BadRedirect::Unreadable)?;
    let url = base.join(location).map_err(|_| BadRedirect::Unreadable)?;
    let default_port = match url.scheme() {
        "http" => ports.http,
        "https" => ports.https,
        other => return Err(BadRedirect::Scheme(other.chars().take(32).collect())),
    };
    let port = url.port().unwrap_or(default_port);
    if port != ports.http && port != ports.https {
        return Err(BadRedirect::Port(ports.http, ports.https, port));
    }
    check_host(url.host().ok_or(BadRedirect::NoHost)?, lenient)?;
    if url.path().len() > MAX_PATH {
        return Err(BadRedirect::TooLong);
    }
    if visited.contains(&url) {
        return Err(BadRedirect::Loop);
    }
    Ok(Some(Hop { url, port }))
}

fn check_host(host: UrlHost<&str>, lenient: bool) -> Result<(), BadRedirect> {
    let address = match host {
        UrlHost::Ipv4(ip) => Some(IpAddr::V4(ip)),
        UrlHost::Ipv6(ip) => Some(IpAddr::V6(ip)),
        UrlHost::Domain(_) => None,
    };
    if let Some(ip) = address {
        return if lenient || reserved(ip).is_none() { Ok(()) } else { Err(BadRedirect::Reserved(ip)) };
    }
    let UrlHost::Domain(name) = host else { return Ok(()) };
    // `Redirect / https://example.org` in place of `https://example.org/`.
    if name.ends_with(".well-known") {
        return Err(BadRedirect::MissingSlash(name.chars().take(100).collect()));
    }
    let public = Host::parse(name).is_ok_and(|host| host.public() != Err(NotPublic::NoPublicSuffix));
    if public || lenient { Ok(()) } else { Err(BadRedirect::NotPublic(name.chars().take(100).collect())) }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const START: &str = "http://www.example.com/.well-known/acme-challenge/x";

    fn followed(status: u16, location: &str) -> Result<Option<Hop>, BadRedirect> {
        follow(&[Url::parse(START).unwrap()], status, Some(location), Ports::default(), false)
    }

    #[rstest]
    #[case(301, "https://www.example.com/.well-known/acme-challenge/x", 443)]
    #[case(302, "http://other.example.org/y?q=1", 80)]
    #[case(307, "/elsewhere", 80)]
    #[case(308, "https://www.example.com:80/x", 80)]
    #[case(301, "http://www.example.com:443/x", 443)]
    #[case(301, "https://WWW.Example.COM/", 443)]
    #[case(301, "https://8.8.8.8/", 443)]
    #[case(301, "https://[2606:4700::1]/", 443)]
    fn the_ca_follows(#[case] status: u16, #[case] location: &str, #[case] port: u16) {
        assert_eq!(followed(status, location).unwrap().unwrap().port, port);
    }

    #[rstest]
    #[case(303, "https://www.example.com/", BadRedirect::Status(303))]
    #[case(301, "ftp://www.example.com/", BadRedirect::Scheme("ftp".into()))]
    #[case(301, "https://www.example.com:8443/", BadRedirect::Port(80, 443, 8443))]
    #[case(301, "https://10.0.0.1/", BadRedirect::Reserved("10.0.0.1".parse().unwrap()))]
    #[case(301, "http://169.254.169.254/latest/meta-data", BadRedirect::Reserved("169.254.169.254".parse().unwrap()))]
    #[case(301, "http://0x7f000001/", BadRedirect::Reserved("127.0.0.1".parse().unwrap()))]
    #[case(301, "https://[::1]/", BadRedirect::Reserved("::1".parse().unwrap()))]
    #[case(301, "http://kubernetes.default.svc/", BadRedirect::NotPublic("kubernetes.default.svc".into()))]
    #[case(301, "http://localhost/", BadRedirect::NotPublic("localhost".into()))]
    #[case(301, "https://www.example.org.well-known/x", BadRedirect::MissingSlash("www.example.org.well-known".into()))]
    #[case(301, "https:///", BadRedirect::Unreadable)]
    #[case(301, START, BadRedirect::Loop)]
    fn the_ca_does_not_follow(#[case] status: u16, #[case] location: &str, #[case] expected: BadRedirect) {
        assert_eq!(followed(status, location), Err(expected));
    }

    #[test]
    fn other_codes_are_answers() {
        for status in [200, 300, 304, 404] {
            assert_eq!(followed(status, "https://www.example.com/"), Ok(None));
        }
        assert_eq!(follow(&[Url::parse(START).unwrap()], 301, None, Ports::default(), false), Ok(None));
    }

    #[test]
    fn length_and_number_are_bounded() {
        let long = format!("https://www.example.com/{}", "a".repeat(2001));
        assert_eq!(followed(301, &long), Err(BadRedirect::TooLong));
        let visited: Vec<Url> =
            (0..=MAX_REDIRECTS).map(|n| Url::parse(&format!("http://www.example.com/{n}")).unwrap()).collect();
        let next = |visited: &[Url]| follow(visited, 301, Some("/next"), Ports::default(), false);
        assert!(next(&visited[..MAX_REDIRECTS]).is_ok());
        assert_eq!(next(&visited), Err(BadRedirect::TooMany));
    }
}
