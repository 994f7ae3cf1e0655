//! Addresses: whether the CA has one to connect to, and whether it is the gateway's.
//!
//! As Boulder does it (`va/dns.go` `getAddrs`, `va/http.go`): reserved addresses
//! are dropped, a family whose look-up fails is passed over while the other has
//! an address, and the first AAAA is tried before the first A. The order within
//! a family is the resolver's, so any of several may be the first.

use ::core::net::IpAddr;

use super::{
    Check, CheckStatus, GatewayTarget, Request,
    answers::{Answers, Data, Kind, Question},
    reserved::reserved,
    walk::{End, RESOLVER_CHAIN, View, Walk, walk},
    zone::{child_of, is_registry},
};
use crate::core::{finding::Finding, policy::Target, reason::Reason};

/// Both families of a host, followed to their ends.
pub(super) struct Look<'a> {
    host: &'a str,
    a: Walk<'a>,
    aaaa: Walk<'a>,
}

/// What the addresses amount to.
pub(super) struct Ruling {
    /// What stands in the way; `None`: the CA reaches the gateway.
    pub finding: Option<Finding>,
    /// What does not.
    pub warnings: Vec<Finding>,
    /// For how long what was seen holds, in seconds.
    pub ttl: Option<u32>,
    /// The addresses that the CA would choose from, the first to be tried at the front.
    pub usable: Vec<IpAddr>,
    /// The checks made.
    pub checks: Vec<Check>,
}

impl<'a> Look<'a> {
    pub(super) fn new(answers: &'a Answers, view: View<'_>, host: &'a str) -> Self {
        Self { host, a: walk(answers, view, host, Kind::A), aaaa: walk(answers, view, host, Kind::Aaaa) }
    }

    /// Questions that are still open.
    pub(super) fn unasked(&self) -> impl Iterator<Item = &Question> {
        [&self.a, &self.aaaa].into_iter().filter_map(|walk| match &walk.end {
            End::Unasked(question) => Some(question),
            _ => None,
        })
    }

    pub(super) fn rule(&self, request: &Request) -> Ruling {
        let (v6, dropped_v6) = self.sift(&self.aaaa, request.gateway.allow_reserved);
        let (v4, dropped_v4) = self.sift(&self.a, request.gateway.allow_reserved);
        let dropped = [dropped_v6, dropped_v4].concat();
        let mut ruling = Ruling {
            finding: None,
            warnings: Vec::new(),
            // That there is no AAAA is no reason to look again sooner.
            ttl: [&self.a, &self.aaaa]
                .into_iter()
                .filter(|walk| matches!(walk.end, End::Found(_)))
                .filter_map(|walk| walk.ttl)
                .min(),
            usable: [v6.as_slice(), v4.as_slice()].concat(),
            checks: vec![family_check("A", &self.a, &v4), family_check("AAAA", &self.aaaa, &v6)],
        };
        if ruling.usable.is_empty() {
            let (finding, ttl) = self.nothing_usable(request, &dropped);
            // No A, and an AAAA that cannot be seen: the one can be added, the other wants looking at.
            if let (Reason::NoAddress, End::Failed(failure)) = (finding.reason, &self.aaaa.end) {
                ruling.warnings.push(failure.finding(self.aaaa.last(self.host), Kind::Aaaa));
            }
            ruling.finding = Some(finding);
            ruling.ttl = ttl;
            ruling.checks.iter_mut().for_each(|check| check.status = CheckStatus::Fail);
            ruling.checks.push(Check::new("target", CheckStatus::Skipped, ""));
            return ruling;
        }
        if !dropped.is_empty() {
            ruling.warnings.push(self.of(Reason::ReservedAddress).observed(dropped).note(join(&ruling.usable)));
        }
        for (walk, kind) in [(&self.a, Kind::A), (&self.aaaa, Kind::Aaaa)] {
            match &walk.end {
                End::Failed(failure) => ruling.warnings.push(failure.finding(walk.last(self.host), kind)),
                End::Loop => ruling.warnings.push(self.of(Reason::CnameLoop).observed(&walk.chain)),
                _ if walk.chain.len() > RESOLVER_CHAIN => {
                    ruling.warnings.push(self.of(Reason::CnameTooLong).note(walk.chain.len().to_string()));
                }
                _ => {}
            }
        }
        let (finding, is_warning) = self.target(request, &v4, &v6);
        let status = match (&finding, is_warning) {
            (None, _) => CheckStatus::Pass,
            (Some(_), true) => CheckStatus::Warn,
            (Some(_), false) => CheckStatus::Fail,
        };
        ruling.checks.push(Check::new("target", status, target_detail(request, &ruling.usable)));
        match finding {
            Some(finding) if is_warning => ruling.warnings.push(finding),
            finding => ruling.finding = finding,
        }
        ruling
    }

