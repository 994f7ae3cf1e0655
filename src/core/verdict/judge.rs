//! [`judge`]: from a request and the answers gathered for it, to the verdict.

use ::core::time::Duration;

use super::{
    Check, CheckStatus, Method, Request, Verdict,
    address::{self, Look},
    answers::{Answers, Asked, Kind, Outcome},
    certification::{self, Climb},
    challenge, resolver,
    walk::{View, speaks, walk},
};
use crate::core::{
    finding::Finding,
    host::{HostError, NotPublic},
    policy::Target,
    reason::Reason,
};

/// When a host that is ready is looked at again.
pub const VERIFIED_RECHECK: Duration = Duration::from_secs(3600);
/// How long a good verdict opens the gate: two rechecks and their jitter.
pub const VERIFIED_VALIDITY: Duration = Duration::from_secs(3 * 3600);
/// When to look again where the answers carry no TTL.
const WITHOUT_TTL: u32 = 60;
/// When to look again at what no DNS record will change.
const NOT_FOR_DNS: u32 = 86_400;

/// Judges. Total: answers that are missing count as not given in time.
pub fn judge(request: &Request, answers: &Answers) -> Verdict {
    if let Some(verdict) = refused(request) {
        return verdict;
    }
    let mut bench = Bench::default();
    bench.pass("name", request.host.as_str());
    bench.pass("solver", request.method.as_str());
    let usable = bench.addresses(request, answers);
    bench.caa(request, answers);
    if request.method == Method::Dns01 {
        let ruling = challenge::rule(answers, request);
        bench.checks.push(ruling.check);
        bench.blocking.extend(ruling.finding.map(|finding| (finding, ruling.ttl)));
    }
    bench.verdict(request, answers, usable)
}

/// The verdict on a text that is no host, so that it is explained like any other.
pub fn refuse(text: &str, error: HostError) -> Verdict {
    let reason = match error {
        HostError::Empty => Reason::NoHost,
        HostError::IpAddress => Reason::HostIsIpAddress,
        HostError::TooLong | HostError::Wildcard | HostError::Syntax => Reason::HostInvalid,
    };
    refusal(Finding::new(reason, text).note(error.to_string()), "name")
}

/// What is decided without any DNS: names that no public CA certifies, and wildcards without DNS-01.
pub(super) fn refused(request: &Request) -> Option<Verdict> {
    let host = &request.host;
    let of = |reason| Finding::new(reason, host.as_str());
    // A gateway with a private address stands in a lab or behind a private CA, whose names may be private too.
    if !request.gateway.allow_reserved {
        match host.public() {
            Ok(()) => {}
            Err(NotPublic::NoPublicSuffix) => return Some(refusal(of(Reason::NotPublicName), "name")),
            Err(NotPublic::IsPublicSuffix) => return Some(refusal(of(Reason::IsPublicSuffix), "name")),
            Err(NotPublic::TooManyLabels) => {
                return Some(refusal(of(Reason::HostInvalid).note("> 10 labels"), "name"));
            }
        }
    }
    if host.is_wildcard() && request.method == Method::Http01 {
        return Some(refusal(of(Reason::WildcardNeedsDns01), "solver"));
    }
    None
}

/// A verdict that only one check, the named one, led to.
fn refusal(finding: Finding, at: &str) -> Verdict {
    let order = ["name", "solver", "A", "AAAA", "target", "CAA"];
    let place = order.iter().position(|name| *name == at).unwrap_or_default();
    let status = |index: usize| match index.cmp(&place) {
        std::cmp::Ordering::Less => CheckStatus::Pass,
        std::cmp::Ordering::Equal => CheckStatus::Fail,
        std::cmp::Ordering::Greater => CheckStatus::Skipped,
    };
    let checks = order.iter().enumerate().map(|(index, name)| {
        let detail = if index == place { finding.subject.as_str() } else { "" };
        Check::new(name, status(index), detail)
    });
    Verdict {
        checks: checks.collect(),
        finding,
        warnings: Vec::new(),
        next_check: Duration::from_secs(NOT_FOR_DNS.into()),
        validity: Duration::ZERO,
    }
}

