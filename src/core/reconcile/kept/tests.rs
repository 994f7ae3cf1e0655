use super::*;
use crate::{
    api::domain::VerdictStatus,
    core::{host::Host, reconcile::testing},
};

const DAY: i64 = 86_400;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn holding(reason: Reason, released: bool) -> DomainStatus {
    let verdict = VerdictStatus { reason: reason.as_str().to_owned(), ..VerdictStatus::default() };
    DomainStatus { claimed_since: Some(Time(at(0))), verdict: Some(verdict), released, ..DomainStatus::default() }
}

/// Until when a host is kept that went at `now`, and what stands in its status then.
fn kept(before: &DomainStatus, now: i64, gives_up: bool) -> (Option<Timestamp>, DomainStatus) {
    let host = Host::parse("www.example.com").unwrap();
    let mut next = before.clone();
    let until = testing::input(&host, at(now), &[], |input| keep(&mut next, before, &input, gives_up, input.now));
    (until, next)
}

#[test]
fn a_host_that_led_here_is_kept_for_days_and_another_for_a_restart() {
    for before in [holding(Reason::Verified, false), holding(Reason::WrongTarget, true)] {
        let (until, status) = kept(&before, 100, false);
        assert_eq!((until, status.kept_until), (Some(at(100 + 7 * DAY)), Some(Time(at(100 + 7 * DAY)))));
        assert!(status.claimed_since.is_some());
    }
    let (until, status) = kept(&holding(Reason::WrongTarget, false), 100, false);
    assert_eq!((until, status.kept_until), (Some(at(160)), None));
}

#[test]
fn off_gives_it_up_at_once_and_who_never_held_it_keeps_nothing() {
    let (until, status) = kept(&holding(Reason::Verified, true), 100, true);
    assert_eq!((until, status.claimed_since, status.kept_until), (None, None, None));
    let stranger = DomainStatus { claimed_since: None, ..holding(Reason::Verified, false) };
    assert_eq!(kept(&stranger, 100, false).0, None);
    // Released by a version that wrote down no claims.
    let (until, status) = kept(&DomainStatus { claimed_since: None, ..holding(Reason::Verified, true) }, 100, false);
    assert!(until.is_some() && status.claimed_since.is_some());
}

#[test]
fn coming_and_going_does_not_prolong_it() {
    let host = Host::parse("www.example.com").unwrap();
    let (_, gone) = kept(&holding(Reason::Verified, true), 0, false);
    // It comes back without being verified again, and goes.
    let mut back = gone.clone();
    testing::input(&host, at(3 * DAY), &[], |mut input| {
        input.claimed = Some(at(3 * DAY));
        hold(&mut back, &input, false);
    });
    assert_eq!(back.claimed_since, gone.claimed_since, "the claim is as old as it was");
    let (until, _) = kept(&back, 4 * DAY, false);
    assert_eq!(until, Some(at(7 * DAY)));
    // Verified again, the days begin anew.
    testing::input(&host, at(5 * DAY), &[], |mut input| {
        input.claimed = Some(at(3 * DAY));
        hold(&mut back, &input, true);
    });
    assert_eq!(kept(&back, 6 * DAY, false).0, Some(at(13 * DAY)));
    // And then it is over.
    let (until, over) = kept(&gone, 7 * DAY, false);
    assert_eq!((until, over.claimed_since), (Some(at(7 * DAY + 60)), gone.claimed_since));
}

#[test]
fn whom_another_goes_before_holds_nothing() {
    let host = Host::parse("www.example.com").unwrap();
    let mut next = holding(Reason::Verified, false);
    testing::input(&host, at(1), &[], |mut input| {
        (input.claimed, input.taken) = (Some(at(0)), true);
        hold(&mut next, &input, true);
    });
    assert_eq!(next.claimed_since, None);
}
