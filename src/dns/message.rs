//! Messages: a question to bytes, and bytes to a [`Reply`].
//!
//! The decoder reads only what is judged, record by record, so that a record of
//! no concern cannot spoil an answer and a CAA value arrives as it was sent.
//! Every byte of it is hostile; all is bounded.

use std::panic::{AssertUnwindSafe, catch_unwind};

use hickory_proto::{
    op::{Edns, Header, Message, MessageType, OpCode, Query},
    rr::{DNSClass, Name, RecordType},
    serialize::binary::{BinDecodable, BinDecoder, BinEncodable, DecodeError},
};

use crate::core::verdict::answers::{Caa, Data, ExtendedError, Key, Kind, Question, Rcode, Record, Reply, Soa};

/// The UDP payload that is asked for: what passes every path unfragmented (DNS Flag Day 2020).
pub(super) const UDP_PAYLOAD: u16 = 1232;
/// The most records of a message that are looked at.
const MAX_RECORDS: usize = 512;
/// The most answers that are kept; a set beyond that is no set that anybody means.
const MAX_ANSWERS: usize = 256;
/// The most records of a referral that are kept: a root's or registry's has up to 13 servers, each with two addresses.
const MAX_REFERRAL: usize = 40;
/// The most extended errors that are kept, and the most text of one.
const MAX_EXTENDED: usize = 4;
const MAX_EXTENDED_TEXT: usize = 200;
/// The most text of a TXT record that is kept.
const MAX_TXT: usize = 255;

/// How a question is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Mode {
    /// To a recursive resolver (RD).
    Recursive,
    /// The same, validation off (RD, CD).
    Unchecked,
    /// To a zone's server (no flag).
    Iterative,
}

/// Why bytes are no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoReply {
    /// Not an answer to our question: somebody else's, or forged.
    #[error("{0}")]
    NotOurs(&'static str),
    /// An answer to our question that cannot be read, or is beyond bounds.
    #[error("{0}")]
    Malformed(&'static str),
}

/// A question on the wire.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    /// Its id, from the system's random numbers.
    pub id: u16,
    /// The message.
    pub bytes: Vec<u8>,
}

/// Writes a question. `None` for names that do not fit into a message.
pub(super) fn encode(question: &Question, mode: Mode) -> Option<Packet> {
    let mut name = Name::from_ascii(&question.name).ok()?;
    name.set_fqdn(true);
    let mut query = Query::query(name, record_type(question.kind));
    query.set_query_class(DNSClass::IN);
    let mut message = Message::query();
    message.metadata.op_code = OpCode::Query;
    message.metadata.recursion_desired = mode != Mode::Iterative;
    message.metadata.checking_disabled = mode == Mode::Unchecked;
    // Asks for AD in the answer (RFC 6840 §5.7).
    message.metadata.authentic_data = mode == Mode::Recursive;
    message.queries.push(query);
    let mut edns = Edns::new();
    edns.set_max_payload(UDP_PAYLOAD);
    message.edns = Some(edns);
    let id = message.metadata.id;
    Some(Packet { id, bytes: message.to_bytes().ok()? })
}

/// Reads the answer to `question` that was asked under `id`.
pub(super) fn decode(bytes: &[u8], id: u16, question: &Question) -> Result<Reply, NoReply> {
    // The codec is not ours; should it ever panic over a message, the message is at fault.
    catch_unwind(AssertUnwindSafe(|| read(bytes, id, question)))
        .unwrap_or(Err(NoReply::Malformed("the message breaks the decoder")))
}

fn read(bytes: &[u8], id: u16, question: &Question) -> Result<Reply, NoReply> {
    let mut decoder = BinDecoder::new(bytes);
    let header = Header::read(&mut decoder).map_err(|_| NoReply::NotOurs("too short for a message"))?;
    if header.id != id {
        return Err(NoReply::NotOurs("another id"));
    }
    if header.message_type != MessageType::Response || header.op_code != OpCode::Query {
        return Err(NoReply::NotOurs("not a response"));
    }
    let low = bytes.get(3).map_or(0, |flags| u16::from(flags & 0x0f));
    match header.counts.queries {
        1 => {
            let query = Query::read(&mut decoder).map_err(|_| NoReply::NotOurs("an unreadable question"))?;
            let same = text(query.name()) == question.name
                && query.query_type() == record_type(question.kind)
                && query.query_class() == DNSClass::IN;
            if !same {
                return Err(NoReply::NotOurs("another question"));
            }
        }
        // Servers that refuse need not repeat the question.
        0 if low != 0 => {}
        _ => return Err(NoReply::NotOurs("no single question")),
    }
    let mut reply = Reply {
        rcode: Rcode(low),
        authentic: header.authentic_data,
        authoritative: header.authoritative,
        truncated: header.truncation,
        ..Reply::default()
    };
    if header.truncation {
        // What is left of the sections may end anywhere.
        return Ok(reply);
    }
    let counts = [header.counts.answers, header.counts.authorities, header.counts.additionals].map(usize::from);
    if counts.iter().sum::<usize>() > MAX_RECORDS {
        return Err(NoReply::Malformed("too many records"));
    }
    for (section, count) in counts.into_iter().enumerate() {
        for _ in 0..count {
            let raw = Raw::read(&mut decoder, bytes)?;
            match section {
                0 => reply.records.extend(raw.answer(question.kind)?),
                1 if raw.kind == u16::from(RecordType::SOA) && reply.soa.is_none() => reply.soa = Some(raw.soa()?),
                1 | 2 if reply.referral.len() < MAX_REFERRAL && raw.is_referral(section) => {
                    reply.referral.extend(raw.referred());
                }
                2 if raw.kind == u16::from(RecordType::OPT) => raw.opt(&mut reply)?,
                _ => {}
            }
            if reply.records.len() > MAX_ANSWERS {
                return Err(NoReply::Malformed("too many answers"));
            }
        }
    }
    // Beside an answer or a denial such records are courtesy, and send nobody anywhere.
    if reply.authoritative || reply.soa.is_some() || !reply.records.is_empty() {
        reply.referral.clear();
    }
    Ok(reply)
}

