//! Against a scripted server on loopback, over real sockets.

use std::{
    net::{IpAddr, Ipv4Addr},
    time::Instant,
};

use certgate_lab::dns::{Answer, DnsServer, RecordType, Transport};

use super::*;
use crate::core::{
    host::Host,
    policy::Target,
    reason::Reason,
    verdict::{CaIdentity, CheckStatus, GatewayTarget, Method},
};

const OURS: Ipv4Addr = Ipv4Addr::new(1, 2, 3, 4);
const OTHER: Ipv4Addr = Ipv4Addr::new(5, 6, 7, 8);
const WWW: &str = "www.example.com";

fn server() -> DnsServer {
    DnsServer::start(IpAddr::V4(Ipv4Addr::LOCALHOST), 0).unwrap()
}

fn policy(server: &DnsServer) -> Dns {
    Dns {
        servers: vec![server.addr().to_string()],
        timeout_seconds: 0.2,
        deadline_seconds: 3.0,
        authoritative_port: server.addr().port(),
        allow_private_authoritative: true,
        ..Dns::default()
    }
}

fn request(host: &str) -> Request {
    Request {
        host: Host::parse(host).unwrap(),
        method: Method::Http01,
        gateway: GatewayTarget {
            addresses: vec![OURS.into()],
            cnames: Vec::new(),
            target: Target::Addresses,
            allow_reserved: false,
        },
        ca: CaIdentity { names: vec!["letsencrypt.org".into()], account_uri: None },
    }
}

async fn check(server: &DnsServer, host: &str) -> Verdict {
    Preflight::new(&policy(server)).unwrap().check(&request(host)).await
}

macro_rules! hosts {
    ($( $name:ident: $reason:ident, |$dns:ident| $script:block )*) => { $(
        #[tokio::test]
        async fn $name() {
            let $dns = server();
            $script
            let verdict = check(&$dns, WWW).await;
            assert_eq!(verdict.finding.reason, Reason::$reason, "{verdict:#?}");
        }
    )* };
}

