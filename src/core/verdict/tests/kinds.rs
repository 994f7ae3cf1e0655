//! Whose fault it is, by kind: the platform's, the resolver's, a registry's, a CNAME target's, the domain's owner's or
//! its DNS provider's.

use rstest::rstest;

use super::*;
use crate::core::reason::WhoActs::{self, ClusterAdmin, DnsHost, DomainOwner};

const BOGUS: &str = "bogus.example";

/// The same with the gateway known by its name alone, as a cloud's load balancer is.
fn by_name(host: &str) -> Request {
    let mut request = request(host);
    request.gateway.addresses.clear();
    request
}

fn probing() -> Consult {
    Consult { bogus: Some(BOGUS.into()), ..consult() }
}

fn gathered(request: &Request, consult: &Consult, lines: &[&str]) -> (Verdict, usize) {
    let answers = Script::new(lines).gather(request, consult);
    (judge(request, &answers), answers.0.len())
}

/// The sentence in both languages.
fn told(verdict: &Verdict) -> String {
    format!("{}\n{}", verdict.finding.sentence(Lang::En), verdict.finding.sentence(Lang::ZhCn))
}

#[rstest]
#[case::name_gone(&["www.example.com CNAME lb.platform.net", "platform.net A 9.9.9.9"], Reason::GatewayNameBroken)]
#[case::name_without_address(&["www.example.com CNAME lb.platform.net", "lb.platform.net TXT x"], Reason::GatewayNameBroken)]
#[case::name_private(&["www.example.com CNAME lb.platform.net", "lb.platform.net A 10.0.0.1"], Reason::GatewayNotPublic)]
#[case::name_in_a_circle(
    &["www.example.com CNAME lb.platform.net", "lb.platform.net CNAME b.platform.net", "b.platform.net CNAME lb.platform.net"],
    Reason::GatewayNameBroken
)]
#[case::behind_the_name(
    &["www.example.com CNAME lb.platform.net", "lb.platform.net CNAME gone.cloud.net", "cloud.net A 9.9.9.9"],
    Reason::GatewayNameBroken
)]
#[case::name_fails(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "lb.platform.net *! SERVFAIL ede=22",
        "example.com NS ns1.example.com", "ns1.example.com A 8.8.8.8", "@ns1.example.com www.example.com CNAME lb.platform.net",
    ],
    Reason::GatewayNameBroken
)]
#[case::host_not_there_yet(&["example.com A 9.9.9.9", "platform.net A 9.9.9.9"], Reason::GatewayNameBroken)]
#[case::host_elsewhere(&["www.example.com A 5.6.7.8", "lb.platform.net A 10.0.0.1"], Reason::GatewayNotPublic)]
fn a_gateway_that_leads_nowhere_is_the_administrators(#[case] lines: &[&str], #[case] expected: Reason) {
    let (verdict, _) = gathered(&by_name("www.example.com"), &consult(), lines);
    assert_eq!((verdict.finding.reason, verdict.finding.who_acts()), (expected, ClusterAdmin), "{verdict:#?}");
    assert!(told(&verdict).contains("lb.platform.net"), "{}", told(&verdict));
    assert_eq!(text::records(&verdict.finding), Vec::<String>::new(), "nobody is told to point there");
}

#[test]
fn private_addresses_in_policy_are_the_administrators() {
    let mut request = by_name("www.example.com");
    request.gateway.cnames.clear();
    request.gateway.addresses = vec!["10.0.0.1".parse().unwrap()];
    for lines in [["www.example.com A 5.6.7.8"], ["www.example.com A 10.0.0.1"], ["example.com A 5.6.7.8"]] {
        let (verdict, _) = gathered(&request, &consult(), &lines);
        assert_eq!(verdict.finding.reason, Reason::GatewayNotPublic, "{lines:?}");
    }
    // Beside a public one they are only never asked for.
    request.gateway.addresses.push("1.2.3.4".parse().unwrap());
    let (verdict, _) = gathered(&request, &consult(), &["www.example.com A 10.0.0.1"]);
    assert_eq!(verdict.finding.reason, Reason::ReservedAddress);
    assert_eq!(verdict.finding.required, ["1.2.3.4"]);
}