/// A record, its data not looked into.
struct Raw<'a> {
    name: String,
    kind: u16,
    class: u16,
    ttl: u32,
    /// The whole message, which names in the data may point into.
    message: &'a [u8],
    /// Where the data begins in it.
    at: usize,
    data: &'a [u8],
}

impl<'a> Raw<'a> {
    fn read(decoder: &mut BinDecoder<'a>, message: &'a [u8]) -> Result<Self, NoReply> {
        let broken = |_: DecodeError| NoReply::Malformed("a record is cut short");
        let name = Name::read(decoder).map_err(|_| NoReply::Malformed("a record's name cannot be read"))?;
        let kind = decoder.read_u16().map_err(broken)?.unverified();
        let class = decoder.read_u16().map_err(broken)?.unverified();
        let ttl = decoder.read_u32().map_err(broken)?.unverified();
        let length = decoder.read_u16().map_err(broken)?.unverified();
        let at = decoder.index();
        let data = decoder.read_slice(length.into()).map_err(broken)?.unverified();
        Ok(Self { name: text(&name), kind, class, ttl, message, at, data })
    }

    /// The record, if it is of the type asked for or a CNAME.
    fn answer(&self, kind: Kind) -> Result<Option<Record>, NoReply> {
        let wanted = u16::from(record_type(kind));
        let is_cname = self.kind == u16::from(RecordType::CNAME);
        if self.class != u16::from(DNSClass::IN) || !(is_cname || self.kind == wanted) {
            return Ok(None);
        }
        let data = if is_cname {
            Data::Cname(self.only_name()?)
        } else {
            match kind {
                Kind::A => Data::A(
                    <[u8; 4]>::try_from(self.data)
                        .map_err(|_| NoReply::Malformed("an A record is not 4 octets"))?
                        .into(),
                ),
                Kind::Aaaa => Data::Aaaa(
                    <[u8; 16]>::try_from(self.data)
                        .map_err(|_| NoReply::Malformed("an AAAA record is not 16 octets"))?
                        .into(),
                ),
                Kind::Ns => Data::Ns(self.only_name()?),
                Kind::Txt => Data::Txt(self.txt()?),
                Kind::Caa => Data::Caa(self.caa()?),
                Kind::Ds => Data::Ds(self.ds()?),
                Kind::Dnskey => Data::Dnskey(self.dnskey()?),
            }
        };
        Ok(Some(Record { name: self.name.clone(), ttl: sane_ttl(self.ttl), data }))
    }

    /// Whether the record says where others know better, by the section it stands in.
    fn is_referral(&self, section: usize) -> bool {
        let of = |kind: RecordType| self.kind == u16::from(kind);
        match section {
            1 => of(RecordType::NS),
            _ => of(RecordType::A) || of(RecordType::AAAA),
        }
    }

    /// The same, read; what cannot be read is no help, and does no harm.
    fn referred(&self) -> Option<Record> {
        let kinds = [Kind::Ns, Kind::A, Kind::Aaaa];
        let kind = kinds.into_iter().find(|kind| self.kind == u16::from(record_type(*kind)))?;
        self.answer(kind).ok().flatten()
    }

    /// RFC 4034 §5.1.
    fn ds(&self) -> Result<Key, NoReply> {
        let [high, low, algorithm, _, ..] = self.data else {
            return Err(NoReply::Malformed("a DS record is cut short"));
        };
        Ok(Key { tag: u16::from_be_bytes([*high, *low]), algorithm: *algorithm })
    }

