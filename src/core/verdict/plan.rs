//! [`wanted`]: which questions are still to be asked before [`super::judge`] can
//! speak. The transport asks them, records the answers, and asks here again.

use ::core::net::IpAddr;

use super::{
    Method, Request,
    address::Look,
    answers::{Answers, Asked, Kind, Question},
    certification::Climb,
    challenge,
    failure::Failure,
    judge::{refused, silent_about, top_level},
    walk::View,
    zone::{MAX_ZONE_SERVERS, Servers, servers_of},
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
}

/// The questions to be asked next; none: judge. Every answer recorded, failures
/// included, takes its question off the list, so asking in rounds ends.
pub fn wanted(request: &Request, answers: &Answers, consult: &Consult) -> Vec<Ask> {
    if refused(request).is_some() {
        return Vec::new();
    }
    let host = request.host.base();
    let mut asks = Vec::new();
    let look = (!request.host.is_wildcard()).then(|| Look::new(answers, View::Recursive, host));
    look.iter().for_each(|look| asks.extend(look.unasked().cloned().map(Ask::Recursive)));
    if !request.ca.names.is_empty() {
        let climb = Climb::new(answers, View::Recursive, host);
        asks.extend(climb.unasked().cloned().map(Ask::Recursive));
    }
    if request.method == Method::Dns01 {
        asks.extend(challenge::unasked(answers, &challenge::challenge_name(host)).map(Ask::Recursive));
    }
    asks.extend(unchecked(answers));
    asks.extend(probe(request, answers));
    if asks.is_empty() && consult.enabled {
        if let Some(look) = look {
            asks.extend(about_addresses(request, answers, consult, &look));
        }
        asks.extend(about_caa(request, answers, consult));
    }
    dedup(asks)
}

/// Bare SERVFAILs are asked about once more without validation.
fn unchecked(answers: &Answers) -> impl Iterator<Item = Ask> {
    answers
        .0
        .iter()
        .filter(|answer| answer.asked == Asked::Recursive)
        .filter(|answer| Failure::of(&answer.outcome).is_some_and(|failure| failure.wants_unchecked()))
        .filter(|answer| answers.outcome(&answer.question.name, answer.question.kind, &Asked::Unchecked).is_none())
        .map(|answer| Ask::Unchecked(answer.question.clone()))
}

/// Where nothing was answered, something is asked that any working resolver knows.
fn probe(request: &Request, answers: &Answers) -> Option<Ask> {
    let question = Question::new(top_level(request.host.base()), Kind::Ns);
    let asked = answers.outcome(&question.name, question.kind, &Asked::Recursive).is_some();
    (silent_about(request, answers) && !asked).then_some(Ask::Recursive(question))
}

/// Where the recursive resolver's answer holds the host back, the zone's own
/// servers are asked: they know a new record while caches still deny it.
fn about_addresses(request: &Request, answers: &Answers, consult: &Consult, look: &Look<'_>) -> Vec<Ask> {
    let Some(finding) = look.rule(request).finding else { return Vec::new() };
    if !is_for_the_owner(finding.reason) {
        return Vec::new();
    }
    let host = request.host.base();
    let questions = [Kind::A, Kind::Aaaa].map(|kind| Question::new(host, kind));
    authoritative(answers, consult, host, &questions, |server| {
        // A new CNAME may lead where nobody has looked yet.
        Look::new(answers, View::Authoritative(server), host).unasked().cloned().collect()
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
    authoritative(answers, consult, found_at, &questions, |server| {
        Climb::new(answers, View::Authoritative(server), base).unasked().cloned().collect()
    })
}

/// Asks the servers of the zone that `name` is in, and what follows from the answer of each.
fn authoritative(
    answers: &Answers,
    consult: &Consult,
    name: &str,
    questions: &[Question],
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
    let mut asks = Vec::new();
    for (server, addresses) in servers {
        let asked = Asked::Authoritative(server.clone());
        let open: Vec<&Question> =
            questions.iter().filter(|q| answers.outcome(&q.name, q.kind, &asked).is_none()).collect();
        if open.is_empty() {
            asks.extend(following(&server).into_iter().map(Ask::Recursive));
        }
        asks.extend(open.into_iter().map(|question| Ask::Authoritative {
            server: server.clone(),
            addresses: addresses.clone(),
            question: question.clone(),
        }));
    }
    asks
}

/// What an owner mends by editing records.
const fn is_for_the_owner(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::DomainNotFound
            | Reason::NoAddress
            | Reason::ReservedAddress
            | Reason::WrongTarget
            | Reason::WrongIpv6
            | Reason::WrongCname
            | Reason::CnameDangling
            | Reason::CnameLoop
            | Reason::CnameTooLong
    )
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