#[rstest]
#[case::resolver_refuses_everything(&["www.example.com *! REFUSED", "com *! REFUSED", "example.com *! REFUSED"], Reason::ResolverRefuses)]
#[case::denies_everything(&["www.example.com *! NXDOMAIN", "com *! NXDOMAIN", "example.com *! NXDOMAIN"], Reason::ResolverFaulty)]
#[case::fails_for_everything(&["www.example.com *! SERVFAIL", "com *! SERVFAIL", "example.com *! SERVFAIL"], Reason::ResolverFaulty)]
#[case::answers_nothing(&["www.example.com *! TIMEOUT", "com *! TIMEOUT", "example.com *! TIMEOUT"], Reason::ResolverUnreachable)]
#[case::filters_the_host(&["www.example.com *! SERVFAIL ede=17:by policy"], Reason::ResolverRefuses)]
#[case::refuses_what_its_zone_answers(
    &[
        "www.example.com *! REFUSED", "example.com NS ns1.example.com", "ns1.example.com A 8.8.8.8",
        "@ns1.example.com www.example.com A 1.2.3.4",
    ],
    Reason::ResolverRefuses
)]
#[case::registry_fails(&["www.example.com A 1.2.3.4", "com CAA! TIMEOUT"], Reason::RegistryFailure)]
fn a_resolver_that_fails_is_the_administrators(#[case] lines: &[&str], #[case] expected: Reason) {
    let (verdict, _) = gathered(&request("www.example.com"), &consult(), lines);
    assert_eq!((verdict.finding.reason, verdict.finding.who_acts()), (expected, ClusterAdmin), "{verdict:#?}");
}

#[test]
fn a_top_level_domain_that_is_gone_is_not_the_resolvers_fault() {
    let (verdict, _) =
        gathered(&request("www.example.dev"), &consult(), &["www.example.dev *! NXDOMAIN", "dev *! NXDOMAIN"]);
    assert_eq!(verdict.finding.reason, Reason::DomainNotFound, "{verdict:#?}");
    // Behind a private gateway, nobody need know of public names.
    let mut private = request("www.example.com");
    private.gateway.allow_reserved = true;
    let (verdict, _) = gathered(&private, &consult(), &["www.example.com *! NXDOMAIN", "com *! NXDOMAIN"]);
    assert_eq!(verdict.finding.reason, Reason::DomainNotFound, "{verdict:#?}");
}

#[rstest]
#[case::validates(&["probe bogus.example A! SERVFAIL ede=9", "example.com DS 1"], Reason::Verified)]
#[case::takes_it_and_the_domain_is_signed(&["probe bogus.example A 9.9.9.9", "example.com DS 1"], Reason::ResolverNotValidating)]
#[case::takes_it_and_the_domain_has_keys(&["probe bogus.example A 9.9.9.9", "example.com DNSKEY 1"], Reason::ResolverNotValidating)]
#[case::takes_it_and_nothing_is_signed(&["probe bogus.example A 9.9.9.9"], Reason::Verified)]
#[case::takes_it_and_signing_cannot_be_told(&["probe bogus.example A 9.9.9.9", "example.com DS! TIMEOUT"], Reason::ResolverNotValidating)]
#[case::has_no_way_out(&["probe bogus.example A! NXDOMAIN", "example.com DS 1"], Reason::Verified)]
#[case::does_not_answer_it(&["probe bogus.example A! TIMEOUT", "example.com DS 1"], Reason::Verified)]
fn a_resolver_that_takes_what_is_bogus_cannot_vouch_for_what_is_signed(
    #[case] more: &[&str],
    #[case] expected: Reason,
) {
    let lines = [&["www.example.com A 1.2.3.4"], more].concat();
    let (verdict, asked) = gathered(&request("www.example.com"), &probing(), &lines);
    assert_eq!(verdict.finding.reason, expected, "{verdict:#?}");
    // Five questions of the host's own, and the resolver's probe, which all hosts share.
    let zones_servers = 1;
    assert!(asked == 6 + zones_servers || more[0].ends_with("9.9.9.9"), "{asked}");
    if expected == Reason::ResolverNotValidating {
        assert_eq!(verdict.finding.who_acts(), ClusterAdmin);
        assert!(told(&verdict).contains(BOGUS) && told(&verdict).contains("example.com"), "{}", told(&verdict));
    }
}

