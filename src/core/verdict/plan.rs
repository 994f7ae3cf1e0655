//! [`wanted`]: which questions are still to be asked before [`super::judge`] can
//! speak. The transport asks them, records the answers, and asks here again.

use ::core::net::IpAddr;

use super::{
    Method, Request,
    address::{Look, is_for_the_owner},
    answers::{Answers, Asked, Kind, Question},
    certification::Climb,
    challenge,
    failure::Failure,
    judge::refused,
    resolver, trouble,
    walk::View,
    zone::{MAX_ZONE_SERVERS, Servers, open, servers_of},
};
use crate::core::reason::Reason;

/// A question and whom to ask it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A validating recursive resolver.
    Recursive(Question),
    /// The same without DNSSEC validation.
    Unchecked(Question),
    /// A server of the zone, without recursion.
    Authoritative {
        /// Its name, as [`Asked::Authoritative`] records it.
        server: String,
        /// Its addresses; none where `server` is itself one that was configured.
        addresses: Vec<IpAddr>,
        /// The question.
        question: Question,
        /// Whether the resolver's answer is a good one already, so that no answer from here is no loss.
        opinion: bool,
    },
    /// One recursive resolver, about a name that is known not to validate.
    Probe {
        /// Its address, as answers name it.
        server: String,
        /// The question.
        question: Question,
    },
}

/// Whether and how a zone's own servers are asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Consult {
    /// Whether to ask them at all.
    pub enabled: bool,
    /// Ask these, whatever the zone says.
    pub servers: Vec<String>,
    /// Whether private addresses of a zone's servers are asked (labs).
    pub allow_private: bool,
    /// A name that does not validate: resolvers that answer it do not see what the CA must refuse. `None`: not asked.
    pub bogus: Option<String>,
}

/// The questions to be asked next; none: judge. Every answer recorded, failures
/// included, takes its question off the list, so asking in rounds ends.
pub fn wanted(request: &Request, answers: &Answers, consult: &Consult) -> Vec<Ask> {
    if refused(request).is_some() {
        return Vec::new();
    }
    let host = request.host.base();
    let mut asks = Vec::new();
    let look = (!request.host.is_wildcard()).then(|| Look::new(answers, View::Recursive, request));
    look.iter().for_each(|look| asks.extend(look.unasked().cloned().map(Ask::Recursive)));
    let climb = (!request.ca.names.is_empty()).then(|| Climb::new(answers, View::Recursive, host));
    climb.iter().for_each(|climb| asks.extend(climb.unasked().cloned().map(Ask::Recursive)));
    let challenge = (request.method == Method::Dns01).then(|| challenge::challenge_name(host));
    asks.extend(challenge.iter().filter_map(|name| challenge::unasked(answers, name)).map(Ask::Recursive));
    asks.extend(unchecked(answers));
    asks.extend(resolver::probe(request, answers).map(Ask::Recursive));
    if !asks.is_empty() {
        return dedup(asks);
    }
    // What fails is looked into, unless it is the resolver itself.
    let fault = resolver::fault(request, answers).map(|fault| fault.reason);
    if !matches!(fault, Some(Reason::ResolverUnreachable | Reason::ResolverRefuses)) {
        let failing = look.iter().filter_map(Look::failing).map(|(name, kind)| (name.to_owned(), kind));
        let failing = failing.chain(climb.iter().filter_map(|climb| Some((climb.failing()?.to_owned(), Kind::Caa))));
        let failing =
            failing.chain(challenge.iter().filter_map(|name| Some((challenge::failing(answers, name)?, Kind::Txt))));
        asks.extend(failing.flat_map(|(name, kind)| trouble::asks(request, answers, consult, &name, kind)));
    }
    asks.extend(look.iter().flat_map(Look::unasked_names).map(Ask::Recursive));
    if asks.is_empty() && consult.enabled {
        if let Some(look) = look {
            asks.extend(about_addresses(request, answers, consult, &look));
        }
        asks.extend(about_caa(request, answers, consult));
    }
    if asks.is_empty() {
        asks.extend(resolver::validation(request, answers, consult));
    }
    dedup(asks)
}

