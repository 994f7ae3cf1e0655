use rstest::rstest;

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[rstest]
#[case::not_looked_at_yet(Reason::Pending, false, "Unknown")]
#[case::held(Reason::WrongTarget, false, "False")]
#[case::good(Reason::Verified, false, "True")]
#[case::private_ca(Reason::NoValidationNeeded, false, "True")]
#[case::left_over(Reason::CertificateLeftOver, true, "False")]
fn a_condition_says_what_was_found(#[case] reason: Reason, #[case] left_over: bool, #[case] status: &str) {
    let found = condition(&Finding::new(reason, "www.example.com"), left_over, None, at(10));
    assert_eq!((found.status.as_str(), found.reason.as_str(), found.since), (status, reason.as_str(), Some(at(10))));
}

#[test]
fn its_time_is_that_of_the_last_change_of_status() {
    let first = condition(&Finding::new(Reason::DomainNotFound, "www.example.com"), false, None, at(10));
    let other = condition(&Finding::new(Reason::WrongTarget, "www.example.com"), false, Some(&first), at(20));
    assert_eq!(other.since, Some(at(10)));
    let good = condition(&Finding::new(Reason::Verified, "www.example.com"), false, Some(&other), at(30));
    assert_eq!(good.since, Some(at(30)));
    let again = condition(&Finding::new(Reason::Verified, "www.example.com"), false, Some(&good), at(40));
    assert_eq!(again, good, "nothing to write");
}

fn switch(routed: Option<bool>) -> Switch<'static> {
    let view = CertificateView { name: "www.example.comp-ps-s", ..CertificateView::default() };
    Switch {
        policy: Rainbond { routes: true, left_over_seconds: 60, ..Rainbond::default() },
        certificates: vec![Switched { view, looked_at: true, condition: None }],
        routed,
        flagged: false,
    }
}

#[rstest]
#[case::routed(Some(true))]
#[case::routes_unknown(None)]
fn nothing_is_left_over_that_a_route_serves_or_may_serve(#[case] routed: Option<bool>) {
    let mut plan = HostPlan::default();
    plan.notes.unrouted_since = Some(at(0));
    assert_eq!(switch(routed).left_over("www.example.com", false, at(1000), &mut plan), None);
    assert_eq!(plan.notes.unrouted_since, None, "the time begins anew");
}

#[test]
fn what_no_route_serves_is_left_over_after_a_while() {
    let mut plan = HostPlan::default();
    let alone = switch(Some(false));
    assert_eq!(alone.left_over("www.example.com", false, at(1000), &mut plan), None);
    assert_eq!(plan.wake, Some(at(1060)));
    assert_eq!(alone.left_over("www.example.com", false, at(1059), &mut plan), None);
    let told = alone.left_over("www.example.com", false, at(1060), &mut plan).unwrap();
    assert_eq!((told.reason, told.note.as_str()), (Reason::CertificateLeftOver, "www.example.comp-ps-s"));
    assert!(
        alone.left_over("www.example.com", true, at(0), &mut HostPlan::default()).is_some(),
        "it stays so after a restart"
    );
    let none = Switch { certificates: Vec::new(), ..alone };
    assert_eq!(none.left_over("www.example.com", false, at(9999), &mut plan), None);
}
