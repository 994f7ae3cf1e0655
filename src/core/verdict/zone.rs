//! Zones: what the recorded answers say about where a zone begins and who serves it.

use ::core::net::IpAddr;

use super::{
    Ask, Consult,
    answers::{Answers, Asked, Data, Kind, Outcome, Question, Rcode, Record},
    reserved::reserved,
};
use crate::core::host::{Host, NotPublic};

/// Servers of one zone that are asked; a zone rarely has more that differ.
pub(super) const MAX_ZONE_SERVERS: usize = 4;

/// Servers of a registry that are asked where it delegates to.
const MAX_REGISTRY_SERVERS: usize = 2;
/// Referrals that are followed.
const MAX_REFERRALS: usize = 4;

/// The zone's servers, or what has to be asked to find them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Servers {
    /// Names and addresses. Servers without a usable address are left out.
    Known(Vec<(String, Vec<IpAddr>)>),
    /// Ask the recursive resolver these first.
    Ask(Vec<Question>),
    /// The zone cannot be told, or is one that is not asked: a registry's or the root.
    None,
}

/// Whether a zone is one below which domains are registered, so that its denial
/// of a name means that the domain does not exist at all.
pub(super) fn is_registry(zone: &str) -> bool {
    !zone.contains('.') || Host::parse(zone).is_ok_and(|host| host.public() == Err(NotPublic::IsPublicSuffix))
}

/// The ancestor of `name`, or `name` itself, that lies directly beneath `zone`.
pub(super) fn child_of<'a>(name: &'a str, zone: &str) -> &'a str {
    let labels = if zone.is_empty() { 1 } else { zone.split('.').count() + 1 };
    name.rmatch_indices('.').nth(labels - 1).map_or(name, |(dot, _)| name.get(dot + 1..).unwrap_or(name))
}

/// Finds the servers of the closest enclosing zone of `name`.
///
/// Names of servers come from the zone, so their addresses are hostile: private
/// ones are dropped unless `allow_private`, lest pre-flight be made to send
/// packets into the cluster.
pub(super) fn servers_of(answers: &Answers, name: &str, allow_private: bool) -> Servers {
    let zone = match zone_of(answers, name) {
        Zone::Is(zone) if is_registry(zone) => return Servers::None,
        Zone::Is(zone) => zone,
        Zone::Ask(question) => return Servers::Ask(vec![question]),
        Zone::Unknown => return Servers::None,
    };
    let names = match recursive(answers, zone, Kind::Ns) {
        None => return Servers::Ask(vec![Question::new(zone, Kind::Ns)]),
        Some(outcome) => ns_records(outcome, zone),
    };
    addresses_of(answers, names.into_iter().take(MAX_ZONE_SERVERS), &[], allow_private)
}

/// The addresses of servers: those that came with a referral, else those that the resolver knows.
fn addresses_of<'a>(
    answers: &Answers,
    names: impl Iterator<Item = &'a str>,
    glue: &[Record],
    allow_private: bool,
) -> Servers {
    let mut open = Vec::new();
    let mut known = Vec::new();
    for ns in names {
        let ip = |record: &Record| match record.data {
            Data::A(ip) => Some(IpAddr::V4(ip)),
            Data::Aaaa(ip) => Some(IpAddr::V6(ip)),
            _ => None,
        };
        let mut addresses: Vec<IpAddr> = glue.iter().filter(|record| record.name == ns).filter_map(ip).collect();
        if addresses.is_empty() {
            for kind in [Kind::A, Kind::Aaaa] {
                match recursive(answers, ns, kind) {
                    None => open.push(Question::new(ns, kind)),
                    Some(Outcome::Reply(reply)) => addresses.extend(reply.records.iter().filter_map(ip)),
                    Some(_) => {}
                }
            }
        }
        addresses.retain(|ip| allow_private || (reserved(*ip).is_none() && !ip.is_multicast()));
        addresses.truncate(2);
        if !addresses.is_empty() {
            known.push((ns.to_owned(), addresses));
        }
    }
    if open.is_empty() { Servers::Known(known) } else { Servers::Ask(open) }
}

/// What is still to be asked to learn, from the servers that delegations lead to, about a name that the resolver fails
/// for: from the closest zone above whose servers it knows, down the referrals.
pub(super) fn road(answers: &Answers, consult: &Consult, question: &Question) -> Vec<Ask> {
    if !consult.enabled {
        return Vec::new();
    }
    if !consult.servers.is_empty() {
        let by_hand = consult.servers.iter().take(MAX_ZONE_SERVERS).map(|server| (server.clone(), Vec::new()));
        return open(answers, question, by_hand.collect(), false);
    }
    let (mut zone, mut names, mut glue): (&str, Vec<&str>, &[Record]) = match start(answers, &question.name) {
        Start::Zone(zone, names) => (zone, names, &[]),
        Start::Ask(question) => return vec![Ask::Recursive(question)],
        Start::Nowhere => return Vec::new(),
    };
    for _ in 0..MAX_REFERRALS {
        // A registry's servers are many, all alike, and not to be troubled more than need be.
        let most = if is_registry(zone) { MAX_REGISTRY_SERVERS } else { MAX_ZONE_SERVERS };
        let servers = match addresses_of(answers, names.iter().copied().take(most), glue, consult.allow_private) {
            Servers::Known(servers) => servers,
            Servers::Ask(questions) => return questions.into_iter().map(Ask::Recursive).collect(),
            Servers::None => Vec::new(),
        };
        let further = servers.iter().find_map(|(ns, _)| {
            let asked = Asked::Authoritative(ns.clone());
            referral(answers.outcome(&question.name, question.kind, &asked)?, &question.name, zone)
        });
        match further {
            Some((below, next, more)) => (zone, names, glue) = (below, next, more),
            None => return open(answers, question, servers, false),
        }
    }
    Vec::new()
}

