//! CAA: the climb from the name to its top-level domain, and what the set found says.

use super::{
    Check, CheckStatus, Request,
    answers::{Answers, Caa, Data, Kind, Question, Rcode},
    failure::Failure,
    gateway, trouble,
    walk::{End, View, Walk, walk},
    zone::{is_at_or_below, is_registry},
};
use crate::core::{
    caa::{self, Denial},
    finding::Finding,
    policy::Target,
    reason::{Reason, WhoActs},
};

/// The look-ups of a climb, from the name itself up to its top-level domain.
pub(super) struct Climb<'a> {
    answers: &'a Answers,
    steps: Vec<(&'a str, Walk<'a>)>,
}

/// The record set that decides.
struct Relevant<'a, 'w> {
    found_at: &'a str,
    /// Whose records they are: not of the name itself, where that is an alias.
    owner: &'w str,
    walk: &'w Walk<'a>,
    set: Vec<&'a Caa>,
}

/// What CAA amounts to.
pub(super) struct Ruling {
    pub finding: Option<Finding>,
    pub ttl: Option<u32>,
    pub check: Check,
}

impl<'a> Climb<'a> {
    /// All names are looked up, as the CA does, though the first non-empty set decides.
    pub(super) fn new(answers: &'a Answers, view: View<'_>, base: &'a str) -> Self {
        let names = std::iter::successors(Some(base), |name| name.split_once('.').map(|(_, parent)| parent));
        Self { answers, steps: names.map(|name| (name, walk(answers, view, name, Kind::Caa))).collect() }
    }

    pub(super) fn unasked(&self) -> impl Iterator<Item = &Question> {
        self.steps.iter().filter_map(|(_, walk)| match &walk.end {
            End::Unasked(question) => Some(question),
            _ => None,
        })
    }

    /// The first set that has a record, or the failure that may hide one.
    fn relevant(&self) -> Result<Option<Relevant<'a, '_>>, (&'a str, Failure)> {
        for (name, walk) in &self.steps {
            match &walk.end {
                End::Found(records) => {
                    let set = records.iter().filter_map(|record| match &record.data {
                        Data::Caa(caa) => Some(caa),
                        _ => None,
                    });
                    return Ok(Some(Relevant { found_at: name, owner: walk.last(name), walk, set: set.collect() }));
                }
                End::NoData(_) => {}
                // A top-level domain that does not exist was removed by ICANN.
                End::NameError(_) if name.contains('.') => {}
                End::NameError(_) => {
                    return Err((name, Failure::Rcode(Rcode::NAME_ERROR, None)));
                }
                End::Failed(failure) => return Err((name, failure.clone())),
                End::Loop => return Err((name, Failure::Malformed("CNAME loop".to_owned()))),
                End::TooLong => return Err((name, Failure::Malformed("CNAME chain too long".to_owned()))),
                End::Unasked(_) => return Err((name, Failure::Timeout)),
            }
        }
        Ok(None)
    }

    /// Where the set was found that decides.
    pub(super) fn found_at(&self) -> Option<&'a str> {
        self.relevant().ok().flatten().map(|relevant| relevant.found_at)
    }

    /// The look-up that fails and may hide a set.
    pub(super) fn failing(&self) -> Option<&str> {
        let (name, _) = self.relevant().err()?;
        self.steps.iter().find(|(at, _)| *at == name).map(|(at, walk)| walk.last(at))
    }

    pub(super) fn rule(&self, request: &Request) -> Ruling {
        let Relevant { found_at, owner, walk, set } = match self.relevant() {
            Err((name, failure)) => {
                let words = format!("{name}: {failure}");
                return Ruling {
                    finding: Some(self.failed(request, name, &failure)),
                    ttl: None,
                    check: Check::new("CAA", CheckStatus::Fail, crate::core::finding::clean(&words)),
                };
            }
            Ok(None) => {
                return Ruling { finding: None, ttl: None, check: Check::new("CAA", CheckStatus::Pass, "none") };
            }
            Ok(Some(found)) => found,
        };
        let wildcard = request.host.is_wildcard();
        let place = if owner == found_at { found_at.to_owned() } else { format!("{found_at} → {owner}") };
        let detail = crate::core::finding::clean(&format!("{place}: {}", listed(&set).join("; ")));
        let mut ruling = Ruling { finding: None, ttl: walk.ttl, check: Check::new("CAA", CheckStatus::Pass, detail) };
        match caa::rule(&set, wildcard, &request.ca, request.method) {
            caa::Ruling::Granted => {}
            caa::Ruling::Denied(denial) => {
                ruling.check.status = CheckStatus::Fail;
                ruling.finding = Some(denied(request, owner, &set, wildcard, &denial));
            }
        }
        ruling
    }

    /// A look-up that fails, which the CA takes for a refusal.
    fn failed(&self, request: &Request, name: &str, failure: &Failure) -> Finding {
        if is_registry(name) {
            let finding = Finding::new(Reason::RegistryFailure, request.host.as_str());
            return finding.observed([failure]).note(format!("{name} CAA: {failure}"));
        }
        let step = self.steps.iter().find(|(at, _)| *at == name);
        let last = step.map_or(name, |(at, walk)| walk.last(at));
        let trouble = trouble::finding(request, self.answers, last, Kind::Caa, failure);
        // Whose provider it is that must act is told by what was looked up.
        if trouble.who_acts() == WhoActs::DnsHost {
            return Finding::new(Reason::CaaLookupFailed, name).observed([failure]).note(failure.to_string());
        }
        trouble
    }
}

/// `owner`: whose records the set is.
fn denied(request: &Request, owner: &str, set: &[&Caa], wildcard: bool, denial: &Denial) -> Finding {
    let host = request.host.as_str();
    let of = |reason, seen: &[&Caa]| Finding::new(reason, host).observed(listed(seen)).note(owner);
    // Beside a CNAME no CAA record can stand. Where its target's set cannot be had changed, an address in the CNAME's
    // place leaves the target's set behind.
    let instead: Vec<String> = match request.gateway.target {
        Target::Addresses if !is_at_or_below(request.host.base(), owner) => {
            gateway::public(&request.gateway).map(|ip| ip.to_string()).collect()
        }
        _ => Vec::new(),
    };
    let relevant = caa::relevant(set, wildcard);
    let reason = match denial {
        Denial::UnknownCritical(tag) => {
            let critical: Vec<&Caa> = set.iter().copied().filter(|caa| caa.tag == *tag).collect();
            return of(Reason::CaaUnknownCritical, &critical).required(instead);
        }
        Denial::OtherCa { .. } => Reason::CaaForbids,
        Denial::OtherAccount => Reason::CaaOtherAccount,
        Denial::OtherMethod => Reason::CaaOtherMethod,
    };
    // Add to the property that decides: beside an issuewild, an issue would not count for a wildcard.
    let tag = if relevant.iter().any(|caa| caa.tag.eq_ignore_ascii_case("issuewild")) { "issuewild" } else { "issue" };
    let record = format!("{owner}. CAA 0 {tag} \"{}\"", caa::grant(&request.ca, request.method, denial));
    of(reason, &relevant).required(std::iter::once(record).chain(instead))
}

fn listed(set: &[&Caa]) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}

/// What the CA does not look at, for a check's detail.
pub(super) fn skipped() -> Check {
    Check::new("CAA", CheckStatus::Skipped, "")
}
