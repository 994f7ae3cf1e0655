//! HTTP reach: whether the challenge's path on port 80 can be fetched at each of
//! a host's addresses, by the CA's rules. Backs a verdict that DNS made good;
//! alone it proves little, since a cluster may reach itself by other ways than
//! the world does, so it warns unless policy says otherwise.
//!
//! Targets come from DNS and from redirects, so all are hostile: reserved
//! addresses are never connected to, names are resolved here and connected to
//! as resolved, and little of an answer is read.

mod block;
mod fetch;
mod redirect;

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use url::Url;

pub use self::redirect::{BadRedirect, Ports};
use self::{
    fetch::{Answered, NoAnswer, get},
    redirect::{Hop, MAX_REQUESTS, follow, written},
};
use crate::{
    core::{
        finding::{Finding, clean},
        policy::{HttpReach, Target},
        reason::Reason,
        verdict::{Check, CheckStatus, Method, Request, Verdict, reserved},
    },
    dns::{Asker, Preflight},
};

/// How many of a host's addresses are tried.
const MAX_ADDRESSES: usize = 4;
/// How long all of it may take: what Boulder's validators are given.
const DEADLINE: Duration = Duration::from_secs(20);

/// The prober. Cheap to clone.
#[derive(Clone)]
pub struct Reach {
    preflight: Preflight,
    asker: Asker,
    mode: HttpReach,
    ports: Ports,
}

/// What a probe of one address came to.
#[derive(Clone, Debug, PartialEq)]
enum Outcome {
    /// Something answered by HTTP, and no redirect led astray.
    Answered(Answered),
    NoAnswer(NoAnswer),
    /// The page that redirects, and why its target is not followed.
    BadRedirect(Url, BadRedirect),
    /// A redirect led to a server that is not the gateway.
    Elsewhere(String),
    /// A redirect led where nothing answers.
    DeadEnd(Url, SocketAddr, NoAnswer),
    /// A filter on the way answered in the gateway's place.
    Blocked(String),
    Deadline,
    /// Its name is none that a URL can hold here; the CA's code takes more.
    Unasked,
}

impl Reach {
    /// A prober that resolves redirects through `preflight`.
    pub fn new(preflight: Preflight, mode: HttpReach) -> Self {
        Self { preflight, asker: Asker::default(), mode, ports: Ports::default() }
    }

    /// The same for somebody in particular.
    #[must_use]
    pub fn asked_by(self, asker: Asker) -> Self {
        Self { asker, ..self }
    }

    /// The same on other ports than 80 and 443, as labs have them.
    #[must_use]
    pub fn on(self, ports: Ports) -> Self {
        Self { ports, ..self }
    }

    /// Checks a host by DNS, and backs a good verdict by a fetch.
    pub async fn check(&self, request: &Request) -> Verdict {
        self.back(request, self.preflight.check(request).await).await
    }

    /// Backs a good verdict for HTTP-01 by a fetch; others pass unchanged.
    pub async fn back(&self, request: &Request, mut verdict: Verdict) -> Verdict {
        if self.mode == HttpReach::Off || request.method != Method::Http01 || !verdict.ready() {
            return verdict;
        }
        // Of reserved addresses, those alone that the cluster's administrator named.
        let may = |ip: &IpAddr| {
            let gateway = &request.gateway;
            gateway.allow_reserved || gateway.addresses.contains(ip) || reserved(*ip).is_none()
        };
        let observed = verdict.finding.observed.iter().filter_map(|text| text.parse().ok());
        let addresses: Vec<IpAddr> = observed.filter(may).take(MAX_ADDRESSES).collect();
        let probes = addresses.iter().map(|ip| async {
            let outcome = tokio::time::timeout(DEADLINE, self.probe(request, *ip)).await;
            (*ip, outcome.unwrap_or(Outcome::Deadline))
        });
        let (outcomes, gateway) = tokio::join!(join_all(probes), self.reference(request, &addresses));
        let detail = outcomes.iter().map(|(ip, outcome)| format!("{ip}: {outcome}")).collect::<Vec<_>>().join("; ");
        let stranger = gateway.and_then(|gateway| strange(request, &outcomes, &gateway));
        let finding = judge(request, &outcomes);
        let blocks = self.mode == HttpReach::Block && would_fail(request, &outcomes);
        let status = match &finding {
            None if stranger.is_none() => CheckStatus::Pass,
            Some(_) if blocks => CheckStatus::Fail,
            _ => CheckStatus::Warn,
        };
        verdict.checks.push(Check::new("http", status, clean(&detail)));
        match finding {
            Some(finding) if blocks => {
                verdict.next_check = Duration::from_secs(60);
                verdict.validity = Duration::ZERO;
                verdict.finding = finding;
            }
            // It never blocks: a CDN in front is a stranger too.
            finding => verdict.warnings.extend(finding.or(stranger)),
        }
        verdict
    }

