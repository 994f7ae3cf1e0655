use rstest::rstest;

use super::*;
use crate::core::host::Host;

fn now() -> Timestamp {
    "2026-11-25T12:00:00Z".parse().unwrap()
}

fn read(text: &str) -> Option<Refusal> {
    let names = Names::one(&Host::parse("www.example.com").unwrap());
    Refusal::read(text, &Account::new("https://ca.example/d", "https://ca.example/acct/1"), &names, now())
}

#[rstest]
#[case(
    "too many new orders (300) from this account in the last 3h0m0s, retry after 2026-11-25 13:37:01 UTC: see https://x",
    Kind::NewOrders,
    "",
    "2026-11-25T13:37:01Z"
)]
#[case(
    "too many certificates (50) already issued for \"example.com\" in the last 168h0m0s, retry after 2026-11-26 01:02:03 UTC: see https://x",
    Kind::CertificatesPerDomain,
    "example.com",
    "2026-11-26T01:02:03Z"
)]
#[case(
    "too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s, retry after 2026-11-25 13:37:01 UTC: see https://x",
    Kind::CertificatesPerSet,
    "www.example.com",
    "2026-11-25T13:37:01Z"
)]
#[case(
    "too many failed authorizations (5) for \"www.example.com\" in the last 1h0m0s, retry after 2026-11-25 12:12:00 UTC: see https://x",
    Kind::FailedAuthorizations,
    "www.example.com",
    "2026-11-25T12:12:00Z"
)]
#[case(
    "Error creating new order :: too many failed authorizations recently: see https://x",
    Kind::FailedAuthorizations,
    "www.example.com",
    "2026-11-25T13:00:00Z"
)]
// Whatever it says, no limit lasts longer than a week or so.
#[case(
    "too many new orders (300) from this account in the last 3h0m0s, retry after 2099-11-25 13:37:01 UTC: see https://x",
    Kind::NewOrders,
    "",
    "2026-12-03T12:00:00Z"
)]
fn a_refusal_names_its_limit_what_it_concerns_and_until_when(
    #[case] detail: &str,
    #[case] limit: Kind,
    #[case] of: &str,
    #[case] until: &str,
) {
    let text = format!("Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: {detail}");
    let refusal = read(&text).unwrap();
    assert_eq!((refusal.limit, refusal.until), (Some(limit), until.parse().unwrap()));
    let keys = refusal.keys();
    assert_eq!(keys.iter().map(|key| (key.kind, &*key.of)).collect::<Vec<_>>(), [(limit, of)]);
}

#[test]
fn an_unknown_limit_concerns_the_account_and_a_pause_the_name() {
    let unknown =
        read("Failed to create Order: 503 urn:ietf:params:acme:error:rateLimited: Service busy; retry later.");
    assert_eq!(unknown.map(|refusal| (refusal.limit, refusal.keys()[0].kind)), Some((None, Kind::NewOrders)));
    let paused = read(
        "Failed to create Order: 429 urn:ietf:params:acme:error:rateLimited: Your account is temporarily prevented from requesting certificates for www.example.com and possibly others. Please visit: https://portal.example/unpause?jwt=x",
    );
    let keys = paused.unwrap().keys();
    assert_eq!((keys[0].kind, &*keys[0].of), (Kind::ConsecutiveFailures, "www.example.com"));
}

#[test]
fn other_failures_are_no_refusal() {
    for text in [
        "",
        "Error accepting challenge: 403 urn:ietf:params:acme:error:unauthorized: 429 urn:ietf:params:acme:error:rateLimited: no",
        "Failed to create Order: 500 urn:ietf:params:acme:error:serverInternal: too many new orders",
    ] {
        assert_eq!(read(text), None, "{text}");
    }
}
