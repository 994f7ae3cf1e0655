use rstest::rstest;

use super::*;
use crate::core::finding::Lang;

/// An issuer's condition as cert-manager writes it: reason, limit, until when, and where a pause is lifted.
#[rstest]
#[case::told_until_when(
    "Failed to register ACME account: 429 urn:ietf:params:acme:error:rateLimited: too many new registrations (10) from this IP address in the last 3h0m0s, retry after 2026-11-25 13:37:01 UTC: see https://letsencrypt.org/docs/rate-limits/#new-registrations-per-ip-address",
    Some(("too many new registrations (10) from this IP address in the last 3h0m0s", Some("2026-11-25T13:37:01Z"), None))
)]
#[case::no_space_after_the_colon(
    "Failed to update ACME account:429 urn:ietf:params:acme:error:rateLimited: Service busy; retry later.",
    Some(("Service busy; retry later", None, None))
)]
#[case::before_the_rfc("Failed to register ACME account: 429 urn:acme:error:rateLimited: slow down", Some(("slow down", None, None)))]
#[case::paused(
    "Failed to register ACME account: 429 urn:ietf:params:acme:error:rateLimited: Your account is temporarily prevented from requesting certificates for www.example.com and possibly others. Please visit: https://portal.letsencrypt.org/sfe/v1/unpause?jwt=e.e.c",
    Some(("", None, Some("https://portal.letsencrypt.org/sfe/v1/unpause?jwt=e.e.c")))
)]
#[case::cut(
    "Failed to register ACME account: 429 urn:ietf:params:acme:error:rateLimited: Your account is temporarily prevented from requesting certificates for www.example.com and possibly others. Please visit: https://portal.letsencrypt.org/sfe/v1/unp... (truncated)",
    Some(("", None, None))
)]
#[case::another_refusal(
    "Failed to register ACME account: 400 urn:ietf:params:acme:error:invalidContact: no such domain",
    None
)]
#[case::out_of_reach(
    "Failed to register ACME account: Get \"https://acme-v02.api.letsencrypt.org/directory\": dial tcp: i/o timeout",
    None
)]
#[case::quoted_by_somebody("Something else: 429 urn:ietf:params:acme:error:rateLimited: no", None)]
#[case::nothing("", None)]
fn an_account_that_the_ca_refused_for_its_limits_is_told_apart(
    #[case] message: &str,
    #[case] expected: Option<(&str, Option<&str>, Option<&str>)>,
) {
    let refused = account_refusal(message);
    let told = refused.map(|one| (one.until.map(|at| at.to_string()), one.unpause));
    let wanted = expected.map(|(_, until, link)| (until.map(str::to_owned), link));
    assert_eq!(told, wanted);
    let Some((refused, (limit, ..))) = refused.zip(expected) else { return };
    if !refused.paused {
        assert_eq!(refused.detail, limit);
    }
}

#[test]
fn a_refused_account_is_the_administrators_business() {
    let refused = account_refusal(
        "Failed to register ACME account: 429 urn:ietf:params:acme:error:rateLimited: too many, retry after 2026-11-25 13:37:01 UTC: see https://x",
    );
    let finding = refused.unwrap().of_account(&IssuerRef::cluster("le"), &host());
    assert_eq!(finding.who_acts(), crate::core::reason::WhoActs::ClusterAdmin);
    assert_eq!(finding.observed, ["ClusterIssuer/le", "too many"]);
    assert_eq!(finding.note, "2026-11-25 13:38 UTC", "the minute is over when it says so");
}

const REQUEST: &str = "The certificate request has failed to complete and will be retried: Failed to wait for order resource \"www-kjbs7-3761388167\" to become ready: order is in \"errored\" state: ";

fn host() -> Host {
    Host::parse("www.example.com").unwrap()
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + seconds).unwrap()
}

