use rstest::rstest;

use super::*;
use crate::core::reason::WhoActs;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn finding(reason: Reason) -> Finding {
    Finding::new(reason, "www.example.com")
}

fn conditions(status: &DomainStatus) -> Vec<String> {
    status.conditions.iter().map(|c| format!("{} {} {}", c.type_, c.status, c.reason)).collect()
}

#[rstest]
#[case::not_checked(Reason::Pending, None, false, ["Verified Unknown Pending", "Issued False Pending", "Ready False Pending"])]
#[case::held(Reason::WrongTarget, None, false, ["Verified False WrongTarget", "Issued False WrongTarget", "Ready False WrongTarget"])]
#[case::verified(Reason::Verified, None, false, ["Verified True Verified", "Issued False Verified", "Ready False Verified"])]
#[case::injected(Reason::Verified, None, true, ["Verified True Verified", "Issued False Issuing", "Ready False Issuing"])]
#[case::issuing(Reason::Verified, Some(Reason::Issuing), true, ["Verified True Verified", "Issued False Issuing", "Ready False Issuing"])]
#[case::issued(Reason::Verified, Some(Reason::Issued), true, ["Verified True Verified", "Issued True Issued", "Ready True Issued"])]
#[case::failed(Reason::Verified, Some(Reason::IssuanceFailed), true, ["Verified True Verified", "Issued False IssuanceFailed", "Ready False IssuanceFailed"])]
#[case::flapped(Reason::DnsTimeout, Some(Reason::Issued), true, ["Verified False DnsTimeout", "Issued True Issued", "Ready False RenewalAtRisk"])]
#[case::lost(Reason::DnsTimeout, Some(Reason::IssuanceFailed), true, ["Verified False DnsTimeout", "Issued False IssuanceFailed", "Ready False DnsTimeout"])]
#[case::asked_anew(Reason::Pending, Some(Reason::Issued), true, ["Verified Unknown Pending", "Issued True Issued", "Ready False Issued"])]
#[case::bound(Reason::BoundExisting, Some(Reason::BoundExisting), false, ["Verified True BoundExisting", "Issued True BoundExisting", "Ready True BoundExisting"])]
fn conditions_come_down_to(
    #[case] verified: Reason,
    #[case] issued: Option<Reason>,
    #[case] released: bool,
    #[case] expected: [&str; 3],
) {
    let mut status = DomainStatus::default();
    let (verified, issued) = (finding(verified), issued.map(finding));
    let effective = write(
        &mut status,
        &Findings { verified: &verified, issued: issued.as_ref(), released, instead: None },
        3,
        at(10),
    );
    assert_eq!(conditions(&status), expected);
    assert!(status.conditions.iter().all(|c| c.observed_generation == Some(3)));
    assert_eq!(reason_of(&status, READY), Some(effective.reason));
    assert_eq!(status.message, Some(effective.sentence(Lang::En)));
    assert_eq!(status.who_acts.as_deref(), Some(effective.who_acts().as_str()));
}

#[test]
fn a_transition_is_one_of_status_not_of_reason() {
    let mut status = DomainStatus::default();
    let mut write_at = |reason: Reason, issued: Option<Reason>, second| {
        let (verified, issued) = (finding(reason), issued.map(finding));
        write(
            &mut status,
            &Findings { verified: &verified, issued: issued.as_ref(), released: false, instead: None },
            1,
            at(second),
        );
        let ready = status.conditions.iter().find(|c| c.type_ == READY).unwrap();
        ready.last_transition_time.0.as_second()
    };
    assert_eq!(write_at(Reason::DomainNotFound, None, 10), 10);
    assert_eq!(write_at(Reason::NoAddress, None, 20), 10);
    assert_eq!(write_at(Reason::Verified, Some(Reason::Issued), 30), 30);
    assert_eq!(write_at(Reason::Verified, Some(Reason::Issued), 40), 30);
    assert_eq!(write_at(Reason::DnsTimeout, Some(Reason::Issued), 50), 50);
}

#[test]
fn who_must_act_at_renewal_at_risk_hears_what_is_wrong() {
    let mut status = DomainStatus::default();
    let verified = finding(Reason::WrongTarget).observed(["198.51.100.9"]).required(["203.0.113.7"]);
    let issued = finding(Reason::Issued);
    write(
        &mut status,
        &Findings { verified: &verified, issued: Some(&issued), released: true, instead: None },
        1,
        at(0),
    );
    let message = status.message.unwrap();
    assert!(message.contains("198.51.100.9") && message.contains("203.0.113.7"), "{message}");
}

#[test]
fn the_status_of_an_unwanted_host_keeps_its_verdict_and_nothing_that_acts() {
    let mut status = DomainStatus {
        lead: Some("shop".into()),
        released: true,
        checked_for: Some("digest".into()),
        ..DomainStatus::default()
    };
    write_unwanted(&mut status, &finding(Reason::SwitchedOff), 2, at(5));
    assert_eq!(
        conditions(&status),
        ["Verified False SwitchedOff", "Issued False SwitchedOff", "Ready False SwitchedOff"]
    );
    assert_eq!((status.lead, status.checked_for.as_deref()), (None, Some("digest")));
}

#[test]
fn warnings_are_for_those_who_must_act() {
    for reason in Reason::ALL {
        if reason.who_acts() == WhoActs::Nobody {
            assert!(!is_warning(*reason), "{reason}");
        }
    }
    for reason in [Reason::DomainNotFound, Reason::IssuerMissing, Reason::HostInvalid, Reason::IssuanceFailed] {
        assert!(is_warning(reason), "{reason}");
    }
}
