use rstest::rstest;

use super::*;
use crate::core::{finding::Lang, reason::Reason, text};

mod kinds;
mod script;

use script::Script;

/// A request for Let's Encrypt over HTTP-01, with one address of each family.
fn request(host: &str) -> Request {
    Request {
        host: Host::parse(host).unwrap(),
        method: Method::Http01,
        gateway: GatewayTarget {
            addresses: vec!["1.2.3.4".parse().unwrap()],
            cnames: vec!["lb.platform.net".into()],
            target: Target::Addresses,
            allow_reserved: false,
        },
        ca: CaIdentity { names: vec!["letsencrypt.org".into()], account_uri: None },
    }
}

fn consult() -> Consult {
    Consult { enabled: true, ..Consult::default() }
}

fn judged(request: &Request, lines: &[&str]) -> Verdict {
    judge(request, &Script::new(lines).gather(request, &consult()))
}

fn check<'a>(verdict: &'a Verdict, name: &str) -> &'a Check {
    verdict.checks.iter().find(|check| check.name == name).unwrap_or_else(|| panic!("no check {name}: {verdict:#?}"))
}

#[rstest]
#[case::right(&["www.example.com A 1.2.3.4"], Reason::Verified)]
#[case::through_a_cname(&["www.example.com CNAME x.example.com", "x.example.com A 1.2.3.4"], Reason::Verified)]
#[case::cname_to_the_platform(&["www.example.com CNAME lb.platform.net", "lb.platform.net A 9.9.9.9"], Reason::Verified)]
#[case::cname_to_the_platform_without_address(&["www.example.com CNAME lb.platform.net", "lb.platform.net TXT x"], Reason::GatewayNameBroken)]
#[case::nowhere(&["example.com A 1.2.3.4"], Reason::DomainNotFound)]
#[case::no_address(&["www.example.com TXT x"], Reason::NoAddress)]
#[case::servfail(&["www.example.com *! SERVFAIL ede=22:ns1 refused"], Reason::DnsServerFailure)]
#[case::refused(&["www.example.com *! REFUSED"], Reason::DnsRefused)]
#[case::notimp(&["www.example.com *! NOTIMP"], Reason::DnsRefused)]
#[case::timeout(&["www.example.com *! TIMEOUT"], Reason::DnsTimeout)]
#[case::malformed(&["www.example.com *! MALFORMED"], Reason::DnsMalformed)]
#[case::truncated(&["www.example.com *! TRUNCATED"], Reason::DnsMalformed)]
#[case::bogus_by_ede(&["www.example.com *! SERVFAIL ede=7:signature expired"], Reason::DnssecBogus)]
#[case::bogus_by_checking_disabled(&["www.example.com *! SERVFAIL", "cd www.example.com *! NODATA"], Reason::DnssecBogus)]
#[case::servfail_with_checking_disabled_too(&["www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL"], Reason::DnsServerFailure)]
#[case::reserved(&["www.example.com A 10.0.0.1"], Reason::ReservedAddress)]
#[case::reserved_v6(&["www.example.com AAAA fd00::1"], Reason::ReservedAddress)]
#[case::loops(&["www.example.com CNAME b.example.com", "b.example.com CNAME www.example.com"], Reason::CnameLoop)]
#[case::loops_onto_itself(&["www.example.com CNAME www.example.com"], Reason::CnameLoop)]
#[case::dangles(&["www.example.com CNAME gone.example.com"], Reason::CnameDangling)]
#[case::wrong(&["www.example.com A 5.6.7.8"], Reason::WrongTarget)]
#[case::one_of_two_wrong(&["www.example.com A 1.2.3.4", "www.example.com A 5.6.7.8"], Reason::WrongTarget)]
#[case::wrong_v6(&["www.example.com A 1.2.3.4", "www.example.com AAAA 2606:4700::1"], Reason::WrongIpv6)]
#[case::both_wrong(&["www.example.com A 5.6.7.8", "www.example.com AAAA 2606:4700::1"], Reason::WrongTarget)]
#[case::only_wrong_v6(&["www.example.com AAAA 2606:4700::1"], Reason::WrongTarget)]
#[case::reserved_beside_right(&["www.example.com A 1.2.3.4", "www.example.com A 10.0.0.1"], Reason::Verified)]
#[case::aaaa_fails_and_a_is_right(&["www.example.com A 1.2.3.4", "www.example.com AAAA! SERVFAIL ede=22"], Reason::Verified)]
#[case::a_fails_and_there_is_no_aaaa(&["www.example.com A! SERVFAIL ede=22", "www.example.com AAAA! NODATA"], Reason::DnsServerFailure)]
#[case::caa_other(&["www.example.com A 1.2.3.4", "example.com CAA 0 issue ca.example"], Reason::CaaForbids)]
#[case::caa_at_the_leaf_wins(&["www.example.com A 1.2.3.4", "www.example.com CAA 0 issue letsencrypt.org", "example.com CAA 0 issue ca.example"], Reason::Verified)]
#[case::caa_failure_below_the_set(&["www.example.com A 1.2.3.4", "www.example.com CAA! SERVFAIL ede=22", "example.com CAA 0 issue letsencrypt.org"], Reason::CaaLookupFailed)]
#[case::caa_failure_above_the_set(&["www.example.com A 1.2.3.4", "example.com CAA 0 issue letsencrypt.org", "com CAA! SERVFAIL ede=22"], Reason::Verified)]
#[case::caa_failure_above_no_set(&["www.example.com A 1.2.3.4", "com CAA! SERVFAIL ede=22"], Reason::RegistryFailure)]
#[case::caa_nxdomain_of_the_top(&["www.example.com A 1.2.3.4", "com CAA! NXDOMAIN"], Reason::RegistryFailure)]
#[case::caa_nxdomain_elsewhere(&["www.example.com A 1.2.3.4", "www.example.com CAA! NXDOMAIN"], Reason::Verified)]
#[case::caa_truncated(&["www.example.com A 1.2.3.4", "www.example.com CAA! TRUNCATED"], Reason::CaaLookupFailed)]
#[case::caa_over_a_cname(&["www.example.com CNAME x.other.net", "x.other.net A 1.2.3.4", "x.other.net CAA 0 issue ca.example"], Reason::CaaForbids)]
#[case::caa_critical(&["www.example.com A 1.2.3.4", "example.com CAA 128 tbs unknown"], Reason::CaaUnknownCritical)]
#[case::caa_method(&["www.example.com A 1.2.3.4", "example.com CAA 0 issue letsencrypt.org; validationmethods=dns-01"], Reason::CaaOtherMethod)]
#[case::resolvers_down(&["www.example.com *! TIMEOUT", "example.com *! TIMEOUT", "com *! TIMEOUT"], Reason::ResolverUnreachable)]
fn a_host_over_http(#[case] lines: &[&str], #[case] expected: Reason) {
    let verdict = judged(&request("www.example.com"), lines);
    assert_eq!(verdict.finding.reason, expected, "{lines:#?} {verdict:#?}");
    assert_eq!(verdict.ready(), expected == Reason::Verified);
}

