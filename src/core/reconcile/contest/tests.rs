use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

/// When something is written that is taken back `after` each write, until `end`.
fn writes(what: impl Fn(usize) -> u64, after: Duration, end: Duration) -> Vec<Duration> {
    let (mut contest, mut now, mut at) = (Contest::default(), Duration::ZERO, Vec::new());
    while now <= end {
        match contest.turn(what(at.len()), now) {
            Turn::Write { .. } => {
                contest.wrote(what(at.len()), now);
                at.push(now);
                now += after;
            }
            Turn::Wait { until, .. } => {
                assert!(until > now);
                now = until;
            }
        }
    }
    at
}

#[test]
fn what_is_taken_back_at_once_is_written_ever_more_seldom_and_never_given_up() {
    let ms = Duration::from_millis(1);
    let at: Vec<u64> = writes(|_| 1, ms, 100 * S).iter().map(Duration::as_secs).collect();
    assert_eq!(at, [0, 0, 0, 1, 3, 7, 15, 31, 63]);
    let day = writes(|_| 1, ms, 86_400 * S);
    assert!(day.windows(2).all(|pair| pair[1] - pair[0] <= LAST + S));
    assert!((280..310).contains(&day.len()), "every five minutes: {}", day.len());
}

#[test]
fn who_takes_things_back_by_turns_or_with_a_pause_gains_nothing() {
    let by_turns = writes(|n| (n % 3) as u64, Duration::from_millis(1), 100 * S);
    assert!(by_turns.len() <= 27, "{}", by_turns.len());
    // Argo CD's and Flux's own periods.
    let hourly = writes(|_| 1, 180 * S, 86_400 * S);
    assert_eq!(hourly.len(), 86_400 / 180 + 1, "what stands for minutes in between is worth writing");
    let each_ten = writes(|_| 1, 10 * S, 3_600 * S);
    assert!(each_ten.len() <= 30, "{}", each_ten.len());
}

#[test]
fn something_else_is_written_at_once_whatever_is_contested() {
    let mut contest = Contest::default();
    let mut now = Duration::ZERO;
    for _ in 0..8 {
        if let Turn::Wait { until, .. } = contest.turn(1, now) {
            now = until;
        }
        contest.wrote(1, now);
    }
    assert!(matches!(contest.turn(1, now + S), Turn::Wait { .. }) && contest.is_contested(now + S));
    // A user adds hosts, one after the other.
    for edit in 2..=8 {
        assert_eq!(contest.turn(edit, now + S), Turn::Write { again: false }, "{edit}");
        contest.wrote(edit, now + S);
    }
}

#[test]
fn nobody_has_ever_new_writes_made_without_a_bound() {
    let ever_new = writes(|n| n as u64, Duration::from_millis(1), 600 * S);
    assert!(ever_new.len() <= 10 + 101, "{}", ever_new.len());
    // As many as a person makes.
    let slowly = writes(|n| n as u64, 7 * S, 600 * S);
    assert_eq!(slowly.len(), 86);
}

#[test]
fn after_a_calm_all_is_forgotten() {
    let mut contest = Contest::default();
    for _ in 0..5 {
        contest.wrote(1, 100 * S);
    }
    assert_eq!(contest.turn(1, 102 * S), Turn::Wait { until: 104 * S, times: 5 });
    assert_eq!(contest.turn(1, 104 * S), Turn::Write { again: true });
    assert!(contest.is_contested(159 * S) && !contest.is_over(159 * S));
    assert_eq!(contest.ends(), 160 * S);
    assert!(!contest.is_contested(160 * S) && contest.is_over(160 * S));
    assert_eq!(contest.turn(1, 160 * S), Turn::Write { again: false });
    contest.wrote(1, 160 * S);
    assert!(!contest.is_contested(160 * S), "it begins anew");
    assert!(Contest::default().is_over(Duration::ZERO));
}

proptest! {
    #[test]
    fn turns_come_and_are_total(whats in prop::collection::vec((0u64..6, 0u64..400_000), 0..100)) {
        let (mut contest, mut now) = (Contest::default(), Duration::ZERO);
        for (what, pass) in whats {
            now += Duration::from_millis(pass);
            let turn = contest.turn(what, now);
            if let Turn::Wait { until, .. } = turn {
                prop_assert!(until > now && until <= now + LAST + Duration::from_secs(60));
                let then = contest.turn(what, until);
                prop_assert!(matches!(then, Turn::Write { .. }), "{then:?} at the time that was told");
                now = until;
            }
            contest.wrote(what, now);
            prop_assert!(contest.written.len() <= REMEMBERED && contest.ends() >= now);
            prop_assert!(contest.is_over(contest.ends()));
        }
    }
}

#[test]
fn who_takes_it_back_is_told_as_far_as_the_object_tells() {
    let at = |text: &str| text.parse::<Timestamp>().ok();
    let manager = |name: &str, time: &str, subresource: &str| FieldManager {
        name: name.into(),
        at: at(time),
        subresource: Some(subresource.to_owned()).filter(|s| !s.is_empty()),
    };
    let written = at("2026-01-01T00:00:10Z").unwrap();
    let ours = |name: &str| name.starts_with("certgate");
    let helm = manager("helm", "2025-12-01T00:00:00Z", "");
    let argo = |time| manager("argocd-controller", time, "");
    for (managers, told) in [
        (vec![helm.clone(), argo("2026-01-01T00:00:11Z")], Reverter::Wrote("argocd-controller".into())),
        (vec![argo("2026-01-01T00:00:09Z"), helm.clone()], Reverter::Wrote("argocd-controller".into())),
        // Nobody after us: it removed and set nothing.
        (
            vec![helm.clone(), argo("2025-12-31T00:00:00Z")],
            Reverter::OneOf(vec!["argocd-controller".into(), "helm".into()]),
        ),
        (vec![helm.clone(), manager("nginx", "2026-01-01T00:00:11Z", "status")], Reverter::OneOf(vec!["helm".into()])),
        (
            vec![manager("certgate-controller", "2026-01-01T00:00:11Z", ""), helm.clone(), helm.clone()],
            Reverter::OneOf(vec!["helm".into()]),
        ),
        (vec![FieldManager { name: "old".into(), at: None, subresource: None }], Reverter::OneOf(vec!["old".into()])),
        (vec![], Reverter::OneOf(vec![])),
    ] {
        assert_eq!(reverter(&managers, ours, written), told, "{managers:?}");
    }
}
