//! [`Failure`]: a question that got no usable answer, and how to say it.

use super::answers::{ExtendedError, Kind, Outcome, Rcode, Reply};
use crate::core::{finding::Finding, reason::Reason};

/// Why a question got no usable answer.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Failure {
    /// Nothing in time.
    Timeout,
    /// The network refused.
    Unreachable(String),
    /// The message cannot be read, or is beyond bounds.
    Malformed(String),
    /// Records are missing even over TCP.
    Truncated,
    /// A response code other than NOERROR and NXDOMAIN.
    Rcode(Rcode, Option<ExtendedError>),
    /// DNSSEC validation failed; the resolver's words, where it has any.
    Bogus(Option<ExtendedError>),
}

impl Failure {
    /// The failure of an outcome; `None` where there is a message to look into.
    pub(super) fn of(outcome: &Outcome) -> Option<Self> {
        match outcome {
            Outcome::Timeout => Some(Self::Timeout),
            Outcome::Unreachable(why) => Some(Self::Unreachable(why.clone())),
            Outcome::Malformed(why) => Some(Self::Malformed(why.clone())),
            Outcome::Reply(reply) if reply.truncated => Some(Self::Truncated),
            Outcome::Reply(reply) if matches!(reply.rcode, Rcode::NO_ERROR | Rcode::NAME_ERROR) => None,
            Outcome::Reply(reply) => {
                // The most telling one: a resolver may add "cached error" to the cause.
                let extended = reply.extended.iter().find(|e| is_dnssec(e.code)).or(reply.extended.first()).cloned();
                Some(match extended {
                    Some(extended) if is_dnssec(extended.code) => Self::Bogus(Some(extended)),
                    extended => Self::Rcode(reply.rcode, extended),
                })
            }
        }
    }

    /// Whether a second question without DNSSEC validation would tell more: whether it is DNSSEC, and of which zone.
    pub(super) fn wants_unchecked(&self) -> bool {
        matches!(self, Self::Rcode(Rcode::SERVER_FAILURE, None) | Self::Bogus(_))
    }

    /// Whether the zone is signed, and wrongly so: expired, or not yet valid (RFC 8914 §4.8, §4.9).
    pub(super) const fn is_of_signatures(&self) -> bool {
        matches!(self, Self::Bogus(Some(ExtendedError { code: 7 | 8, .. })))
    }

    /// Whether the zone's own servers would tell more.
    pub(super) const fn wants_authority(&self) -> bool {
        matches!(self, Self::Rcode(..))
    }

    /// What the resolver itself keeps from those who ask it, in its words (RFC 8914 §4.5, §4.16 to §4.19).
    pub(super) fn withheld(outcome: &Outcome) -> Option<String> {
        let Outcome::Reply(reply) = outcome else { return None };
        reply.extended.iter().find(|e| matches!(e.code, 4 | 15..=18)).map(extended_words)
    }

    /// As it is where the same question was answered once validation was off.
    pub(super) fn with_unchecked(self, unchecked: Option<&Outcome>) -> Self {
        match unchecked {
            Some(Outcome::Reply(Reply { rcode: Rcode::NO_ERROR | Rcode::NAME_ERROR, .. }))
                if matches!(self, Self::Rcode(Rcode::SERVER_FAILURE, None)) =>
            {
                Self::Bogus(None)
            }
            _ => self,
        }
    }

    /// The reason that a host held for this has, where nothing more is known.
    pub(super) const fn reason(&self) -> Reason {
        match self {
            Self::Timeout | Self::Unreachable(_) => Reason::DnsTimeout,
            Self::Malformed(_) | Self::Truncated => Reason::DnsMalformed,
            Self::Rcode(Rcode::SERVER_FAILURE, _) => Reason::DnsServerFailure,
            Self::Rcode(..) => Reason::DnsRefused,
            Self::Bogus(_) => Reason::DnssecBogus,
        }
    }

    /// The finding that holds a host for this.
    pub(super) fn finding(&self, subject: &str, kind: Kind) -> Finding {
        let words = self.to_string();
        // What the reason's own sentence says need not be said twice, and A is what everybody thinks of.
        let particular = match self {
            Self::Timeout | Self::Rcode(Rcode::SERVER_FAILURE, None) | Self::Bogus(None) => String::new(),
            Self::Bogus(Some(extended)) | Self::Rcode(Rcode::SERVER_FAILURE, Some(extended)) => {
                extended_words(extended)
            }
            _ => words.clone(),
        };
        let note = match (kind, particular.is_empty()) {
            (Kind::A, _) => particular,
            (_, true) => kind.as_str().to_owned(),
            (_, false) => format!("{}: {particular}", kind.as_str()),
        };
        Finding::new(self.reason(), subject).observed([words]).note(note)
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Timeout => f.write_str("no answer in time"),
            Self::Unreachable(why) => write!(f, "unreachable: {why}"),
            Self::Malformed(why) => write!(f, "malformed answer: {why}"),
            Self::Truncated => f.write_str("truncated answer"),
            Self::Rcode(rcode, None) => rcode.fmt(f),
            Self::Rcode(rcode, Some(extended)) => write!(f, "{rcode}: {}", extended_words(extended)),
            Self::Bogus(None) => f.write_str("SERVFAIL, but answered without DNSSEC validation"),
            Self::Bogus(Some(extended)) => write!(f, "SERVFAIL: {}", extended_words(extended)),
        }
    }
}

/// Whether an extended error code speaks of DNSSEC (RFC 8914 §4).
const fn is_dnssec(code: u16) -> bool {
    matches!(code, 1 | 2 | 5..=12)
}

/// An extended error in the words of Boulder's `bdns/problem.go`.
fn extended_words(extended: &ExtendedError) -> String {
    let name = match extended.code {
        0 => "Other",
        1 => "DNSSEC: Unsupported DNSKEY Algorithm",
        2 => "DNSSEC: Unsupported DS Digest Type",
        3 => "Stale Answer",
        4 => "Forged Answer",
        5 => "DNSSEC: Indeterminate",
        6 => "DNSSEC: Bogus",
        7 => "DNSSEC: Signature Expired",
        8 => "DNSSEC: Signature Not Yet Valid",
        9 => "DNSSEC: DNSKEY Missing",
        10 => "DNSSEC: RRSIGs Missing",
        11 => "DNSSEC: No Zone Key Bit Set",
        12 => "DNSSEC: NSEC Missing",
        13 => "Cached Error",
        14 => "Not Ready",
        15 => "Blocked",
        16 => "Censored",
        17 => "Filtered",
        18 => "Prohibited",
        19 => "Stale NXDOMAIN Answer",
        20 => "Not Authoritative",
        21 => "Not Supported",
        22 => "No Reachable Authority",
        23 => "Network Error between Resolver and Authority",
        24 => "Invalid Data",
        other => {
            return format!(
                "Extended DNS Error {other}{}{}",
                if extended.text.is_empty() { "" } else { ": " },
                extended.text
            );
        }
    };
    if extended.text.is_empty() { name.to_owned() } else { format!("{name}: {}", extended.text) }
}