    /// Addresses that the CA would use, and those that it drops.
    fn sift(&self, walk: &Walk<'_>, allow_reserved: bool) -> (Vec<IpAddr>, Vec<IpAddr>) {
        let End::Found(records) = &walk.end else { return Default::default() };
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

    /// Why neither family has an address, and for how long that holds.
    fn nothing_usable(&self, request: &Request, dropped: &[IpAddr]) -> (Finding, Option<u32>) {
        let either = |wanted: fn(&End<'_>) -> bool| [&self.a, &self.aaaa].into_iter().find(|walk| wanted(&walk.end));
        let required = required(request);
        if !dropped.is_empty() {
            let ttl = either(|end| matches!(end, End::Found(_))).and_then(|walk| walk.ttl);
            return (self.of(Reason::ReservedAddress).observed(dropped).required(required), ttl);
        }
        if let Some(walk) = either(|end| matches!(end, End::Loop)) {
            let circle = std::iter::once(self.host).chain(walk.chain.iter().copied());
            return (self.of(Reason::CnameLoop).observed([join_with(circle, " → ")]).required(required), walk.ttl);
        }
        if let Some(walk) = either(|end| matches!(end, End::TooLong)) {
            let note = format!("> {}", walk.chain.len().saturating_sub(1));
            return (self.of(Reason::CnameTooLong).observed(&walk.chain).note(note), walk.ttl);
        }
        // A first: it is what people are told to add, and a NODATA there is for the owner to mend
        // even where AAAA fails.
        if let End::Failed(failure) = &self.a.end {
            return (failure.finding(self.a.last(self.host), Kind::A), None);
        }
        if let Some(walk) = either(|end| matches!(end, End::NameError(_))) {
            return (self.name_error(walk, required), walk.ttl);
        }
        match (&self.a.end, &self.aaaa.end) {
            (End::Unasked(_), _) => (self.of(Reason::DnsTimeout), None),
            _ => {
                let finding = self.of(Reason::NoAddress).observed(self.a.chain.last()).required(required);
                (finding, self.a.ttl)
            }
        }
    }

    fn name_error(&self, walk: &Walk<'_>, required: Vec<String>) -> Finding {
        if let Some(target) = walk.chain.last() {
            return self.of(Reason::CnameDangling).observed([*target]).required(required).note(target);
        }
        let finding = self.of(Reason::DomainNotFound).observed(["NXDOMAIN"]).required(required);
        match &walk.end {
            // The registry itself denies the name: there is no such domain at all.
            End::NameError(Some(soa)) if is_registry(&soa.name) => finding.note(child_of(self.host, &soa.name)),
            _ => finding,
        }
    }

    /// Whether what the CA may connect to is the gateway; if not, whether that only deserves a warning.
    fn target(&self, request: &Request, v4: &[IpAddr], v6: &[IpAddr]) -> (Option<Finding>, bool) {
        let gateway = &request.gateway;
        let by_cname = self.a.chain.iter().chain(&self.aaaa.chain).any(|name| is_named(gateway, name));
        if gateway.target == Target::AnyPublic || by_cname {
            return (None, false);
        }
        if gateway.target == Target::Cname {
            let observed: Vec<String> = match self.a.chain.first().or(self.aaaa.chain.first()) {
                Some(name) => vec![(*name).to_owned()],
                None => v6.iter().chain(v4).map(ToString::to_string).collect(),
            };
            return (Some(self.of(Reason::WrongCname).observed(observed).required(&gateway.cnames)), false);
        }
        let split = |addresses: &[IpAddr]| -> (Vec<IpAddr>, Vec<IpAddr>) {
            addresses.iter().partition(|ip| gateway.addresses.contains(ip))
        };
        let ((right_v4, wrong_v4), (right_v6, wrong_v6)) = (split(v4), split(v6));
        let right = join(&[right_v6.as_slice(), right_v4.as_slice()].concat());
        match (wrong_v4.is_empty(), wrong_v6.is_empty()) {
            (true, true) => (None, false),
            // All A are right: the AAAA alone is at fault.
            (true, false) if !right_v4.is_empty() => {
                let v6_required = gateway.addresses.iter().filter(|ip| ip.is_ipv6());
                (Some(self.of(Reason::WrongIpv6).observed(wrong_v6).required(v6_required)), false)
            }
            // The CA connects to an AAAA, and all of those are right.
            (false, true) if !right_v6.is_empty() => {
                let v4_required = gateway.addresses.iter().filter(|ip| ip.is_ipv4());
                (Some(self.of(Reason::WrongTarget).observed(wrong_v4).required(v4_required).note(right)), true)
            }
            _ => {
                let wrong = wrong_v6.into_iter().chain(wrong_v4);
                (Some(self.of(Reason::WrongTarget).observed(wrong).required(required(request)).note(right)), false)
            }
        }
    }

    fn of(&self, reason: Reason) -> Finding {
        Finding::new(reason, self.host)
    }
}

fn family_check(name: &str, walk: &Walk<'_>, usable: &[IpAddr]) -> Check {
    let status = match &walk.end {
        End::Found(records) if usable.len() == records.len() => CheckStatus::Pass,
        // Few hosts have both families, and need not.
        End::NoData(_) => CheckStatus::Pass,
        // Not as it should be, and the CA does with the other family.
        _ => CheckStatus::Warn,
    };
    Check::new(name, status, walk.detail())
}

fn target_detail(request: &Request, usable: &[IpAddr]) -> String {
    let first = usable.first().map(ToString::to_string).unwrap_or_default();
    match required(request).as_slice() {
        [] => format!("first: {first}"),
        wanted => format!("first: {first}; wanted: {}", wanted.join(", ")),
    }
}

/// What a domain's owner may set, addresses first. No CNAME is asked for at the
/// apex of a domain, where there can be none (RFC 1912 §2.4), if an address will do.
fn required(request: &Request) -> Vec<String> {
    let gateway = &request.gateway;
    let is_apex = request.host.registered_domain() == request.host.base();
    let cnames = gateway.cnames.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase());
    let addresses = gateway.addresses.iter().map(ToString::to_string);
    match gateway.target {
        Target::Addresses if is_apex && !gateway.addresses.is_empty() => addresses.collect(),
        Target::Addresses => addresses.chain(cnames).collect(),
        Target::Cname => cnames.collect(),
        Target::AnyPublic => Vec::new(),
    }
}

fn is_named(gateway: &GatewayTarget, name: &str) -> bool {
    gateway.cnames.iter().any(|cname| cname.trim_end_matches('.').eq_ignore_ascii_case(name))
}

fn join(addresses: &[IpAddr]) -> String {
    join_with(addresses, ", ")
}

fn join_with<T: ToString>(items: impl IntoIterator<Item = T>, with: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(with)
}