#[test]
fn what_a_cname_leads_through_must_be_validated_too() {
    let lines = [
        "www.example.com CNAME x.signed.net",
        "x.signed.net A 1.2.3.4",
        "signed.net DS 7",
        "probe bogus.example A 9.9.9.9",
    ];
    let (verdict, _) = gathered(&request("www.example.com"), &probing(), &lines);
    assert_eq!(verdict.finding.reason, Reason::ResolverNotValidating);
    assert!(told(&verdict).contains("signed.net is signed"), "{}", told(&verdict));
}

#[rstest]
#[case::flattened("www.example.com", &["www.example.com A 9.9.9.9", "lb.platform.net A 9.9.9.9"], Reason::Verified)]
#[case::flattened_at_the_apex("example.com", &["example.com A 9.9.9.9", "lb.platform.net A 9.9.9.9"], Reason::Verified)]
#[case::both_families(
    "www.example.com",
    &["www.example.com A 9.9.9.9", "www.example.com AAAA 2606:4700::1", "lb.platform.net A 9.9.9.9", "lb.platform.net AAAA 2606:4700::1"],
    Reason::Verified
)]
#[case::one_of_the_names_several(
    "www.example.com", &["www.example.com A 9.9.9.9", "lb.platform.net A 9.9.9.9", "lb.platform.net A 9.9.9.10"], Reason::Verified
)]
#[case::through_the_names_own_alias(
    "www.example.com", &["www.example.com A 9.9.9.9", "lb.platform.net CNAME a.elb.net", "a.elb.net A 9.9.9.9"], Reason::Verified
)]
#[case::what_the_name_had_before("www.example.com", &["www.example.com A 9.9.9.9", "lb.platform.net A 9.9.9.10"], Reason::WrongTarget)]
#[case::an_old_aaaa_beside_it(
    "www.example.com", &["www.example.com A 9.9.9.9", "www.example.com AAAA 2606:4700::2", "lb.platform.net A 9.9.9.9"], Reason::WrongIpv6
)]
fn addresses_that_the_gateways_name_has_now_are_right(
    #[case] host: &str,
    #[case] lines: &[&str],
    #[case] expected: Reason,
) {
    for target in [Target::Addresses, Target::Cname] {
        let mut request = by_name(host);
        request.gateway.target = target;
        let (verdict, _) = gathered(&request, &consult(), lines);
        let expected =
            if target == Target::Cname && expected == Reason::WrongTarget { Reason::WrongCname } else { expected };
        assert_eq!(verdict.finding.reason, expected, "{target:?} {verdict:#?}");
    }
}

#[test]
fn the_next_look_comes_when_the_gateways_name_may_have_changed() {
    let lines = ["www.example.com A 9.9.9.9 ttl=600", "lb.platform.net A 9.9.9.10 ttl=60"];
    let (verdict, _) = gathered(&by_name("www.example.com"), &consult(), &lines);
    assert_eq!(verdict.next_check.as_secs(), 60);
}

#[test]
fn a_good_host_asks_nothing_about_the_gateways_names() {
    for lines in
        [&["www.example.com A 1.2.3.4"][..], &["www.example.com CNAME lb.platform.net", "lb.platform.net A 9.9.9.9"]]
    {
        let (verdict, asked) = gathered(&request("www.example.com"), &Consult::default(), lines);
        assert!(verdict.ready(), "{verdict:#?}");
        assert_eq!(asked, 5, "{lines:?}");
    }
}

