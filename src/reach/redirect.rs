//! Which redirects the CA follows: the rules of Boulder's `va/http.go` (`newValidationRecordFromRedirect`,
//! `newValidationRecord`), over targets as Go's `net/url` reads them. The `url` crate reads what browsers read, which is more.

use std::net::IpAddr;

use url::Url;

use crate::core::{host::ends_in_icann_suffix, verdict::reserved};

/// The most requests of one validation, the first and fallbacks from IPv6 to IPv4 included (Boulder `maxRequests`).
pub(super) const MAX_REQUESTS: usize = 10;
/// The longest path of a redirect's target, in octets without escapes (Boulder `maxPathSize`).
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
    Port(u16, u16, String),
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
    /// The URL as the CA would write it. It takes a port that is written for another URL than the same without.
    pub written: String,
    pub port: u16,
}

/// Where the answer to the last request leads; `None`: it is no redirect. `from`: the URL that was asked for. `visited`: all
/// URLs so far, as they were written, one for each request.
///
/// `lenient` lets private names and addresses pass, for labs.
pub(super) fn follow(
    from: &Url,
    visited: &[String],
    status: u16,
    location: Option<&str>,
    ports: Ports,
    lenient: bool,
) -> Result<Option<Hop>, BadRedirect> {
    match status {
        301 | 302 | 307 | 308 => {}
        300..400 => return Err(BadRedirect::Status(status)),
        _ => return Ok(None),
    }
    let location = location.filter(|text| !text.is_empty()).ok_or(BadRedirect::Unreadable)?;
    let target = Target::read(location)?;
    let default_port = match target.scheme.unwrap_or(from.scheme()).to_ascii_lowercase().as_str() {
        "http" => ports.http,
        "https" => ports.https,
        other => return Err(BadRedirect::Scheme(other.chars().take(32).collect())),
    };
    let authority = match target.authority {
        Some(authority) => authority.to_ascii_lowercase(),
        None => visited.last().and_then(|last| authority_of(last)).unwrap_or_default().to_owned(),
    };
    let (host, port) = split_port(&authority);
    check_host(host, lenient)?;
    let port = match port {
        None | Some("") => default_port,
        Some(text) => match text.parse() {
            Ok(port) if port == ports.http || port == ports.https => port,
            _ => return Err(BadRedirect::Port(ports.http, ports.https, text.chars().take(8).collect())),
        },
    };
    let url = target.resolve(from).ok_or(BadRedirect::Unreadable)?;
    if unescaped_len(url.path()) > MAX_PATH {
        return Err(BadRedirect::TooLong);
    }
    let written = written(&url, &authority);
    if visited.contains(&written) {
        return Err(BadRedirect::Loop);
    }
    if visited.len() >= MAX_REQUESTS {
        return Err(BadRedirect::TooMany);
    }
    Ok(Some(Hop { url, written, port }))
}

/// A URL with its authority as it is written.
pub(super) fn written(url: &Url, authority: &str) -> String {
    let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{}://{authority}{}{query}", url.scheme(), url.path())
}

fn authority_of(written: &str) -> Option<&str> {
    written.split_once("://")?.1.split(['/', '?']).next()
}

/// A `Location`, taken apart as Go's `url.Parse` does.
struct Target<'a> {
    text: &'a str,
    scheme: Option<&'a str>,
    /// Host and port, without user and password; `None`: those of the page that redirects.
    authority: Option<&'a str>,
}

// === impl Target ===

impl<'a> Target<'a> {
    fn read(location: &'a str) -> Result<Self, BadRedirect> {
        if location.bytes().any(|byte| byte < 0x20 || byte == 0x7f) {
            return Err(BadRedirect::Unreadable);
        }
        let (text, fragment) = location.split_once('#').unwrap_or((location, ""));
        let (scheme, rest) = scheme(text)?;
        let path = rest.split('?').next().unwrap_or_default();
        let (authority, path) = match (path.strip_prefix("//"), scheme) {
            // Three slashes without a scheme are a path.
            (Some(after), scheme) if scheme.is_some() || !after.starts_with('/') => {
                let (authority, _) = after.split_once('/').unwrap_or((after, ""));
                (Some(authority), after.strip_prefix(authority).unwrap_or_default())
            }
            (_, Some(name)) if !matches!(name.to_ascii_lowercase().as_str(), "http" | "https") => {
                return Err(BadRedirect::Scheme(name.chars().take(32).collect()));
            }
            // `http:x` and `http:/x` have no host, whatever browsers make of them.
            (_, Some(_)) => return Err(BadRedirect::NoHost),
            (_, None) if path.split('/').next().is_some_and(|first| first.contains(':')) => {
                return Err(BadRedirect::Unreadable);
            }
            (_, None) => (None, path),
        };
        if !has_whole_escapes(path) || !has_whole_escapes(fragment) {
            return Err(BadRedirect::Unreadable);
        }
        let authority = match authority {
            Some(authority) => Some(check_authority(authority)?),
            None => None,
        };
        Ok(Self { text, scheme, authority })
    }