/// What fails is asked about once more without validation, where that may tell more.
fn unchecked(answers: &Answers) -> impl Iterator<Item = Ask> {
    answers
        .0
        .iter()
        .filter(|answer| answer.asked == Asked::Recursive)
        .filter(|answer| Failure::of(&answer.outcome).is_some_and(|failure| failure.wants_unchecked()))
        .filter(|answer| answers.outcome(&answer.question.name, answer.question.kind, &Asked::Unchecked).is_none())
        .map(|answer| Ask::Unchecked(answer.question.clone()))
}

/// The zone's own servers are asked. Where the recursive resolver's answer holds the host back, they know a new record
/// while caches still deny it. Where it is a good one, another of them may say otherwise, and the CA asks from several
/// places: which of them the resolver happened to ask must not decide.
fn about_addresses(request: &Request, answers: &Answers, consult: &Consult, look: &Look<'_>) -> Vec<Ask> {
    let finding = look.rule().finding;
    match &finding {
        Some(finding) if !is_for_the_owner(finding.reason) => return Vec::new(),
        // The CA needs no address for DNS-01.
        None if request.method == Method::Dns01 => return Vec::new(),
        _ => {}
    }
    let host = request.host.base();
    let questions = [Kind::A, Kind::Aaaa].map(|kind| Question::new(host, kind));
    authoritative(answers, consult, host, &questions, finding.is_none(), |server| {
        // A new CNAME may lead where nobody has looked yet.
        let look = Look::new(answers, View::Authoritative(server), request);
        look.unasked().cloned().chain(look.unasked_names()).collect()
    })
}

/// The same for CAA that forbids: at the name itself, where a set may be new,
/// and where the set that forbids was found.
fn about_caa(request: &Request, answers: &Answers, consult: &Consult) -> Vec<Ask> {
    if request.ca.names.is_empty() {
        return Vec::new();
    }
    let base = request.host.base();
    let climb = Climb::new(answers, View::Recursive, base);
    let (Some(found_at), Some(_)) = (climb.found_at(), climb.rule(request).finding) else { return Vec::new() };
    let mut questions = vec![Question::new(found_at, Kind::Caa)];
    if base != found_at {
        questions.push(Question::new(base, Kind::Caa));
    }
    authoritative(answers, consult, found_at, &questions, false, |server| {
        Climb::new(answers, View::Authoritative(server), base).unasked().cloned().collect()
    })
}

/// Asks the servers of the zone that `name` is in, and what follows from the answer of each. `opinion`: only to learn
/// whether they agree.
fn authoritative(
    answers: &Answers,
    consult: &Consult,
    name: &str,
    questions: &[Question],
    opinion: bool,
    following: impl Fn(&str) -> Vec<Question>,
) -> Vec<Ask> {
    let servers: Vec<(String, Vec<IpAddr>)> = if consult.servers.is_empty() {
        match servers_of(answers, name, consult.allow_private) {
            Servers::Known(servers) => servers,
            Servers::Ask(questions) => return questions.into_iter().map(Ask::Recursive).collect(),
            Servers::None => Vec::new(),
        }
    } else {
        consult.servers.iter().take(MAX_ZONE_SERVERS).map(|server| (server.clone(), Vec::new())).collect()
    };
    // One alone has nobody to disagree with.
    let servers = if opinion && servers.len() < 2 { Vec::new() } else { servers };
    let mut asks = Vec::new();
    for server in servers {
        let unasked: Vec<Ask> =
            questions.iter().flat_map(|question| open(answers, question, vec![server.clone()], opinion)).collect();
        if unasked.is_empty() {
            asks.extend(following(&server.0).into_iter().map(Ask::Recursive));
        }
        asks.extend(unasked);
    }
    asks
}

fn dedup(asks: Vec<Ask>) -> Vec<Ask> {
    let mut unique: Vec<Ask> = Vec::with_capacity(asks.len());
    for ask in asks {
        if !unique.contains(&ask) {
            unique.push(ask);
        }
    }
    unique
}
