//! What nginx serves: servers, their locations, and the answer that a client gets.

use std::{collections::BTreeSet, fmt};

/// A certificate as far as a client sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Certificate {
    /// The subject's common name.
    pub(crate) common_name: String,
    /// The serial number in hexadecimal.
    pub(crate) serial: String,
    /// The DNS names that it is for.
    pub(crate) names: Vec<String>,
}

/// One `server` block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Server {
    /// The certificate it shows on 443; none: it listens on 80.
    pub(crate) certificate: Option<Certificate>,
    /// `server_name`.
    pub(crate) name: String,
    /// In the order of the configuration.
    pub(crate) locations: Vec<Location>,
}

/// One `location` block. All are prefix locations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Location {
    /// The prefix.
    pub(crate) path: String,
    /// Answers with a redirect to https; otherwise passed to the application.
    pub(crate) redirect: bool,
}

/// What a client gets on port 80.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The application's own.
    Served,
    /// A redirect to https.
    Redirected,
    /// 404: the host is served, the path is not.
    NotFound,
    /// No server has that name.
    NoServer,
    /// The gateway is down.
    Down,
}

// === impl Certificate ===

impl Certificate {
    /// Whether a browser accepts it for the host.
    pub(crate) fn covers(&self, host: &str) -> bool {
        self.names.iter().any(|name| match name.strip_prefix("*.") {
            Some(base) => host.split_once('.').is_some_and(|(_, rest)| rest == base),
            None => name == host,
        })
    }
}

// === impl Server ===

impl Server {
    /// How well `server_name` fits a host: exactly, by the length of the suffix, or not.
    /// A leading dot stands for the domain itself and all beneath (nginx `server_name`).
    fn fit(&self, host: &str) -> Option<usize> {
        if self.name == host || self.name.strip_prefix('.') == Some(host) {
            return Some(usize::MAX);
        }
        let suffix = self.name.strip_prefix('*').unwrap_or(&self.name);
        (suffix.starts_with('.') && host.ends_with(suffix)).then_some(suffix.len())
    }

    fn location(&self, path: &str) -> Option<&Location> {
        self.locations
            .iter()
            .filter(|location| path.starts_with(&location.path))
            .max_by_key(|location| location.path.len())
    }

    /// A path with two locations, which `nginx -t` refuses ("duplicate location").
    pub(crate) fn duplicate_location(&self) -> Option<&str> {
        let mut seen = BTreeSet::new();
        self.locations.iter().map(|location| location.path.as_str()).find(|path| !seen.insert(*path))
    }
}

/// The server of a port that answers for a host.
pub(crate) fn server_for<'s>(servers: &'s [Server], tls: bool, host: &str) -> Option<&'s Server> {
    servers
        .iter()
        .filter(|server| server.certificate.is_some() == tls)
        .filter_map(|server| Some((server.fit(host)?, server)))
        .max_by_key(|(fit, _)| *fit)
        .map(|(_, server)| server)
}

/// What port 80 answers.
pub(crate) fn plain_answer(servers: &[Server], host: &str, path: &str) -> Answer {
    match server_for(servers, false, host).map(|server| server.location(path)) {
        None => Answer::NoServer,
        Some(None) => Answer::NotFound,
        Some(Some(location)) if location.redirect => Answer::Redirected,
        Some(Some(_)) => Answer::Served,
    }
}

/// Servers as the table writes them, in an order of their own: the gateway's own
/// order of servers and locations is that of a Go map, and changes from sync to sync.
pub(crate) fn cell(servers: &[Server]) -> String {
    if servers.is_empty() {
        return "nothing".to_owned();
    }
    let mut texts: Vec<String> = servers.iter().map(Server::to_string).collect();
    texts.sort();
    texts.join("; ")
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.certificate {
            Some(certificate) => write!(f, "443 ssl `{}` [{certificate}]: ", self.name)?,
            None => write!(f, "80 `{}`: ", self.name)?,
        }
        let mut locations: Vec<String> = self.locations.iter().map(Location::to_string).collect();
        locations.sort();
        f.write_str(&locations.join(", "))
    }
}

/// The first label of the common name, and the serial number.
impl fmt::Display for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.common_name.split('.').next().unwrap_or_default();
        write!(f, "{name} {}", self.serial)
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let to = if self.redirect { " → redirect to https" } else { "" };
        write!(f, "{}{to}", self.path)
    }
}