    /// RFC 4034 §2.1; the tag by its appendix B, but for algorithm 1, which nobody may use any more.
    fn dnskey(&self) -> Result<Key, NoReply> {
        let [_, _, _, algorithm, ..] = self.data else {
            return Err(NoReply::Malformed("a DNSKEY record is cut short"));
        };
        let sum: u32 = self
            .data
            .chunks(2)
            .map(|pair| match pair {
                [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
                [high] => u32::from(*high) << 8,
                _ => 0,
            })
            .sum();
        let folded = (sum + (sum >> 16)) & 0xffff;
        Ok(Key { tag: u16::try_from(folded).unwrap_or_default(), algorithm: *algorithm })
    }

    /// A name from the data, and where in the message it ends.
    fn name_at(&self, at: usize) -> Result<(String, usize), NoReply> {
        let broken = NoReply::Malformed("a name within a record cannot be read");
        let end = self.at + self.data.len();
        // Cut at the data's end, so that no name runs beyond; pointers go backwards.
        let mut decoder = BinDecoder::new(self.message.get(..end).ok_or_else(|| broken.clone())?);
        decoder.read_slice(at).map_err(|_| broken.clone())?;
        let name = Name::read(&mut decoder).map_err(|_| broken.clone())?;
        Ok((text(&name), decoder.index()))
    }

    fn only_name(&self) -> Result<String, NoReply> {
        match self.name_at(self.at)? {
            (name, end) if end == self.at + self.data.len() => Ok(name),
            _ => Err(NoReply::Malformed("octets after the name within a record")),
        }
    }

    fn soa(&self) -> Result<Soa, NoReply> {
        let (primary, after_primary) = self.name_at(self.at)?;
        let (_, after_mailbox) = self.name_at(after_primary)?;
        let numbers = self.message.get(after_mailbox..self.at + self.data.len()).unwrap_or_default();
        let minimum = <&[u8; 20]>::try_from(numbers)
            .ok()
            .and_then(|numbers| numbers.last_chunk::<4>())
            .ok_or(NoReply::Malformed("a SOA record has not five numbers"))?;
        let minimum = sane_ttl(u32::from_be_bytes(*minimum));
        Ok(Soa { name: self.name.clone(), primary, negative_ttl: sane_ttl(self.ttl).min(minimum) })
    }

    fn txt(&self) -> Result<String, NoReply> {
        let mut joined = Vec::new();
        let mut rest = self.data;
        while let Some((length, after)) = rest.split_first() {
            let (piece, next) =
                after.split_at_checked((*length).into()).ok_or(NoReply::Malformed("a TXT record is cut short"))?;
            if joined.len() < MAX_TXT {
                joined.extend_from_slice(piece);
            }
            rest = next;
        }
        joined.truncate(MAX_TXT);
        Ok(String::from_utf8_lossy(&joined).into_owned())
    }

    fn caa(&self) -> Result<Caa, NoReply> {
        let cut = NoReply::Malformed("a CAA record is cut short");
        // What ends before the tag has none, and says nothing: the CA's codec (miekg/dns) reads on, too.
        let (flags, length, rest) = match self.data {
            [] => (&0, &0, &[][..]),
            [flags] => (flags, &0, &[][..]),
            [flags, length, rest @ ..] => (flags, length, rest),
        };
        let (tag, value) = rest.split_at_checked((*length).into()).ok_or(cut)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Caa { flags: *flags, tag: text(tag), value: text(value) })
    }

    /// EDNS: the upper bits of the response code, and extended errors (RFC 6891 §6.1, RFC 8914 §2).
    fn opt(&self, reply: &mut Reply) -> Result<(), NoReply> {
        let [high, ..] = self.ttl.to_be_bytes();
        reply.rcode = Rcode(u16::from(high) << 4 | reply.rcode.0 & 0x0f);
        let mut rest = self.data;
        while let Some((head, after)) = rest.split_first_chunk::<4>() {
            let [c1, c2, l1, l2] = *head;
            let length = u16::from_be_bytes([l1, l2]);
            let (option, next) =
                after.split_at_checked(length.into()).ok_or(NoReply::Malformed("an EDNS option is cut short"))?;
            if u16::from_be_bytes([c1, c2]) == 15
                && let Some((code, words)) = option.split_first_chunk::<2>()
                && reply.extended.len() < MAX_EXTENDED
            {
                let words = words.get(..MAX_EXTENDED_TEXT).unwrap_or(words);
                let text = String::from_utf8_lossy(words).trim_end_matches('\0').to_owned();
                reply.extended.push(ExtendedError { code: u16::from_be_bytes(*code), text });
            }
            rest = next;
        }
        Ok(())
    }
}

const fn record_type(kind: Kind) -> RecordType {
    match kind {
        Kind::A => RecordType::A,
        Kind::Aaaa => RecordType::AAAA,
        Kind::Caa => RecordType::CAA,
        Kind::Ns => RecordType::NS,
        Kind::Txt => RecordType::TXT,
        Kind::Ds => RecordType::DS,
        Kind::Dnskey => RecordType::DNSKEY,
    }
}

/// A TTL with its top bit set counts as zero (RFC 2181 §8).
const fn sane_ttl(ttl: u32) -> u32 {
    if ttl > i32::MAX as u32 { 0 } else { ttl }
}

/// A name in lower-case ASCII without the final dot, odd octets escaped.
fn text(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;