#[rstest]
#[case::plain(&["_acme-challenge.example.com TXT old"], Reason::Verified)]
#[case::nothing_there_yet(&["example.com A 1.2.3.4"], Reason::Verified)]
#[case::delegated(&["_acme-challenge.example.com CNAME abc.acme.other.net", "acme.other.net TXT x"], Reason::Verified)]
#[case::delegated_to_nowhere(&["zone com 900", "_acme-challenge.example.com CNAME abc.gone.com"], Reason::ChallengeCnameBroken)]
#[case::in_a_circle(&["_acme-challenge.example.com CNAME b.example.com", "b.example.com CNAME _acme-challenge.example.com"], Reason::ChallengeCnameBroken)]
#[case::fails(&["_acme-challenge.example.com *! SERVFAIL ede=22"], Reason::DnsServerFailure)]
#[case::not_registered(&["zone com 900"], Reason::DomainNotFound)]
#[case::issuewild(&["example.com A 1.2.3.4", "example.com CAA 0 issue letsencrypt.org", "example.com CAA 0 issuewild ;"], Reason::CaaForbids)]
fn a_wildcard_over_dns(#[case] lines: &[&str], #[case] expected: Reason) {
    let request = Request { method: Method::Dns01, ..request("*.example.com") };
    let verdict = judged(&request, lines);
    assert_eq!(verdict.finding.reason, expected, "{lines:#?} {verdict:#?}");
}

