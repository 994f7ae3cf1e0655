//! The scripted DNS server, asked over both transports.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use certgate_lab::dns::{Answer, DnsServer, RData, RecordType, ResponseCode, Transport};
use hickory_proto::op::{Edns, Message, MessageType, OpCode, Query};
use hickory_proto::rr::Name;
use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const HOST: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 7);

fn question(name: &str, kind: RecordType) -> Result<Message> {
    let mut message = Message::new(0x4711, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    let mut name = Name::from_ascii(name)?;
    name.set_fqdn(true);
    message.add_query(Query::query(name, kind));
    Ok(message)
}

fn with_edns(mut message: Message, payload: u16) -> Message {
    let mut edns = Edns::new();
    edns.set_max_payload(payload);
    message.set_edns(edns);
    message
}

fn send(dns: &DnsServer, request: &Message, transport: Transport) -> Result<Vec<u8>> {
    let timeout = Some(Duration::from_secs(2));
    let bytes = request.to_vec()?;
    match transport {
        Transport::Udp => {
            let socket = UdpSocket::bind((LOCALHOST, 0))?;
            socket.set_read_timeout(timeout)?;
            socket.send_to(&bytes, dns.addr())?;
            let mut buffer = vec![0; 65535];
            let (length, _) = socket.recv_from(&mut buffer)?;
            buffer.truncate(length);
            Ok(buffer)
        }
        Transport::Tcp => {
            let mut stream = TcpStream::connect(dns.addr())?;
            stream.set_read_timeout(timeout)?;
            stream.write_all(&[&u16::try_from(bytes.len())?.to_be_bytes(), bytes.as_slice()].concat())?;
            let mut length = [0; 2];
            stream.read_exact(&mut length)?;
            let mut buffer = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut buffer)?;
            Ok(buffer)
        }
    }
}

fn ask(dns: &DnsServer, request: &Message, transport: Transport) -> Result<Message> {
    Ok(Message::from_vec(&send(dns, request, transport)?)?)
}

fn ask_udp(dns: &DnsServer, name: &str, kind: RecordType) -> Result<Message> {
    ask(dns, &question(name, kind)?, Transport::Udp)
}

/// "A 5, A 5" for the answer section.
fn answers(message: &Message) -> String {
    let records: Vec<String> = message.answers.iter().map(|r| format!("{} {}", r.record_type(), r.ttl)).collect();
    records.join(", ")
}

fn soa(message: &Message) -> Option<(String, u32, u32)> {
    message.authorities.iter().find_map(|r| match &r.data {
        RData::SOA(soa) => Some((r.name.to_ascii(), r.ttl, soa.minimum)),
        _ => None,
    })
}

