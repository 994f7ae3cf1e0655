use hickory_proto::rr::{
    RData,
    rdata::{A, CNAME, NULL, SOA, TXT},
};
use proptest::prelude::*;
use rstest::rstest;

use super::*;

fn question(kind: Kind) -> Question {
    Question::new("www.example.com", kind)
}

pub(super) fn name(text: &str) -> Name {
    let mut name = Name::from_ascii(text).unwrap();
    name.set_fqdn(true);
    name
}

pub(super) fn record(owner: &str, ttl: u32, data: RData) -> hickory_proto::rr::Record {
    hickory_proto::rr::Record::from_rdata(name(owner), ttl, data)
}

/// A response to `question` under id 7, finished by `fill`.
pub(super) fn response(question: &Question, fill: impl FnOnce(&mut Message)) -> Vec<u8> {
    let mut message = Message::response(7, OpCode::Query);
    let mut query = Query::query(name(&question.name), record_type(question.kind));
    query.set_query_class(DNSClass::IN);
    message.queries.push(query);
    fill(&mut message);
    message.to_bytes().unwrap()
}

pub(super) fn unknown(kind: RecordType, data: &[u8]) -> RData {
    let rdata = if data.is_empty() { NULL::new() } else { NULL::with(data.to_vec()) };
    RData::Unknown { code: kind, rdata }
}

#[test]
fn a_question_asks_for_recursion_and_extended_errors() {
    let packet = encode(&question(Kind::Caa), Mode::Recursive).unwrap();
    let message = Message::from_vec(&packet.bytes).unwrap();
    assert!(message.metadata.recursion_desired && message.metadata.authentic_data);
    assert!(!message.metadata.checking_disabled);
    assert_eq!(message.metadata.id, packet.id);
    assert_eq!(message.queries[0].name().to_ascii(), "www.example.com.");
    assert_eq!(message.edns.unwrap().max_payload(), UDP_PAYLOAD);
    let message = Message::from_vec(&encode(&question(Kind::A), Mode::Unchecked).unwrap().bytes).unwrap();
    assert!(message.metadata.checking_disabled);
    let message = Message::from_vec(&encode(&question(Kind::A), Mode::Iterative).unwrap().bytes).unwrap();
    assert!(!message.metadata.recursion_desired);
}

#[test]
fn names_that_fit_into_no_message_are_not_asked() {
    let long = vec!["a".repeat(63); 5].join(".");
    assert!(encode(&Question::new(long, Kind::A), Mode::Recursive).is_none());
}

#[test]
fn a_chain_and_its_end_are_read_in_lower_case() {
    let question = question(Kind::A);
    let bytes = response(&question, |message| {
        message.metadata.authentic_data = true;
        message.answers.push(record("WWW.Example.com", 60, RData::CNAME(CNAME(name("LB.example.NET")))));
        message.answers.push(record("lb.example.net", 30, RData::A(A::new(1, 2, 3, 4))));
        message.answers.push(record("lb.example.net", 30, RData::TXT(TXT::new(vec!["no concern".into()]))));
    });
    let reply = decode(&bytes, 7, &question).unwrap();
    assert!(reply.authentic);
    let expected = [
        Record { name: "www.example.com".into(), ttl: 60, data: Data::Cname("lb.example.net".into()) },
        Record { name: "lb.example.net".into(), ttl: 30, data: Data::A([1, 2, 3, 4].into()) },
    ];
    assert_eq!(reply.records, expected);
}

#[test]
fn caa_is_taken_as_it_was_sent() {
    let question = question(Kind::Caa);
    let mut data = vec![0x81, 5];
    data.extend_from_slice(b"iSsUe ca.example; x=\xff");
    let bytes = response(&question, |message| {
        message.answers.push(record("www.example.com", 60, unknown(RecordType::CAA, &data)));
    });
    let Data::Caa(caa) = &decode(&bytes, 7, &question).unwrap().records[0].data.clone() else { panic!() };
    assert_eq!((caa.flags, caa.tag.as_str(), caa.value.as_str()), (0x81, "iSsUe", " ca.example; x=\u{fffd}"));
}

#[test]
fn the_negative_ttl_is_the_lesser_of_ttl_and_minimum() {
    let question = question(Kind::A);
    for (ttl, minimum, expected) in [(300, 60, 60), (30, 60, 30), (0x8000_0000, 60, 0)] {
        let bytes = response(&question, |message| {
            message.metadata.response_code = hickory_proto::op::ResponseCode::NXDomain;
            let soa = SOA::new(name("ns.example.com"), name("admin.example.com"), 1, 2, 3, 4, minimum);
            message.authorities.push(record("example.com", ttl, RData::SOA(soa)));
        });
        let reply = decode(&bytes, 7, &question).unwrap();
        assert_eq!(reply.rcode, Rcode::NAME_ERROR);
        assert_eq!(
            reply.soa,
            Some(Soa { name: "example.com".into(), primary: "ns.example.com".into(), negative_ttl: expected })
        );
    }
}