/// A zone with two servers, and what each says.
fn two_servers(more: &[&str]) -> Vec<String> {
    let zone = [
        "example.com NS ns1.example.com",
        "example.com NS ns2.example.com",
        "ns1.example.com A 8.8.8.8",
        "ns2.example.com A 8.8.4.4",
    ];
    zone.iter().chain(more).map(|line| (*line).to_owned()).collect()
}

#[rstest]
#[case::the_new_one("www.example.com A 1.2.3.4")]
#[case::the_old_one("www.example.com A 5.6.7.8")]
#[case::one_that_knew_nothing("www.example.com *! NXDOMAIN")]
fn servers_that_differ_hold_the_host_whichever_the_resolver_asked(#[case] seen: &str) {
    for other in ["@ns2.example.com www.example.com A 5.6.7.8", "@ns2.example.com www.example.com *! NXDOMAIN"] {
        let lines = two_servers(&[seen, "@ns1.example.com www.example.com A 1.2.3.4", other]);
        let request = request("www.example.com");
        let verdict = judge(&request, &Script::new(lines).gather(&request, &consult()));
        assert_eq!(
            (verdict.finding.reason, verdict.finding.who_acts()),
            (Reason::ServersDisagree, DnsHost),
            "{verdict:#?}"
        );
    }
}

#[test]
fn servers_that_agree_or_are_silent_leave_a_good_host_as_it_is() {
    let good = "www.example.com A 1.2.3.4";
    for (one, two) in [
        ("@ns1.example.com www.example.com A 1.2.3.4", "@ns2.example.com www.example.com A 1.2.3.4"),
        ("@ns1.example.com www.example.com A 1.2.3.4", "@ns2.example.com www.example.com *! TIMEOUT"),
        ("@ns1.example.com www.example.com *! TIMEOUT", "@ns2.example.com www.example.com *! REFUSED"),
        // By where one asks, as zones with answers for each region do.
        ("@ns1.example.com www.example.com A 9.9.9.9", "@ns2.example.com www.example.com A 9.9.9.9"),
    ] {
        let request = request("www.example.com");
        let answers = Script::new(two_servers(&[good, one, two])).gather(&request, &consult());
        assert!(judge(&request, &answers).ready(), "{one} {two}");
        // Five of the host's own; who serves the zone and where, which hosts have in common; two to each server.
        let direct = answers.0.iter().filter(|answer| matches!(answer.asked, answers::Asked::Authoritative(_))).count();
        // And where it seems to lead elsewhere, the gateway's name.
        let names = if one.ends_with("9.9.9.9") { 2 } else { 0 };
        assert_eq!((answers.0.len(), direct), (14 + names, 4), "{one} {two}");
    }
}

#[rstest]
#[case::missing(&["zone example.com 60", "example.com TXT x"])]
#[case::elsewhere(&["example.com A 5.6.7.8"])]
fn no_cname_is_asked_for_at_an_apex(#[case] lines: &[&str]) {
    let lines = [lines, &["lb.platform.net A 9.9.9.9"]].concat();
    for target in [Target::Addresses, Target::Cname] {
        let mut request = by_name("example.com");
        request.gateway.target = target;
        let (verdict, _) = gathered(&request, &consult(), &lines);
        let records = text::records(&verdict.finding);
        let wanted = ["example.com. ALIAS lb.platform.net.", "example.com. A 9.9.9.9"];
        let wanted = if verdict.finding.reason == Reason::NoAddress { &wanted[1..] } else { &wanted[..] };
        assert_eq!(records, wanted, "{verdict:#?}");
        assert!(!told(&verdict).contains("a CNAME record to"), "{}", told(&verdict));
    }
}

