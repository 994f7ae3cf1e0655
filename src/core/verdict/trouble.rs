//! What a look-up without an answer comes down to: whose zone fails, in what way, and so who can put it right.
//!
//! A resolver that fails says little: SERVFAIL stands for a CNAME loop, a provider that does not have the zone, a DS
//! record that nobody removed, and a server that is down. Told apart by extended errors, by the same question without
//! DNSSEC validation, and by asking the servers that the delegations lead to.

use ::core::net::SocketAddr;

use super::{
    Ask, Consult, Request,
    answers::{Answers, Asked, Data, Key, Kind, Outcome, Question, Rcode},
    failure::Failure,
    gateway::{self, is_named},
    walk::{MAX_CHAIN, cname_of, speaks, spoken},
    zone::{is_at_or_below, is_registry, organisation, referral, road},
};
use crate::core::{finding::Finding, reason::Reason};

/// The name at which a failing look-up fails.
enum Culprit<'a> {
    /// That one; before it, the names that were passed on the way, the first included.
    Is(&'a str, Vec<&'a str>),
    /// Ask the resolver this first.
    Ask(Question),
}

/// How the zone of a name is signed.
enum Signing<'a> {
    Known {
        zone: &'a str,
        /// The keys that the zone has; `None`: it does not tell.
        keys: Option<Vec<Key>>,
        /// The keys that its parent names.
        ds: Vec<Key>,
    },
    /// Ask this first, without validation.
    Ask(Question),
}

/// What is still to be asked about a look-up that fails.
pub(super) fn asks(request: &Request, answers: &Answers, consult: &Consult, name: &str, kind: Kind) -> Vec<Ask> {
    let at = match culprit(answers, name, kind) {
        Culprit::Ask(question) => return vec![Ask::Recursive(question)],
        Culprit::Is(at, passed) if is_platforms(request, &passed) || is_registry(at) => return Vec::new(),
        Culprit::Is(at, _) => at,
    };
    match failure(answers, at, kind) {
        Some(failure) if failure.is_of_signatures() => Vec::new(),
        Some(Failure::Bogus(_)) => match signing(answers, at) {
            Signing::Ask(question) => vec![Ask::Unchecked(question)],
            Signing::Known { .. } => Vec::new(),
        },
        Some(failure) if failure.wants_authority() => road(answers, consult, &Question::new(at, kind)),
        _ => Vec::new(),
    }
}

/// The finding that holds a host for a failed look-up.
pub(super) fn finding(request: &Request, answers: &Answers, name: &str, kind: Kind, failed: &Failure) -> Finding {
    let (at, passed) = match culprit(answers, name, kind) {
        Culprit::Is(at, passed) => (at, passed),
        Culprit::Ask(_) => (name, vec![name]),
    };
    let failed = failure(answers, at, kind).unwrap_or_else(|| failed.clone());
    let host = request.host.as_str();
    if let Some(own) = passed.iter().find(|name| is_named(&request.gateway, name)) {
        return gateway::broken(host, own, &failed.to_string());
    }
    let answer = answers.answer(at, kind, &Asked::Recursive);
    if let Some(words) = answer.and_then(|answer| Failure::withheld(&answer.outcome)) {
        let server = answer.map(|answer| answer.server.as_str()).filter(|server| !server.is_empty());
        return Finding::new(Reason::ResolverRefuses, host).observed(server).note(format!("{at}: {words}"));
    }
    if is_registry(at) {
        return Finding::new(Reason::RegistryFailure, host)
            .observed([&failed])
            .note(format!("{at} {}: {failed}", kind.as_str()));
    }
    let found = match &failed {
        Failure::Bogus(_) => bogus(answers, at, kind, &failed),
        Failure::Rcode(..) => authority(answers, at, kind, &failed),
        _ => failed.finding(at, kind),
    };
    if found.reason == Reason::ResolverRefuses {
        return Finding { subject: host.to_owned(), ..found };
    }
    // The target of a CNAME is in somebody else's hands, but where it points is the owner's choice.
    if organisation(at) != organisation(request.host.base()) {
        let words = if found.reason == Reason::LameDelegation { found.observed.join(", ") } else { failed.to_string() };
        return Finding::new(Reason::CnameTargetFailure, host).observed([at]).note(words);
    }
    found
}

