//! Addresses: whether the CA has one to connect to, and whether it is the gateway's.
//!
//! As Boulder does it (`va/dns.go` `getAddrs`, `va/http.go`): reserved addresses
//! are dropped, a family whose look-up fails is passed over while the other has
//! an address, and the first AAAA is tried before the first A. The order within
//! a family is the resolver's, so any of several may be the first.

use ::core::net::IpAddr;

use super::{
    Check, CheckStatus, Request,
    answers::{Answers, Kind, Question},
    cdn,
    gateway::{self, Names, is_named},
    trouble,
    walk::{End, RESOLVER_CHAIN, View, Walk, walk},
    zone::{child_of, is_registry, organisation},
};
use crate::core::{
    finding::{ALIAS, CDN, Finding},
    policy::Target,
    reason::Reason,
};

/// Both families of a host, followed to their ends.
pub(super) struct Look<'a> {
    request: &'a Request,
    answers: &'a Answers,
    host: &'a str,
    a: Walk<'a>,
    aaaa: Walk<'a>,
    names: Names<'a>,
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
    pub(super) fn new(answers: &'a Answers, view: View<'_>, request: &'a Request) -> Self {
        let host = request.host.base();
        Self {
            request,
            answers,
            host,
            a: walk(answers, view, host, Kind::A),
            aaaa: walk(answers, view, host, Kind::Aaaa),
            names: Names::new(answers, &request.gateway),
        }
    }

    /// Questions that are still open.
    pub(super) fn unasked(&self) -> impl Iterator<Item = &Question> {
        [&self.a, &self.aaaa].into_iter().filter_map(|walk| match &walk.end {
            End::Unasked(question) => Some(question),
            _ => None,
        })
    }

    /// Questions about the gateway's own names that are still open. A host that is well needs none of them.
    pub(super) fn unasked_names(&self) -> Vec<Question> {
        let ruling = self.rule();
        let found = ruling.finding.iter().chain(&ruling.warnings).map(|finding| finding.reason);
        if found.into_iter().any(is_for_the_owner) { self.names.unasked().cloned().collect() } else { Vec::new() }
    }

    /// The look-up that fails, of those that the CA needs.
    pub(super) fn failing(&self) -> Option<(&str, Kind)> {
        [(&self.a, Kind::A), (&self.aaaa, Kind::Aaaa)].into_iter().find_map(|(walk, kind)| match &walk.end {
            End::Failed(_) => Some((walk.last(self.host), kind)),
            _ => None,
        })
    }

    /// The names that were passed on the way to the addresses, the host first.
    pub(super) fn passed(&self) -> impl Iterator<Item = &'a str> {
        std::iter::once(self.host).chain(self.a.chain.iter().chain(&self.aaaa.chain).copied())
    }

    pub(super) fn rule(&self) -> Ruling {
        let request = self.request;
        let (v6, dropped_v6) = self.aaaa.addresses(request.gateway.allow_reserved);
        let (v4, dropped_v4) = self.a.addresses(request.gateway.allow_reserved);
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
            let (finding, ttl) = self.nothing_usable(&dropped);
            // No A, and an AAAA that cannot be seen: the one can be added, the other wants looking at.
            if let (Reason::NoAddress, End::Failed(failure)) = (finding.reason, &self.aaaa.end) {
                ruling.warnings.push(self.trouble(&self.aaaa, Kind::Aaaa, failure));
            }
            (ruling.finding, ruling.ttl) = self.or_platform(finding, ttl);
            ruling.checks.iter_mut().for_each(|check| check.status = CheckStatus::Fail);
            ruling.checks.push(Check::new("target", CheckStatus::Skipped, ""));
            return ruling;
        }
        if !dropped.is_empty() {
            ruling.warnings.push(self.of(Reason::ReservedAddress).observed(dropped).note(join(&ruling.usable)));
        }
        for (walk, kind) in [(&self.a, Kind::A), (&self.aaaa, Kind::Aaaa)] {
            match &walk.end {
                End::Failed(failure) => ruling.warnings.push(self.trouble(walk, kind, failure)),
                End::Loop => ruling.warnings.push(self.of(Reason::CnameLoop).observed(&walk.chain)),
                _ if walk.chain.len() > RESOLVER_CHAIN => {
                    ruling.warnings.push(self.of(Reason::CnameTooLong).note(walk.chain.len().to_string()));
                }
                _ => {}
            }
        }
        let (finding, is_warning) = self.target(&v4, &v6);
        let status = match (&finding, is_warning) {
            (None, _) => CheckStatus::Pass,
            (Some(_), true) => CheckStatus::Warn,
            (Some(_), false) => CheckStatus::Fail,
        };
        ruling.checks.push(Check::new("target", status, self.target_detail(&ruling.usable)));
        match finding {
            Some(finding) if is_warning => ruling.warnings.push(finding),
            Some(finding) => {
                // What the gateway's names lead to may change before the host's own records do.
                let ttl = ruling.ttl.into_iter().chain(self.names.ttl()).min();
                (ruling.finding, ruling.ttl) = self.or_platform(finding, ttl);
            }
            None => {}
        }
        ruling
    }

    /// What is found, unless the gateway itself is at fault: nothing that an owner does would help then.
    fn or_platform(&self, finding: Finding, ttl: Option<u32>) -> (Option<Finding>, Option<u32>) {
        if is_for_the_owner(finding.reason)
            && let Some(fault) = self.names.fault(self.host, &self.request.gateway)
        {
            return (Some(fault), self.names.ttl().or(ttl));
        }
        (Some(finding), ttl)
    }

    fn trouble(&self, walk: &Walk<'_>, kind: Kind, failure: &super::failure::Failure) -> Finding {
        trouble::finding(self.request, self.answers, walk.last(self.host), kind, failure)
    }

    /// Why neither family has an address, and for how long that holds.
    fn nothing_usable(&self, dropped: &[IpAddr]) -> (Finding, Option<u32>) {
        let either = |wanted: fn(&End<'_>) -> bool| [&self.a, &self.aaaa].into_iter().find(|walk| wanted(&walk.end));
        let gateway = &self.request.gateway;
        // The host leads to the gateway's name, as it should; what is wrong from there on is the platform's.
        for walk in [&self.a, &self.aaaa] {
            if let Some(own) = walk.chain.iter().find(|name| is_named(gateway, name)) {
                let fault = match dropped {
                    [] => gateway::broken(self.host, own, &gateway::words(&walk.end)),
                    hidden => self.of(Reason::GatewayNotPublic).observed(hidden).note(own),
                };
                return (fault, walk.ttl);
            }
        }
        let required = self.required();
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
            return (self.trouble(&self.a, Kind::A, failure), None);
        }
        if let Some(walk) = either(|end| matches!(end, End::NameError(_))) {
            return (self.name_error(walk, required), walk.ttl);
        }
        match (&self.a.end, &self.aaaa.end) {
            (End::Unasked(_), _) => (self.of(Reason::DnsTimeout), None),
            _ => {
                // The name exists, so it has other records, beside which there can be no CNAME.
                let addresses: Vec<String> = required.iter().filter(|value| is_address(value)).cloned().collect();
                let required = if addresses.is_empty() { required } else { addresses };
                (self.of(Reason::NoAddress).observed(self.a.chain.last()).required(required), self.a.ttl)
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
    fn target(&self, v4: &[IpAddr], v6: &[IpAddr]) -> (Option<Finding>, bool) {
        let gateway = &self.request.gateway;
        let by_cname = self.a.chain.iter().chain(&self.aaaa.chain).any(|name| is_named(gateway, name));
        if gateway.target == Target::AnyPublic || by_cname {
            return (None, false);
        }
        // Flattened, a CNAME shows as the addresses that the gateway's name has now, and at an apex it can show in no
        // other way.
        let mut own: Vec<IpAddr> = self.names.addresses().collect();
        if gateway.target == Target::Addresses {
            own.extend(&gateway.addresses);
        }
        let split =
            |addresses: &[IpAddr]| -> (Vec<IpAddr>, Vec<IpAddr>) { addresses.iter().partition(|ip| own.contains(ip)) };
        let ((right_v4, wrong_v4), (right_v6, wrong_v6)) = (split(v4), split(v6));
        let right = join(&[right_v6.as_slice(), right_v4.as_slice()].concat());
        let public = || {
            let wanted = own.iter().filter(|ip| gateway.allow_reserved || super::reserved(**ip).is_none());
            wanted.copied().collect::<Vec<_>>()
        };
        match (wrong_v4.is_empty(), wrong_v6.is_empty()) {
            (true, true) => (None, false),
            // All A are right: the AAAA alone is at fault.
            (true, false) if !right_v4.is_empty() => {
                let v6_required = public().into_iter().filter(IpAddr::is_ipv6);
                (Some(self.of(Reason::WrongIpv6).observed(wrong_v6).required(v6_required)), false)
            }
            // The CA connects to an AAAA, and all of those are right.
            (false, true) if !right_v6.is_empty() => {
                let v4_required = public().into_iter().filter(IpAddr::is_ipv4);
                (Some(self.of(Reason::WrongTarget).observed(wrong_v4).required(v4_required).note(right)), true)
            }
            _ => {
                let wrong: Vec<IpAddr> = wrong_v6.into_iter().chain(wrong_v4).collect();
                let note = if right.is_empty() {
                    let chain = self.a.chain.iter().chain(&self.aaaa.chain).copied();
                    let network = cdn::before(self.host, chain, wrong.iter().copied());
                    network.map_or_else(String::new, |network| format!("{CDN}{network}"))
                } else {
                    right
                };
                let alias = self.a.chain.first().or(self.aaaa.chain.first());
                let finding = match (gateway.target, alias) {
                    (Target::Cname, Some(name)) => self.of(Reason::WrongCname).observed([name]),
                    (Target::Cname, None) => self.of(Reason::WrongCname).observed(&wrong),
                    _ => self.of(Reason::WrongTarget).observed(&wrong),
                };
                (Some(finding.required(self.required()).note(note)), false)
            }
        }
    }

    /// What a domain's owner may set, addresses first. No CNAME is asked for at the apex of a zone, where there can be
    /// none (RFC 1912 §2.4), nor anything that leads nowhere.
    fn required(&self) -> Vec<String> {
        let gateway = &self.request.gateway;
        let mut addresses = gateway::public(gateway).map(|ip| ip.to_string()).peekable();
        let names = self.names.fit().map(str::to_owned);
        match gateway.target {
            Target::AnyPublic => Vec::new(),
            Target::Addresses if self.is_apex() && addresses.peek().is_some() => addresses.collect(),
            _ if self.is_apex() => {
                let now = self.names.addresses().map(|ip| ip.to_string());
                names.map(|name| format!("{ALIAS}{name}")).chain(now).collect()
            }
            Target::Addresses => addresses.chain(names).collect(),
            Target::Cname => names.collect(),
        }
    }

    /// Whether the host is the apex of its zone, as far as can be told.
    fn is_apex(&self) -> bool {
        let soa = [&self.a.end, &self.aaaa.end].into_iter().find_map(|end| match end {
            End::NoData(soa) | End::NameError(soa) => *soa,
            _ => None,
        });
        self.request.host.registered_domain() == self.host
            || organisation(self.host) == self.host
            || (self.a.chain.is_empty() && soa.is_some_and(|soa| soa.name == self.host))
    }

    fn target_detail(&self, usable: &[IpAddr]) -> String {
        let first = usable.first().map(ToString::to_string).unwrap_or_default();
        match self.required().as_slice() {
            [] => format!("first: {first}"),
            wanted => format!("first: {first}; wanted: {}", wanted.join(", ")),
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

/// What an owner mends by editing records.
pub(super) const fn is_for_the_owner(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::DomainNotFound
            | Reason::NoAddress
            | Reason::ReservedAddress
            | Reason::WrongTarget
            | Reason::WrongIpv6
            | Reason::WrongCname
            | Reason::CnameDangling
            | Reason::CnameLoop
            | Reason::CnameTooLong
    )
}

fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn join(addresses: &[IpAddr]) -> String {
    join_with(addresses, ", ")
}

fn join_with<T: ToString>(items: impl IntoIterator<Item = T>, with: &str) -> String {
    items.into_iter().map(|item| item.to_string()).collect::<Vec<_>>().join(with)
}