/// The question to each of the servers that has not been asked it.
pub(super) fn open(
    answers: &Answers,
    question: &Question,
    servers: Vec<(String, Vec<IpAddr>)>,
    opinion: bool,
) -> Vec<Ask> {
    let asked = |server: &str| answers.outcome(&question.name, question.kind, &Asked::Authoritative(server.to_owned()));
    let open = servers.into_iter().filter(|(server, _)| asked(server).is_none());
    open.map(|(server, addresses)| Ask::Authoritative { server, addresses, question: question.clone(), opinion })
        .collect()
}

enum Start<'a> {
    Zone(&'a str, Vec<&'a str>),
    Ask(Question),
    Nowhere,
}

/// The closest zone above a name, its registered domain or a registry's, whose servers the resolver knows.
fn start<'a>(answers: &'a Answers, name: &'a str) -> Start<'a> {
    let mut at = organisation(name);
    loop {
        match answers.unvalidated(at, Kind::Ns) {
            None => return Start::Ask(Question::new(at, Kind::Ns)),
            Some(outcome) => {
                let names = ns_records(outcome, at);
                if !names.is_empty() {
                    return Start::Zone(at, names);
                }
            }
        }
        match at.split_once('.') {
            Some((_, parent)) => at = parent,
            None => return Start::Nowhere,
        }
    }
}

/// Where a server sends those who ask about a name: to a zone below `zone` that the name is in.
pub(super) fn referral<'a>(
    outcome: &'a Outcome,
    name: &str,
    zone: &str,
) -> Option<(&'a str, Vec<&'a str>, &'a [Record])> {
    let Outcome::Reply(reply) = outcome else { return None };
    let below = |at: &str| is_at_or_below(name, at) && is_at_or_below(at, zone) && at != zone;
    let delegated = |record: &&'a Record| record.data.is(Kind::Ns) && below(&record.name);
    let at = reply.referral.iter().find(delegated).filter(|_| reply.rcode == Rcode::NO_ERROR)?.name.as_str();
    let names = reply.referral.iter().filter(|record| record.name == at).filter_map(|record| match &record.data {
        Data::Ns(ns) => Some(ns.as_str()),
        _ => None,
    });
    Some((at, names.collect(), &reply.referral))
}

/// The domain that somebody registered: one label below the registry's suffix. The name itself where there is none.
pub(super) fn organisation(name: &str) -> &str {
    let mut at = name;
    while let Some((_, parent)) = at.split_once('.') {
        if is_registry(parent) {
            return at;
        }
        at = parent;
    }
    name
}

enum Zone<'a> {
    Is(&'a str),
    Ask(Question),
    Unknown,
}

/// The closest enclosing zone: told by the SOA record of a negative answer, or
/// by NS records.
fn zone_of<'a>(answers: &'a Answers, name: &'a str) -> Zone<'a> {
    let mut at = name;
    loop {
        // An SOA above `at` is proof that no zone begins between the two.
        let told = [Kind::Ns, Kind::A, Kind::Aaaa, Kind::Caa, Kind::Txt].into_iter().find_map(|kind| {
            let Some(Outcome::Reply(reply)) = recursive(answers, at, kind) else { return None };
            let soa = reply.soa.as_ref()?;
            is_at_or_below(at, &soa.name).then_some(soa.name.as_str())
        });
        if let Some(zone) = told {
            return Zone::Is(zone);
        }
        match recursive(answers, at, Kind::Ns) {
            None => return Zone::Ask(Question::new(at, Kind::Ns)),
            Some(outcome) if !ns_records(outcome, at).is_empty() => return Zone::Is(at),
            Some(_) => {}
        }
        match at.split_once('.') {
            Some((_, parent)) if parent.contains('.') => at = parent,
            _ => return Zone::Unknown,
        }
    }
}

fn recursive<'a>(answers: &'a Answers, name: &str, kind: Kind) -> Option<&'a Outcome> {
    answers.outcome(name, kind, &Asked::Recursive)
}

fn ns_records<'a>(outcome: &'a Outcome, zone: &str) -> Vec<&'a str> {
    let Outcome::Reply(reply) = outcome else { return Vec::new() };
    if reply.rcode != Rcode::NO_ERROR {
        return Vec::new();
    }
    let mut names: Vec<&str> = reply
        .records
        .iter()
        .filter(|record| record.name == zone)
        .filter_map(|record| match &record.data {
            Data::Ns(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    names.sort_unstable();
    names.dedup();
    names
}

/// Whether `name` is `zone` or lies beneath it.
pub(super) fn is_at_or_below(name: &str, zone: &str) -> bool {
    zone.is_empty() || name.strip_suffix(zone).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