#[test]
fn answers_as_scripted() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    dns.a("a.lab.test", HOST);
    dns.nxdomain("nx.lab.test");
    dns.set("nodata.lab.test", RecordType::ANY, Answer::nodata());
    dns.set("sf.lab.test", RecordType::ANY, Answer::servfail());
    dns.set("refused.lab.test", RecordType::A, Answer::refused());
    dns.set("notimp.lab.test", RecordType::A, Answer::rcode(ResponseCode::NotImp));
    dns.cname("cn.lab.test", "a.lab.test");
    dns.cname("chain.lab.test", "cn.lab.test.");
    dns.cname("loop.lab.test", "loop.lab.test");
    dns.cname("dangling.lab.test", "gone.example");
    dns.set("hop.lab.test", RecordType::CNAME, Answer::new().cname("a.lab.test").no_chase());
    dns.set("both.lab.test", RecordType::ANY, Answer::new().a(HOST).aaaa("::1".parse()?).ttl(77));
    dns.set("mixed.lab.test", RecordType::A, Answer::new().a(HOST).ttl(9).a(HOST));
    dns.caa("caa.lab.test", 0, "issue", "other.test");
    dns.set("*.wild.example", RecordType::A, Answer::new().a(HOST).ttl(9));
    dns.aaaa("host.wild.example", "::1".parse()?);
    dns.a("deep.ent.lab.test", HOST);

    let cases: &[(&str, RecordType, ResponseCode, &str)] = &[
        ("a.lab.test", RecordType::A, ResponseCode::NoError, "A 5"),
        ("A.Lab.TEST", RecordType::A, ResponseCode::NoError, "A 5"),
        ("a.lab.test", RecordType::AAAA, ResponseCode::NoError, ""),
        ("unknown.lab.test", RecordType::A, ResponseCode::NXDomain, ""),
        ("nx.lab.test", RecordType::A, ResponseCode::NXDomain, ""),
        ("nodata.lab.test", RecordType::A, ResponseCode::NoError, ""),
        ("sf.lab.test", RecordType::AAAA, ResponseCode::ServFail, ""),
        ("refused.lab.test", RecordType::A, ResponseCode::Refused, ""),
        ("notimp.lab.test", RecordType::A, ResponseCode::NotImp, ""),
        ("cn.lab.test", RecordType::A, ResponseCode::NoError, "CNAME 5, A 5"),
        ("cn.lab.test", RecordType::CAA, ResponseCode::NoError, "CNAME 5"),
        ("cn.lab.test", RecordType::CNAME, ResponseCode::NoError, "CNAME 5"),
        ("chain.lab.test", RecordType::A, ResponseCode::NoError, "CNAME 5, CNAME 5, A 5"),
        ("loop.lab.test", RecordType::A, ResponseCode::ServFail, ""),
        ("dangling.lab.test", RecordType::A, ResponseCode::NXDomain, "CNAME 5"),
        ("hop.lab.test", RecordType::A, ResponseCode::NoError, "CNAME 5"),
        ("both.lab.test", RecordType::A, ResponseCode::NoError, "A 77"),
        ("both.lab.test", RecordType::AAAA, ResponseCode::NoError, "AAAA 77"),
        ("mixed.lab.test", RecordType::A, ResponseCode::NoError, "A 9, A 9"),
        ("caa.lab.test", RecordType::CAA, ResponseCode::NoError, "CAA 5"),
        ("x.wild.example", RecordType::A, ResponseCode::NoError, "A 9"),
        ("y.x.wild.example", RecordType::A, ResponseCode::NoError, "A 9"),
        ("x.wild.example", RecordType::AAAA, ResponseCode::NoError, ""),
        // A name with rules of its own is none of the wildcard's.
        ("host.wild.example", RecordType::A, ResponseCode::NoError, ""),
        ("x.host.wild.example", RecordType::A, ResponseCode::NXDomain, ""),
        ("ent.lab.test", RecordType::A, ResponseCode::NoError, ""),
        ("xent.lab.test", RecordType::A, ResponseCode::NXDomain, ""),
    ];
    for (name, kind, rcode, expected) in cases {
        for transport in [Transport::Udp, Transport::Tcp] {
            let reply = ask(&dns, &question(name, *kind)?, transport).with_context(|| format!("{name} {kind}"))?;
            assert_eq!((reply.metadata.response_code, answers(&reply).as_str()), (*rcode, *expected), "{name} {kind}");
            assert_eq!(reply.metadata.id, 0x4711, "{name}");
            assert_eq!(reply.queries, question(name, *kind)?.queries, "{name}");
            let negative = *rcode == ResponseCode::NXDomain
                || (*rcode == ResponseCode::NoError && !reply.answers.iter().any(|r| r.record_type() == *kind));
            assert_eq!(soa(&reply).is_some(), negative && *name != "hop.lab.test", "SOA of {name} {kind}");
        }
    }
    Ok(())
}

#[test]
fn rules_change_at_once_and_run_out() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    let code = |name: &str| ask_udp(&dns, name, RecordType::A).map(|m| m.metadata.response_code);
    dns.a("x.test", HOST);
    dns.set("x.test", RecordType::A, Answer::servfail().times(2));
    assert_eq!(code("x.test")?, ResponseCode::ServFail);
    assert_eq!(code("x.test")?, ResponseCode::ServFail);
    assert_eq!(code("x.test")?, ResponseCode::NoError);
    dns.set("once.test", RecordType::A, Answer::new().a(HOST).times(1));
    assert_eq!(code("once.test")?, ResponseCode::NoError);
    assert_eq!(code("once.test")?, ResponseCode::NXDomain);
    dns.nxdomain("x.test");
    assert_eq!(code("x.test")?, ResponseCode::NXDomain);
    dns.remove("x.test");
    dns.a("x.test", HOST);
    assert_eq!(code("x.test")?, ResponseCode::NoError);
    dns.clear();
    assert_eq!(code("x.test")?, ResponseCode::NXDomain);
    Ok(())
}

#[test]
fn logs_questions() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    ask_udp(&dns, "One.Test", RecordType::A)?;
    ask(&dns, &with_edns(question("two.test", RecordType::CAA)?, 1400), Transport::Tcp)?;
    let log = dns.queries();
    let seen: Vec<_> = log.iter().map(|q| (q.name.as_str(), q.kind, q.transport, q.edns_payload)).collect();
    assert_eq!(
        seen,
        [("one.test", RecordType::A, Transport::Udp, None), ("two.test", RecordType::CAA, Transport::Tcp, Some(1400))]
    );
    assert!(log.iter().all(|q| q.recursion_desired && q.from.ip() == LOCALHOST));
    assert_eq!(dns.queries_for("ONE.test.").len(), 1);
    dns.clear_queries();
    assert!(dns.queries().is_empty());
    Ok(())
}

