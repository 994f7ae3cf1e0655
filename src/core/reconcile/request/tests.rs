use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::core::{
    certified::{self, Certified},
    csr::CsrNames,
    ingress::Labels,
    knowledge::{DomainFacts, VerdictFacts},
    policy::{ApprovalGate, GateMode, IssuerRef, Profile},
};

static NONE: Labels<'static> = Labels(Vec::new());

struct Known(DomainFacts);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, _: &str, _: &str) -> Option<&DomainFacts> {
        Some(&self.0)
    }
    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(day * 86_400).unwrap()
}

fn planned(reason: Reason, ends: Option<i64>, approve: bool) -> RequestPlan {
    planned_at(reason, ends, approve, Place::Free)
}

fn planned_at(reason: Reason, ends: Option<i64>, approve: bool, place: Place) -> RequestPlan {
    let host = Host::parse("a.example.com").unwrap();
    let issuer = IssuerRef::cluster("le");
    let verdict = VerdictFacts {
        finding: Finding::new(reason, &host),
        issuer: Some(issuer.clone()),
        server: None,
        valid_until: Timestamp::MAX,
    };
    let certified = ends.map(|ends| Certified {
        issuer,
        server: String::new(),
        names: certified::digest([&host]),
        not_before: Time(at(ends - 90)),
        not_after: Time(at(ends)),
    });
    let certified = certified.into_iter().collect();
    let known = Known(DomainFacts { verdict: Some(verdict), certified, ..DomainFacts::default() });
    let gate = ApprovalGate { mode: GateMode::All, let_through_days: 7, approve };
    let policy = Policy { issuer: Some(IssuerRef::cluster("le")), gate, ..Policy::default() };
    let names = Ok(CsrNames { hosts: vec![host], ..CsrNames::default() });
    let request = RequestFacts {
        namespace: "team",
        issuer: IssuerRef::cluster("le"),
        server: None,
        names,
        word: None,
        labels: &NONE,
        by_place: false,
        certificate: None,
    };
    plan(&request, &known, &place, |_| Some(at(101)), &policy, at(100))
}

#[test]
fn what_is_verified_is_approved_unless_somebody_else_must_decide() {
    assert!(
        matches!(planned(Reason::Verified, None, true), RequestPlan::Approve { despite, .. } if despite.is_empty())
    );
    assert_eq!(planned(Reason::Verified, None, false), RequestPlan::Leave);
}

#[test]
fn a_hold_tells_who_acts_and_the_next_check_and_ends_before_the_certificate_does() {
    let RequestPlan::Hold { findings, message, until } = planned(Reason::DomainNotFound, Some(120), true) else {
        panic!("not held")
    };
    assert!(tells(&findings) && message.contains("domain-owner") && message.contains("Next check: 1970-04-12"));
    assert_eq!(until, Some(at(113)));
    let RequestPlan::Approve { despite, .. } = planned(Reason::DomainNotFound, Some(107), true) else {
        panic!("held to the end")
    };
    assert_eq!(despite.len(), 1);
}

#[test]
fn nothing_is_told_while_certgate_itself_is_looking() {
    let RequestPlan::Hold { findings, .. } = planned(Reason::Pending, None, true) else { panic!("not held") };
    assert!(!tells(&findings));
}

#[test]
fn what_is_verified_needs_a_place_within_the_cas_limits() {
    use crate::core::limits::Kind;
    let wait = Wait { limit: Kind::CertificatesPerDomain, of: "example.com".into(), until: at(102), refused: false };
    for approve in [true, false] {
        assert_eq!(planned_at(Reason::Verified, None, approve, Place::Unasked), RequestPlan::Ask);
        let RequestPlan::Hold { findings, message, until } =
            planned_at(Reason::Verified, Some(107), approve, Place::Waiting(wait.clone()))
        else {
            panic!("not held")
        };
        assert_eq!((findings[0].reason, until), (Reason::RateLimited, Some(at(102))));
        assert!(message.contains("example.com") && message.contains("1970-04-13 00:00 UTC"), "{message}");
    }
    assert!(matches!(planned_at(Reason::Verified, None, true, Place::Granted), RequestPlan::Approve { .. }));
    // What is not verified asks for none.
    assert!(matches!(planned_at(Reason::WrongTarget, None, true, Place::Unasked), RequestPlan::Hold { .. }));
}
