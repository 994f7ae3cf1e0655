//! What a rule answers.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use hickory_proto::op::ResponseCode;
use hickory_proto::rr::rdata::{A, AAAA, CNAME, MX, NS, NULL, TXT};
use hickory_proto::rr::{Name, RData, RecordType};

use super::Transport;

/// A scripted answer, built up by chaining. Without records and response code it is NODATA.
///
/// Records belong to the name that was asked for, so that wildcards need no names either.
#[derive(Clone, Debug, Default)]
pub struct Answer {
    pub(super) records: Vec<(Option<u32>, RData)>,
    pub(super) ttl: Option<u32>,
    pub(super) rcode: ResponseCode,
    pub(super) negative: Option<(u32, u32)>,
    pub(super) no_soa: bool,
    pub(super) no_chase: bool,
    pub(super) authoritative: Option<bool>,
    pub(super) authentic: bool,
    pub(super) times: Option<u32>,
    pub(super) transport: Option<Transport>,
    pub(super) recursive: Option<bool>,
    pub(super) delivery: Delivery,
}

/// How the answer travels, and how it is spoilt on the way.
#[derive(Clone, Debug, Default)]
pub(super) struct Delivery {
    pub(super) delay: Duration,
    pub(super) drop: bool,
    pub(super) close: bool,
    pub(super) truncate_udp: bool,
    pub(super) truncate_tcp: bool,
    pub(super) wrong_id: bool,
    pub(super) question: Option<Name>,
    pub(super) raw: Option<Vec<u8>>,
    pub(super) raw_keeps_id: bool,
    pub(super) errors: Vec<(u16, String)>,
}

impl Delivery {
    /// Adds what the next link of a CNAME chain does.
    pub(super) fn merge(&mut self, next: &Self) {
        self.delay += next.delay;
        self.drop |= next.drop;
        self.close |= next.close;
        self.truncate_udp |= next.truncate_udp;
        self.truncate_tcp |= next.truncate_tcp;
        self.wrong_id |= next.wrong_id;
        self.raw_keeps_id |= next.raw_keeps_id;
        self.question = self.question.take().or_else(|| next.question.clone());
        self.raw = self.raw.take().or_else(|| next.raw.clone());
        self.errors.extend(next.errors.iter().cloned());
    }
}

/// Reads a name that a test wrote down.
#[expect(clippy::panic, reason = "a malformed name is a mistake in the test's own text")]
pub(super) fn name(text: &str) -> Name {
    match Name::from_ascii(text) {
        Ok(mut name) => {
            name.set_fqdn(true);
            name
        }
        Err(error) => panic!("{text:?} is no domain name: {error}"),
    }
}

impl Answer {
    /// NODATA, until records are added.
    pub fn new() -> Self {
        Self::default()
    }

    /// The name does not exist.
    pub fn nxdomain() -> Self {
        Self::rcode(ResponseCode::NXDomain)
    }

    /// The name exists, but nothing of the type that was asked for.
    pub fn nodata() -> Self {
        Self::new()
    }

    /// The server failed.
    pub fn servfail() -> Self {
        Self::rcode(ResponseCode::ServFail)
    }

    /// The server does not want to answer.
    pub fn refused() -> Self {
        Self::rcode(ResponseCode::Refused)
    }

    /// Any response code; those above 15 travel in the EDNS record and need an asker that sent one.
    pub fn rcode(rcode: ResponseCode) -> Self {
        Self { rcode, ..Self::default() }
    }

    /// No reply at all: the asker runs into its timeout.
    pub fn timeout() -> Self {
        let mut answer = Self::new();
        answer.delivery.drop = true;
        answer
    }

    /// Bytes that are no DNS message.
    pub fn garbage() -> Self {
        Self::raw(b"\x16\x03\x01 this is not the protocol you are looking for".to_vec())
    }

    /// These bytes and nothing else. Over TCP they still get their length prefix.
    pub fn raw(bytes: Vec<u8>) -> Self {
        let mut answer = Self::new();
        answer.delivery.raw = Some(bytes);
        answer
    }

    /// Like [`Answer::raw`], with the question's id written over the first two bytes.
    pub fn raw_with_id(bytes: Vec<u8>) -> Self {
        let mut answer = Self::raw(bytes);
        answer.delivery.raw_keeps_id = true;
        answer
    }

    /// Adds an A record.
    #[must_use]
    pub fn a(self, ip: Ipv4Addr) -> Self {
        self.rdata(RData::A(A(ip)))
    }

    /// Adds an AAAA record.
    #[must_use]
    pub fn aaaa(self, ip: Ipv6Addr) -> Self {
        self.rdata(RData::AAAA(AAAA(ip)))
    }

