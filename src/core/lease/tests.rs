use proptest::prelude::*;

use super::*;

const S: Duration = Duration::from_secs(1);

fn candidate(identity: &str) -> Candidate {
    Candidate::new(identity.to_owned(), Timing::default())
}

fn seen(version: u64, holder: &str) -> Option<Seen> {
    let holder = Some(holder).filter(|holder| !holder.is_empty()).map(str::to_owned);
    Some(Seen { version: version.to_string(), holder, term: Some(10 * S) })
}

fn wait(holder: &str, look_after: Duration) -> Next {
    Next::Wait { holder: holder.to_owned(), look_after }
}

#[test]
fn a_lease_that_is_absent_released_or_ones_own_is_taken_at_once() {
    for (lease, next) in [
        (None, Next::Create),
        (seen(1, ""), Next::Take { anew: true }),
        // Left from before: a renewal whose answer was lost, or a leadership that was given up for want of one.
        (seen(1, "a"), Next::Take { anew: false }),
    ] {
        assert_eq!(candidate("a").look(lease.clone(), 5 * S), next, "{lease:?}");
    }
}

#[test]
fn another_leader_is_waited_for_until_its_lease_has_not_changed_for_a_term() {
    let mut a = candidate("a");
    // However old it may be: what its clock says is not known here.
    assert_eq!(a.look(seen(1, "b"), 100 * S), wait("b", 2 * S));
    assert_eq!(a.look(seen(1, "b"), 109 * S), wait("b", S), "no longer than need be");
    assert_eq!(a.look(seen(2, "b"), 109 * S), wait("b", 2 * S), "renewed");
    assert_eq!(a.look(seen(2, "b"), 118 * S + S / 2), wait("b", S / 2));
    assert_eq!(a.look(seen(2, "b"), 119 * S), Next::Take { anew: true });
    assert_eq!(a.look(seen(3, "c"), 119 * S), wait("c", 2 * S), "somebody was first");
}

#[test]
fn a_term_is_as_long_as_its_holder_says() {
    let lease = |term| Some(Seen { version: "1".into(), holder: Some("b".into()), term });
    for (term, end) in [(Some(30 * S), 30 * S), (Some(S), S), (None, 10 * S)] {
        let mut a = candidate("a");
        a.look(lease(term), Duration::ZERO);
        assert!(matches!(a.look(lease(term), end - Duration::from_millis(1)), Next::Wait { .. }), "{term:?}");
        assert_eq!(a.look(lease(term), end), Next::Take { anew: true }, "{term:?}");
    }
}

#[test]
fn a_lease_that_was_deleted_does_not_make_two_leaders() {
    let mut a = candidate("a");
    a.look(seen(1, "b"), Duration::ZERO);
    assert_eq!(a.look(None, 3 * S), wait("b", 2 * S), "b may not know yet");
    assert_eq!(a.look(None, 9 * S), wait("b", S));
    assert_eq!(a.look(None, 10 * S), Next::Create);
    let mut own = candidate("a");
    own.look(seen(1, "a"), Duration::ZERO);
    assert_eq!(own.look(None, S), Next::Create);
    let mut released = candidate("a");
    released.look(seen(1, ""), Duration::ZERO);
    assert_eq!(released.look(None, S), Next::Create);
}

/// A step of a world of two replicas with clocks of their own and an API server between them.
#[derive(Clone, Debug)]
enum Act {
    /// Time passes.
    Pass(u64),
    /// One of them reads the Lease and does what follows; its write takes that long to arrive, and its answer may be lost.
    Turn { who: usize, on_its_way: u64, answered: bool },
    /// Somebody deletes the Lease.
    Delete,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (0u64..4_000).prop_map(Act::Pass),
        8 => (0usize..2, 0u64..2_500, prop::bool::weighted(0.7))
            .prop_map(|(who, on_its_way, answered)| Act::Turn { who, on_its_way, answered }),
        1 => Just(Act::Delete),
    ]
}

proptest! {
    /// Whatever is late or lost, however far apart their clocks are, and whoever deletes the Lease: two never lead at once.
    #[test]
    fn two_never_lead_at_once(acts in prop::collection::vec(act(), 1..200), offsets in (0u64..1_000_000, 0u64..1_000_000)) {
        let offset = [Duration::from_millis(offsets.0), Duration::from_millis(offsets.1)];
        let names = ["a", "b"];
        let mut replicas = names.map(candidate);
        // Until when each leads, by true time.
        let mut until = [Duration::ZERO; 2];
        // Both know of a leader before the first act, as replicas that stand by do.
        let (mut now, mut lease, mut version) = (Duration::ZERO, seen(1, "c"), 1u64);
        for (replica, offset) in replicas.iter_mut().zip(offset) {
            replica.look(lease.clone(), now + offset);
        }
        for act in acts {
            match act {
                Act::Pass(ms) => now += Duration::from_millis(ms),
                Act::Delete => {
                    // By one who may; the watchers look at it in their next turns.
                    for (who, replica) in replicas.iter_mut().enumerate() {
                        replica.look(lease.clone(), now + offset[who]);
                    }
                    lease = None;
                }
                Act::Turn { who, on_its_way, answered } => {
                    let asked = now + offset[who];
                    let read = lease.clone();
                    let next = replicas[who].look(read.clone(), asked);
                    now += Duration::from_millis(on_its_way);
                    let unchanged = lease.as_ref().map(|l| &l.version) == read.as_ref().map(|l| &l.version);
                    if matches!(next, Next::Wait { .. }) || !unchanged {
                        continue;
                    }
                    version += 1;
                    lease = seen(version, names[who]);
                    if answered {
                        until[who] = until[who].max(replicas[who].leads_until(asked) - offset[who]);
                    }
                }
            }
            prop_assert!(now >= until[0] || now >= until[1], "two lead at {now:?}: {until:?}");
        }
    }
}