#[test]
fn over_dns_an_address_elsewhere_only_warns() {
    let request = Request { method: Method::Dns01, ..request("www.example.com") };
    let verdict = judged(&request, &["www.example.com A 5.6.7.8"]);
    assert!(verdict.ready());
    assert_eq!(verdict.warnings.first().map(|w| w.reason), Some(Reason::WrongTarget));
    assert_eq!(check(&verdict, "target").status, CheckStatus::Warn);
}

#[rstest]
#[case::not_public("printer.internal", Reason::NotPublicName)]
#[case::suffix("co.uk", Reason::IsPublicSuffix)]
#[case::wildcard_of_suffix("*.com", Reason::IsPublicSuffix)]
#[case::eleven_labels("a.b.c.d.e.f.g.h.i.example.com", Reason::HostInvalid)]
#[case::wildcard_over_http("*.example.com", Reason::WildcardNeedsDns01)]
fn refused_without_a_question(#[case] host: &str, #[case] expected: Reason) {
    let request = request(host);
    assert_eq!(wanted(&request, &answers::Answers::default(), &consult()), Vec::new());
    assert_eq!(judge(&request, &answers::Answers::default()).finding.reason, expected);
}

#[test]
fn a_chain_is_followed_as_far_as_resolvers_do() {
    let chain = |length: usize| -> Vec<String> {
        let mut lines: Vec<String> = (0..length)
            .map(|n| {
                let owner = if n == 0 { "www".to_owned() } else { format!("c{n}") };
                format!("{owner}.example.com CNAME c{}.example.com", n + 1)
            })
            .collect();
        lines.push(format!("c{length}.example.com A 1.2.3.4"));
        lines
    };
    let verdict = |length| {
        let request = request("www.example.com");
        judge(&request, &Script::new(chain(length)).gather(&request, &consult()))
    };
    assert!(verdict(11).ready());
    assert_eq!(verdict(11).warnings, Vec::new());
    assert!(verdict(12).ready());
    assert_eq!(verdict(12).warnings.first().map(|w| w.reason), Some(Reason::CnameTooLong));
    assert_eq!(verdict(17).finding.reason, Reason::CnameTooLong);
}

#[test]
fn the_zones_own_servers_outrank_a_cached_denial() {
    let verdict = judged(
        &request("www.example.com"),
        &[
            "example.com NS ns1.example.com",
            "example.com NS ns2.example.com",
            "ns1.example.com A 8.8.8.8",
            "ns2.example.com A 8.8.4.4",
            "@ns1.example.com www.example.com A 1.2.3.4",
            "@ns1.example.com www.example.com AAAA! NODATA",
            "@ns2.example.com www.example.com A 1.2.3.4",
            "@ns2.example.com www.example.com AAAA! NODATA",
        ],
    );
    assert!(verdict.ready(), "{verdict:#?}");
    assert_eq!(check(&verdict, "authoritative").status, CheckStatus::Pass);
}

#[test]
fn the_zones_own_servers_outrank_remembered_caa() {
    let mut lines = vec![
        "www.example.com A 1.2.3.4",
        "example.com CAA 0 issue ca.example",
        "example.com NS ns1.example.com",
        "example.com NS ns2.example.com",
        "ns1.example.com A 8.8.8.8",
        "ns2.example.com A 8.8.4.4",
        "@ns1.example.com example.com CAA 0 issue letsencrypt.org",
    ];
    // A server that does not answer has no say.
    assert!(judged(&request("www.example.com"), &lines).ready());
    lines.push("@ns2.example.com example.com CAA 0 issue ca.example");
    assert_eq!(judged(&request("www.example.com"), &lines).finding.reason, Reason::CaaForbids);
    lines.pop();
    lines.push("@ns2.example.com example.com CAA 0 issue letsencrypt.org");
    assert!(judged(&request("www.example.com"), &lines).ready());
    // A set taken away altogether lets the climb go on.
    let taken_away = [
        "www.example.com A 1.2.3.4",
        "example.com CAA 0 issue ca.example",
        "example.com NS ns1.example.com",
        "ns1.example.com A 8.8.8.8",
        "@ns1.example.com example.com CAA! NODATA",
    ];
    assert!(judged(&request("www.example.com"), &taken_away).ready());
}