#[test]
fn caa_of_a_cnames_target_is_its_owners() {
    let lines = [
        "www.example.com CNAME shops.hosting.net",
        "shops.hosting.net A 1.2.3.4",
        "shops.hosting.net CAA 0 issue digicert.com",
    ];
    let (verdict, _) = gathered(&request("www.example.com"), &consult(), &lines);
    assert_eq!((verdict.finding.reason, verdict.finding.who_acts()), (Reason::CaaForbids, DomainOwner));
    let expected = ["shops.hosting.net. CAA 0 issue \"letsencrypt.org\"", "www.example.com. A 1.2.3.4"];
    assert_eq!(text::records(&verdict.finding), expected);
    insta::assert_snapshot!(told(&verdict), @r#"
    www.example.com is a CNAME to shops.hosting.net, and the CAA records of shops.hosting.net allow other CAs only (0 issue "digicert.com"); no CAA record can stand beside a CNAME, so either the owner of shops.hosting.net must add: shops.hosting.net. CAA 0 issue "letsencrypt.org", or the domain's owner must replace the CNAME by an A record to 1.2.3.4
    www.example.com 是指向 shops.hosting.net 的 CNAME，而 shops.hosting.net 的 CAA 记录只允许其他证书机构（0 issue "digicert.com"）；CNAME 所在的名称不能再有 CAA 记录，因此要么由 shops.hosting.net 的所有者添加：shops.hosting.net. CAA 0 issue "letsencrypt.org"，要么由域名所有者将该 CNAME 改为 A 记录，记录值 1.2.3.4
    "#);
}

#[rstest]
#[case::nobody("0 issue ;", "no CA at all")]
#[case::nobody_in_words("0 issue", "no CA at all")]
#[case::final_dot("0 issue letsencrypt.org.", "not written as the CA reads it")]
#[case::upper_case("0 issue LetsEncrypt.org", "not written as the CA reads it")]
#[case::malformed("0 issue letsencrypt.org; policy", "not written as the CA reads it")]
#[case::others("0 issue ca.example", "allow other CAs only")]
fn caa_is_told_as_it_is(#[case] record: &str, #[case] expected: &str) {
    let lines = ["www.example.com A 1.2.3.4", &format!("example.com CAA {record}")];
    let (verdict, _) = gathered(&request("www.example.com"), &consult(), &lines);
    assert_eq!(verdict.finding.reason, Reason::CaaForbids);
    assert!(told(&verdict).contains(expected), "{}", told(&verdict));
}

#[rstest]
#[case::loop_that_the_resolver_hides(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "web.example.com *! SERVFAIL",
        "example.com NS ns1.example.com", "ns1.example.com A 8.8.8.8",
        "@ns1.example.com www.example.com CNAME web.example.com", "@ns1.example.com web.example.com CNAME www.example.com",
    ],
    Reason::CnameLoop, DomainOwner
)]
#[case::loop_over_two_zones(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "a.other.net *! SERVFAIL", "cd a.other.net *! SERVFAIL",
        "example.com NS ns1.example.com", "ns1.example.com A 8.8.8.8", "other.net NS ns1.other.net", "ns1.other.net A 8.8.4.4",
        "@ns1.example.com www.example.com CNAME a.other.net", "@ns1.other.net a.other.net CNAME www.example.com",
    ],
    Reason::CnameLoop, DomainOwner
)]
#[case::lame(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "example.com *! SERVFAIL", "cd example.com *! SERVFAIL",
        "com NS a.gtld.net", "a.gtld.net A 8.8.8.8", "@a.gtld.net refer example.com ns1.dns.net",
        "ns1.dns.net A 8.8.4.4", "@ns1.dns.net www.example.com *! REFUSED",
    ],
    Reason::LameDelegation, DomainOwner
)]
#[case::delegated_to_names_that_do_not_exist(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "example.com *! SERVFAIL", "cd example.com *! SERVFAIL",
        "com NS a.gtld.net", "a.gtld.net A 8.8.8.8", "@a.gtld.net refer example.com ns1.gone.net", "gone.net *! NXDOMAIN",
    ],
    Reason::LameDelegation, DomainOwner
)]
#[case::its_servers_fail(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "example.com *! SERVFAIL", "cd example.com *! SERVFAIL",
        "com NS a.gtld.net", "a.gtld.net A 8.8.8.8", "@a.gtld.net refer example.com ns1.dns.net",
        "ns1.dns.net A 8.8.4.4", "@ns1.dns.net www.example.com *! SERVFAIL",
    ],
    Reason::DnsServerFailure, DnsHost
)]
#[case::its_servers_are_silent(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "example.com *! SERVFAIL", "cd example.com *! SERVFAIL",
        "com NS a.gtld.net", "a.gtld.net A 8.8.8.8", "@a.gtld.net refer example.com ns1.dns.net", "ns1.dns.net A 8.8.4.4",
    ],
    Reason::DnsTimeout, DnsHost
)]
#[case::servers_with_private_addresses_are_not_asked(
    &[
        "www.example.com *! SERVFAIL", "cd www.example.com *! SERVFAIL", "example.com *! SERVFAIL", "cd example.com *! SERVFAIL",
        "com NS a.gtld.net", "a.gtld.net A 8.8.8.8", "@a.gtld.net refer example.com ns1.dns.net",
        "ns1.dns.net A 10.96.0.1", "@ns1.dns.net www.example.com *! REFUSED",
    ],
    Reason::DnsServerFailure, DnsHost
)]
#[case::stale_ds(
    &[
        "www.example.com *! SERVFAIL ede=9:no DNSKEY", "cd www.example.com A 1.2.3.4", "cd example.com DNSKEY! NODATA",
        "cd example.com DS 4711",
    ],
    Reason::DnssecBogus, DomainOwner
)]
#[case::ds_of_another_key(
    &[
        "www.example.com *! SERVFAIL ede=9:no DNSKEY", "cd www.example.com A 1.2.3.4", "cd example.com DNSKEY 1",
        "cd example.com DS 4711",
    ],
    Reason::DnssecBogus, DomainOwner
)]
#[case::bad_signatures(
    &[
        "www.example.com *! SERVFAIL ede=7:signature expired", "cd www.example.com A 1.2.3.4",
        "cd example.com DNSKEY 4711", "cd example.com DS 4711",
    ],
    Reason::DnssecBogus, DnsHost
)]
#[case::the_targets_zone_is_bogus(
    &[
        "www.example.com *! SERVFAIL ede=7:signature expired", "x.other.net *! SERVFAIL ede=7:signature expired",
        "cd www.example.com CNAME x.other.net", "cd x.other.net A 1.2.3.4", "other.net A 1.2.3.4",
    ],
    Reason::CnameTargetFailure, DomainOwner
)]
#[case::the_targets_zone_fails(
    &["www.example.com *! SERVFAIL ede=22:no authority", "x.other.net *! SERVFAIL ede=22:no authority", "example.com NS ns1.example.com", "ns1.example.com A 8.8.8.8", "@ns1.example.com www.example.com CNAME x.other.net",],
    Reason::CnameTargetFailure, DomainOwner
)]
#[case::the_targets_caa_fails(
    &["www.example.com CNAME x.other.net", "x.other.net A 1.2.3.4", "x.other.net CAA! SERVFAIL ede=22", "example.com NS ns1.example.com", "ns1.example.com A 8.8.8.8", "@ns1.example.com www.example.com CNAME x.other.net",],
    Reason::CnameTargetFailure, DomainOwner
)]
#[case::a_target_in_the_same_zone_is_the_providers(
    &["www.example.com CNAME x.example.com", "x.example.com *! SERVFAIL ede=22"],
    Reason::DnsServerFailure, DnsHost
)]
fn what_hides_behind_servfail_is_told_and_whose_it_is(
    #[case] lines: &[&str],
    #[case] reason: Reason,
    #[case] who: WhoActs,
) {
    let (verdict, _) = gathered(&request("www.example.com"), &consult(), lines);
    assert_eq!((verdict.finding.reason, verdict.finding.who_acts()), (reason, who), "{verdict:#?}");
    assert!(verdict.warnings.iter().all(|warning| warning.reason != reason), "told twice: {verdict:#?}");
}