/// Where findings gather while the checks are made.
#[derive(Default)]
struct Bench {
    checks: Vec<Check>,
    /// What stands in the way, in the order of the checks, each with the seconds for which it holds.
    blocking: Vec<(Finding, Option<u32>)>,
    warnings: Vec<Finding>,
}

impl Bench {
    fn pass(&mut self, name: &str, detail: &str) {
        self.checks.push(Check::new(name, CheckStatus::Pass, detail));
    }

    /// A and AAAA. The CA needs them for HTTP-01 alone; with DNS-01 they can only be worth a warning.
    fn addresses(&mut self, request: &Request, answers: &Answers) -> Vec<::core::net::IpAddr> {
        if request.host.is_wildcard() {
            self.checks.extend(["A", "AAAA", "target"].map(|name| Check::new(name, CheckStatus::Skipped, "")));
            return Vec::new();
        }
        let unknown = match request.gateway.target {
            Target::Addresses => request.gateway.addresses.is_empty() && request.gateway.cnames.is_empty(),
            Target::Cname => request.gateway.cnames.is_empty(),
            Target::AnyPublic => false,
        };
        let ruling = self.weigh(request, answers);
        self.checks.extend(ruling.checks);
        self.warnings.extend(ruling.warnings);
        let mut findings = Vec::new();
        if unknown {
            let wanted = if request.gateway.target == Target::Cname { "gateway.cnames" } else { "" };
            let finding = Finding::new(Reason::NoGatewayAddress, request.host.as_str()).note(wanted);
            findings.push((finding, Some(NOT_FOR_DNS)));
            // Without knowing the gateway, "wrong" means nothing.
            findings.extend(ruling.finding.filter(|f| !is_about_target(f.reason)).map(|f| (f, ruling.ttl)));
        } else {
            findings.extend(ruling.finding.map(|finding| (finding, ruling.ttl)));
        }
        if request.method == Method::Dns01 {
            for check in self.checks.iter_mut().filter(|check| check.status == CheckStatus::Fail) {
                check.status = CheckStatus::Warn;
            }
            self.warnings.extend(findings.into_iter().map(|(finding, _)| finding));
        } else {
            self.blocking.extend(findings);
        }
        ruling.usable
    }

    /// The recursive resolver's view, unless it is a bad one and the zone's own servers know better.
    fn weigh(&mut self, request: &Request, answers: &Answers) -> address::Ruling {
        let host = request.host.base();
        let recursive = Look::new(answers, View::Recursive, request).rule();
        let views = speakers(answers, host, &[Kind::A, Kind::Aaaa]);
        if views.is_empty() {
            return recursive;
        }
        let found = recursive.finding.as_ref().map(|found| found.reason);
        let by_owner = found.is_none_or(address::is_for_the_owner);
        let rulings: Vec<address::Ruling> =
            views.iter().map(|ns| Look::new(answers, View::Authoritative(ns), request).rule()).collect();
        if !by_owner {
            // The resolver fails, and so would the CA's. What the servers say can tell why, but does not undo it.
            let circular = |ruling: &address::Ruling| {
                let reason = ruling.finding.as_ref().map(|finding| finding.reason);
                matches!(reason, Some(Reason::CnameLoop | Reason::CnameTooLong))
            };
            let all = rulings.iter().all(circular);
            return rulings.into_iter().next().filter(|_| all).unwrap_or(recursive);
        }
        let good = rulings.iter().filter(|ruling| ruling.finding.is_none()).count();
        let shown: Vec<String> = views
            .iter()
            .map(|ns| {
                let view = View::Authoritative(ns);
                let families = [Kind::A, Kind::Aaaa].map(|kind| walk(answers, view, host, kind).detail());
                // Mostly one of them is empty in the same words.
                match families {
                    [a, aaaa] if a == aaaa => format!("{ns}: {a}"),
                    [a, aaaa] => format!("{ns}: A {a}, AAAA {aaaa}"),
                }
            })
            .collect();
        let disagreement = Finding::new(Reason::ServersDisagree, host).observed(&shown);
        let agree = rulings.iter().all(|ruling| {
            ruling.finding.as_ref().map(|f| (f.reason, &f.observed))
                == rulings.first().and_then(|first| first.finding.as_ref()).map(|f| (f.reason, &f.observed))
        });
        let note = |status| Check::new("authoritative", status, crate::core::finding::clean(&shown.join("; ")));
        if good > 0 && good < rulings.len() {
            let mut ruling = recursive;
            ruling.ttl = rulings.iter().filter_map(|r| r.ttl).min();
            ruling.finding = Some(disagreement);
            ruling.checks.push(note(CheckStatus::Fail));
            return ruling;
        }
        // That all of them say otherwise than a resolver that is content is how zones look that answer by where one asks.
        if found.is_none() {
            return recursive;
        }
        let Some(mut ruling) = rulings.into_iter().next() else { return recursive };
        if agree {
            ruling.checks.push(note(CheckStatus::Pass));
        } else {
            ruling.warnings.push(disagreement);
            ruling.checks.push(note(CheckStatus::Warn));
        }
        ruling
    }