#[test]
fn servers_of_a_zone_that_differ_hold_the_host() {
    let lines = [
        "example.com NS ns1.example.com",
        "example.com NS ns2.example.com",
        "ns1.example.com A 8.8.8.8",
        "ns2.example.com A 8.8.4.4",
        "@ns1.example.com www.example.com A 1.2.3.4",
        "@ns2.example.com www.example.com *! NXDOMAIN",
    ];
    let verdict = judged(&request("www.example.com"), &lines);
    assert_eq!(verdict.finding.reason, Reason::ServersDisagree, "{verdict:#?}");
    assert_eq!(verdict.finding.observed.len(), 2);
}

#[test]
fn a_new_cname_at_the_zones_server_is_followed_into_another_zone() {
    let verdict = judged(
        &request("www.example.com"),
        &[
            "example.com NS ns1.example.com",
            "ns1.example.com A 8.8.8.8",
            "@ns1.example.com www.example.com CNAME x.other.net",
            "x.other.net A 1.2.3.4",
        ],
    );
    assert!(verdict.ready(), "{verdict:#?}");
}

#[test]
fn private_addresses_of_a_zones_servers_are_never_asked() {
    let request = request("www.example.com");
    let lines = ["example.com NS ns1.example.com", "ns1.example.com A 10.96.0.1", "ns1.example.com AAAA ::1"];
    let answers = Script::new(lines).gather(&request, &consult());
    assert!(answers.authoritative_servers().is_empty(), "{answers:#?}");
    let lab = Consult { allow_private: true, ..consult() };
    assert_eq!(Script::new(lines).gather(&request, &lab).authoritative_servers(), ["ns1.example.com"]);
}

#[test]
fn without_a_known_gateway_nothing_is_called_wrong() {
    let mut request = request("www.example.com");
    request.gateway.addresses.clear();
    request.gateway.cnames.clear();
    let verdict = judged(&request, &["www.example.com A 5.6.7.8"]);
    assert_eq!(verdict.finding.reason, Reason::NoGatewayAddress);
    assert_eq!(verdict.warnings, Vec::new());
}

#[test]
fn a_target_of_any_public_address_asks_for_no_more() {
    let mut request = request("www.example.com");
    request.gateway.target = Target::AnyPublic;
    assert!(judged(&request, &["www.example.com A 5.6.7.8"]).ready());
    assert_eq!(judged(&request, &["www.example.com A 192.168.1.1"]).finding.reason, Reason::ReservedAddress);
}

#[test]
fn a_target_of_cname_asks_for_the_cname() {
    let mut request = request("www.example.com");
    request.gateway.target = Target::Cname;
    let verdict = judged(&request, &["www.example.com A 1.2.3.4", "lb.platform.net A 9.9.9.9"]);
    assert_eq!(verdict.finding.reason, Reason::WrongCname);
    assert_eq!(verdict.finding.required, ["lb.platform.net"]);
    assert!(judged(&request, &["www.example.com CNAME lb.platform.net", "lb.platform.net A 9.9.9.9"]).ready());
}

#[test]
fn where_reserved_addresses_count_private_names_do_too() {
    let mut request = request("app.lab.test");
    request.gateway.allow_reserved = true;
    request.gateway.addresses = vec!["127.0.0.1".parse().unwrap()];
    request.ca.names.clear();
    let verdict = judged(&request, &["app.lab.test A 127.0.0.1"]);
    assert!(verdict.ready(), "{verdict:#?}");
    assert_eq!(check(&verdict, "CAA").status, CheckStatus::Skipped);
}

#[test]
fn the_next_look_follows_the_ttl_that_was_seen() {
    let seconds = |lines: &[&str]| judged(&request("www.example.com"), lines).next_check.as_secs();
    assert_eq!(seconds(&["zone example.com 77", "example.com A 1.2.3.4"]), 77);
    assert_eq!(seconds(&["zone example.com 77", "www.example.com A 5.6.7.8 ttl=42"]), 42);
    assert_eq!(seconds(&["www.example.com A 1.2.3.4 ttl=42"]), VERIFIED_RECHECK.as_secs());
    assert_eq!(seconds(&["www.example.com A 1.2.3.4", "example.com CAA 0 issue ca.example ttl=500"]), 500);
}

