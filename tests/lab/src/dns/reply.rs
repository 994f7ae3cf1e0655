//! From a question to the bytes that answer it.

use std::time::Duration;

use hickory_proto::ProtoError;
use hickory_proto::op::{Edns, Message, ResponseCode};
use hickory_proto::rr::rdata::opt::EdnsOption;
use hickory_proto::rr::{RData, Record, RecordType};

use super::answer::Delivery;
use super::rules::{Asked, Rules, key};
use super::{Answer, Transport};

const DEFAULT_TTL: u32 = 5;
/// So many aliases in a row are followed; a longer chain is a server failure, as with BIND and Unbound.
const MAX_CHAIN: usize = 16;
const EXTENDED_ERROR: u16 = 15;
const MIN_UDP_PAYLOAD: u16 = 512;
const OUR_UDP_PAYLOAD: u16 = 1232;

/// What to do about a question.
#[derive(Debug)]
pub(super) enum Reply {
    /// Send these bytes after the delay.
    Send(Vec<u8>, Duration),
    /// Do nothing.
    Silence,
    /// Close the connection.
    Close,
}

/// Answers a message with exactly one question.
pub(super) fn reply(rules: &mut Rules, request: &Message, transport: Transport) -> Result<Reply, ProtoError> {
    let mut message = Message::response(request.metadata.id, request.metadata.op_code);
    message.metadata.recursion_desired = request.metadata.recursion_desired;
    message.metadata.checking_disabled = request.metadata.checking_disabled;
    message.queries.clone_from(&request.queries);
    let Some(query) = request.queries.first().filter(|_| request.queries.len() == 1) else {
        message.metadata.response_code = ResponseCode::FormErr;
        return Ok(Reply::Send(message.to_vec()?, Duration::ZERO));
    };
    let asked = Asked { kind: query.query_type(), transport, recursive: request.metadata.recursion_desired };
    let delivery = fill(rules, &mut message, &query.name().to_ascii(), asked);
    deliver(message, request, delivery, transport)
}

/// Follows the rules from the question's name along its aliases and collects what they say.
fn fill(rules: &mut Rules, message: &mut Message, question: &str, asked: Asked) -> Delivery {
    let mut delivery = Delivery::default();
    message.metadata.recursion_available = asked.recursive;
    message.metadata.authoritative = !asked.recursive;
    let mut owner = question.to_owned();
    let zone = rules.zone_of(&key(question)).map(str::to_owned);
    let mut authentic = true;
    let mut soa = Some(None);
    let mut links = 0;

    loop {
        let name = key(&owner);
        let Some(answer) = rules.find(&name, asked) else {
            unscripted(rules, message, &name, asked);
            authentic = false;
            break;
        };
        delivery.merge(&answer.delivery);
        authentic &= answer.authentic;
        message.metadata.response_code = answer.rcode;
        message.metadata.authoritative = answer.authoritative.unwrap_or(message.metadata.authoritative);
        soa = (!answer.no_soa).then_some(answer.negative);
        let Some(target) = add_records(message, &owner, &answer, asked.kind) else { break };
        // A server that does not recurse stops where another server knows better.
        let leaves_zone = !asked.recursive && zone.is_some() && rules.zone_of(&target) != zone.as_deref();
        if answer.no_chase || leaves_zone || answer.rcode != ResponseCode::NoError {
            soa = None;
            break;
        }
        links += 1;
        if links == MAX_CHAIN {
            message.answers.clear();
            message.metadata.response_code = ResponseCode::ServFail;
            break;
        }
        owner = target;
    }

    message.metadata.authentic_data = authentic;
    let found = message.answers.iter().any(|r| asked.kind == RecordType::ANY || r.record_type() == asked.kind);
    let negative = match message.metadata.response_code {
        ResponseCode::NXDomain => true,
        ResponseCode::NoError => !found,
        _ => false,
    };
    if let Some(ttl) = soa.filter(|_| negative) {
        message.authorities.push(rules.soa(&key(&owner), ttl));
    }
    if asked.kind == RecordType::NS {
        add_glue(rules, message, asked);
    }
    delivery
}

