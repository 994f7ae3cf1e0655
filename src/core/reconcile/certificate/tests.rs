use std::collections::BTreeMap;

use rstest::rstest;

use super::*;
use crate::core::{
    reason::Reason,
    reconcile::{Checks, Claim, IssuerView, SecretView, Want},
    verdict::GatewayTarget,
};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn certificate(owner: Owner<'static>) -> CertificateView<'static> {
    CertificateView {
        name: "certgate-www.example.com",
        uid: "c",
        owner,
        secret: Some(SecretView::default()),
        ..CertificateView::default()
    }
}

fn of(uid: &'static str, exists: bool) -> Owner<'static> {
    Owner::Ingress { uid, exists }
}

/// Plans for a host whose Certificate is this one, at a second; `refers`: the
/// old owner still carries our parts.
fn plan(
    step: impl Fn(&HostInput<'_>, &mut HostPlan),
    certificate: Option<CertificateView<'_>>,
    refers: bool,
    notes: Notes,
    second: i64,
) -> HostPlan {
    let host = Host::parse("www.example.com").unwrap();
    let old = Claim {
        name: "old",
        uid: "old",
        created: at(0),
        want: Want::No(Finding::new(Reason::SwitchedOff, "www.example.com")),
        bears: None,
        refers,
        annotated: refers,
        check_now: None,
        root: true,
    };
    let input = HostInput {
        unknown: crate::core::reconcile::Unknown::Nothing,
        labels: BTreeMap::new(),
        limited: false,
        host: &host,
        now: at(second),
        claims: &[old],
        domain: None,
        taken: false,
        asked_elsewhere: false,
        claimed: None,
        kept_for: SignedDuration::ZERO,
        certificate,
        others: &[],
        secret: None,
        contested: None,
        issuer: IssuerView::NoValidation,
        server: None,
        other_issuers: Vec::new(),
        certified: Vec::new(),
        gateway: &GatewayTarget::default(),
        companion: None,
        name_taken: false,
        checks: &Checks::default(),
        notes: &Notes::default(),
        gated: None,
        switch: None,
        requested: false,
    };
    let mut plan = HostPlan { notes, ..HostPlan::default() };
    step(&input, &mut plan);
    plan
}

fn since(second: i64) -> Notes {
    Notes { amiss_since: Some(at(second)), unwanted_since: Some(at(second)), ..Notes::default() }
}

fn effects(plan: &HostPlan) -> &'static str {
    match plan.effects.as_slice() {
        [] => "nothing",
        [Effect::Nudge { ingress, .. }] if ingress == "lead" => "nudge",
        [Effect::DeleteCertificate { uid, .. }] if uid == "c" => "delete",
        other => panic!("{other:?}"),
    }
}

#[rstest]
#[case::ours(Some(of("lead", true)), false, 100, "nothing", None)]
#[case::missing_for_a_moment(None, false, 101, "nothing", Some(103))]
#[case::missing(None, false, 103, "nudge", Some(113))]
#[case::owner_gone_just_now(Some(of("gone", false)), false, 105, "nothing", Some(115))]
#[case::owner_gone_and_no_collector(Some(of("gone", false)), false, 115, "delete", None)]
#[case::owner_dropped_the_host(Some(of("old", true)), false, 103, "delete", None)]
#[case::owner_about_to_drop_it(Some(of("old", true)), true, 200, "nothing", None)]
#[case::a_persons(Some(Owner::Nobody), false, 200, "nothing", None)]
#[case::something_elses(Some(Owner::Other), false, 200, "nothing", None)]
fn a_wanted_certificate_is_brought_about(
    #[case] owner: Option<Owner<'static>>,
    #[case] refers: bool,
    #[case] now: i64,
    #[case] expected: &str,
    #[case] wake: Option<i64>,
) {
    let lead = Carrier { name: "lead", uid: "lead" };
    let plan = plan(|input, plan| repair(input, lead, plan), owner.map(certificate), refers, since(100), now);
    assert_eq!(effects(&plan), expected);
    assert_eq!(plan.wake, wake.map(at));
}

#[rstest]
#[case::none(None, false, 200, "nothing")]
#[case::seen_just_now(Some(of("old", true)), false, 101, "nothing")]
#[case::left_renewing(Some(of("old", true)), false, 103, "delete")]
#[case::about_to_be_withdrawn(Some(of("old", true)), true, 200, "nothing")]
#[case::a_persons(Some(Owner::Nobody), false, 200, "nothing")]
#[case::something_elses(Some(Owner::Other), false, 200, "nothing")]
fn an_unwanted_certificate_goes_if_ingress_shim_made_it(
    #[case] owner: Option<Owner<'static>>,
    #[case] refers: bool,
    #[case] now: i64,
    #[case] expected: &str,
) {
    let plan = plan(withdraw, owner.map(certificate), refers, since(100), now);
    assert_eq!(effects(&plan), expected);
}

#[test]
fn nudges_are_spaced_ever_wider() {
    let waits: Vec<i64> = (1..=12)
        .map(|nudges| {
            let notes = Notes { nudges, nudged_at: Some(at(0)), ..Notes::default() };
            next_nudge(&notes, at(0)).as_second()
        })
        .collect();
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
    let many = Notes { nudges: u32::MAX, nudged_at: Some(at(0)), ..Notes::default() };
    assert_eq!(next_nudge(&many, at(0)), at(3600));
}

#[rstest]
#[case::ready(true, false, None, Reason::Issued)]
#[case::renewing(true, true, None, Reason::Issued)]
#[case::renewal_failed(true, false, Some("429 too many"), Reason::RenewalAtRisk)]
#[case::renewal_tried_again(true, true, Some("429 too many"), Reason::Issued)]
#[case::new(false, false, None, Reason::Issuing)]
#[case::under_way(false, true, None, Reason::Issuing)]
#[case::failed(false, false, Some("no"), Reason::IssuanceFailed)]
fn a_certificate_says(
    #[case] ready: bool,
    #[case] issuing: bool,
    #[case] failure: Option<&str>,
    #[case] expected: Reason,
) {
    let host = Host::parse("www.example.com").unwrap();
    let certificate = CertificateView { ready, issuing, failure, ..CertificateView::default() };
    let finding = finding(&host, Some(&certificate), Timestamp::UNIX_EPOCH).unwrap();
    assert_eq!(finding.reason, expected);
    // Of a renewal at risk the note is the whole sentence of what would go wrong.
    let told = if finding.reason == Reason::Issued { "" } else { failure.unwrap_or_default() };
    assert!(finding.note.contains(told) && (finding.note.is_empty() || !told.is_empty()), "{finding:?}");
}
