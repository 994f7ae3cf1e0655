use super::*;
use crate::{
    api::domain::VerdictStatus,
    core::{
        finding::Finding,
        host::Host,
        knowledge::Bind,
        reconcile::testing,
        reconcile::{Claim, Want},
    },
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn le() -> IssuerRef {
    IssuerRef::cluster("le")
}

fn verdict(reason: Reason, issuer: &str, until: i64) -> DomainStatus {
    let verdict = VerdictStatus {
        reason: reason.as_str().to_owned(),
        issuer: Some(IssuerRef::cluster(issuer)),
        valid_until: Some(Time(at(until))),
        ..VerdictStatus::default()
    };
    DomainStatus { verdict: Some(verdict), ..DomainStatus::default() }
}

#[test]
fn the_gate_stands_open_for_one_issuer_a_while_and_with_a_place() {
    let good = verdict(Reason::Verified, "le", 100);
    assert!(stands_open(&good, Some(&le()), at(99)));
    assert!(!stands_open(&good, Some(&le()), at(100)), "too old");
    assert!(!stands_open(&good, Some(&IssuerRef::cluster("other")), at(1)));
    assert!(!stands_open(&verdict(Reason::WrongTarget, "le", 100), Some(&le()), at(1)));
    assert!(!stands_open(&verdict(Reason::BoundExisting, "le", 100), Some(&le()), at(1)), "says nothing of an order");
    for (place, open) in [(PlaceStatus::Granted, true), (PlaceStatus::Unasked, false), (PlaceStatus::Waiting, false)] {
        let status = DomainStatus { place: Some(place), ..good.clone() };
        assert_eq!(stands_open(&status, Some(&le()), at(1)), open, "{place:?}");
    }
}

#[test]
fn what_an_earlier_version_released_stays_released_for_the_issuer_of_its_verdict() {
    let before = DomainStatus { released: true, ..verdict(Reason::WrongTarget, "le", 1) };
    let mut next = DomainStatus::default();
    carry(&mut next, &before, true, Some(&IssuerRef::cluster("other")));
    assert!(next.released && is_released_for(&next, Some(&le())));
    assert!(!is_released_for(&next, Some(&IssuerRef::cluster("other"))));
    let mut gone = next.clone();
    carry(&mut gone, &next, false, None);
    assert_eq!((gone.released, gone.released_issuer), (false, None));
}

#[test]
fn entries_are_remembered_while_an_ingress_has_them() {
    let host = Host::parse("www.example.com").unwrap();
    let claim = |secret| Claim {
        name: "a",
        uid: "a",
        created: at(0),
        want: Want::No(Finding::new(Reason::SwitchedOff, "www.example.com")),
        bears: secret,
        refers: true,
        annotated: false,
        root: false,
        check_now: None,
    };
    let bound = |secret: &str| Some(Bind { secret_name: secret.into(), certificate: "c".into() });
    let remembered = |next: DomainStatus, before: &DomainStatus, bears| {
        let mut next = next;
        let claims = [claim(bears)];
        testing::input(&host, at(10), &claims, |input| remember_entries(&mut next, before, &input));
        next.injected_secrets
    };
    let (none, own) = (DomainStatus::default(), "certgate-www.example.com");
    let before = DomainStatus { released: true, ..DomainStatus::default() };
    assert_eq!(remembered(none.clone(), &before, Some(own)), [own], "it was let through, and is not any more");
    assert_eq!(remembered(before.clone(), &before, Some(own)), [""; 0], "released says it already");
    assert_eq!(remembered(none.clone(), &before, None), [""; 0], "it was taken away");
    assert_eq!(remembered(none.clone(), &none, Some(own)), [""; 0], "written by hand");
    let was = DomainStatus { bind: bound("old"), ..DomainStatus::default() };
    let is = DomainStatus { bind: bound("new"), ..DomainStatus::default() };
    assert_eq!(remembered(is, &was, Some("old")), ["old"]);
    let open = verdict(Reason::Verified, "le", 100);
    assert_eq!(remembered(none, &open, Some(own)), [own], "injected just before the flag went");
}