    /// What the gateway itself answers for the host, asked at an address of its own. Where any public address will
    /// do, that alone tells a foreign server from the gateway.
    async fn reference(&self, request: &Request, observed: &[IpAddr]) -> Option<(IpAddr, Answered)> {
        let gateway = &request.gateway;
        let ip = *gateway.addresses.iter().find(|_| gateway.target == Target::AnyPublic)?;
        if gateway.addresses.iter().any(|own| observed.contains(own)) {
            return None;
        }
        match tokio::time::timeout(DEADLINE, self.probe(request, ip)).await {
            Ok(Outcome::Answered(answered)) => Some((ip, answered)),
            _ => None,
        }
    }

    async fn probe(&self, request: &Request, address: IpAddr) -> Outcome {
        let lenient = request.gateway.allow_reserved;
        // Nobody asked for this token, so no solver answers it: what matters is who says so.
        let path = format!("/.well-known/acme-challenge/certgate-{:016x}", fastrand::u64(..));
        let Ok(mut url) = Url::parse(&format!("http://{}{path}", request.host.base())) else {
            return Outcome::Unasked;
        };
        let mut target = SocketAddr::new(address, self.ports.http);
        let mut fallback: Option<IpAddr> = None;
        let mut now = written(&url, url.host_str().unwrap_or_default());
        let mut visited: Vec<String> = Vec::new();
        let mut referer = None;
        loop {
            visited.push(now.clone());
            let answered = match get(&url, target, referer.as_ref()).await {
                Ok(answered) => answered,
                // As the CA does, where it could not connect.
                Err(error) if error.is_dial() && fallback.is_some() && visited.len() < MAX_REQUESTS => {
                    target.set_ip(fallback.take().unwrap_or(target.ip()));
                    continue;
                }
                Err(error) if visited.len() == 1 => return Outcome::NoAnswer(error),
                Err(error) => return Outcome::DeadEnd(url, target, error),
            };
            if let Some(words) = block::shown(&answered) {
                return Outcome::Blocked(words);
            }
            let hop = follow(&url, &visited, answered.status, answered.location.as_deref(), self.ports, lenient);
            let Hop { url: next, written, port } = match hop {
                Ok(Some(hop)) => hop,
                Ok(None) if block::is_refusal(answered.status) && visited.len() == 1 => {
                    return self.refused(&path, target, answered).await;
                }
                Ok(None) => return Outcome::Answered(answered),
                Err(error) => return Outcome::BadRedirect(url, error),
            };
            if block::is_notice(&url, &next) {
                return Outcome::Blocked(format!("redirected to {}", clean(next.as_str())));
            }
            let mut addresses = self.resolve(&next, lenient).await.into_iter();
            let Some(ip) = addresses.next() else {
                let name = next.host_str().unwrap_or_default().to_owned();
                return Outcome::BadRedirect(next, BadRedirect::NoAddress(name));
            };
            fallback = addresses.find(|other| ip.is_ipv6() && other.is_ipv4());
            let known = &request.gateway.addresses;
            if !known.is_empty() && known.contains(&address) && !known.contains(&ip) {
                return Outcome::Elsewhere(format!("{} ({ip})", next.host_str().unwrap_or_default()));
            }
            target = SocketAddr::new(ip, port);
            // As Go's client does: none from HTTPS to HTTP.
            referer = (url.scheme() != "https" || next.scheme() == "https").then(|| url.clone());
            (url, now) = (next, written);
        }
    }

    /// A refusal: the application's own, or that of a filter that knows the host. Asked for no host that a filter would
    /// know, the gateway itself answers, and by another name.
    async fn refused(&self, path: &str, target: SocketAddr, answered: Answered) -> Outcome {
        let host = match target.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let Ok(url) = Url::parse(&format!("http://{host}{path}")) else { return Outcome::Answered(answered) };
        match get(&url, target, None).await {
            // One that passes the application's own name on tells nothing by its silence.
            Ok(own) if !own.server.is_empty() && own.server != answered.server => {
                Outcome::Blocked(format!("{}, where the gateway answers {}", words(&answered), words(&own)))
            }
            _ => Outcome::Answered(answered),
        }
    }

    /// The addresses of a redirect's target in the order in which the CA tries them: AAAA before A.
    async fn resolve(&self, url: &Url, lenient: bool) -> Vec<IpAddr> {
        let mut addresses = match url.host() {
            Some(url::Host::Ipv4(ip)) => vec![ip.into()],
            Some(url::Host::Ipv6(ip)) => vec![ip.into()],
            Some(url::Host::Domain(name)) => self.preflight.addresses(&self.asker, &name.to_ascii_lowercase()).await,
            None => Vec::new(),
        };
        addresses.retain(|ip| lenient || reserved(*ip).is_none());
        addresses
    }
}

