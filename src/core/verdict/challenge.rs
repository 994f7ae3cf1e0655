//! DNS-01: whether a TXT record at `_acme-challenge` can be put where the CA looks for it.

use super::{
    Check, CheckStatus, Request,
    answers::{Answers, Kind, Question},
    trouble,
    walk::{End, View, Walk, walk},
    zone::{child_of, is_registry},
};
use crate::core::{finding::Finding, reason::Reason};

/// The name that the CA asks for TXT (RFC 8555 §8.4).
pub(super) fn challenge_name(base: &str) -> String {
    format!("_acme-challenge.{base}")
}

/// What `_acme-challenge` amounts to.
pub(super) struct Ruling {
    pub finding: Option<Finding>,
    pub ttl: Option<u32>,
    pub check: Check,
}

pub(super) fn unasked(answers: &Answers, name: &str) -> Option<Question> {
    match walk(answers, View::Recursive, name, Kind::Txt).end {
        End::Unasked(question) => Some(question),
        _ => None,
    }
}

/// Where the look-up ends that fails.
pub(super) fn failing(answers: &Answers, name: &str) -> Option<String> {
    let walk = walk(answers, View::Recursive, name, Kind::Txt);
    matches!(walk.end, End::Failed(_)).then(|| walk.last(name).to_owned())
}

pub(super) fn rule(answers: &Answers, request: &Request) -> Ruling {
    let name = challenge_name(request.host.base());
    let walk = walk(answers, View::Recursive, &name, Kind::Txt);
    let finding = finding(answers, request, &walk, &name);
    let status = if finding.is_some() { CheckStatus::Fail } else { CheckStatus::Pass };
    let detail = match &walk.end {
        // The record itself is a past challenge's and says nothing.
        End::Found(records) => format!("TXT × {}", records.len()),
        _ => walk.detail(),
    };
    Ruling { finding, ttl: walk.ttl, check: Check::new("challenge", status, detail) }
}

fn finding(answers: &Answers, request: &Request, walk: &Walk<'_>, name: &str) -> Option<Finding> {
    let host = request.host.as_str();
    let broken = || Finding::new(Reason::ChallengeCnameBroken, host).observed(&walk.chain);
    match &walk.end {
        End::Found(_) | End::NoData(_) => None,
        End::Loop | End::TooLong => Some(broken()),
        // That there is no record yet is as it should be; that its domain is not registered is not.
        End::NameError(Some(soa)) if is_registry(&soa.name) => match walk.chain.last() {
            Some(target) => Some(broken().note(child_of(target, &soa.name))),
            None => {
                Some(Finding::new(Reason::DomainNotFound, host).observed(["NXDOMAIN"]).note(child_of(name, &soa.name)))
            }
        },
        End::NameError(_) => None,
        End::Failed(failure) => Some(trouble::finding(request, answers, walk.last(name), Kind::Txt, failure)),
        End::Unasked(_) => Some(Finding::new(Reason::DnsTimeout, name).note("TXT")),
    }
}