#[rstest]
// Boulder's limits, through cert-manager's Order.
#[case(
    "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-25 13:37:01 UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-exact-set-of-identifiers",
    Reason::CaRateLimited,
    "2026-11-25 13:37 UTC",
    "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s"
)]
#[case(
    "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: Error creating new order :: too many certificates (5) already issued for this exact set of domains in the last 168 hours: www.example.com, retry after 2022-09-26T01:29:08Z: see https://letsencrypt.org/docs/duplicate-certificate-limit/",
    Reason::CaRateLimited,
    "2022-09-26 01:29 UTC",
    "too many certificates (5) already issued for this exact set of domains in the last 168 hours: www.example.com"
)]
#[case(
    "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many certificates (50) already issued for \"example.com\" in the last 168h0m0s, retry after 2026-11-26 01:02:03 UTC: see https://letsencrypt.org/docs/rate-limits/#new-certificates-per-registered-domain",
    Reason::CaRateLimited,
    "2026-11-26 01:02 UTC",
    "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s"
)]
#[case(
    "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: too many failed authorizations (5) for \"www.example.com\" in the last 1h0m0s, retry after 2026-11-25 13:37:01 UTC: see https://letsencrypt.org/docs/rate-limits/#authorization-failures-per-identifier-per-account",
    Reason::CaRateLimited,
    "2026-11-25 13:37 UTC",
    "too many failed authorizations (5) for \"www.example.com\" in the last 1h0m0s"
)]
#[case(
    "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: Error creating new order :: too many failed authorizations recently: see https://letsencrypt.org/docs/rate-limits/",
    Reason::CaRateLimited,
    "",
    "too many failed authorizations recently"
)]
#[case(
    "Failed to create Order: 503 urn:ietf:params:acme:error:rateLimited: Service busy; retry later.",
    Reason::CaRateLimited,
    "",
    "Service busy; retry later"
)]
// Paused accounts get a link.
#[case(
    "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: Your account is temporarily prevented from requesting certificates for www.example.com and possibly others. Please visit: https://portal.letsencrypt.org/sfe/v1/unpause?jwt=eyJhbGciOi.eyJpc3Mi.c2ln",
    Reason::CaPaused,
    "https://portal.letsencrypt.org/sfe/v1/unpause?jwt=eyJhbGciOi.eyJpc3Mi.c2ln",
    ""
)]
// The CA's own trouble.
#[case(
    "Error accepting challenge: 500 urn:ietf:params:acme:error:serverInternal: The service is down for maintenance or had an internal error. Check https://letsencrypt.status.io/ for more details.",
    Reason::CaUnreachable,
    "500",
    ""
)]
#[case(
    "Failed to finalize Order: 502 urn:ietf:params:acme:error:malformed: bad gateway",
    Reason::CaUnreachable,
    "502",
    ""
)]
#[case(
    "unexpected non-ACME API error: Get \"https://acme-v02.api.letsencrypt.org/directory\": dial tcp: lookup acme-v02.api.letsencrypt.org: no such host",
    Reason::CaUnreachable,
    "",
    ""
)]
// Something else answered: cert-manager with and without the problem's type.
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 403 urn:ietf:params:acme:error:unauthorized: 203.0.113.9: Invalid response from http://www.example.com/.well-known/acme-challenge/tok: 404",
    Reason::ChallengeFailed,
    "203.0.113.9: 404",
    ""
)]
#[case(
    "203.0.113.9: Invalid response from http://www.example.com/.well-known/acme-challenge/tok: \"<!DOCTYPE html>\\n<html><script>alert(1)</script>\"",
    Reason::ChallengeFailed,
    "203.0.113.9",
    ""
)]
#[case(
    "2001:db8::1: The key authorization file from the server did not match this challenge. Expected \"a\" (got \"b\")",
    Reason::ChallengeFailed,
    "2001:db8::1",
    ""
)]
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 403 urn:ietf:params:acme:error:unauthorized: Non-200 status code from HTTP: http://www.example.com:80/.well-known/acme-challenge/tok returned 404",
    Reason::ChallengeFailed,
    "404",
    ""
)]
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 403 urn:ietf:params:acme:error:unauthorized: During secondary validation: 203.0.113.9: Invalid response from http://www.example.com/x: 503",
    Reason::ChallengeFailed,
    "203.0.113.9: 503",
    ""
)]
// What the CA met on the way.
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 400 urn:ietf:params:acme:error:connection: 203.0.113.9: Fetching http://www.example.com/.well-known/acme-challenge/tok: Timeout during connect (likely firewall problem)",
    Reason::HttpUnreachable,
    "203.0.113.9",
    ""
)]
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 400 urn:ietf:params:acme:error:dns: DNS problem: NXDOMAIN looking up A for www.example.com - check that a DNS record exists for this domain; DNS problem: NXDOMAIN looking up AAAA for www.example.com - check that a DNS record exists for this domain",
    Reason::DomainNotFound,
    "",
    ""
)]
#[case(
    "DNS problem: SERVFAIL looking up A for www.example.com - the domain's nameservers may be malfunctioning",
    Reason::DnsServerFailure,
    "",
    ""
)]
#[case("DNS problem: query timed out looking up A for www.example.com", Reason::DnsTimeout, "", "")]
#[case(
    "no valid A records found for www.example.com; no valid AAAA records found for www.example.com",
    Reason::NoAddress,
    "",
    ""
)]
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 400 urn:ietf:params:acme:error:dns: DNS problem: SERVFAIL looking up CAA for example.com",
    Reason::CaaLookupFailed,
    "",
    ""
)]
#[case(
    "Error accepting authorization: acme: authorization error for www.example.com: 403 urn:ietf:params:acme:error:caa: CAA record for example.com prevents issuance",
    Reason::CaaForbids,
    "",
    "CAA record for example.com prevents issuance"
)]
// The rest keeps one line of its own.
#[case(
    "Failed to create Order: 400 urn:ietf:params:acme:error:rejectedIdentifier: Error creating new order :: Cannot issue for \"www.example.com\": The ACME server refuses to issue a certificate for this domain name, because it is forbidden by policy\nmore",
    Reason::IssuanceFailed,
    "Error creating new order :: Cannot issue for \"www.example.com\": The ACME server refuses to issue a certificate for this domain name, because it is forbidden by policy",
    ""
)]
#[case(
    "The certificate request has failed to complete and will be retried: signing failed",
    Reason::IssuanceFailed,
    "signing failed",
    ""
)]
#[case("", Reason::IssuanceFailed, "", "")]
fn the_cas_words_become_a_reason(
    #[case] text: &str,
    #[case] reason: Reason,
    #[case] note: &str,
    #[case] observed: &str,
) {
    // The same as the Order says it and as the Certificate passes it on.
    for text in [
        text.to_owned(),
        if text.starts_with("Failed to create") { format!("{REQUEST}{text}") } else { text.to_owned() },
    ] {
        let finding = explain(&host(), &text);
        assert_eq!((finding.reason, finding.note.as_str()), (reason, note), "{text}");
        assert_eq!(finding.observed.join(";"), observed, "{text}");
    }
}

