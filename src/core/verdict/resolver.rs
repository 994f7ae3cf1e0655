//! The resolvers themselves: whether they answer, refuse, deny everything, and validate. Their faults show at every
//! host, and are the administrator's alone.

use std::collections::BTreeSet;

use super::{
    Ask, Check, CheckStatus, Consult, Method, Request,
    address::Look,
    answers::{Answer, Answers, Asked, Kind, Outcome, Question, Rcode},
    challenge,
    failure::Failure,
    judge,
    walk::{View, walk},
    zone::organisation,
};
use crate::core::{finding::Finding, reason::Reason};

/// A name that every resolver of the public DNS knows.
const EVERYWHERE: &str = "com";
/// Domains of one host's chain that are looked at for being signed.
const MAX_DOMAINS: usize = 4;

/// What a resolver does with a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Answers,
    /// NXDOMAIN.
    Denies,
    /// A response code that is no answer.
    Refuses,
    /// SERVFAIL.
    Fails,
    Nothing,
}

/// A resolver that does not validate answered for the host.
pub(super) struct Lax {
    /// What holds the host: a domain on its way is signed, and nobody here sees whether rightly.
    pub finding: Option<Finding>,
    pub check: Check,
}

/// Where a host got no answer, or is said not to exist, something is asked that any working resolver knows.
pub(super) fn probe(request: &Request, answers: &Answers) -> Option<Question> {
    let mine = own(request, answers)?;
    if mine == Does::Answers {
        return None;
    }
    let asked = |name: &str| answers.outcome(name, Kind::Ns, &Asked::Recursive);
    let top = top_level(request.host.base());
    match asked(top) {
        None => Some(Question::new(top, Kind::Ns)),
        // The registry may be gone from the root; that of `com` is not.
        Some(outcome) => (mine == Does::Denies && does(outcome) == Does::Denies && asked(EVERYWHERE).is_none())
            .then(|| Question::new(EVERYWHERE, Kind::Ns)),
    }
}

/// What is wrong with the resolvers, by what they say of names that exist.
pub(super) fn fault(request: &Request, answers: &Answers) -> Option<Finding> {
    let mine = own(request, answers).filter(|does| *does != Does::Answers)?;
    let top = does(answers.outcome(top_level(request.host.base()), Kind::Ns, &Asked::Recursive)?);
    let servers: BTreeSet<&str> = answers
        .0
        .iter()
        .filter(|answer| matches!(answer.asked, Asked::Recursive) && !answer.server.is_empty())
        .map(|answer| answer.server.as_str())
        .collect();
    let of = |reason| Finding::new(reason, request.host.as_str()).observed(servers);
    match (mine, top) {
        (_, Does::Answers) | (Does::Answers, _) => None,
        (Does::Denies, Does::Denies) => {
            let everywhere = answers.outcome(EVERYWHERE, Kind::Ns, &Asked::Recursive)?;
            (does(everywhere) == Does::Denies).then(|| of(Reason::ResolverFaulty).note("NXDOMAIN"))
        }
        (Does::Denies, _) | (_, Does::Denies) => None,
        (_, Does::Nothing) => (mine == Does::Nothing).then(|| of(Reason::ResolverUnreachable)),
        (_, Does::Refuses) => Some(of(Reason::ResolverRefuses)),
        (_, Does::Fails) => Some(of(Reason::ResolverFaulty).note("SERVFAIL")),
    }
}

/// Whether a finding was made with others' help, so that the resolver is not to blame.
pub(super) const fn is_no_fault_of_it(reason: Reason) -> bool {
    matches!(reason, Reason::LameDelegation | Reason::CnameLoop | Reason::ResolverRefuses)
}

/// What is still to be asked before "verified" may be said: whether the resolvers that answered validate and, if one
/// does not, whether there is anything to validate.
pub(super) fn validation(request: &Request, answers: &Answers, consult: &Consult) -> Vec<Ask> {
    let so_far = judge(request, answers).finding.reason;
    if !matches!(so_far, Reason::Verified | Reason::ResolverNotValidating) {
        return Vec::new();
    }
    let Some(bogus) = &consult.bogus else { return Vec::new() };
    let probed = |server: &str| probes(answers).any(|(probed, _)| probed == server);
    let mut asks: Vec<Ask> = servers(request, answers)
        .into_iter()
        .filter(|server| !probed(server))
        .map(|server| Ask::Probe { server: server.to_owned(), question: Question::new(bogus, Kind::A) })
        .collect();
    if asks.is_empty() && unvalidated(request, answers).is_some() {
        let questions = domains(request, answers)
            .into_iter()
            .flat_map(|domain| [Kind::Ds, Kind::Dnskey].map(|kind| Question::new(domain, kind)));
        let open = questions.filter(|q| answers.outcome(&q.name, q.kind, &Asked::Recursive).is_none());
        asks.extend(open.map(Ask::Recursive));
    }
    asks
}