#[test]
fn extended_errors_and_the_upper_bits_of_the_code_are_read() {
    let question = question(Kind::A);
    let bytes = response(&question, |message| {
        let mut edns = Edns::new();
        message.metadata.response_code = hickory_proto::op::ResponseCode::BADVERS;
        let option = hickory_proto::rr::rdata::opt::EdnsOption::Unknown(15, [&[0, 7], &b"expired\0"[..]].concat());
        edns.options_mut().insert(option);
        message.edns = Some(edns);
    });
    let reply = decode(&bytes, 7, &question).unwrap();
    assert_eq!(reply.rcode, Rcode(16));
    assert_eq!(reply.extended, [ExtendedError { code: 7, text: "expired".into() }]);
}

#[rstest]
#[case::another_id(8, Kind::A, false)]
#[case::another_type(7, Kind::Aaaa, false)]
#[case::ours(7, Kind::A, true)]
fn only_the_answer_to_the_question_counts(#[case] id: u16, #[case] kind: Kind, #[case] ours: bool) {
    let bytes = response(&question(Kind::A), |_| {});
    assert_eq!(matches!(decode(&bytes, id, &question(kind)), Err(NoReply::NotOurs(_))), !ours);
}

#[test]
fn a_refusal_need_not_repeat_the_question() {
    let mut message = Message::response(7, OpCode::Query);
    message.metadata.response_code = hickory_proto::op::ResponseCode::Refused;
    let bytes = message.to_bytes().unwrap();
    assert_eq!(decode(&bytes, 7, &question(Kind::A)).unwrap().rcode, Rcode::REFUSED);
    message.metadata.response_code = hickory_proto::op::ResponseCode::NoError;
    let bytes = message.to_bytes().unwrap();
    assert!(decode(&bytes, 7, &question(Kind::A)).is_err());
}

#[rstest]
#[case::short_a(Kind::A, RecordType::A, &[1, 2, 3])]
#[case::long_aaaa(Kind::Aaaa, RecordType::AAAA, &[0; 17])]
#[case::tag_beyond_the_end(Kind::Caa, RecordType::CAA, &[0, 9, b'i'])]
#[case::text_beyond_the_end(Kind::Txt, RecordType::TXT, &[9, b'x'])]
#[case::name_beyond_the_end(Kind::Ns, RecordType::NS, &[9, b'x'])]
#[case::octets_after_the_name(Kind::Ns, RecordType::NS, &[1, b'x', 0, 0])]
#[case::name_that_points_at_itself(Kind::Ns, RecordType::NS, &[0xc0, 45])]
fn malformed_data_spoils_the_answer(#[case] kind: Kind, #[case] of: RecordType, #[case] data: &[u8]) {
    let question = question(kind);
    let bytes = response(&question, |message| message.answers.push(record("www.example.com", 60, unknown(of, data))));
    assert!(matches!(decode(&bytes, 7, &question), Err(NoReply::Malformed(_))), "{bytes:?}");
}

/// As the CA's codec reads it: the record is there, and names nobody.
#[test]
fn a_caa_record_that_ends_before_its_tag_has_none() {
    let question = question(Kind::Caa);
    for data in [&[][..], &[128]] {
        let of = unknown(RecordType::CAA, data);
        let bytes = response(&question, |message| message.answers.push(record("www.example.com", 60, of.clone())));
        let reply = decode(&bytes, 7, &question).unwrap();
        let expected =
            Caa { flags: data.first().copied().unwrap_or_default(), tag: String::new(), value: String::new() };
        assert_eq!(reply.records.into_iter().map(|record| record.data).collect::<Vec<_>>(), [Data::Caa(expected)]);
    }
}

#[test]
fn numbers_of_records_are_bounded() {
    let question = question(Kind::A);
    let with = |count: u32| {
        response(&question, |message| {
            message.answers.extend((0..count).map(|n| record("a.b", 1, RData::A(A(n.into())))));
        })
    };
    assert_eq!(decode(&with(256), 7, &question).unwrap().records.len(), 256);
    assert_eq!(decode(&with(257), 7, &question), Err(NoReply::Malformed("too many answers")));
}

proptest! {
    #[test]
    fn no_octets_break_the_decoder(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        // Not through `decode`, which would hide a panic.
        let _ = read(&bytes, 7, &question(Kind::Caa));
    }
}