    fn resolve(&self, from: &Url) -> Option<Url> {
        if self.scheme.is_none() && self.authority.is_none() && self.text.starts_with("//") {
            let mut url = from.clone();
            let (path, query) =
                self.text.split_once('?').map_or((self.text, None), |(path, query)| (path, Some(query)));
            url.set_path(path);
            url.set_query(query);
            return Some(url);
        }
        // Browsers take a backslash for a slash, and what follows two of them for a host; Go does not.
        from.join(&self.text.replace('\\', "%5C")).ok()
    }
}

/// The scheme before the first `:` and what follows (Go `getScheme`).
fn scheme(text: &str) -> Result<(Option<&str>, &str), BadRedirect> {
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => {}
            b'0'..=b'9' | b'+' | b'-' | b'.' if index > 0 => {}
            b':' if index == 0 => return Err(BadRedirect::Unreadable),
            b':' => return Ok((text.get(..index), text.get(index + 1..).unwrap_or_default())),
            _ => break,
        }
    }
    Ok((None, text))
}

/// Host and port of an authority (Go `parseAuthority`, `parseHost`).
fn check_authority(authority: &str) -> Result<&str, BadRedirect> {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~!$&'()*+,;=:[]<>\"".contains(&byte);
    if let Some(inner) = host.strip_prefix('[') {
        let (_, after) = inner.split_once(']').ok_or(BadRedirect::Unreadable)?;
        let fits =
            after.is_empty() || after.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
        return if fits { Ok(host) } else { Err(BadRedirect::Unreadable) };
    }
    let (name, port) = split_port(host);
    if port.is_some_and(|port| !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(BadRedirect::Unreadable);
    }
    if name.is_empty() {
        return Err(BadRedirect::NoHost);
    }
    if !host.is_ascii() {
        // Go takes it; that it is no registered domain in this form is found later.
        return Err(BadRedirect::NotPublic(name.chars().take(100).collect()));
    }
    if host.bytes().all(allowed) { Ok(host) } else { Err(BadRedirect::Unreadable) }
}

/// A host and the port that is written after it, if one is.
fn split_port(authority: &str) -> (&str, Option<&str>) {
    match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (authority, None),
    }
}

fn has_whole_escapes(text: &str) -> bool {
    let hex = |part: Option<&str>| part.is_some_and(|two| two.len() == 2 && two.bytes().all(|b| b.is_ascii_hexdigit()));
    text.match_indices('%').all(|(at, _)| hex(text.get(at + 1..at + 3)))
}

fn unescaped_len(path: &str) -> usize {
    path.len() - 2 * path.matches('%').count()
}