    /// Adds a CNAME record.
    #[must_use]
    pub fn cname(self, target: &str) -> Self {
        self.rdata(RData::CNAME(CNAME(name(target))))
    }

    /// Adds an NS record.
    #[must_use]
    pub fn ns(self, server: &str) -> Self {
        self.rdata(RData::NS(NS(name(server))))
    }

    /// Adds an MX record.
    #[must_use]
    pub fn mx(self, preference: u16, exchange: &str) -> Self {
        self.rdata(RData::MX(MX::new(preference, name(exchange))))
    }

    /// Adds a TXT record.
    #[must_use]
    pub fn txt(self, text: &str) -> Self {
        self.rdata(RData::TXT(TXT::new(vec![text.to_owned()])))
    }

    /// Adds a CAA record, with any tag and value, well-formed or not.
    #[must_use]
    pub fn caa(self, flag: u8, tag: &str, value: &str) -> Self {
        let tag_length = u8::try_from(tag.len()).unwrap_or(u8::MAX);
        let bytes = [&[flag, tag_length], tag.as_bytes(), value.as_bytes()].concat();
        self.bytes(RecordType::CAA, bytes)
    }

    /// Adds a record of any type with its data as bytes.
    #[must_use]
    pub fn bytes(self, code: RecordType, data: Vec<u8>) -> Self {
        self.rdata(RData::Unknown { code, rdata: NULL::with(data) })
    }

    /// Adds a record.
    #[must_use]
    pub fn rdata(mut self, data: RData) -> Self {
        self.records.push((self.ttl, data));
        self
    }

    /// The TTL of the records added before that have none yet, and of those added after (5 s unless set).
    #[must_use]
    pub fn ttl(mut self, seconds: u32) -> Self {
        self.ttl = Some(seconds);
        for (ttl, _) in &mut self.records {
            ttl.get_or_insert(seconds);
        }
        self
    }

    /// TTL and MINIMUM of the SOA record, should the answer be negative. The lesser of both is how long it may be cached.
    #[must_use]
    pub fn negative(mut self, ttl: u32, minimum: u32) -> Self {
        self.negative = Some((ttl, minimum));
        self
    }

    /// A negative answer without SOA record, as some broken servers give.
    #[must_use]
    pub fn without_soa(mut self) -> Self {
        self.no_soa = true;
        self
    }

    /// Answers a CNAME alone, without what its target has.
    #[must_use]
    pub fn no_chase(mut self) -> Self {
        self.no_chase = true;
        self
    }

    /// Sets or clears the AA bit against the rule that only answers without recursion carry it.
    #[must_use]
    pub fn authoritative(mut self, yes: bool) -> Self {
        self.authoritative = Some(yes);
        self
    }

    /// Sets the AD bit: the resolver vouches for DNSSEC. In a chain, every link has to.
    #[must_use]
    pub fn authentic(mut self) -> Self {
        self.authentic = true;
        self
    }

    /// Adds an extended error (RFC 8914), for askers that speak EDNS.
    #[must_use]
    pub fn extended_error(mut self, code: u16, text: &str) -> Self {
        self.delivery.errors.push((code, text.to_owned()));
        self
    }

    /// Answers only after a while.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delivery.delay = delay;
        self
    }

    /// Over TCP, closes the connection instead of answering. Over UDP nothing is sent.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.delivery.close = true;
        self
    }

    /// Over UDP, sends no records but the TC bit: "ask again over TCP".
    #[must_use]
    pub fn truncated(mut self) -> Self {
        self.delivery.truncate_udp = true;
        self
    }

    /// The same over TCP too, which no server should do.
    #[must_use]
    pub fn truncated_always(mut self) -> Self {
        self.delivery.truncate_udp = true;
        self.delivery.truncate_tcp = true;
        self
    }

    /// Replies under another id than the question's.
    #[must_use]
    pub fn wrong_id(mut self) -> Self {
        self.delivery.wrong_id = true;
        self
    }

    /// Echoes another question than the one asked.
    #[must_use]
    pub fn wrong_question(mut self, other: &str) -> Self {
        self.delivery.question = Some(name(other));
        self
    }

    /// Is used up after so many questions.
    #[must_use]
    pub fn times(mut self, times: u32) -> Self {
        self.times = Some(times);
        self
    }

    /// Speaks only to questions over this transport.
    #[must_use]
    pub fn over(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// Speaks only to questions with (`true`) or without (`false`) recursion desired: what a resolver has cached and what
    /// the authoritative server says can differ.
    #[must_use]
    pub fn when_recursive(mut self, yes: bool) -> Self {
        self.recursive = Some(yes);
        self
    }
}