#[test]
fn a_page_that_reads_like_the_ca_is_not_taken_for_it() {
    let page = "203.0.113.9: Invalid response from http://www.example.com/x: \"429 urn:ietf:params:acme:error:rateLimited: Your account is temporarily prevented from requesting certificates for www.example.com. Please visit: https://evil.example/unpause\"";
    for text in [
        page.to_owned(),
        format!(
            "Error accepting authorization: acme: authorization error for www.example.com: 403 urn:ietf:params:acme:error:unauthorized: {page}"
        ),
    ] {
        let finding = explain(&host(), &text);
        assert_eq!(finding.reason, Reason::ChallengeFailed);
        assert!(!finding.sentence(Lang::En).contains("evil"), "{}", finding.sentence(Lang::En));
    }
}

#[test]
fn the_challenge_tells_more_than_an_order_without_a_reason() {
    let order = Order { created: at(0), accepted: true, state: "invalid", reason: "" };
    let challenge = Challenge {
        created: at(0),
        state: "invalid",
        reason: "203.0.113.9: Invalid response from http://www.example.com/x: 404",
    };
    let failure = format!(
        "{}order is in \"invalid\" state: ",
        "The certificate request has failed to complete and will be retried: Failed to wait for order resource \"x\" to become ready: "
    );
    let mut attempt = Attempt { request_failure: None, order: Some(order), challenge: Some(challenge) };
    let found = |attempt: &Attempt<'_>| {
        trouble(&host(), attempt, Some(&failure), at(1)).map(|finding| (finding.reason, finding.note))
    };
    assert_eq!(found(&attempt), Some((Reason::ChallengeFailed, "203.0.113.9: 404".to_owned())));
    attempt.challenge = None;
    assert_eq!(found(&attempt).map(|found| found.0), Some(Reason::IssuanceFailed));
}