fn is_platforms(request: &Request, passed: &[&str]) -> bool {
    passed.iter().any(|name| is_named(&request.gateway, name))
}

fn failure(answers: &Answers, name: &str, kind: Kind) -> Option<Failure> {
    let failure = Failure::of(answers.outcome(name, kind, &Asked::Recursive)?)?;
    Some(failure.with_unchecked(answers.outcome(name, kind, &Asked::Unchecked)))
}

/// Follows the CNAMEs that are known behind the failure for as long as the resolver fails for their targets too.
fn culprit<'a>(answers: &'a Answers, name: &'a str, kind: Kind) -> Culprit<'a> {
    let (mut at, mut passed) = (name, vec![name]);
    while let Some(target) = alias(answers, at, kind)
        && !passed.contains(&target)
        && passed.len() <= MAX_CHAIN
    {
        match answers.outcome(target, kind, &Asked::Recursive) {
            None => return Culprit::Ask(Question::new(target, kind)),
            Some(outcome) if Failure::of(outcome).is_some() => at = target,
            Some(_) => break,
        }
        passed.push(at);
    }
    Culprit::Is(at, passed)
}

/// The CNAME at a name for which the resolver fails, as seen without validation or by a server of the zone.
fn alias<'a>(answers: &'a Answers, name: &str, kind: Kind) -> Option<&'a str> {
    let unchecked = match answers.outcome(name, kind, &Asked::Unchecked) {
        Some(Outcome::Reply(reply)) => Some(reply),
        _ => None,
    };
    unchecked.into_iter().chain(spoken(answers, name, kind)).find_map(|reply| cname_of(reply, name)).map(|(_, to)| to)
}

/// A DNSSEC failure: a DS record that fits no key is the registrar's page, where the owner alone can change it; bad
/// signatures are made by the DNS provider.
fn bogus(answers: &Answers, at: &str, kind: Kind, failed: &Failure) -> Finding {
    if failed.is_of_signatures() {
        return failed.finding(at, kind);
    }
    let Signing::Known { zone, keys: Some(keys), ds } = signing(answers, at) else { return failed.finding(at, kind) };
    let fits = |key: &Key| ds.contains(key);
    if keys.iter().any(fits) || (ds.is_empty() && !keys.is_empty()) {
        return failed.finding(at, kind);
    }
    let mut seen: Vec<String> = ds.iter().map(|key| format!("{zone}. DS {} {}", key.tag, key.algorithm)).collect();
    if seen.is_empty() {
        // The resolver knows of one that was not shown to us: without any it would not validate at all.
        seen.push(format!("{zone}. DS"));
    }
    let tags: Vec<String> = keys.iter().map(|key| key.tag.to_string()).collect();
    Finding::new(Reason::DnssecBogus, zone).observed(seen).note(tags.join(", "))
}

fn signing<'a>(answers: &'a Answers, at: &'a str) -> Signing<'a> {
    let unchecked = |name: &str, kind| answers.outcome(name, kind, &Asked::Unchecked);
    let Some(first) = unchecked(at, Kind::Dnskey) else { return Signing::Ask(Question::new(at, Kind::Dnskey)) };
    let zone = match first {
        Outcome::Reply(reply) if !keys_of(first, at).is_empty() || reply.soa.is_none() => {
            if keys_of(first, at).is_empty() { organisation(at) } else { at }
        }
        Outcome::Reply(reply) => {
            let soa = reply.soa.as_ref().map(|soa| soa.name.as_str());
            soa.filter(|zone| is_at_or_below(at, zone)).unwrap_or(organisation(at))
        }
        _ => organisation(at),
    };
    let Some(own) = unchecked(zone, Kind::Dnskey) else { return Signing::Ask(Question::new(zone, Kind::Dnskey)) };
    let Some(parents) = unchecked(zone, Kind::Ds) else { return Signing::Ask(Question::new(zone, Kind::Ds)) };
    let answered = Failure::of(own).is_none();
    Signing::Known { zone, keys: answered.then(|| keys_of(own, zone)), ds: keys_of(parents, zone) }
}