/// Whether the CA would fail, as far as an answer without the challenge's file tells: it connects to the first AAAA, and to
/// the first A where it cannot. What the application redirects elsewhere, the solver may answer itself.
fn would_fail(request: &Request, outcomes: &[(IpAddr, Outcome)]) -> bool {
    let first = |v6: bool| outcomes.iter().find(|(ip, _)| ip.is_ipv6() == v6).map(|(_, outcome)| outcome);
    let outcome = match (first(true), first(false)) {
        (Some(Outcome::NoAnswer(error)), Some(fallback)) if error.is_dial() => fallback,
        (Some(outcome), _) | (None, Some(outcome)) => outcome,
        (None, None) => return false,
    };
    let same_host = |url: &Url| url.host_str() == Some(request.host.base());
    match outcome {
        Outcome::NoAnswer(error) => !matches!(error, NoAnswer::TooLarge),
        Outcome::Deadline | Outcome::Blocked(_) => true,
        Outcome::DeadEnd(url, ..) | Outcome::BadRedirect(url, BadRedirect::Port(..)) => same_host(url),
        Outcome::Answered(_) | Outcome::Unasked | Outcome::Elsewhere(_) | Outcome::BadRedirect(..) => false,
    }
}

/// What the outcomes at all addresses amount to.
fn judge(request: &Request, outcomes: &[(IpAddr, Outcome)]) -> Option<Finding> {
    let of = |reason| Finding::new(reason, request.host.as_str());
    for (ip, outcome) in outcomes {
        let (reason, note) = match outcome {
            Outcome::Answered(_) | Outcome::Unasked => continue,
            Outcome::NoAnswer(NoAnswer::NotHttp | NoAnswer::TooLarge) => {
                (Reason::HttpWrongServer, format!("{ip}: {outcome}"))
            }
            Outcome::NoAnswer(_) | Outcome::Deadline => (Reason::HttpUnreachable, format!("{ip}: {outcome}")),
            Outcome::BadRedirect(..) => (Reason::HttpBadRedirect, format!("{ip}: {outcome}")),
            Outcome::Elsewhere(_) | Outcome::DeadEnd(..) => (Reason::HttpBadRedirect, format!("{ip}: {outcome}")),
            Outcome::Blocked(_) => (Reason::HttpBlocked, format!("{ip}: {outcome}")),
        };
        return Some(of(reason).observed([ip]).note(note));
    }
    // Addresses that are served by different software are hardly one gateway.
    let mut servers: Vec<(IpAddr, &str)> = Vec::new();
    for (ip, outcome) in outcomes {
        if let Outcome::Answered(answered) = outcome
            && !servers.iter().any(|(_, server)| *server == answered.server)
        {
            servers.push((*ip, &answered.server));
        }
    }
    (servers.len() > 1).then(|| {
        let seen: Vec<String> = servers.iter().map(|(ip, server)| format!("{ip}: {server}")).collect();
        of(Reason::HttpWrongServer).observed(&seen).note(seen.join("; "))
    })
}

/// The first answer that is not like the gateway's own.
fn strange(request: &Request, outcomes: &[(IpAddr, Outcome)], gateway: &(IpAddr, Answered)) -> Option<Finding> {
    let (at, own) = gateway;
    let (ip, other) = outcomes.iter().find_map(|(ip, outcome)| match outcome {
        Outcome::Answered(answered) if (&answered.server, answered.status) != (&own.server, own.status) => {
            Some((ip, outcome))
        }
        _ => None,
    })?;
    let note = format!("{ip}: {other}; the gateway at {at}: {}", Outcome::Answered(own.clone()));
    Some(Finding::new(Reason::HttpWrongServer, request.host.as_str()).observed([ip]).note(note))
}

/// An answer in short.
fn words(answered: &Answered) -> String {
    match answered.server.as_str() {
        "" => answered.status.to_string(),
        server => format!("{} ({})", answered.status, clean(server)),
    }
}

/// Where a URL leads, as people read it.
fn without_path(url: &Url) -> String {
    format!("{}://{}", url.scheme(), url.host_str().unwrap_or_default())
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Answered(answered) => f.write_str(&words(answered)),
            Self::Blocked(words) => f.write_str(words),
            Self::DeadEnd(url, target, error) => write!(f, "redirected to {}: {target}: {error}", without_path(url)),
            Self::NoAnswer(error) => error.fmt(f),
            Self::BadRedirect(_, error) => error.fmt(f),
            Self::Elsewhere(target) => write!(f, "redirected to {target}, which is not the gateway"),
            Self::Deadline => f.write_str("no answer in time"),
            Self::Unasked => f.write_str("not looked at"),
        }
    }
}

#[cfg(test)]
mod tests;
