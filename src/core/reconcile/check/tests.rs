use std::time::Duration;

use rstest::rstest;

use super::*;
use crate::core::{
    host::Host,
    reconcile::Want,
    verdict::{CaIdentity, GatewayTarget, Method, Verdict},
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn request(address: &str) -> Request {
    Request {
        host: Host::parse("www.example.com").unwrap(),
        method: Method::Http01,
        gateway: GatewayTarget { addresses: vec![address.parse().unwrap()], ..GatewayTarget::default() },
        ca: CaIdentity::default(),
    }
}

fn fresh(reason: Reason, at_second: i64, next: Duration) -> Fresh {
    Fresh {
        asked: asked(&request("203.0.113.7"), None),
        verdict: Verdict {
            finding: Finding::new(reason, "www.example.com"),
            warnings: Vec::new(),
            checks: Vec::new(),
            next_check: next,
            validity: Duration::from_secs(600),
        },
        at: at(at_second),
    }
}

/// Checked at 1000 with this outcome, next at 1060.
fn checked(reason: Reason) -> DomainStatus {
    let mut status = DomainStatus::default();
    adopt(&mut status, &fresh(reason, 1000, Duration::from_secs(60)), Some(&IssuerRef::cluster("le")));
    status
}

fn when(status: &DomainStatus, now: i64, checks: &Checks, issued: bool) -> Due {
    let asked = asked(&request("203.0.113.7"), None);
    due(status, &asked, Some(&IssuerRef::cluster("le")), checks, issued, at(now))
}

#[rstest]
#[case::never_checked(DomainStatus::default(), 1000, false, false, Due::Now)]
#[case::not_yet(checked(Reason::NoAddress), 1059, false, false, Due::At(at(1060)))]
#[case::now(checked(Reason::NoAddress), 1060, false, false, Due::Now)]
#[case::edited(checked(Reason::NoAddress), 1030, true, false, Due::Now)]
#[case::edited_twice_in_a_second(checked(Reason::NoAddress), 1000, true, false, Due::At(at(1001)))]
#[case::edited_while_good(checked(Reason::Verified), 1030, true, false, Due::At(at(1060)))]
#[case::issued(checked(Reason::Verified), 1060, false, true, Due::At(at(1000 + 3600)))]
#[case::issued_an_hour_ago(checked(Reason::Verified), 4600, false, true, Due::Now)]
#[case::renewal_at_risk(checked(Reason::WrongTarget), 1060, false, true, Due::At(at(1000 + 300)))]
fn checks_are_due(
    #[case] status: DomainStatus,
    #[case] now: i64,
    #[case] edited: bool,
    #[case] issued: bool,
    #[case] expected: Due,
) {
    assert_eq!(when(&status, now, &Checks { edited, ..Checks::default() }, issued), expected);
}

#[test]
fn another_question_is_asked_at_once() {
    let status = checked(Reason::Verified);
    let issuer = IssuerRef::cluster("le");
    let now = at(1001);
    let same = asked(&request("203.0.113.7"), None);
    assert_eq!(due(&status, &same, Some(&issuer), &Checks::default(), false, now), Due::At(at(1060)));
    let elsewhere = asked(&request("203.0.113.8"), None);
    assert_eq!(due(&status, &elsewhere, Some(&issuer), &Checks::default(), false, now), Due::Now, "gateway");
    let other = IssuerRef::cluster("other");
    assert_eq!(due(&status, &same, Some(&other), &Checks::default(), false, now), Due::Now, "issuer");
    let pushed = asked(&request("203.0.113.7"), Some("1".into()));
    assert_eq!(due(&status, &pushed, Some(&issuer), &Checks::default(), false, now), Due::Now, "check-now");
    let seen = DomainStatus { checked_now: Some("1".into()), ..status };
    assert_eq!(due(&seen, &pushed, Some(&issuer), &Checks::default(), false, now), Due::At(at(1060)));
    let running = Checks { running: Some(same.clone()), ..Checks::default() };
    assert_eq!(due(&seen, &same, Some(&issuer), &running, false, now), Due::Running, "one at a time");
    assert_eq!(due(&seen, &pushed, Some(&issuer), &running, false, now), Due::Now, "in place of what is out of date");
}

#[test]
fn times_are_whole_seconds_and_never_before_what_was_meant() {
    let mut status = DomainStatus::default();
    adopt(&mut status, &fresh(Reason::NoAddress, 1000, Duration::from_millis(1500)), None);
    assert_eq!(status.next_check_time, Some(Time(at(1002))));
    // Written and read back it is the same, or every plan would write it anew.
    let json = serde_json::to_string(&status).unwrap();
    assert_eq!(serde_json::from_str::<DomainStatus>(&json).unwrap(), status);
}

#[test]
fn a_good_verdict_is_renewed_before_it_ends() {
    let mut status = DomainStatus::default();
    adopt(&mut status, &fresh(Reason::Verified, 1000, Duration::from_secs(3600)), None);
    assert_eq!(status.next_check_time, Some(Time(at(1600))), "its validity is 600 s");
}

#[test]
fn held_since_counts_from_the_last_progress() {
    let mut status = DomainStatus::default();
    let mut after = |reason, second| {
        adopt(&mut status, &fresh(reason, second, Duration::from_secs(60)), None);
        status.held_since.as_ref().map(|time| time.0.as_second())
    };
    assert_eq!(after(Reason::DomainNotFound, 10), Some(10));
    assert_eq!(after(Reason::DomainNotFound, 70), Some(10));
    assert_eq!(after(Reason::NoAddress, 130), Some(130), "the owner is at work");
    assert_eq!(after(Reason::Verified, 190), None);
    assert_eq!(after(Reason::DomainNotFound, 250), Some(250));
}

#[test]
fn what_needed_no_dns_stays_as_written() {
    let mut status = checked(Reason::NoAddress);
    let finding = Finding::new(Reason::NoValidationNeeded, "www.example.com");
    settle(&mut status, &finding, None, at(2000));
    assert_eq!(status.next_check_time, None);
    let before = status.clone();
    settle(&mut status, &finding, None, at(900_000));
    assert_eq!(status, before, "days later");
    settle(&mut status, &finding, None, at(365 * 86_400));
    assert_ne!(status, before, "renewed in good time");
}

#[test]
fn values_of_check_now_are_bounded() {
    let long = "x".repeat(10_000);
    let claim = |value| Claim {
        name: "a",
        uid: "a",
        created: at(0),
        want: Want::No(Finding::new(Reason::NotFlagged, "www.example.com")),
        bears: None,
        refers: false,
        annotated: false,
        check_now: value,
        root: true,
    };
    let status = DomainStatus::default();
    let domain = DomainView { generation: 1, managed: true, deleting: false, check_now: None, status: &status };
    assert_eq!(check_now(&domain, &[claim(None)]), None);
    assert_eq!(check_now(&domain, &[claim(Some("1")), claim(None), claim(Some("2"))]).as_deref(), Some("1,2"));
    assert!(check_now(&domain, &[claim(Some(&long))]).is_some_and(|value| value.len() < MAX_TOKEN));
}
