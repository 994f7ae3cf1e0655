use std::collections::BTreeMap;

use super::*;
use jiff::SignedDuration;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::core::{
    certified::Certified,
    knowledge::{PlaceFacts, VerdictFacts},
    policy::{ApprovalGate, Profile},
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
        server: None,
        valid_until: Timestamp::MAX,
    };
    DomainFacts { verdict: Some(verdict), ..DomainFacts::default() }
}

fn request(hosts: &[&str]) -> RequestFacts<'static> {
    RequestFacts {
        by_place: true,
        namespace: "team-a",
        issuer: IssuerRef::cluster("le"),
        server: None,
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
        // Nothing of the gate's, so that it does not matter that it cannot be read.
        (
            RequestFacts { issuer: IssuerRef::cluster("other"), names: Err(CsrError::Malformed), ..request(&[]) },
            GateMode::All,
            NotGated::OtherIssuer,
        ),
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
            Approval::Held { findings: held, .. } => {
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
fn what_cannot_be_read_is_held_whatever_is_gated() {
    for (error, words) in [
        (CsrError::Malformed, "not a PEM"),
        (CsrError::TooLarge, "larger than"),
        (CsrError::Ambiguous("it has two heads"), "more than one way: it has two heads"),
    ] {
        for mode in [GateMode::All, GateMode::Annotated] {
            let request = RequestFacts { names: Err(error), word: Some("false"), ..request(&[]) };
            let verdict = judge(&request, &Known::default(), &policy(mode), now());
            let Approval::Held { findings, until: None } = verdict else { panic!("{verdict:?}") };
            assert_eq!(findings[0].reason, Reason::RequestUnreadable);
            let told = held(&findings);
            assert!(told.contains(words) && told.contains("who acts: app-developer"), "{told}");
        }
    }
}

#[test]
fn a_verdict_for_one_issuer_opens_nothing_for_another() {
    let by = |name: &str, reason, server: Option<&str>| VerdictFacts {
        finding: Finding::new(reason, "a.example.com"),
        issuer: Some(IssuerRef::cluster(name)),
        server: server.map(str::to_owned),
        valid_until: Timestamp::MAX,
    };
    let private = by("private", Reason::NoValidationNeeded, Some(""));
    let nobody = VerdictFacts { issuer: None, ..private.clone() };
    let elsewhere = by("le", Reason::Verified, Some("https://old.example/dir"));
    for (verdict, other_verdicts, lead, expected) in [
        (Some(private.clone()), vec![], None, Some(Reason::Pending)),
        // Nor where an Ingress has it kept for the other.
        (Some(private.clone()), vec![], Some("web"), Some(Reason::Pending)),
        (Some(nobody), vec![], None, Some(Reason::Pending)),
        (None, vec![private.clone()], None, Some(Reason::Pending)),
        (Some(private.clone()), vec![by("le", Reason::WrongTarget, None)], None, Some(Reason::WrongTarget)),
        (Some(private.clone()), vec![by("le", Reason::Verified, Some(""))], None, Some(Reason::Pending)),
        (Some(private.clone()), vec![by("le", Reason::Verified, Some("https://ca.example/dir"))], Some("web"), None),
        // The issuer of that name was edited, or made anew, for another CA.
        (Some(elsewhere), vec![], Some("web"), Some(Reason::Pending)),
    ] {
        let facts = DomainFacts { verdict, other_verdicts, lead: lead.map(Into::into), ..DomainFacts::default() };
        let server = Some("https://ca.example/dir");
        let request = RequestFacts { server, by_place: false, ..request(&["a.example.com"]) };
        let reason =
            match judge(&request, &Known([("a.example.com", facts.clone())].into()), &policy(GateMode::All), now()) {
                Approval::Held { findings, .. } => Some(findings[0].reason),
                Approval::Allowed => None,
                other => panic!("{other:?}"),
            };
        assert_eq!(reason, expected, "{facts:?}");
    }
}

fn certified(issuer: &str, names: &[&str], begins: i64, ends: i64) -> Certified {
    let hosts: Vec<Host> = names.iter().map(|name| Host::parse(name).unwrap()).collect();
    let hours = |n| Time(now() + SignedDuration::from_hours(n));
    Certified {
        issuer: IssuerRef::cluster(issuer),
        server: "https://ca.example/dir".into(),
        names: certified::digest(&hosts),
        not_before: hours(begins),
        not_after: hours(ends),
    }
}

#[test]
fn a_renewal_is_let_through_before_the_certificate_that_the_ca_made_runs_out() {
    const A: &str = "a.example.com";
    const B: &str = "b.example.com";
    const DAY: i64 = 24;
    let le = |begins, ends| certified("le", &[A], begins, ends);
    let both = |begins, ends| certified("le", &[A, B], begins, ends);
    let rows = [
        ("ninety days", vec![A], vec![vec![le(-70 * DAY, 20 * DAY)]], true),
        ("their last week", vec![A], vec![vec![le(-83 * DAY, 7 * DAY)]], false),
        ("forty-five days, due", vec![A], vec![vec![le(-31 * DAY, 14 * DAY)]], true),
        ("their last week", vec![A], vec![vec![le(-38 * DAY, 7 * DAY)]], false),
        ("six days, new", vec![A], vec![vec![le(0, 160)]], true),
        ("six days, due", vec![A], vec![vec![le(-107, 53)]], true),
        ("their last day", vec![A], vec![vec![le(-136, 24)]], false),
        ("over", vec![A], vec![vec![le(-91 * DAY, -DAY)]], false),
        ("long over", vec![A], vec![vec![le(-99 * DAY, -8 * DAY)]], true),
        ("none", vec![A], vec![vec![]], true),
        ("renewed since", vec![A], vec![vec![le(-DAY, 89 * DAY)]], true),
        ("another issuer's", vec![A], vec![vec![certified("private", &[A], -83 * DAY, DAY)]], true),
        ("for more names", vec![A], vec![vec![both(-83 * DAY, DAY)]], true),
        ("for fewer names", vec![A, B], vec![vec![le(-83 * DAY, DAY)], vec![]], true),
        ("one of two", vec![A, B], vec![vec![both(-83 * DAY, DAY)], vec![]], true),
        ("both", vec![A, B], vec![vec![both(-83 * DAY, DAY)], vec![both(-83 * DAY, DAY)]], false),
    ];
    for (what, hosts, certified, expected) in rows {
        let domains = hosts.iter().zip(certified).map(|(host, certified)| {
            // What stands in the Secret, as its tenant has it, counts for nothing.
            let certificate = Some((None, now() + SignedDuration::from_hours(1)));
            (*host, DomainFacts { issued: true, certificate, certified, ..found(Reason::DomainNotFound) })
        });
        let verdict = judge(&request(&hosts), &Known(domains.collect()), &policy(GateMode::All), now());
        assert_eq!(!verdict.permits(), expected, "{what}: {verdict:?}");
        assert_eq!(verdict.approves(), !expected, "{what}");
    }
}

#[test]
fn a_hold_ends_when_the_last_of_its_names_is_let_through() {
    const NAMES: [&str; 2] = ["a.example.com", "b.example.com"];
    let facts = |ends| DomainFacts {
        certified: vec![certified("le", &NAMES, ends - 90 * 24, ends)],
        ..found(Reason::DomainNotFound)
    };
    let known = Known([(NAMES[0], facts(20 * 24)), (NAMES[1], facts(21 * 24))].into());
    let verdict = judge(&request(&NAMES), &known, &policy(GateMode::All), now());
    let Approval::Held { until, .. } = verdict else { panic!("{verdict:?}") };
    assert_eq!(until, Some(now() + SignedDuration::from_hours(14 * 24)));
    // A name that is none was never certified.
    let mut broken = request(&NAMES);
    broken.names.as_mut().unwrap().invalid.push("a_b.example.com".into());
    let verdict = judge(&broken, &known, &policy(GateMode::All), now() + SignedDuration::from_hours(20 * 24));
    assert!(matches!(verdict, Approval::Held { until: None, .. }), "{verdict:?}");
}

#[test]
fn a_name_that_is_none_is_held_with_its_own_reason() {
    let mut request = request(&[]);
    request.names = Ok(CsrNames { invalid: vec!["a_b.example.com".into()], ..CsrNames::default() });
    let Approval::Held { findings: held, .. } = judge(&request, &Known::default(), &policy(GateMode::All), now())
    else {
        panic!()
    };
    assert_eq!(held[0].reason, Reason::HostInvalid);
}

#[test]
fn others_approve_only_what_has_its_place_within_the_cas_limits() {
    let limited = Finding::new(Reason::RateLimited, "a.example.com");
    let waiting = VerdictFacts { finding: limited, issuer: None, server: None, valid_until: Timestamp::MAX };
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
            Approval::Held { findings, .. } => Some(findings[0].reason),
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

#[test]
fn a_place_at_one_ca_is_none_at_another() {
    let le = found(Reason::Verified).verdict;
    let mut other = le.clone().unwrap();
    other.issuer = Some(IssuerRef::cluster("other"));
    let facts = DomainFacts {
        verdict: Some(other),
        other_verdicts: le.into_iter().collect(),
        place: Some(PlaceFacts::Granted),
        ..DomainFacts::default()
    };
    let known = Known([("a.example.com", facts)].into());
    let permits = |by_place, approve| {
        let gate = ApprovalGate { approve, ..policy(GateMode::All).gate };
        let policy = Policy { gate, ..policy(GateMode::All) };
        judge(&RequestFacts { by_place, ..request(&["a.example.com"]) }, &known, &policy, now()).permits()
    };
    // The controller asks for a place; others must not be faster, unless nobody else approves.
    assert!(permits(false, true) && !permits(true, true) && permits(true, false));
}