hosts! {
    a_host_that_points_to_us_is_verified: Verified, |dns| { dns.a(WWW, OURS); }
    a_cname_is_followed: Verified, |dns| { dns.cname(WWW, "lb.example.net"); dns.a("lb.example.net", OURS); }
    a_cname_that_the_resolver_does_not_follow_is_followed: Verified, |dns| {
        dns.set(WWW, RecordType::CNAME, Answer::new().cname("lb.example.net").no_chase());
        dns.a("lb.example.net", OURS);
    }
    a_name_that_does_not_exist: DomainNotFound, |dns| { dns.a("example.com", OURS); }
    a_name_without_address: NoAddress, |dns| { dns.set(WWW, RecordType::TXT, Answer::new().txt("x")); }
    another_address: WrongTarget, |dns| { dns.a(WWW, OTHER); }
    a_private_address: ReservedAddress, |dns| { dns.a(WWW, Ipv4Addr::new(192, 168, 0, 1)); }
    an_aaaa_elsewhere: WrongIpv6, |dns| { dns.a(WWW, OURS); dns.aaaa(WWW, "2606:4700::1".parse().unwrap()); }
    a_failing_server: DnsServerFailure, |dns| { dns.set(WWW, RecordType::ANY, Answer::servfail()); }
    an_expired_signature: DnssecBogus, |dns| {
        dns.set(WWW, RecordType::ANY, Answer::servfail().extended_error(7, "signature expired"));
    }
    a_refusing_server: DnsRefused, |dns| { dns.set(WWW, RecordType::ANY, Answer::refused()); }
    a_silent_zone: DnsTimeout, |dns| { dns.set(WWW, RecordType::ANY, Answer::timeout()); }
    garbage_under_our_id: DnsMalformed, |dns| {
        // A response to one question, with two answers announced and none there.
        let header = [0, 0, 0x81, 0x80, 0, 1, 0, 2, 0, 0, 0, 0];
        let question = b"\x03www\x07example\x03com\x00\x00\x01\x00\x01";
        dns.set(WWW, RecordType::A, Answer::raw_with_id([&header[..], question].concat()));
        dns.set(WWW, RecordType::AAAA, Answer::nodata());
    }
    octets_that_are_no_message: DnsTimeout, |dns| {
        dns.set(WWW, RecordType::ANY, Answer::garbage());
    }
    answers_under_another_id: DnsTimeout, |dns| {
        dns.set(WWW, RecordType::ANY, Answer::new().a(OURS).wrong_id());
    }
    answers_to_another_question: DnsTimeout, |dns| {
        dns.set(WWW, RecordType::ANY, Answer::new().a(OURS).wrong_question("other.example.com"));
    }
    truncation_leads_to_tcp: Verified, |dns| { dns.set(WWW, RecordType::A, Answer::new().a(OURS).truncated()); }
    truncation_over_tcp_too: DnsMalformed, |dns| {
        dns.set(WWW, RecordType::A, Answer::new().a(OURS).truncated_always());
        dns.set(WWW, RecordType::AAAA, Answer::nodata());
    }
    a_connection_closed_amid_the_answer: DnsMalformed, |dns| {
        dns.set(WWW, RecordType::A, Answer::new().a(OURS).truncated().over(Transport::Udp));
        dns.set(WWW, RecordType::A, Answer::new().a(OURS).close().over(Transport::Tcp));
        dns.set(WWW, RecordType::AAAA, Answer::nodata());
    }
    an_answer_lost_once_is_asked_for_again: Verified, |dns| {
        dns.a(WWW, OURS);
        dns.set(WWW, RecordType::A, Answer::timeout().times(1));
    }
    a_cname_loop: CnameLoop, |dns| {
        dns.set(WWW, RecordType::CNAME, Answer::new().cname("b.example.com").no_chase());
        dns.set("b.example.com", RecordType::CNAME, Answer::new().cname(WWW).no_chase());
    }
    a_dangling_cname: CnameDangling, |dns| { dns.cname(WWW, "gone.example.com"); dns.nxdomain("gone.example.com"); }
    caa_for_another_ca: CaaForbids, |dns| { dns.a(WWW, OURS); dns.caa("example.com", 0, "issue", "ca.example"); }
    caa_with_an_unknown_critical_property: CaaUnknownCritical, |dns| {
        dns.a(WWW, OURS);
        dns.caa(WWW, 128, "tbs", "x");
    }
    caa_that_fails: CaaLookupFailed, |dns| {
        dns.a(WWW, OURS);
        dns.set("example.com", RecordType::CAA, Answer::servfail());
    }
    caa_in_a_large_set: CaaForbids, |dns| {
        dns.a(WWW, OURS);
        let many = (0..60).fold(Answer::new(), |set, n| set.caa(0, "issue", &format!("ca{n}.example")));
        dns.set("example.com", RecordType::CAA, many);
    }
    a_new_record_behind_a_cached_denial: Verified, |dns| {
        dns.zone("example.com", &[("ns1.example.com", IpAddr::V4(Ipv4Addr::LOCALHOST))]);
        dns.set(WWW, RecordType::A, Answer::nxdomain().when_recursive(true));
        dns.set(WWW, RecordType::A, Answer::new().a(OURS).when_recursive(false));
    }
    a_zone_server_that_is_not_one: DomainNotFound, |dns| {
        dns.zone("example.com", &[("ns1.example.com", IpAddr::V4(Ipv4Addr::LOCALHOST))]);
        dns.nxdomain(WWW);
        dns.set(WWW, RecordType::A, Answer::new().a(OURS).when_recursive(false).authoritative(false));
    }
}

#[tokio::test]
async fn dns01_looks_at_the_challenge_name() {
    let dns = server();
    dns.cname("_acme-challenge.example.com", "_acme-challenge.example.com");
    dns.set(
        "_acme-challenge.example.com",
        RecordType::CNAME,
        Answer::new().cname("_acme-challenge.example.com").no_chase(),
    );
    let request = Request { method: Method::Dns01, ..request("*.example.com") };
    let verdict = Preflight::new(&policy(&dns)).unwrap().check(&request).await;
    assert_eq!(verdict.finding.reason, Reason::ChallengeCnameBroken, "{verdict:#?}");
}