/// Whether one of the resolvers that answered for the host takes what does not validate.
pub(super) fn lax(request: &Request, answers: &Answers) -> Option<Lax> {
    let (server, bogus) = unvalidated(request, answers)?;
    let open = |domain: &&str| {
        // Where it cannot be told whether a domain is signed, it may be.
        [Kind::Ds, Kind::Dnskey].into_iter().any(|kind| match answers.outcome(domain, kind, &Asked::Recursive) {
            Some(Outcome::Reply(reply)) if Failure::of(&Outcome::Reply(reply.clone())).is_none() => {
                reply.records.iter().any(|record| record.data.is(kind))
            }
            _ => true,
        })
    };
    let signed = domains(request, answers).into_iter().find(open);
    let words = format!("{server} does not validate DNSSEC: it answers for {bogus}");
    let (status, words) = match signed {
        Some(domain) => (CheckStatus::Fail, format!("{words}; {domain} is signed")),
        None => (CheckStatus::Warn, format!("{words}; nothing here is signed")),
    };
    let finding = signed.map(|domain| {
        let of = Finding::new(Reason::ResolverNotValidating, request.host.as_str());
        of.observed([server]).note(format!("{bogus}; {domain}"))
    });
    Some(Lax { finding, check: Check::new("DNSSEC", status, crate::core::finding::clean(&words)) })
}

/// A resolver that answered for the host and takes what does not validate; and what that was.
fn unvalidated<'a>(request: &Request, answers: &'a Answers) -> Option<(&'a str, &'a str)> {
    let servers = servers(request, answers);
    let takes = |answer: &Answer| match &answer.outcome {
        Outcome::Reply(reply) => reply.rcode == Rcode::NO_ERROR && reply.records.iter().any(|r| r.data.is(Kind::A)),
        _ => false,
    };
    let (server, answer) = probes(answers).find(|(server, answer)| servers.contains(server) && takes(answer))?;
    Some((server, answer.question.name.as_str()))
}

fn probes(answers: &Answers) -> impl Iterator<Item = (&str, &Answer)> {
    answers.0.iter().filter_map(|answer| match &answer.asked {
        Asked::Probe(server) => Some((server.as_str(), answer)),
        _ => None,
    })
}

/// The resolvers that answered for the host itself.
fn servers<'a>(request: &Request, answers: &'a Answers) -> BTreeSet<&'a str> {
    about(request, answers).map(|answer| answer.server.as_str()).filter(|server| !server.is_empty()).collect()
}

/// The registered domains that the verdict rests on.
fn domains<'a>(request: &'a Request, answers: &'a Answers) -> Vec<&'a str> {
    let mut names: Vec<&str> = vec![request.host.base()];
    if !request.host.is_wildcard() {
        names.extend(Look::new(answers, View::Recursive, request).passed());
    }
    if request.method == Method::Dns01 {
        let challenge = challenge::challenge_name(request.host.base());
        names.extend(walk(answers, View::Recursive, &challenge, Kind::Txt).chain);
    }
    let mut domains = Vec::new();
    for domain in names.into_iter().map(organisation) {
        if !domains.contains(&domain) && domains.len() < MAX_DOMAINS {
            domains.push(domain);
        }
    }
    domains
}

/// The questions of the host's own, which no memory answers.
fn about<'a>(request: &Request, answers: &'a Answers) -> impl Iterator<Item = &'a Answer> {
    let host = request.host.base().to_owned();
    answers.0.iter().filter(|answer| answer.asked == Asked::Recursive).filter(move |answer| {
        match answer.question.kind {
            Kind::A | Kind::Aaaa => answer.question.name == host,
            Kind::Txt => true,
            Kind::Caa | Kind::Ns | Kind::Ds | Kind::Dnskey => false,
        }
    })
}

/// What the resolvers do with a host, if that is the same throughout; `None`: nobody has asked.
fn own(request: &Request, answers: &Answers) -> Option<Does> {
    let mut all = about(request, answers).map(|answer| does(&answer.outcome));
    let first = all.next()?;
    // Behind a private gateway names may be private too, and nobody need know the public ones.
    if first == Does::Denies && request.gateway.allow_reserved {
        return Some(Does::Answers);
    }
    let unlike = |does: Does| (does == Does::Denies) != (first == Does::Denies) || does == Does::Answers;
    Some(if all.any(unlike) { Does::Answers } else { first })
}

fn does(outcome: &Outcome) -> Does {
    match (outcome, Failure::of(outcome)) {
        (Outcome::Timeout | Outcome::Unreachable(_), _) => Does::Nothing,
        (_, Some(Failure::Rcode(Rcode::SERVER_FAILURE, _))) => Does::Fails,
        (_, Some(Failure::Rcode(..))) => Does::Refuses,
        (Outcome::Reply(reply), None) if reply.rcode == Rcode::NAME_ERROR => Does::Denies,
        _ => Does::Answers,
    }
}

/// The last label.
fn top_level(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}