#[rstest]
#[case::by_address(&["www.example.com A 104.21.8.9", "www.example.com A 172.67.130.4"], "Cloudflare")]
#[case::by_cname(
    &["www.example.com CNAME www.example.com.w.kunlun.net", "www.example.com.w.kunlun.net A 47.246.23.8"],
    "www.example.com.w.kunlun.net"
)]
fn behind_a_cdn_the_way_out_is_told(#[case] lines: &[&str], #[case] network: &str) {
    let (verdict, _) = gathered(&request("www.example.com"), &consult(), lines);
    assert_eq!(verdict.finding.reason, Reason::WrongTarget);
    for word in [network, "any-public"] {
        assert_eq!(told(&verdict).matches(word).count(), 2, "{}", told(&verdict));
    }
}

#[test]
fn sentences_of_these_kinds() {
    let of = |reason, observed: &[&str], required: &[&str], note: &str| {
        let finding = Finding::new(reason, "www.example.com").observed(observed).required(required).note(note);
        format!("{}\n{}\n", finding.sentence(Lang::En), finding.sentence(Lang::ZhCn))
    };
    let all = [
        of(Reason::GatewayNameBroken, &["NXDOMAIN"], &[], "lb.platform.net"),
        of(Reason::GatewayNotPublic, &["10.0.0.1"], &[], "lb.platform.net"),
        of(Reason::ResolverRefuses, &["192.0.2.53:53"], &[], ""),
        of(Reason::ResolverFaulty, &["192.0.2.53:53"], &[], "NXDOMAIN"),
        of(Reason::ResolverNotValidating, &["192.0.2.53:53"], &[], "bogus.example; example.com"),
        of(Reason::RegistryFailure, &["SERVFAIL"], &[], "com CAA: SERVFAIL"),
        of(Reason::LameDelegation, &["ns1.dns.net: REFUSED"], &[], ""),
        of(Reason::CnameTargetFailure, &["x.other.net"], &[], "SERVFAIL"),
        of(Reason::DnssecBogus, &["example.com. DS 4711 13"], &[], ""),
        of(Reason::DnssecBogus, &["example.com. DS 4711 13"], &[], "2371"),
        of(Reason::WrongTarget, &["104.21.8.9"], &["1.2.3.4"], "CDN Cloudflare"),
        of(Reason::WrongCname, &["5.6.7.8"], &["ALIAS lb.platform.net", "9.9.9.9"], ""),
    ];
    insta::assert_snapshot!(all.join("\n"), @r#"
    the platform's own name lb.platform.net does not exist in DNS, so www.example.com cannot be verified; the cluster's administrator must repair its DNS record, or correct `gateway.cnames`
    平台自己的域名 lb.platform.net 在 DNS 中不存在，www.example.com 因此无法通过检查；请平台管理员修复其解析记录，或修正 `gateway.cnames`

    the gateway is known by private addresses alone (10.0.0.1, of lb.platform.net), to which no public CA connects, so www.example.com cannot be validated; the cluster's administrator must set `gateway.addresses` to the public ones
    已知的网关地址（lb.platform.net）都不是公网地址（10.0.0.1），公共证书机构无法连接，www.example.com 因此无法通过验证；请平台管理员将 `gateway.addresses` 设为公网地址

    certgate's DNS resolver 192.0.2.53:53 refuses to answer for www.example.com; the cluster's administrator must have it answer certgate, or name another in `dns.servers`
    certgate 使用的 DNS 解析器 192.0.2.53:53 拒绝应答 www.example.com 的查询；请平台管理员允许 certgate 查询该解析器，或在 `dns.servers` 中更换

    certgate's DNS resolver says that no name exists, not even com (192.0.2.53:53), so nothing can be told of www.example.com; the cluster's administrator must check `dns.servers`
    certgate 使用的 DNS 解析器（192.0.2.53:53）称任何域名都不存在，连 com 也不例外，因此无法检查 www.example.com；请平台管理员检查 `dns.servers`

    certgate's DNS resolver 192.0.2.53:53 does not validate DNSSEC (it answers for bogus.example, whose signatures are wrong), but example.com is signed, so it cannot be told whether the CA would accept its answers; the cluster's administrator must name validating resolvers in `dns.servers`
    certgate 使用的 DNS 解析器 192.0.2.53:53 不验证 DNSSEC（对签名有误的 bogus.example 仍给出应答），而 example.com 启用了 DNSSEC，因此无法判断证书机构是否会接受其应答；请平台管理员在 `dns.servers` 中改用会验证 DNSSEC 的解析器

    the registry's zone above www.example.com cannot be read (com CAA: SERVFAIL), which the CA takes for a refusal; neither the domain's owner nor its DNS provider can change that: if it lasts, the cluster's administrator must check the resolvers in `dns.servers`
    无法读取 www.example.com 上级注册局的区域（com CAA: SERVFAIL），证书机构会视为拒绝；这不是域名所有者或其 DNS 服务商能解决的：若持续出现，请平台管理员检查 `dns.servers` 中的解析器

    www.example.com is delegated to name servers that do not have it (ns1.dns.net: REFUSED); the domain's owner must create the zone at their DNS provider, or correct the name servers at the registrar
    www.example.com 的 NS 记录指向的域名服务器上没有该域名（ns1.dns.net: REFUSED）；请域名所有者在 DNS 服务商处添加该域名，或在注册商处修改 DNS 服务器

    www.example.com is a CNAME to x.other.net, for which name servers fail (SERVFAIL); whoever runs that zone must repair it, or the domain's owner must point www.example.com elsewhere
    www.example.com 是指向 x.other.net 的 CNAME，而后者的域名服务器应答失败（SERVFAIL）；需由其所有者修复，或由域名所有者将 www.example.com 指向别处

    www.example.com has a DS record at its registrar (example.com. DS 4711 13), but its name servers do not sign the zone, so the CA refuses all its answers; the domain's owner must remove the DS record at the registrar, or have the DNS provider sign the zone
    www.example.com 在注册商处留有 DS 记录（example.com. DS 4711 13），但其域名服务器并未对该域名签名，证书机构会拒绝其全部应答；请域名所有者在注册商处删除 DS 记录，或请 DNS 服务商启用 DNSSEC 签名

    the DS record of www.example.com at its registrar (example.com. DS 4711 13) fits none of the zone's keys (2371), so the CA refuses all its answers; the domain's owner must replace it at the registrar by the one that the DNS provider shows, or remove it
    www.example.com 在注册商处的 DS 记录（example.com. DS 4711 13）与该域名的任何密钥（2371）都不匹配，证书机构会拒绝其全部应答；请域名所有者在注册商处将其改为 DNS 服务商提供的 DS 记录，或将其删除

    www.example.com points to a content delivery network (Cloudflare: 104.21.8.9); if the network fetches from this platform, the cluster's administrator can let any public address count (`gateway.target: any-public`), or else the domain's owner must switch the network's proxy off for www.example.com and set an A record to 1.2.3.4
    www.example.com 指向 CDN（Cloudflare：104.21.8.9）；如果该 CDN 回源到本平台，平台管理员可设置 `gateway.target: any-public` 以接受任意公网地址，否则请域名所有者为 www.example.com 关闭 CDN 代理，并设置 A 记录，记录值 1.2.3.4

    www.example.com should lead to lb.platform.net but is 5.6.7.8; the domain's owner must set an A record to 9.9.9.9 or an ALIAS record (also called ANAME or CNAME flattening) to lb.platform.net
    www.example.com 应指向 lb.platform.net，实际为 5.6.7.8；请域名所有者设置 A 记录，记录值 9.9.9.9；或 ALIAS 记录（又称 ANAME、CNAME 拉平），记录值 lb.platform.net
    "#);
}