fn check_host(host: &str, lenient: bool) -> Result<(), BadRedirect> {
    if host.is_empty() {
        return Err(BadRedirect::NoHost);
    }
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    // As Go's `netip.ParseAddr`: four decimal numbers without leading zeros, or IPv6.
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return if lenient || reserved(ip).is_none() { Ok(()) } else { Err(BadRedirect::Reserved(ip)) };
    }
    // `Redirect / https://example.org` in place of `https://example.org/`.
    if host.ends_with(".well-known") {
        return Err(BadRedirect::MissingSlash(host.chars().take(100).collect()));
    }
    if lenient || ends_in_icann_suffix(host) {
        Ok(())
    } else {
        Err(BadRedirect::NotPublic(host.chars().take(100).collect()))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const START: &str = "http://www.example.com/.well-known/acme-challenge/x";

    fn followed(status: u16, location: &str) -> Result<Option<Hop>, BadRedirect> {
        follow(&Url::parse(START).unwrap(), &[START.into()], status, Some(location), Ports::default(), false)
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
    #[case::underscore(301, "https://my_app.example.org/", 443)]
    #[case::hyphens(301, "https://ab--cd.example.org/", 443)]
    #[case::its_own_port_written(301, "http://www.example.com:80/.well-known/acme-challenge/x", 80)]
    #[case::user(301, "https://user:secret@www.example.org/", 443)]
    #[case::three_slashes(301, "///path", 80)]
    #[case::backslash_is_none(301, "/\\evil.example.org/", 80)]
    #[case::empty_port(301, "https://www.example.org:/", 443)]
    fn the_ca_follows(#[case] status: u16, #[case] location: &str, #[case] port: u16) {
        assert_eq!(followed(status, location).unwrap().unwrap().port, port);
    }

    #[rstest]
    #[case(303, "https://www.example.com/", BadRedirect::Status(303))]
    #[case(301, "ftp://www.example.com/", BadRedirect::Scheme("ftp".into()))]
    #[case(301, "https://www.example.com:8443/", BadRedirect::Port(80, 443, "8443".into()))]
    #[case(301, "https://10.0.0.1/", BadRedirect::Reserved("10.0.0.1".parse().unwrap()))]
    #[case(301, "http://169.254.169.254/latest/meta-data", BadRedirect::Reserved("169.254.169.254".parse().unwrap()))]
    #[case(301, "http://0x7f000001/", BadRedirect::NotPublic("0x7f000001".into()))]
    #[case(301, "http://5.5.5.01/", BadRedirect::NotPublic("5.5.5.01".into()))]
    #[case(301, "https://www.example.com./", BadRedirect::NotPublic("www.example.com.".into()))]
    #[case(301, "https://o1.中国/", BadRedirect::NotPublic("o1.中国".into()))]
    #[case(301, "http:/x", BadRedirect::NoHost)]
    #[case(301, "http:x", BadRedirect::NoHost)]
    #[case(301, "https:///host/x", BadRedirect::NoHost)]
    #[case(301, "://host/", BadRedirect::Unreadable)]
    #[case(301, "https://www.example.org/%", BadRedirect::Unreadable)]
    #[case(301, "https://www.example.org\\x", BadRedirect::Unreadable)]
    #[case(301, "", BadRedirect::Unreadable)]
    #[case(300, "https://www.example.com/", BadRedirect::Status(300))]
    #[case(304, "", BadRedirect::Status(304))]
    #[case(301, "http://www.example.org:99999/", BadRedirect::Port(80, 443, "99999".into()))]
    #[case(301, "https://[::1]/", BadRedirect::Reserved("::1".parse().unwrap()))]
    #[case(301, "http://kubernetes.default.svc/", BadRedirect::NotPublic("kubernetes.default.svc".into()))]
    #[case(301, "http://localhost/", BadRedirect::NotPublic("localhost".into()))]
    #[case(301, "https://www.example.org.well-known/x", BadRedirect::MissingSlash("www.example.org.well-known".into()))]
    #[case(301, "https:///", BadRedirect::NoHost)]
    #[case(301, START, BadRedirect::Loop)]
    fn the_ca_does_not_follow(#[case] status: u16, #[case] location: &str, #[case] expected: BadRedirect) {
        assert_eq!(followed(status, location), Err(expected));
    }

    #[test]
    fn other_codes_are_answers() {
        for status in [200, 204, 404, 500] {
            assert_eq!(followed(status, "https://www.example.com/"), Ok(None));
        }
    }

    #[test]
    fn length_and_number_are_bounded() {
        let long = format!("https://www.example.com/{}", "a".repeat(2001));
        assert_eq!(followed(301, &long), Err(BadRedirect::TooLong));
        // The CA counts without escapes.
        assert!(followed(301, &format!("https://www.example.com/{}", "%61".repeat(1900))).is_ok());
        let visited: Vec<String> = (0..MAX_REQUESTS).map(|n| format!("http://www.example.com/{n}")).collect();
        let next = |visited: &[String]| {
            let from = Url::parse(visited.last().unwrap()).unwrap();
            follow(&from, visited, 301, Some("/next"), Ports::default(), false)
        };
        assert!(next(&visited[..MAX_REQUESTS - 1]).is_ok());
        assert_eq!(next(&visited), Err(BadRedirect::TooMany));
    }

    proptest::proptest! {
        #[test]
        fn whatever_is_followed_leads_where_it_says(location in "\\PC{0,60}|(https?)?:?/{0,3}[a-z0-9.@:\\[\\]%\\\\_-]{0,30}[/?#]?[a-z%]{0,8}") {
            if let Ok(Some(hop)) = followed(302, &location) {
                let host = hop.url.host_str().unwrap_or_default().to_owned();
                proptest::prop_assert!(hop.written.contains(&host), "{} {}", hop.written, host);
                proptest::prop_assert!(hop.port == 80 || hop.port == 443);
            }
        }
    }
}