#[tokio::test]
async fn names_are_asked_absolutely_and_with_edns() {
    let dns = server();
    dns.a(WWW, OURS);
    let preflight = Preflight::new(&policy(&dns)).unwrap();
    let asked = || {
        let queries = dns.queries();
        assert!(queries.iter().all(|query| query.edns_payload == Some(1232) && query.recursion_desired));
        let mut names: Vec<String> = queries.into_iter().map(|query| query.name).collect();
        dns.clear_queries();
        names.sort_unstable();
        names
    };
    assert!(preflight.check(&request(WWW)).await.ready());
    // Twice of `example.com`: CAA, and who serves it.
    assert_eq!(asked(), ["com", "dnssec-failed.org", "example.com", "example.com", WWW, WWW, WWW]);
    // Whether the resolver validates is asked once in ten minutes, and no host has to wait for it again.
    assert!(preflight.check(&request(WWW)).await.ready());
    assert!(!asked().iter().any(|name| name == "dnssec-failed.org"));
}

#[tokio::test]
async fn a_server_that_is_down_is_passed_over_and_then_asked_last() {
    let (down, up) = (server(), server());
    down.set("*.example.com", RecordType::ANY, Answer::timeout());
    down.set("com", RecordType::ANY, Answer::timeout());
    down.set("example.com", RecordType::ANY, Answer::timeout());
    up.a(WWW, OURS);
    let policy = Dns { servers: vec![down.addr().to_string(), up.addr().to_string()], ..policy(&up) };
    let preflight = Preflight::new(&policy).unwrap();
    assert!(preflight.check(&request(WWW)).await.ready());
    let before = down.queries().len();
    assert!(before > 0);
    assert!(preflight.check(&request(WWW)).await.ready());
    assert_eq!(down.queries().len(), before, "asked again although it did not answer");
}

#[tokio::test]
async fn servfail_is_not_asked_away_at_a_resolver_that_does_not_validate() {
    let (validating, lax) = (server(), server());
    validating.set(WWW, RecordType::ANY, Answer::servfail().extended_error(6, ""));
    lax.a(WWW, OURS);
    let policy = Dns { servers: vec![validating.addr().to_string(), lax.addr().to_string()], ..policy(&lax) };
    let verdict = Preflight::new(&policy).unwrap().check(&request(WWW)).await;
    assert_eq!(verdict.finding.reason, Reason::DnssecBogus);
}

#[tokio::test]
async fn resolvers_that_are_not_there_are_the_administrators_matter() {
    let dns = server();
    dns.a(WWW, OURS);
    let addr = dns.addr().to_string();
    let preflight = Preflight::new(&policy(&dns)).unwrap();
    // What is remembered of top-level domains must not pass for a sign of life.
    assert!(preflight.check(&request(WWW)).await.ready());
    drop(dns);
    let verdict = preflight.check(&request(WWW)).await;
    assert_eq!(verdict.finding.reason, Reason::ResolverUnreachable, "{verdict:#?}");
    assert_eq!(verdict.finding.observed, [addr]);
}

