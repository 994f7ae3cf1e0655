//! Conversations with a hostile DNS server: a host is checked question by
//! question, each answered by a message from a corpus that chance has broken.
//! What is read of it is judged and put into words. As long as
//! `CERTGATE_FUZZ_SECONDS` says; `CERTGATE_FUZZ_SEED` replays.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use fastrand::Rng;
use hickory_proto::{
    op::{Edns, ResponseCode},
    rr::{
        Name, RData, RecordType,
        rdata::{A, CNAME, NS, SOA, TXT, opt::EdnsOption},
    },
};

use super::{
    MAX_ANSWERS, MAX_EXTENDED, decode, read,
    tests::{name, record, response, unknown},
};
use crate::{
    core::{
        caa,
        finding::{Finding, Lang},
        host::Host,
        verdict::{
            Ask, CaIdentity, Consult, GatewayTarget, Method, Request,
            answers::{Answer, Answers, Asked, Caa, Data, Kind, Outcome, Question, Rcode},
            judge, wanted,
        },
    },
    dns::MAX_QUESTIONS,
};

const HOSTS: [&str; 3] = ["www.example.com", "*.apps.example.co.uk", "xn--bcher-kva.example.org"];
/// The longest sentence about what a hostile server said.
const MAX_SENTENCE: usize = 2000;
/// CAA values with a meaning (RFC 8659 §4.2, RFC 8657), and such as look like one.
const CAA_VALUES: &[&[u8]] = &[
    b"",
    b";",
    b"letsencrypt.org",
    b" letsencrypt.org ; accounturi=https://ca.example/acct/1 ",
    b"letsencrypt.org; validationmethods=dns-01,http-01",
    b"letsencrypt.org; accounturi",
    b"letsencrypt.org; accounturi==; a=b;;",
    b"%%%%; letsencrypt.org",
    b"letsencrypt.org\0",
    b"\xff\xfe",
];
/// What is written over messages: pointers forwards, backwards and in a circle, lengths and counts at their ends.
const PIECES: &[&[u8]] = &[
    &[0xc0, 0x0c],
    &[0xc0, 0x00],
    &[0xc0, 0x40],
    &[0xff, 0xff],
    &[0x00, 0x00],
    &[0x3f],
    &[0x40],
    &[0x80],
    &[0x00, 0x05, 0x00, 0x01],
    &[0x01, 0x01, 0x00, 0x01],
    &[0x00, 0x29, 0xff, 0xff, 0xff],
];