#[test]
fn what_else_is_in_the_way_is_told_beside_the_first() {
    let verdict =
        judged(&request("www.example.com"), &["www.example.com A 5.6.7.8", "example.com CAA 0 issue ca.example"]);
    assert_eq!(verdict.finding.reason, Reason::WrongTarget);
    assert_eq!(verdict.warnings.first().map(|w| w.reason), Some(Reason::CaaForbids));
}

#[test]
fn recorded_answers_are_read_back() {
    let request = request("www.example.com");
    let lines = [
        "www.example.com CNAME x.example.com",
        "x.example.com A 1.2.3.4",
        "x.example.com AAAA! SERVFAIL ede=9:no key",
        "example.com CAA 0 issue letsencrypt.org",
    ];
    let answers = Script::new(lines).gather(&request, &consult());
    let text = serde_json::to_string(&answers).unwrap();
    assert_eq!(serde_json::from_str::<answers::Answers>(&text).unwrap(), answers, "{text}");
}

#[test]
fn sentences_name_what_is_seen_and_what_to_do() {
    let request = Request {
        gateway: GatewayTarget { cnames: Vec::new(), ..request("www.example.com").gateway },
        ..request("www.example.com")
    };
    let sentences: Vec<String> = [
        ["example.com A 1.2.3.4", "zone example.com 300"],
        ["zone com 900", "zone net 900"],
        ["www.example.com A 5.6.7.8", "www.example.com A 9.9.9.9"],
        ["www.example.com A 1.2.3.4", "www.example.com A 5.6.7.8"],
        ["www.example.com A 1.2.3.4", "www.example.com AAAA 2606:4700::1"],
        ["www.example.com A 10.0.0.1", "www.example.com AAAA fd00::1"],
        ["www.example.com A 1.2.3.4", "example.com CAA 0 issue ca.example"],
        ["www.example.com A 1.2.3.4", "example.com CAA! TIMEOUT"],
        ["www.example.com A 1.2.3.4", "example.com CAA 0 issue letsencrypt.org; validationmethods=dns-01"],
        ["www.example.com *! SERVFAIL ede=7:signature expired", "example.com A 1.2.3.4"],
        ["www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL"],
        ["www.example.com CNAME gone.example.com", "example.com A 1.2.3.4"],
        ["www.example.com CNAME b.example.com", "b.example.com CNAME www.example.com"],
    ]
    .iter()
    .map(|lines| judged(&request, lines).finding.sentence(Lang::En))
    .collect();
    insta::assert_snapshot!(sentences.join("\n"), @r#"
    www.example.com does not exist in DNS yet; the domain's owner must add an A record to 1.2.3.4
    www.example.com does not exist in DNS, because the domain example.com is not registered or has no name servers; its owner must fix that, then add an A record to 1.2.3.4
    www.example.com points to 5.6.7.8, 9.9.9.9, not to this platform; the domain's owner must set an A record to 1.2.3.4
    besides 1.2.3.4, which is this platform, www.example.com also points to 5.6.7.8, which is not; the CA and visitors may use either, so the domain's owner must remove the wrong one
    www.example.com has an AAAA record to 2606:4700::1, which the CA tries first and which is not this platform; the domain's owner must remove it
    www.example.com points only to addresses that are not public (fd00::1, 10.0.0.1); the domain's owner must add an A record to 1.2.3.4
    the CAA records of example.com allow other CAs only (0 issue "ca.example"); the domain's owner must add: example.com. CAA 0 issue "letsencrypt.org"
    the CAA records of example.com cannot be read (no answer in time), which the CA treats as a refusal; the DNS provider must fix the zone
    the CAA records of example.com do not allow this validation method (0 issue "letsencrypt.org; validationmethods=dns-01"); the domain's owner must add: example.com. CAA 0 issue "letsencrypt.org; validationmethods=http-01"
    the DNSSEC signatures of www.example.com do not validate (DNSSEC: Signature Expired: signature expired); the DNS provider must sign the zone anew
    the name servers of www.example.com fail to answer (SERVFAIL); the DNS provider must fix the zone
    www.example.com is a CNAME to gone.example.com, which does not exist; the domain's owner must correct it or add an A record to 1.2.3.4
    the CNAME records of www.example.com form a loop (www.example.com → b.example.com → www.example.com); the domain's owner must replace them with an A record to 1.2.3.4
    "#);
}
