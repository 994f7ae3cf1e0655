//! A resolver made of lines of text, for tables: answers what it is told, and
//! NXDOMAIN or NODATA with the SOA of the zone for the rest.
//!
//! ```text
//! www.example.com A 1.2.3.4 ttl=60      a record; several lines make a set
//! www.example.com A! SERVFAIL ede=7:why an outcome: a response code, NODATA, TIMEOUT, UNREACHABLE,
//!                                       MALFORMED or TRUNCATED, for a type or * for all
//! zone example.com 300                  a zone and its negative TTL
//! @ns1 www.example.com A 1.2.3.4        what an authoritative server says
//! cd www.example.com A! NODATA          what is answered with checking disabled
//! probe bogus.example A 1.2.3.4         what every resolver answers about a name that does not validate
//! @ns1 refer example.com ns.example.net where an authoritative server sends whoever asks below a name
//! ```

use super::{
    Ask, Consult, Request,
    answers::{
        Answer, Answers, Asked, Caa, Data, ExtendedError, Key, Kind, Outcome, Question, Rcode, Record, Reply, Soa,
    },
    wanted,
};

/// The lines, read.
#[derive(Debug, Default)]
pub(crate) struct Script {
    records: Vec<(Asked, Record)>,
    outcomes: Vec<(Asked, String, Option<Kind>, Outcome)>,
    zones: Vec<(String, u32)>,
    referrals: Vec<(Asked, String, String)>,
}

impl Script {
    pub(crate) fn new<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> Self {
        let mut script = Self::default();
        lines.into_iter().for_each(|line| script.line(line.as_ref()));
        script
    }

    fn line(&mut self, line: &str) {
        let (asked, line) = match line.split_once(' ').unwrap() {
            ("cd", rest) => (Asked::Unchecked, rest),
            ("probe", rest) => (probe(), rest),
            (first, rest) if first.starts_with('@') => (Asked::Authoritative(first[1..].to_owned()), rest),
            _ => (Asked::Recursive, line),
        };
        let mut words: Vec<&str> = line.split(' ').collect();
        if words[0] == "zone" {
            return self.zones.push((words[1].trim_end_matches('.').to_owned(), words[2].parse().unwrap()));
        }
        if words[0] == "refer" {
            return self.referrals.push((asked, words[1].to_owned(), words[2].to_owned()));
        }
        let mut ttl = 300;
        if let Some(given) = words.last().unwrap().strip_prefix("ttl=") {
            ttl = given.parse().unwrap();
            words.pop();
        }
        let name = words[0].to_owned();
        let value = words[2..].join(" ");
        if let Some(kind) = words[1].strip_suffix('!') {
            self.outcomes.push((asked, name, kind_of(kind), outcome_of(&value)));
            return;
        }
        let data = match words[1] {
            "A" => Data::A(value.parse().unwrap()),
            "AAAA" => Data::Aaaa(value.parse().unwrap()),
            "CNAME" => Data::Cname(value),
            "NS" => Data::Ns(value),
            "TXT" => Data::Txt(value),
            "DS" => Data::Ds(Key { tag: words[2].parse().unwrap(), algorithm: 13 }),
            "DNSKEY" => Data::Dnskey(Key { tag: words[2].parse().unwrap(), algorithm: 13 }),
            "CAA" => Data::Caa(Caa {
                flags: words[2].parse().unwrap(),
                tag: words[3].to_owned(),
                value: words[4..].join(" ").trim_matches('"').to_owned(),
            }),
            other => panic!("unknown record type {other} in {line:?}"),
        };
        self.records.push((asked, Record { name, ttl, data }));
    }

    /// Asks until nothing more is wanted.
    pub(crate) fn gather(&self, request: &Request, consult: &Consult) -> Answers {
        let mut answers = Answers::default();
        for _ in 0..40 {
            let asks = wanted(request, &answers, consult);
            if asks.is_empty() {
                return answers;
            }
            for ask in asks {
                let (asked, question) = match ask {
                    Ask::Recursive(question) => (Asked::Recursive, question),
                    Ask::Unchecked(question) => (Asked::Unchecked, question),
                    Ask::Authoritative { server, question, .. } => (Asked::Authoritative(server), question),
                    Ask::Probe { server, question } => (Asked::Probe(server), question),
                };
                let outcome = self.answer(&asked, &question);
                answers.0.push(Answer { question, asked, server: SERVER.into(), outcome });
            }
        }
        panic!("the plan does not end: {answers:#?}");
    }

