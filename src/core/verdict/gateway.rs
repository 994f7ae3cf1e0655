//! The gateway's own names: where they lead now, and what is wrong with them. Their faults are the administrator's,
//! whichever domain shows them.

use ::core::net::IpAddr;

use super::{
    GatewayTarget,
    answers::{Answers, Kind, Question},
    reserved::reserved,
    walk::{End, View, Walk, walk},
};
use crate::core::{finding::Finding, policy::Target, reason::Reason};

/// Names of the gateway that are followed.
const MAX_NAMES: usize = 4;

/// The gateway's names, each followed to its addresses as far as it was asked about.
pub(super) struct Names<'a> {
    each: Vec<Named<'a>>,
}

struct Named<'a> {
    name: String,
    a: Walk<'a>,
    aaaa: Walk<'a>,
    state: State,
}

/// What a name leads to.
#[derive(Clone, Debug, PartialEq)]
enum State {
    /// Nobody has asked yet.
    Unknown,
    /// Addresses that a CA connects to.
    Good(Vec<IpAddr>),
    /// Reserved addresses alone.
    Private(Vec<IpAddr>),
    /// None, for this reason.
    Broken(String),
}

impl<'a> Names<'a> {
    pub(super) fn new(answers: &'a Answers, gateway: &GatewayTarget) -> Self {
        let each = written(gateway).take(MAX_NAMES).map(|name| {
            let [a, aaaa] = [Kind::A, Kind::Aaaa].map(|kind| walk(answers, View::Recursive, &name, kind));
            let state = State::of(&a, &aaaa, gateway.allow_reserved);
            Named { name, a, aaaa, state }
        });
        Self { each: each.collect() }
    }

    /// Questions that are still open.
    pub(super) fn unasked(&self) -> impl Iterator<Item = &Question> {
        self.each.iter().flat_map(|named| [&named.a, &named.aaaa]).filter_map(|walk| match &walk.end {
            End::Unasked(question) => Some(question),
            _ => None,
        })
    }

    /// The addresses that they have now.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.each.iter().flat_map(|named| {
            match &named.state {
                State::Good(addresses) => addresses.as_slice(),
                _ => &[],
            }
            .iter()
            .copied()
        })
    }

    /// Those that somebody may be told to point to.
    pub(super) fn fit(&self) -> impl Iterator<Item = &str> {
        let fit = |named: &&Named<'_>| matches!(named.state, State::Good(_) | State::Unknown);
        self.each.iter().filter(fit).map(|named| named.name.as_str())
    }

    /// For how long their addresses hold, in seconds.
    pub(super) fn ttl(&self) -> Option<u32> {
        self.each.iter().flat_map(|named| [named.a.ttl, named.aaaa.ttl]).flatten().min()
    }

    /// What is wrong with the gateway, if nothing that is known of it can be reached: then nothing that a domain's
    /// owner does would help.
    pub(super) fn fault(&self, host: &str, gateway: &GatewayTarget) -> Option<Finding> {
        let by_address = gateway.target == Target::Addresses;
        if gateway.target == Target::AnyPublic || self.fit().next().is_some() {
            return None;
        }
        if by_address && public(gateway).next().is_some() {
            return None;
        }
        if let Some(named) = self.each.first() {
            return Some(named.fault(host));
        }
        (by_address && !gateway.addresses.is_empty())
            .then(|| Finding::new(Reason::GatewayNotPublic, host).observed(&gateway.addresses))
    }
}

impl Named<'_> {
    fn fault(&self, host: &str) -> Finding {
        match &self.state {
            State::Private(addresses) => {
                Finding::new(Reason::GatewayNotPublic, host).observed(addresses).note(&self.name)
            }
            State::Broken(words) => broken(host, &self.name, words),
            State::Good(_) | State::Unknown => broken(host, &self.name, "no answer in time"),
        }
    }
}

impl State {
    fn of(a: &Walk<'_>, aaaa: &Walk<'_>, allow_reserved: bool) -> Self {
        let ((v6, hidden_v6), (v4, hidden_v4)) = (aaaa.addresses(allow_reserved), a.addresses(allow_reserved));
        let (good, hidden) = ([v6, v4].concat(), [hidden_v6, hidden_v4].concat());
        if !good.is_empty() {
            return Self::Good(good);
        }
        if [a, aaaa].iter().any(|walk| matches!(walk.end, End::Unasked(_))) {
            return Self::Unknown;
        }
        if !hidden.is_empty() {
            return Self::Private(hidden);
        }
        Self::Broken(words(&a.end))
    }
}

/// Why a name leads nowhere, as DNS has it.
pub(super) fn words(end: &End<'_>) -> String {
    match end {
        End::NameError(_) => "NXDOMAIN".to_owned(),
        End::Loop => "CNAME loop".to_owned(),
        End::TooLong => "CNAME chain too long".to_owned(),
        End::Failed(failure) => failure.to_string(),
        End::Found(_) | End::NoData(_) | End::Unasked(_) => "NODATA".to_owned(),
    }
}

/// A name of the gateway that leads nowhere.
pub(super) fn broken(host: &str, name: &str, words: &str) -> Finding {
    Finding::new(Reason::GatewayNameBroken, host).observed([words]).note(name)
}

/// The names as DNS writes them.
pub(super) fn written(gateway: &GatewayTarget) -> impl Iterator<Item = String> {
    gateway.cnames.iter().map(|name| name.trim_end_matches('.').to_ascii_lowercase())
}

/// Whether a name is one of the gateway's.
pub(super) fn is_named(gateway: &GatewayTarget, name: &str) -> bool {
    gateway.cnames.iter().any(|cname| cname.trim_end_matches('.').eq_ignore_ascii_case(name))
}

/// The gateway's addresses that a CA connects to.
pub(super) fn public(gateway: &GatewayTarget) -> impl Iterator<Item = IpAddr> {
    gateway.addresses.iter().copied().filter(|ip| gateway.allow_reserved || reserved(*ip).is_none())
}
