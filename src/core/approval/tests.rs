use std::collections::BTreeMap;

use super::*;
use crate::core::{
    knowledge::{PlaceFacts, VerdictFacts},
    policy::Profile,
};

static NONE: Labels<'static> = Labels(Vec::new());

#[derive(Default)]
struct Known(BTreeMap<&'static str, DomainFacts>);

impl Knowledge for Known {
    fn namespace_label(&self, _: &str, _: &str) -> Option<&str> {
        None
    }
    fn domain(&self, _: &str, host: &str) -> Option<&DomainFacts> {
        self.0.get(host)
    }
    fn has_profile(&self, _: &str, _: Profile) -> bool {
        false
    }
}

fn now() -> Timestamp {
    "2026-11-24T12:00:00Z".parse().unwrap()
}

fn policy(mode: GateMode) -> Policy {
    Policy {
        issuer: Some(IssuerRef::cluster("le")),
        gate: ApprovalGate { mode, let_through_days: 7, approve: true },
        exclude_namespaces: vec!["own".into()],
        ..Policy::default()
    }
}

fn found(reason: Reason) -> DomainFacts {
    let verdict = VerdictFacts {
        finding: Finding::new(reason, "h"),
        issuer: Some(IssuerRef::cluster("le")),
        valid_until: Timestamp::MAX,
    };
    DomainFacts { verdict: Some(verdict), ..DomainFacts::default() }
}

fn request(hosts: &[&str]) -> RequestFacts<'static> {
    RequestFacts {
        by_place: true,
        namespace: "team-a",
        issuer: IssuerRef::cluster("le"),
        word: None,
        labels: &NONE,
        certificate: None,
        names: Ok(CsrNames { hosts: hosts.iter().map(|h| Host::parse(h).unwrap()).collect(), ..CsrNames::default() }),
    }
}

#[test]
fn what_the_gate_leaves_alone() {
    let known = Known::default();
    let rows = [
        (request(&["a.example.com"]), GateMode::Off, NotGated::Off),
        (
            RequestFacts { issuer: IssuerRef::cluster("other"), ..request(&["a.example.com"]) },
            GateMode::All,
            NotGated::OtherIssuer,
        ),
        (RequestFacts { namespace: "own", ..request(&["a.example.com"]) }, GateMode::All, NotGated::NamespaceExcluded),
        (
            RequestFacts { namespace: "kube-system", ..request(&["a.example.com"]) },
            GateMode::All,
            NotGated::NamespaceExcluded,
        ),
        (
            RequestFacts { names: Ok(CsrNames { others: true, ..CsrNames::default() }), ..request(&[]) },
            GateMode::All,
            NotGated::NoDnsNames,
        ),
        (RequestFacts { names: Err(CsrError::Malformed), ..request(&[]) }, GateMode::All, NotGated::Unreadable),
        (request(&["a.example.com"]), GateMode::Annotated, NotGated::NotFlagged),
    ];
    for (request, mode, expected) in rows {
        assert_eq!(judge(&request, &known, &policy(mode), now()), Approval::NotGated(expected), "{request:?}");
    }
}

#[test]
fn a_request_is_allowed_when_every_name_is_verified_for_its_issuer() {
    let stale = {
        let mut facts = found(Reason::Verified);
        facts.verdict.as_mut().unwrap().valid_until = now();
        facts
    };
    let elsewhere = {
        let mut facts = found(Reason::Verified);
        facts.verdict.as_mut().unwrap().issuer = Some(IssuerRef::cluster("staging"));
        facts
    };
    let known = Known(BTreeMap::from([
        ("good.example.com", found(Reason::Verified)),
        ("private.example.com", found(Reason::NoValidationNeeded)),
        ("bad.example.com", DomainFacts { issued: true, released: true, ..found(Reason::WrongTarget) }),
        ("stale.example.com", stale),
        ("elsewhere.example.com", elsewhere),
    ]));
    for (hosts, expected) in [
        (vec!["good.example.com", "private.example.com"], vec![]),
        (vec!["good.example.com", "bad.example.com"], vec![Reason::WrongTarget]),
        (vec!["stale.example.com"], vec![Reason::VerdictStale]),
        (vec!["elsewhere.example.com"], vec![Reason::Pending]),
        (vec!["unknown.example.com"], vec![Reason::Pending]),
    ] {
        let verdict = judge(&request(&hosts), &known, &policy(GateMode::All), now());
        match verdict {
            Approval::Allowed => assert!(expected.is_empty(), "{hosts:?}"),
            Approval::Held(held) => {
                assert_eq!(held.iter().map(|f| f.reason).collect::<Vec<_>>(), expected, "{hosts:?}")
            }
            other => panic!("{hosts:?}: {other:?}"),
        }
    }
}