/// The keys that DS or DNSKEY records of a name stand for.
fn keys_of(outcome: &Outcome, name: &str) -> Vec<Key> {
    let Outcome::Reply(reply) = outcome else { return Vec::new() };
    let own = reply.records.iter().filter(|record| record.name == name);
    own.filter_map(|record| match record.data {
        Data::Ds(key) | Data::Dnskey(key) => Some(key),
        _ => None,
    })
    .collect()
}

/// A failure that is not DNSSEC's, by what the servers said that the delegations lead to.
fn authority(answers: &Answers, at: &str, kind: Kind, failed: &Failure) -> Finding {
    let mut zone = organisation(at);
    let mut nameless = Vec::new();
    let mut said = Vec::new();
    for (server, outcome) in answers.authoritative(at, kind) {
        // One that was to have the zone, and refers to itself or was named by hand, does not have it.
        let last = |names: &[&str]| names.contains(&server) || server.parse::<SocketAddr>().is_ok();
        match referral(outcome, at, "").filter(|(below, names, _)| !is_registry(below) && !last(names)) {
            Some((below, names, _)) => (zone, nameless) = (below, names),
            None => said.push((server, outcome)),
        }
    }
    let denied = |ns: &&str| matches!(answers.outcome(ns, Kind::A, &Asked::Recursive), Some(Outcome::Reply(reply)) if reply.rcode == Rcode::NAME_ERROR);
    if said.is_empty() && !nameless.is_empty() && nameless.iter().all(denied) {
        let seen: Vec<String> = nameless.iter().map(|ns| format!("{ns}: NXDOMAIN")).collect();
        return Finding::new(Reason::LameDelegation, zone).observed(seen);
    }
    let speak = |outcome: &Outcome| matches!(outcome, Outcome::Reply(reply) if speaks(reply));
    if said.iter().any(|(_, outcome)| speak(outcome)) {
        let refused = matches!(failed, Failure::Rcode(rcode, _) if *rcode != Rcode::SERVER_FAILURE);
        if !refused {
            return failed.finding(at, kind);
        }
        let server = answers.answer(at, kind, &Asked::Recursive).map(|answer| answer.server.as_str());
        return Finding::new(Reason::ResolverRefuses, at).observed(server).note(format!("{at}: {failed}"));
    }
    let words = |outcome: &Outcome| match outcome {
        Outcome::Reply(reply) if matches!(reply.rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR) => {
            "not authoritative".to_owned()
        }
        Outcome::Reply(reply) => reply.rcode.to_string(),
        _ => "no answer".to_owned(),
    };
    let seen: Vec<String> = said.iter().map(|(server, outcome)| format!("{server}: {}", words(outcome))).collect();
    let rcodes: Vec<Rcode> = said
        .iter()
        .filter_map(|(_, outcome)| match outcome {
            Outcome::Reply(reply) => Some(reply.rcode),
            _ => None,
        })
        .collect();
    if rcodes.iter().any(|rcode| *rcode != Rcode::SERVER_FAILURE) {
        return Finding::new(Reason::LameDelegation, zone).observed(seen);
    }
    let reason = match (said.is_empty(), rcodes.is_empty()) {
        (true, _) => return failed.finding(at, kind),
        (false, true) => Reason::DnsTimeout,
        (false, false) => Reason::DnsServerFailure,
    };
    Finding::new(reason, at).note(seen.join(", ")).observed(seen)
}