#[test]
fn negative_ttl_is_scripted() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    assert_eq!(soa(&ask_udp(&dns, "a.b.example.test", RecordType::A)?), Some(("example.test.".into(), 1, 1)));
    dns.set_negative_ttl(60, 30);
    assert_eq!(soa(&ask_udp(&dns, "b.test", RecordType::A)?), Some(("b.test.".into(), 60, 30)));
    dns.set("c.test", RecordType::A, Answer::nxdomain().negative(900, 3600));
    assert_eq!(soa(&ask_udp(&dns, "c.test", RecordType::A)?), Some(("c.test.".into(), 900, 3600)));
    dns.set("d.test", RecordType::A, Answer::nodata().without_soa());
    assert_eq!(soa(&ask_udp(&dns, "d.test", RecordType::A)?), None);
    Ok(())
}

#[test]
fn misbehaves_on_demand() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    let good = || Answer::new().a(HOST);
    dns.set("id.test", RecordType::A, good().wrong_id());
    dns.set("question.test", RecordType::A, good().wrong_question("other.test"));
    dns.set("tc.test", RecordType::A, good().truncated());
    dns.set("tc2.test", RecordType::A, good().truncated_always());
    dns.set("garbage.test", RecordType::A, Answer::garbage());
    dns.set("raw.test", RecordType::A, Answer::raw_with_id(vec![0, 0, 1, 2, 3]));
    dns.set("slow.test", RecordType::A, good().delay(Duration::from_millis(150)));
    dns.set("close.test", RecordType::A, good().close());
    dns.set("udp.test", RecordType::A, Answer::servfail().over(Transport::Udp));
    dns.set("udp.test", RecordType::A, good());

    assert_eq!(ask_udp(&dns, "id.test", RecordType::A)?.metadata.id, 0x4712);
    let echoed = ask_udp(&dns, "question.test", RecordType::A)?;
    assert_eq!(echoed.queries.first().map(|q| q.name().to_ascii()), Some("other.test.".into()));
    for (name, udp, tcp) in [("tc.test", true, false), ("tc2.test", true, true)] {
        for (transport, truncated) in [(Transport::Udp, udp), (Transport::Tcp, tcp)] {
            let reply = ask(&dns, &question(name, RecordType::A)?, transport)?;
            assert_eq!(reply.metadata.truncation, truncated, "{name} {transport:?}");
            assert_eq!(reply.answers.is_empty(), truncated, "{name} {transport:?}");
        }
    }
    ensure!(ask_udp(&dns, "garbage.test", RecordType::A).is_err(), "garbage was parsed");
    assert_eq!(send(&dns, &question("raw.test", RecordType::A)?, Transport::Udp)?, [0x47, 0x11, 1, 2, 3]);
    let start = Instant::now();
    ask_udp(&dns, "slow.test", RecordType::A)?;
    assert!(start.elapsed() >= Duration::from_millis(150));
    let error = send(&dns, &question("close.test", RecordType::A)?, Transport::Tcp).err().context("not closed")?;
    assert_eq!(error.downcast_ref::<std::io::Error>().map(std::io::Error::kind), Some(ErrorKind::UnexpectedEof));
    let both = [Transport::Udp, Transport::Tcp]
        .map(|t| question("udp.test", RecordType::A).and_then(|q| ask(&dns, &q, t)).map(|m| m.metadata.response_code));
    assert!(matches!(both, [Ok(ResponseCode::ServFail), Ok(ResponseCode::NoError)]), "{both:?}");

    dns.set("drop.test", RecordType::A, Answer::timeout());
    let socket = UdpSocket::bind((LOCALHOST, 0))?;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    socket.send_to(&question("drop.test", RecordType::A)?.to_vec()?, dns.addr())?;
    assert!(socket.recv(&mut [0; 512]).is_err(), "a dropped question was answered");
    assert_eq!(dns.queries_for("drop.test").len(), 1);
    Ok(())
}