#[test]
fn only_flagged_names_hold_a_request_where_policy_gates_only_those() {
    let known = Known(BTreeMap::from([
        ("bad.example.com", DomainFacts { lead: Some("web".into()), ..found(Reason::DomainNotFound) }),
        ("flagged.example.com", DomainFacts { auto_issue: Some(true), ..found(Reason::DomainNotFound) }),
        ("checked.example.com", found(Reason::DomainNotFound)),
        ("good.example.com", DomainFacts { lead: Some("web".into()), ..found(Reason::Verified) }),
    ]));
    let policy = policy(GateMode::Annotated);
    let permits = |request: &RequestFacts<'_>| judge(request, &known, &policy, now()).permits();
    assert!(!permits(&request(&["flagged.example.com"])));
    assert!(permits(&request(&["checked.example.com"])), "nothing flags it");
    let says = |word| RequestFacts { word: Some(word), ..request(&["checked.example.com"]) };
    assert!(!permits(&says("true")) && permits(&says("false")), "cert-manager copies the Certificate's own word");
    assert_eq!(
        judge(&request(&["good.example.com", "unknown.example.com"]), &known, &policy, now()),
        Approval::Allowed
    );
    assert!(!judge(&request(&["bad.example.com", "unknown.example.com"]), &known, &policy, now()).permits());
}

#[test]
fn a_renewal_is_let_through_before_its_certificate_runs_out() {
    let days = |n: i64| now() + SignedDuration::from_hours(24 * n);
    for (ends, held) in [(Some(days(20)), true), (Some(days(7)), false), (Some(days(-1)), false), (None, true)] {
        let facts = DomainFacts { issued: true, not_after: ends, ..found(Reason::DomainNotFound) };
        let verdict = judge(
            &request(&["a.example.com"]),
            &Known(BTreeMap::from([("a.example.com", facts)])),
            &policy(GateMode::All),
            now(),
        );
        assert_eq!(!verdict.permits(), held, "{ends:?}");
        assert_eq!(verdict.approves(), !held);
    }
}

#[test]
fn a_name_that_is_none_is_held_with_its_own_reason() {
    let mut request = request(&[]);
    request.names = Ok(CsrNames { invalid: vec!["a_b.example.com".into()], ..CsrNames::default() });
    let Approval::Held(held) = judge(&request, &Known::default(), &policy(GateMode::All), now()) else { panic!() };
    assert_eq!(held[0].reason, Reason::HostInvalid);
}

#[test]
fn others_approve_only_what_has_its_place_within_the_cas_limits() {
    let limited = Finding::new(Reason::RateLimited, "a.example.com");
    let waiting = VerdictFacts { finding: limited, issuer: None, valid_until: Timestamp::MAX };
    for (place, by_place, expected) in [
        (None, true, None),
        (Some(PlaceFacts::Granted), true, None),
        (Some(PlaceFacts::Unasked), true, Some(Reason::Pending)),
        (Some(PlaceFacts::Waiting(Box::new(waiting.clone()))), true, Some(Reason::RateLimited)),
        // The controller asks the budget itself.
        (Some(PlaceFacts::Waiting(Box::new(waiting))), false, None),
    ] {
        let known = Known([("a.example.com", DomainFacts { place, ..found(Reason::Verified) })].into());
        let request = RequestFacts { by_place, ..request(&["a.example.com"]) };
        let reason = match judge(&request, &known, &policy(GateMode::All), now()) {
            Approval::Held(findings) => Some(findings[0].reason),
            Approval::Allowed => None,
            other => panic!("{other:?}"),
        };
        assert_eq!(reason, expected);
    }
}

#[test]
fn rainbonds_switch_is_a_word_of_its_certificates_own_where_policy_heeds_it() {
    let labels = Labels(vec![(names::RAINBOND_APP_ID.into(), "6def".into())]);
    let request = |word, certificate| RequestFacts {
        labels: &labels,
        certificate: Some(certificate),
        word,
        ..request(&["3w.example.com"])
    };
    let known = Known(BTreeMap::from([("3w.example.com", found(Reason::DomainNotFound))]));
    let heeding = Policy {
        rainbond: crate::core::policy::Rainbond { routes: true, ..Default::default() },
        ..policy(GateMode::Annotated)
    };
    for (word, certificate, policy, held) in [
        (None, "w.example.comp-ps-s", &heeding, true),
        (Some("false"), "w.example.comp-ps-s", &heeding, false),
        (None, "shop-tls", &heeding, false),
        (None, "w.example.comp-ps-s", &policy(GateMode::Annotated), false),
    ] {
        let verdict = judge(&request(word, certificate), &known, policy, now());
        assert_eq!(!verdict.permits(), held, "{word:?} {certificate} {:?}", policy.rainbond);
    }
}
