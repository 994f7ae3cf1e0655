//! CAA: the climb from the name to its top-level domain, and what the set found says.

use super::{
    Check, CheckStatus, Request,
    answers::{Answers, Caa, Data, Kind, Question, Rcode},
    failure::Failure,
    walk::{End, View, Walk, walk},
};
use crate::core::{
    caa::{self, Denial},
    finding::Finding,
    reason::Reason,
};

/// The look-ups of a climb, from the name itself up to its top-level domain.
pub(super) struct Climb<'a> {
    steps: Vec<(&'a str, Walk<'a>)>,
}

/// The record set that decides.
struct Relevant<'a, 'w> {
    found_at: &'a str,
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
        Self { steps: names.map(|name| (name, walk(answers, view, name, Kind::Caa))).collect() }
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
                    return Ok(Some(Relevant { found_at: name, walk, set: set.collect() }));
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

    pub(super) fn rule(&self, request: &Request) -> Ruling {
        let Relevant { found_at, walk, set } = match self.relevant() {
            Err((name, failure)) => {
                let words = format!("{name}: {failure}");
                return Ruling {
                    finding: Some(
                        Finding::new(Reason::CaaLookupFailed, name).observed([&failure]).note(failure.to_string()),
                    ),
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
        let detail = crate::core::finding::clean(&format!("{found_at}: {}", listed(&set).join("; ")));
        let mut ruling = Ruling { finding: None, ttl: walk.ttl, check: Check::new("CAA", CheckStatus::Pass, detail) };
        match caa::rule(&set, wildcard, &request.ca, request.method) {
            caa::Ruling::Granted => {}
            caa::Ruling::Denied(denial) => {
                ruling.check.status = CheckStatus::Fail;
                ruling.finding = Some(denied(request, found_at, &set, wildcard, &denial));
            }
        }
        ruling
    }
}

fn denied(request: &Request, found_at: &str, set: &[&Caa], wildcard: bool, denial: &Denial) -> Finding {
    let host = request.host.as_str();
    let of = |reason, seen: &[&Caa]| Finding::new(reason, host).observed(listed(seen)).note(found_at);
    let relevant = caa::relevant(set, wildcard);
    let reason = match denial {
        Denial::UnknownCritical(tag) => {
            let critical: Vec<&Caa> = set.iter().copied().filter(|caa| caa.tag == *tag).collect();
            return of(Reason::CaaUnknownCritical, &critical);
        }
        Denial::OtherCa { .. } => Reason::CaaForbids,
        Denial::OtherAccount => Reason::CaaOtherAccount,
        Denial::OtherMethod => Reason::CaaOtherMethod,
    };
    // Add to the property that decides: beside an issuewild, an issue would not count for a wildcard.
    let tag = if relevant.iter().any(|caa| caa.tag.eq_ignore_ascii_case("issuewild")) { "issuewild" } else { "issue" };
    let record = format!("{found_at}. CAA 0 {tag} \"{}\"", caa::grant(&request.ca, request.method, denial));
    of(reason, &relevant).required([record])
}

fn listed(set: &[&Caa]) -> Vec<String> {
    set.iter().map(ToString::to_string).collect()
}

/// What the CA does not look at, for a check's detail.
pub(super) fn skipped() -> Check {
    Check::new("CAA", CheckStatus::Skipped, "")
}
