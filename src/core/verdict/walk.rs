//! Walks a question through its CNAME chain, over the answers recorded.
//!
//! We follow chains ourselves, because resolver libraries report loops and long
//! chains as "no records", and because an authoritative server's answer ends
//! where its zone does.

use ::core::net::IpAddr;

use super::{
    answers::{Answers, Asked, Data, Kind, Outcome, Question, Rcode, Record, Reply, Soa},
    failure::Failure,
    reserved::reserved,
};

/// CNAMEs that unbound follows, which is what Let's Encrypt resolves with
/// (`max-query-restarts`, default 11). Longer chains within one answer pass.
pub(super) const RESOLVER_CHAIN: usize = 11;
/// CNAMEs that BIND follows; a chain beyond is given up in any case.
pub(super) const MAX_CHAIN: usize = 16;

/// Through whose eyes the answers are read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum View<'a> {
    /// The recursive resolver's alone.
    Recursive,
    /// One authoritative server's where it answered, else the recursive resolver's.
    Authoritative(&'a str),
}

/// A question followed to its end.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Walk<'a> {
    /// The CNAME targets passed, in order; the last is where the walk ended.
    pub chain: Vec<&'a str>,
    /// How it ended.
    pub end: End<'a>,
    /// The least TTL of all that was used, negative TTL included, in seconds.
    pub ttl: Option<u32>,
    /// Whether the resolver vouched for every step.
    pub authentic: bool,
}

/// How a walk ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum End<'a> {
    /// Records of the type asked for.
    Found(Vec<&'a Record>),
    /// The name exists, without such records.
    NoData(Option<&'a Soa>),
    /// The name does not exist.
    NameError(Option<&'a Soa>),
    /// No usable answer about the name at the chain's end.
    Failed(Failure),
    /// The chain came back to a name that it had passed.
    Loop,
    /// The chain exceeds what resolvers follow.
    TooLong,
    /// The question that is still to be asked.
    Unasked(Question),
}

/// Follows `name` and `kind` through the answers.
pub(super) fn walk<'a>(answers: &'a Answers, view: View<'_>, name: &str, kind: Kind) -> Walk<'a> {
    let mut walk = Walk { chain: Vec::new(), end: End::Loop, ttl: None, authentic: true };
    let mut at = name;
    loop {
        let (reply, trusted) = match lookup(answers, view, at, kind) {
            Looked::Unasked => {
                walk.end = End::Unasked(Question::new(at, kind));
                return walk;
            }
            Looked::Failed(failure) => {
                walk.end = End::Failed(failure);
                return walk;
            }
            Looked::Reply(reply, trusted) => (reply, trusted),
        };
        walk.authentic &= reply.authentic;
        let before = walk.chain.len();
        // Through the CNAMEs that this reply carries.
        while let Some((record, target)) = cname_of(reply, at) {
            walk.see_ttl(record.ttl);
            if target == name || walk.chain.contains(&target) {
                walk.chain.push(target);
                walk.end = End::Loop;
                return walk;
            }
            if walk.chain.len() >= MAX_CHAIN {
                walk.end = End::TooLong;
                return walk;
            }
            walk.chain.push(target);
            at = target;
        }
        // A resolver's answer is taken whole, as the CA does; a zone's server speaks for its own names only.
        let found: Vec<&Record> =
            reply.records.iter().filter(|r| r.data.is(kind) && (trusted || r.name == at)).collect();
        if !found.is_empty() {
            found.iter().for_each(|record| walk.see_ttl(record.ttl));
            walk.end = End::Found(found);
            return walk;
        }
        let moved = walk.chain.len() > before;
        let soa = reply.soa.as_ref();
        if reply.rcode == Rcode::NAME_ERROR && (trusted || !moved) {
            soa.iter().for_each(|soa| walk.see_ttl(soa.negative_ttl));
            walk.end = End::NameError(soa);
            return walk;
        }
        if !moved || (trusted && soa.is_some()) {
            soa.iter().for_each(|soa| walk.see_ttl(soa.negative_ttl));
            walk.end = End::NoData(soa);
            return walk;
        }
        // The reply stops amid the chain: its target is a question of its own.
        if walk.chain.len() > RESOLVER_CHAIN {
            walk.end = End::TooLong;
            return walk;
        }
    }
}

enum Looked<'a> {
    Unasked,
    Failed(Failure),
    /// A message, and whether it is a recursive resolver's.
    Reply(&'a Reply, bool),
}

fn lookup<'a>(answers: &'a Answers, view: View<'_>, name: &str, kind: Kind) -> Looked<'a> {
    if let View::Authoritative(ns) = view
        && let Some(Outcome::Reply(reply)) = answers.outcome(name, kind, &Asked::Authoritative(ns.to_owned()))
        && speaks(reply)
    {
        return Looked::Reply(reply, false);
    }
    match answers.outcome(name, kind, &Asked::Recursive) {
        None => Looked::Unasked,
        Some(outcome) => match (Failure::of(outcome), outcome) {
            (Some(failure), _) => {
                let failed = || Looked::Failed(failure.with_unchecked(answers.outcome(name, kind, &Asked::Unchecked)));
                // Where the resolver fails, a server of that zone may tell how the chain goes on.
                let spoken = if view == View::Recursive { None } else { spoken(answers, name, kind) };
                spoken.map_or_else(failed, |reply| Looked::Reply(reply, false))
            }
            (None, Outcome::Reply(reply)) => Looked::Reply(reply, true),
            (None, _) => Looked::Failed(Failure::Timeout),
        },
    }
}

/// Whether an authoritative server's reply is one to go by: authoritative,
/// complete, and an answer. Lame servers, referrals and failures are not.
pub(super) fn speaks(reply: &Reply) -> bool {
    reply.authoritative && !reply.truncated && matches!(reply.rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR)
}

/// What some server of a zone said about a question, to go by.
pub(super) fn spoken<'a>(answers: &'a Answers, name: &str, kind: Kind) -> Option<&'a Reply> {
    answers.authoritative(name, kind).find_map(|(_, outcome)| match outcome {
        Outcome::Reply(reply) if speaks(reply) => Some(reply),
        _ => None,
    })
}