/// What a server may well answer: the forms of an answer that are told apart.
fn seeds(question: &Question) -> Vec<Vec<u8>> {
    let owner = question.name.as_str();
    let record = |owner: &str, data| record(owner, 60, data);
    let own = |variant: usize| match question.kind {
        Kind::A => RData::A(A::new(203, 0, 113, u8::try_from(variant).unwrap())),
        Kind::Aaaa => unknown(RecordType::AAAA, &[0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        Kind::Ns => RData::NS(NS(name("ns.example.net"))),
        Kind::Txt => RData::TXT(TXT::new(vec!["a".into(), "b".into()])),
        Kind::Ds => unknown(RecordType::DS, &[0x12, 0x34, 13, 2, 1, 2, 3, 4]),
        Kind::Dnskey => unknown(RecordType::DNSKEY, &[1, 1, 3, 13, 1, 2, 3, 4, u8::try_from(variant).unwrap()]),
        Kind::Caa => {
            let tag: &[u8] = [&b"issue"[..], b"issuewild", b"iodef", b"contactemail"][variant % 4];
            let value = CAA_VALUES[variant % CAA_VALUES.len()];
            let flags = if variant.is_multiple_of(5) { 128 } else { 0 };
            unknown(RecordType::CAA, &[&[flags, u8::try_from(tag.len()).unwrap()][..], tag, value].concat())
        }
    };
    let soa = || RData::SOA(SOA::new(name("ns.example.net"), name("admin.example.net"), 1, 2, 3, 4, 5));
    let failing = |code: ResponseCode, words: &[u8]| {
        response(question, |message| {
            message.metadata.response_code = code;
            message.authorities.push(record("example.com", soa()));
            let mut edns = Edns::new();
            edns.options_mut().insert(EdnsOption::Unknown(15, [b"\x00\x06", words].concat()));
            message.edns = Some(edns);
        })
    };
    vec![
        response(question, |message| message.answers.extend((0..3).map(|n| record(owner, own(n))))),
        response(question, |message| message.answers.extend((3..13).map(|n| record(owner, own(n))))),
        response(question, |message| {
            message.answers.push(record(owner, RData::CNAME(CNAME(name("target.example.net")))));
            message.answers.push(record("target.example.net", own(1)));
        }),
        response(question, |message| message.answers.push(record(owner, RData::CNAME(CNAME(name(owner)))))),
        response(question, |message| message.authorities.push(record("example.com", soa()))),
        failing(ResponseCode::NXDomain, b""),
        failing(ResponseCode::ServFail, b"signature expired"),
        failing(ResponseCode::Refused, &[0xff; 300]),
        response(question, |message| {
            message.authorities.push(record("example.com", RData::NS(NS(name("ns.example.net")))));
            message.additionals.push(record("ns.example.net", RData::A(A::new(203, 0, 113, 53))));
        }),
    ]
}

/// Breaks a message, or leaves it whole.
fn mutate(rng: &mut Rng, message: &mut Vec<u8>, other: &[u8]) {
    for _ in 0..rng.usize(0..6) {
        let at = rng.usize(..=message.len());
        let until = rng.usize(at..=message.len().min(at + 32));
        match rng.u8(..6) {
            0 if at < message.len() => message[at] ^= 1 << rng.u8(..8),
            1 => drop(message.drain(at..until)),
            2 => message.truncate(at),
            3 => {
                let from = rng.usize(..=other.len());
                let to = rng.usize(from..=other.len().min(from + 64));
                message.splice(at..until, other[from..to].iter().copied());
            }
            _ => {
                let piece = rng.choice(PIECES).unwrap();
                let until = message.len().min(at + piece.len());
                message.splice(at..until, piece.iter().copied());
            }
        }
    }
}

fn answer(rng: &mut Rng, question: &Question) -> Outcome {
    let seeds = seeds(question);
    let mut message = rng.choice(&seeds).unwrap().clone();
    mutate(rng, &mut message, rng.clone().choice(&seeds).unwrap());
    // Not through `decode`, which would hide a panic.
    match read(&message, 7, question) {
        Ok(reply) => {
            assert!(reply.records.len() <= MAX_ANSWERS && reply.extended.len() <= MAX_EXTENDED);
            for record in &reply.records {
                if let Data::Caa(Caa { value, .. }) = &record.data {
                    let _ = caa::parse_issue(value);
                }
            }
            Outcome::Reply(reply)
        }
        Err(error) => Outcome::Malformed(error.to_string()),
    }
}

/// Checks one host against such a server. Gives the number of questions.
fn converse(rng: &mut Rng) -> usize {
    let request = Request {
        host: Host::parse(rng.choice(HOSTS).unwrap()).unwrap(),
        method: *rng.choice(&[Method::Http01, Method::Dns01]).unwrap(),
        gateway: GatewayTarget { addresses: vec!["203.0.113.1".parse().unwrap()], ..GatewayTarget::default() },
        ca: CaIdentity {
            names: vec!["letsencrypt.org".into()],
            account_uri: rng.bool().then(|| "https://ca.example/acct/1".into()),
        },
    };
    let consult =
        Consult { enabled: true, servers: Vec::new(), allow_private: true, bogus: Some("bogus.example".into()) };
    let mut answers = Answers::default();
    loop {
        let asks = wanted(&request, &answers, &consult);
        if asks.is_empty() || answers.0.len() + asks.len() > MAX_QUESTIONS {
            break;
        }
        for ask in asks {
            let (question, asked) = match ask {
                Ask::Recursive(question) => (question, Asked::Recursive),
                Ask::Unchecked(question) => (question, Asked::Unchecked),
                Ask::Authoritative { server, question, .. } => (question, Asked::Authoritative(server)),
                Ask::Probe { server, question } => (question, Asked::Probe(server)),
            };
            // A name that a reply brought up need not fit into a message; then nothing was sent.
            let outcome = match Name::from_ascii(&question.name) {
                Ok(_) => answer(rng, &question),
                Err(_) => Outcome::Malformed("the name does not fit into a message".into()),
            };
            answers.0.push(Answer { question, asked, server: "203.0.113.2:53".into(), outcome });
        }
    }
    let verdict = judge(&request, &answers);
    let findings: Vec<&Finding> = verdict.warnings.iter().chain([&verdict.finding]).collect();
    for (finding, lang) in findings.iter().flat_map(|finding| [(finding, Lang::En), (finding, Lang::ZhCn)]) {
        let sentence = finding.sentence(lang);
        assert!(sentence.len() <= MAX_SENTENCE && !sentence.contains(char::is_control), "{sentence:?}");
    }
    answers.0.len()
}

#[test]
fn the_corpus_is_readable_to_begin_with() {
    for kind in [Kind::A, Kind::Aaaa, Kind::Caa, Kind::Ns, Kind::Txt, Kind::Ds, Kind::Dnskey] {
        let question = Question::new("www.example.com", kind);
        let replies: Vec<_> = seeds(&question).iter().map(|seed| decode(seed, 7, &question).unwrap()).collect();
        let records: Vec<usize> = replies.iter().map(|reply| reply.records.len()).collect();
        assert_eq!(records, [3, 10, 2, 1, 0, 0, 0, 0, 0], "{kind:?}");
        let codes: Vec<u16> = replies.iter().map(|reply| reply.rcode.0).collect();
        assert_eq!(codes, [0, 0, 0, 0, 0, Rcode::NAME_ERROR.0, 2, Rcode::REFUSED.0, 0], "{kind:?}");
        assert!(replies[4..8].iter().all(|reply| reply.soa.is_some()), "{kind:?}");
        assert!(replies[5..8].iter().all(|reply| reply.extended.len() == 1), "{kind:?}");
        let referred: Vec<usize> = replies.iter().map(|reply| reply.referral.len()).collect();
        assert_eq!(referred, [0, 0, 0, 0, 0, 0, 0, 0, 2], "{kind:?}");
    }
}

#[test]
fn no_server_breaks_a_check_whatever_it_answers() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let time = Duration::from_secs(number("CERTGATE_FUZZ_SECONDS").unwrap_or(2));
    let seed = number("CERTGATE_FUZZ_SEED").unwrap_or_else(|| fastrand::u64(..));
    let (mut rng, start) = (Rng::with_seed(seed), Instant::now());
    let (mut checks, mut questions) = (0_u64, 0);
    while start.elapsed() < time {
        match catch_unwind(AssertUnwindSafe(|| converse(&mut rng))) {
            Ok(asked) => questions += asked,
            Err(_) => panic!("CERTGATE_FUZZ_SEED={seed}: check {checks}"),
        }
        checks += 1;
    }
    assert!(checks > 20 && questions > 100, "{checks} checks, {questions} questions only");
}