    fn caa(&mut self, request: &Request, answers: &Answers) {
        if request.ca.names.is_empty() {
            self.checks.push(certification::skipped());
            return;
        }
        let base = request.host.base();
        let climb = Climb::new(answers, View::Recursive, base);
        let mut ruling = climb.rule(request);
        if ruling.finding.is_some() {
            // A set that the resolver still remembers may have been mended: what all the zone's servers say goes first.
            let views = speakers(answers, climb.found_at().unwrap_or(base), &[Kind::Caa]);
            let mut mended = views
                .iter()
                .map(|ns| Climb::new(answers, View::Authoritative(ns), base).rule(request))
                .collect::<Vec<_>>();
            if mended.iter().all(|ruling| ruling.finding.is_none())
                && let Some(first) = mended.pop()
            {
                ruling = first;
            }
        }
        self.checks.push(ruling.check);
        self.blocking.extend(ruling.finding.map(|finding| (finding, ruling.ttl)));
    }

    fn verdict(mut self, request: &Request, answers: &Answers, usable: Vec<::core::net::IpAddr>) -> Verdict {
        let explained = self.blocking.first().is_some_and(|(first, _)| resolver::is_no_fault_of_it(first.reason));
        if let Some(finding) = resolver::fault(request, answers).filter(|_| !explained && !self.blocking.is_empty()) {
            self.blocking = vec![(finding, None)];
            self.warnings.clear();
        }
        if self.blocking.is_empty()
            && let Some(lax) = resolver::lax(request, answers)
        {
            self.checks.push(lax.check);
            self.blocking.extend(lax.finding.map(|finding| (finding, None)));
        }
        // One cause shows in several look-ups.
        let mut told: Vec<(Reason, String)> = Vec::new();
        self.blocking.retain(|(finding, _)| {
            let this = (finding.reason, finding.subject.clone());
            let first = !told.contains(&this);
            told.push(this);
            first
        });
        self.warnings.retain(|warning| !told.contains(&(warning.reason, warning.subject.clone())));
        let mut blocking = self.blocking.into_iter();
        let Some((finding, ttl)) = blocking.next() else {
            let observed: Vec<String> = usable.iter().map(ToString::to_string).collect();
            return Verdict {
                finding: Finding::new(Reason::Verified, request.host.as_str()).observed(observed),
                warnings: self.warnings,
                checks: self.checks,
                next_check: VERIFIED_RECHECK,
                validity: VERIFIED_VALIDITY,
            };
        };
        Verdict {
            finding,
            // What else is in the way comes before what only deserves mention.
            warnings: blocking.map(|(finding, _)| finding).chain(self.warnings).collect(),
            checks: self.checks,
            next_check: Duration::from_secs(ttl.unwrap_or(WITHOUT_TTL).into()),
            validity: Duration::ZERO,
        }
    }
}

/// The authoritative servers that gave an answer to go by about the name.
fn speakers<'a>(answers: &'a Answers, name: &str, kinds: &[Kind]) -> Vec<&'a str> {
    let spoke = |ns: &str, kind: Kind| {
        let outcome = answers.outcome(name, kind, &Asked::Authoritative(ns.to_owned()));
        matches!(outcome, Some(Outcome::Reply(reply)) if speaks(reply))
    };
    answers.authoritative_servers().into_iter().filter(|ns| kinds.iter().any(|kind| spoke(ns, *kind))).collect()
}

const fn is_about_target(reason: Reason) -> bool {
    matches!(reason, Reason::WrongTarget | Reason::WrongIpv6 | Reason::WrongCname)
}