#[tokio::test]
async fn one_deadline_bounds_all_questions_of_a_host() {
    let dns = server();
    for name in [WWW, "example.com", "com"] {
        dns.set(name, RecordType::ANY, Answer::timeout());
    }
    let policy = Dns { timeout_seconds: 5.0, deadline_seconds: 0.5, ..policy(&dns) };
    let begun = Instant::now();
    let verdict = Preflight::new(&policy).unwrap().check(&request(WWW)).await;
    assert!(!verdict.ready());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn what_hosts_have_in_common_is_asked_once() {
    let dns = server();
    dns.set("*.example.com", RecordType::A, Answer::new().a(OURS));
    let preflight = Preflight::new(&policy(&dns)).unwrap();
    let hosts: Vec<Request> = (0..50).map(|n| request(&format!("h{n}.example.com"))).collect();
    let verdicts = join_all(hosts.iter().map(|host| preflight.check(host))).await;
    assert!(verdicts.iter().all(Verdict::ready));
    let about = |name: &str| dns.queries().iter().filter(|query| query.name == name).count();
    // CAA of both, and who serves the zone.
    assert_eq!((about("example.com"), about("com")), (2, 1));
}

#[tokio::test]
async fn questions_under_way_and_questions_a_second_are_bounded() {
    let dns = server();
    dns.set("*.example.com", RecordType::A, Answer::new().a(OURS));
    let policy = Dns { queries_per_second: 50, concurrency: 4, deadline_seconds: 0.4, ..policy(&dns) };
    let preflight = Preflight::new(&policy).unwrap();
    let hosts: Vec<Request> = (0..40).map(|n| request(&format!("h{n}.example.com"))).collect();
    let begun = Instant::now();
    let verdicts = join_all(hosts.iter().map(|host| preflight.check(host))).await;
    // Waiting for a turn is not held against the servers: all are verified, long past one host's deadline.
    assert!(verdicts.iter().all(Verdict::ready));
    let asked = dns.queries().len();
    assert!(asked >= 120, "{asked}");
    let least = Duration::from_secs_f64((asked as f64 - 50.0) / 50.0 * 0.9);
    assert!(begun.elapsed() >= least, "{asked} questions in {:?}", begun.elapsed());
}

#[tokio::test]
async fn servers_of_a_zone_that_differ_are_seen_whichever_the_resolver_asked() {
    for recursive in [OURS, OTHER] {
        let (dns, second) = (server(), DnsServer::start(IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2)), 0).unwrap());
        dns.a(WWW, recursive);
        dns.a("example.com", OURS);
        for (server, address) in [(&dns, OURS), (&second, OTHER)] {
            server.zone("example.com", &[]);
            server.set(WWW, RecordType::A, Answer::new().a(address).when_recursive(false));
        }
        let both = [dns.addr(), second.addr()];
        let verdict = Preflight::with_authoritative(&policy(&dns), &both).unwrap().check(&request(WWW)).await;
        assert_eq!(verdict.finding.reason, Reason::ServersDisagree, "{verdict:#?}");
    }
}

#[tokio::test]
async fn where_no_packet_leaves_good_hosts_do_not_wait_for_opinions() {
    let dns = server();
    dns.set("*.example.com", RecordType::A, Answer::new().a(OURS));
    let dead = [std::net::UdpSocket::bind("127.0.0.1:0").unwrap(), std::net::UdpSocket::bind("127.0.0.1:0").unwrap()];
    let nowhere = dead.each_ref().map(|socket| socket.local_addr().unwrap());
    let preflight = Preflight::with_authoritative(&policy(&dns), &nowhere).unwrap();
    assert!(preflight.check(&request("h.example.com")).await.ready());
    let begun = Instant::now();
    for n in 0..20 {
        assert!(preflight.check(&request(&format!("h{n}.example.com"))).await.ready());
    }
    // Each would wait for 0.2 s; those that were silent are not asked again for a while.
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn servers_named_by_hand_are_asked_in_place_of_the_zones() {
    let (recursive, zone) = (server(), server());
    recursive.nxdomain(WWW);
    zone.zone("example.com", &[("ns1.example.com", IpAddr::V4(Ipv4Addr::LOCALHOST))]);
    zone.a(WWW, OURS);
    let preflight = Preflight::with_authoritative(&policy(&recursive), &[zone.addr()]).unwrap();
    let verdict = preflight.check(&request(WWW)).await;
    assert!(verdict.ready(), "{verdict:#?}");
    assert!(zone.queries().iter().all(|query| !query.recursion_desired));
    let check = verdict.checks.iter().find(|check| check.name == "authoritative").unwrap();
    assert_eq!(check.status, CheckStatus::Pass);
    assert!(check.detail.starts_with(&zone.addr().to_string()), "{}", check.detail);
}