/// Answers where no rule does.
fn unscripted(rules: &Rules, message: &mut Message, name: &str, asked: Asked) {
    if !asked.recursive && !rules.is_served(name) {
        message.metadata.response_code = ResponseCode::Refused;
        message.metadata.authoritative = false;
    } else if asked.kind == RecordType::SOA && rules.is_apex(name) {
        message.answers.push(rules.soa(name, None));
    } else if !rules.is_known(name) {
        message.metadata.response_code = ResponseCode::NXDomain;
    }
}

/// Adds the records that speak to the question, and returns the name to go on with when they are an alias.
fn add_records(message: &mut Message, owner: &str, answer: &Answer, kind: RecordType) -> Option<String> {
    let owner = super::answer::name(owner);
    let mut next = None;
    for (ttl, data) in &answer.records {
        let this = data.record_type();
        // A rule for every type may hold records of several.
        if this != kind && this != RecordType::CNAME && kind != RecordType::ANY {
            continue;
        }
        if let RData::CNAME(target) = data
            && !matches!(kind, RecordType::CNAME | RecordType::ANY)
        {
            next = Some(key(&target.0.to_ascii()));
        }
        message.answers.push(Record::from_rdata(owner.clone(), ttl.unwrap_or(DEFAULT_TTL), data.clone()));
    }
    next
}

/// Adds the addresses of the name servers in the answer, as far as they are known.
fn add_glue(rules: &mut Rules, message: &mut Message, asked: Asked) {
    let servers: Vec<String> = (message.answers.iter())
        .filter_map(|r| if let RData::NS(server) = &r.data { Some(key(&server.0.to_ascii())) } else { None })
        .collect();
    for server in servers {
        for kind in [RecordType::A, RecordType::AAAA] {
            let Some(answer) = rules.find(&server, Asked { kind, ..asked }) else { continue };
            for (ttl, data) in answer.records.into_iter().filter(|(_, data)| data.record_type() == kind) {
                let owner = super::answer::name(&server);
                message.additionals.push(Record::from_rdata(owner, ttl.unwrap_or(DEFAULT_TTL), data));
            }
        }
    }
}

fn deliver(
    mut message: Message,
    request: &Message,
    delivery: Delivery,
    transport: Transport,
) -> Result<Reply, ProtoError> {
    if delivery.close {
        return Ok(Reply::Close);
    }
    if delivery.drop {
        return Ok(Reply::Silence);
    }
    if let Some(mut bytes) = delivery.raw {
        if delivery.raw_keeps_id {
            for (to, from) in bytes.iter_mut().zip(request.metadata.id.to_be_bytes()) {
                *to = from;
            }
        }
        return Ok(Reply::Send(bytes, delivery.delay));
    }
    let mut limit = MIN_UDP_PAYLOAD;
    if let Some(theirs) = &request.edns {
        limit = theirs.max_payload().max(limit);
        let mut edns = Edns::new();
        edns.set_max_payload(OUR_UDP_PAYLOAD);
        edns.set_dnssec_ok(theirs.flags().dnssec_ok);
        for (code, text) in delivery.errors {
            let bytes = [&code.to_be_bytes(), text.as_bytes()].concat();
            edns.options_mut().insert(EdnsOption::Unknown(EXTENDED_ERROR, bytes));
        }
        message.set_edns(edns);
    }
    if delivery.wrong_id {
        message.metadata.id = message.metadata.id.wrapping_add(1);
    }
    if let (Some(other), Some(query)) = (delivery.question, message.queries.first_mut()) {
        query.set_name(other);
    }
    let told = match transport {
        Transport::Udp => delivery.truncate_udp,
        Transport::Tcp => delivery.truncate_tcp,
    };
    let mut bytes = if told { message.truncate().to_vec()? } else { message.to_vec()? };
    if transport == Transport::Udp && bytes.len() > usize::from(limit) {
        bytes = message.truncate().to_vec()?;
    }
    Ok(Reply::Send(bytes, delivery.delay))
}