/// The alias that a reply shows at a name.
pub(super) fn cname_of<'a>(reply: &'a Reply, owner: &str) -> Option<(&'a Record, &'a str)> {
    reply.records.iter().filter(|record| record.name == owner).find_map(|record| match &record.data {
        Data::Cname(target) => Some((record, target.as_str())),
        _ => None,
    })
}

// === impl Walk ===

impl Walk<'_> {
    fn see_ttl(&mut self, ttl: u32) {
        self.ttl = Some(self.ttl.map_or(ttl, |least| least.min(ttl)));
    }

    /// Where the walk ended.
    pub(super) fn last<'s>(&'s self, name: &'s str) -> &'s str {
        self.chain.last().copied().unwrap_or(name)
    }

    /// The addresses found: those that the CA would use, and those that it drops for being reserved.
    pub(super) fn addresses(&self, allow_reserved: bool) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let End::Found(records) = &self.end else { return Default::default() };
        let mut addresses = Vec::new();
        for record in records {
            let ip = match record.data {
                Data::A(ip) => IpAddr::V4(ip),
                Data::Aaaa(ip) => IpAddr::V6(ip),
                _ => continue,
            };
            if !addresses.contains(&ip) {
                addresses.push(ip);
            }
        }
        addresses.into_iter().partition(|ip| allow_reserved || reserved(*ip).is_none())
    }

    /// What was seen, for a check's detail: `lb.example.net → 203.0.113.7 (TTL 60 s)`.
    pub(super) fn detail(&self) -> String {
        let mut steps: Vec<String> = self.chain.iter().map(|name| format!("CNAME {name}")).collect();
        let negative = |soa: &Option<&Soa>, word: &str| match soa {
            Some(soa) => format!("{word} (TTL {} s)", soa.negative_ttl),
            None => word.to_owned(),
        };
        steps.push(match &self.end {
            End::Found(records) => {
                let values: Vec<String> = records.iter().take(8).map(|record| record.data.to_string()).collect();
                let more = records.len().saturating_sub(8);
                let more = if more > 0 { format!(" +{more}") } else { String::new() };
                let signed = if self.authentic { ", DNSSEC" } else { "" };
                format!("{}{more} (TTL {} s{signed})", values.join(", "), self.ttl.unwrap_or_default())
            }
            End::NoData(soa) => negative(soa, "NODATA"),
            End::NameError(soa) => negative(soa, "NXDOMAIN"),
            End::Failed(failure) => failure.to_string(),
            End::Loop => "CNAME loop".to_owned(),
            End::TooLong => "CNAME chain too long".to_owned(),
            End::Unasked(_) => "not answered before the deadline".to_owned(),
        });
        crate::core::finding::clean(&steps.join(" → "))
    }
}