#[test]
fn speaks_edns() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    dns.set("ede.test", RecordType::A, Answer::servfail().extended_error(6, "DNSSEC Bogus"));
    dns.set("ad.test", RecordType::A, Answer::new().a(HOST).authentic());
    dns.set("badvers.test", RecordType::A, Answer::rcode(ResponseCode::BADVERS));
    let many = (0..40).fold(Answer::new(), |a, i| a.caa(0, "issue", &format!("ca{i}.example")));
    dns.set("many.test", RecordType::CAA, many);

    let reply = ask(&dns, &with_edns(question("ede.test", RecordType::A)?, 1232), Transport::Udp)?;
    let option = reply.edns.as_ref().and_then(|e| e.option(EdnsCode::from(15))).context("no extended error")?;
    assert_eq!(*option, EdnsOption::Unknown(15, b"\x00\x06DNSSEC Bogus".to_vec()));
    assert!(ask_udp(&dns, "ede.test", RecordType::A)?.edns.is_none(), "EDNS to an asker that has none");
    assert!(ask_udp(&dns, "ad.test", RecordType::A)?.metadata.authentic_data);
    let reply = ask(&dns, &with_edns(question("badvers.test", RecordType::A)?, 1232), Transport::Udp)?;
    assert_eq!(u16::from(reply.metadata.response_code), 16);

    let request = question("many.test", RecordType::CAA)?;
    let short = ask(&dns, &request, Transport::Udp)?;
    assert!(short.metadata.truncation && short.answers.is_empty());
    for (request, transport) in [(request.clone(), Transport::Tcp), (with_edns(request, 4096), Transport::Udp)] {
        let full = ask(&dns, &request, transport)?;
        assert_eq!((full.metadata.truncation, full.answers.len()), (false, 40));
        let Some(RData::CAA(caa)) = full.answers.first().map(|r| &r.data) else { anyhow::bail!("no CAA record") };
        assert_eq!((caa.tag.as_str(), caa.value.as_slice()), ("issue", b"ca0.example".as_slice()));
    }
    Ok(())
}

#[test]
fn is_authoritative_without_recursion() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    dns.zone("shop.test", &[("ns1.shop.test", IpAddr::V4(HOST)), ("ns2.shop.test", LOCALHOST)]);
    dns.a("www.shop.test", HOST);
    dns.cname("alias.shop.test", "www.shop.test");
    dns.cname("cdn.shop.test", "edge.cdn.test");
    dns.a("edge.cdn.test", HOST);
    // What a resolver still has in its negative cache.
    dns.set("new.shop.test", RecordType::A, Answer::nxdomain().when_recursive(true));
    dns.set("new.shop.test", RecordType::A, Answer::new().a(HOST));

    let direct = |name: &str, kind| -> Result<Message> {
        let mut request = question(name, kind)?;
        request.metadata.recursion_desired = false;
        ask(&dns, &request, Transport::Udp)
    };
    let reply = ask_udp(&dns, "shop.test", RecordType::NS)?;
    assert_eq!((answers(&reply).as_str(), reply.additionals.len()), ("NS 5, NS 5", 2));
    assert!(reply.metadata.recursion_available && !reply.metadata.authoritative);
    assert_eq!(answers(&direct("shop.test", RecordType::SOA)?), "SOA 1");

    let cases = [
        ("www.shop.test", ResponseCode::NoError, "A 5", true),
        ("none.shop.test", ResponseCode::NXDomain, "", true),
        ("alias.shop.test", ResponseCode::NoError, "CNAME 5, A 5", true),
        ("cdn.shop.test", ResponseCode::NoError, "CNAME 5", true),
        ("new.shop.test", ResponseCode::NoError, "A 5", true),
        ("edge.elsewhere.test", ResponseCode::Refused, "", false),
    ];
    for (name, rcode, expected, authoritative) in cases {
        let reply = direct(name, RecordType::A)?;
        assert_eq!((reply.metadata.response_code, answers(&reply).as_str()), (rcode, expected), "{name}");
        assert_eq!(reply.metadata.authoritative, authoritative, "{name}");
        assert!(!reply.metadata.recursion_available, "{name}");
    }
    assert_eq!(answers(&ask_udp(&dns, "cdn.shop.test", RecordType::A)?), "CNAME 5, A 5");
    assert_eq!(ask_udp(&dns, "new.shop.test", RecordType::A)?.metadata.response_code, ResponseCode::NXDomain);
    assert_eq!(soa(&ask_udp(&dns, "none.shop.test", RecordType::A)?).map(|s| s.0), Some("shop.test.".into()));
    Ok(())
}

#[test]
fn dropping_frees_the_port() -> Result<()> {
    let dns = DnsServer::start(LOCALHOST, 0)?;
    let addr = dns.addr();
    assert!(DnsServer::start(addr.ip(), addr.port()).is_err());
    drop(dns);
    DnsServer::start(addr.ip(), addr.port())?;
    Ok(())
}