    fn answer(&self, asked: &Asked, question: &Question) -> Outcome {
        let authoritative = matches!(asked, Asked::Authoritative(_));
        let mut reply = Reply { authentic: false, authoritative, ..Reply::default() };
        let mut at = question.name.clone();
        let below = |(by, zone, _): &&(Asked, String, String)| by == asked && at.ends_with(zone.as_str());
        let referred: Vec<_> = self.referrals.iter().filter(below).collect();
        if !referred.is_empty() {
            reply.authoritative = false;
            reply.referral = referred
                .into_iter()
                .map(|(_, zone, ns)| Record { name: zone.clone(), ttl: 300, data: Data::Ns(ns.clone()) })
                .collect();
            return Outcome::Reply(reply);
        }
        loop {
            if let Some(outcome) = self.told(asked, &at, question.kind) {
                let Outcome::Reply(told) = outcome else { return outcome };
                reply.rcode = told.rcode;
                reply.truncated = told.truncated;
                reply.extended = told.extended;
                if matches!(reply.rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR) {
                    reply.soa = self.soa(&at);
                }
                return Outcome::Reply(reply);
            }
            let of_name: Vec<&Record> =
                self.records.iter().filter(|(by, record)| by == asked && record.name == at).map(|(_, r)| r).collect();
            let found: Vec<Record> =
                of_name.iter().filter(|record| record.data.is(question.kind)).map(|r| (*r).clone()).collect();
            if !found.is_empty() {
                reply.records.extend(found);
                return Outcome::Reply(reply);
            }
            let cname = of_name.iter().find_map(|record| match &record.data {
                Data::Cname(target) => Some((*record, target.clone())),
                _ => None,
            });
            let Some((record, target)) = cname else { break };
            let seen = reply.records.contains(record);
            reply.records.push(record.clone());
            if seen || authoritative {
                return Outcome::Reply(reply);
            }
            at = target;
        }
        if !self.exists(asked, &at) {
            reply.rcode = Rcode::NAME_ERROR;
        }
        reply.soa = self.soa(&at);
        Outcome::Reply(reply)
    }

    fn told(&self, asked: &Asked, name: &str, kind: Kind) -> Option<Outcome> {
        let fits = |(by, at, of, _): &&(Asked, String, Option<Kind>, Outcome)| {
            by == asked && at == name && of.is_none_or(|of| of == kind)
        };
        if let Some((.., outcome)) = self.outcomes.iter().find(fits) {
            return Some(outcome.clone());
        }
        match asked {
            // Without a word about it, checking disabled changes nothing.
            Asked::Unchecked if !self.exists(asked, name) => self.told(&Asked::Recursive, name, kind),
            Asked::Authoritative(_) if !self.speaks_of(asked) => Some(Outcome::Timeout),
            _ => None,
        }
    }

    fn speaks_of(&self, asked: &Asked) -> bool {
        self.records.iter().any(|(by, _)| by == asked)
            || self.outcomes.iter().any(|(by, ..)| by == asked)
            || self.referrals.iter().any(|(by, ..)| by == asked)
    }

    fn exists(&self, asked: &Asked, name: &str) -> bool {
        let below = |other: &str| other == name || other.ends_with(&format!(".{name}"));
        !name.contains('.')
            || self.records.iter().any(|(by, record)| by == asked && below(&record.name))
            || self.outcomes.iter().any(|(by, other, ..)| by == asked && below(other))
    }

    fn soa(&self, name: &str) -> Option<Soa> {
        let declared = self
            .zones
            .iter()
            .filter(|(zone, _)| zone.is_empty() || name == zone || name.ends_with(&format!(".{zone}")))
            .max_by_key(|(zone, _)| zone.len());
        if let Some((zone, ttl)) = declared {
            return Some(Soa { name: zone.clone(), primary: String::new(), negative_ttl: *ttl });
        }
        let labels: Vec<&str> = name.split('.').collect();
        let zone = labels[labels.len().saturating_sub(2)..].join(".");
        Some(Soa { name: zone, primary: String::new(), negative_ttl: 300 })
    }
}

/// The resolver's address.
const SERVER: &str = "192.0.2.53:53";

fn probe() -> Asked {
    Asked::Probe(SERVER.to_owned())
}

fn kind_of(text: &str) -> Option<Kind> {
    [Kind::A, Kind::Aaaa, Kind::Caa, Kind::Ns, Kind::Txt, Kind::Ds, Kind::Dnskey]
        .into_iter()
        .find(|kind| kind.as_str() == text)
}

fn outcome_of(text: &str) -> Outcome {
    let (word, extended) = match text.split_once(" ede=") {
        Some((word, extended)) => {
            let (code, text) = extended.split_once(':').unwrap_or((extended, ""));
            (word, vec![ExtendedError { code: code.parse().unwrap(), text: text.to_owned() }])
        }
        None => (text, Vec::new()),
    };
    match word {
        "TIMEOUT" => Outcome::Timeout,
        "UNREACHABLE" => Outcome::Unreachable("connection refused".into()),
        "MALFORMED" => Outcome::Malformed("not a DNS message".into()),
        "TRUNCATED" => Outcome::Reply(Reply { truncated: true, ..Reply::default() }),
        "NODATA" => Outcome::Reply(Reply::default()),
        rcode => {
            let rcode = Rcode::try_from(rcode.to_owned()).unwrap();
            Outcome::Reply(Reply { rcode, extended, ..Reply::default() })
        }
    }
}