#[test]
fn an_order_that_the_ca_never_accepts_means_it_is_out_of_reach() {
    let order = Order { created: at(0), accepted: false, state: "", reason: "" };
    let attempt = Attempt { order: Some(order), ..Attempt::default() };
    assert_eq!(trouble(&host(), &attempt, None, at(29)), None);
    assert_eq!(look_again(&attempt, at(29)), Some(at(30)));
    assert_eq!(trouble(&host(), &attempt, None, at(30)).map(|found| found.reason), Some(Reason::CaUnreachable));
    assert_eq!(look_again(&attempt, at(30)), None);
    let accepted = Attempt { order: Some(Order { accepted: true, state: "pending", ..order }), ..attempt };
    assert_eq!(trouble(&host(), &accepted, None, at(600)), None);
}

#[rstest]
#[case("wrong status code '404', expected '200'", Some(Reason::ChallengeFailed))]
#[case(
    "did not get expected response when querying endpoint, expected \"a.b\" but got: <html>... (truncated)",
    Some(Reason::ChallengeFailed)
)]
#[case(
    "failed to perform self check GET request 'http://www.example.com/.well-known/acme-challenge/tok': Get \"http://www.example.com/.well-known/acme-challenge/tok\": dial tcp 203.0.113.9:80: connect: connection refused",
    Some(Reason::HttpUnreachable)
)]
#[case(
    "failed to perform self check GET request 'http://www.example.com/x': Get \"http://www.example.com/x\": dial tcp: lookup www.example.com on 10.0.0.10:53: no such host",
    Some(Reason::DomainNotFound)
)]
fn a_challenge_that_keeps_failing_its_check_is_told(#[case] met: &str, #[case] expected: Option<Reason>) {
    let reason = format!("Waiting for HTTP-01 challenge propagation: {met}");
    let attempt = Attempt {
        challenge: Some(Challenge { created: at(0), state: "pending", reason: &reason }),
        ..Attempt::default()
    };
    assert_eq!(trouble(&host(), &attempt, None, at(30)), None, "solver and gateway need some seconds");
    assert_eq!(trouble(&host(), &attempt, None, at(120)).map(|found| found.reason), expected);
}

#[test]
fn a_challenge_on_its_way_is_no_trouble() {
    for reason in
        ["", "Waiting for DNS-01 challenge propagation: DNS record for \"www.example.com\" not yet propagated"]
    {
        let attempt =
            Attempt { challenge: Some(Challenge { created: at(0), state: "pending", reason }), ..Attempt::default() };
        assert_eq!(trouble(&host(), &attempt, None, at(1_000)), None);
    }
}

proptest::proptest! {
    #[test]
    fn whatever_is_said_the_sentence_is_bounded_and_clean(text in ".{0,400}", prefix in 0_usize..4) {
        let frames = ["", "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: ", "Error accepting challenge: 403 urn:ietf:params:acme:error:unauthorized: ", "acme: 400 urn:ietf:params:acme:error:"];
        let finding = explain(&host(), &format!("{}{text}", frames[prefix]));
        let sentence = finding.sentence(Lang::En);
        proptest::prop_assert!(sentence.len() < 2_600);
        proptest::prop_assert!(!sentence.chars().any(char::is_control));
    }
}
