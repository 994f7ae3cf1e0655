use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

fn party(namespace: &str, domain: &str, servers: Option<&str>) -> Party {
    Party { namespace: namespace.into(), zone: Zone { domain: domain.into(), servers: servers.map(Arc::from) } }
}

fn checks() -> Checks<u32> {
    Checks::new(Width::quick(64), Width::slow(64))
}

fn is_empty(checks: &Checks<u32>) -> bool {
    [&checks.quick, &checks.slow].into_iter().all(|track| {
        track.lines.is_empty()
            && track.order.is_empty()
            && track.running == 0
            && track.namespaces.is_empty()
            && track.domains.is_empty()
            && track.servers.is_empty()
    })
}

#[test]
fn two_thousand_dead_hosts_of_one_tenant_leave_half_of_the_lane() {
    let mut checks = checks();
    for n in 0..2000 {
        // Each in a domain of its own.
        checks.push(Lane::Quick, party("hostile", &format!("d{n}.example"), None), n);
    }
    let held: Vec<_> = std::iter::from_fn(|| checks.next()).collect();
    assert_eq!(held.len(), 32);
    checks.push(Lane::Quick, party("team", "example.com", None), 9999);
    assert_eq!(checks.next().map(|(_, job)| job), Some(9999), "while none of them has ended");
}

#[test]
fn an_outage_of_one_operator_holds_half_of_the_lane_however_many_tenants_it_hits() {
    let mut checks = checks();
    for n in 0..1000 {
        let domain = format!("shop{n}.example");
        checks.push(Lane::Quick, party(&format!("team-{}", n % 100), &domain, Some("dns.example")), n);
    }
    let held: Vec<_> = std::iter::from_fn(|| checks.next()).collect();
    assert_eq!(held.len(), 32);
    checks.push(Lane::Quick, party("team-7", "fine.example", Some("other.example")), 9999);
    assert_eq!(checks.next().map(|(_, job)| job), Some(9999), "even of a tenant that is hit itself");
}

#[test]
fn where_the_operator_is_not_known_a_good_host_waits_for_one_look_to_end() {
    let mut checks = checks();
    for n in 0..1000 {
        checks.push(Lane::Quick, party(&format!("team-{}", n % 100), &format!("shop{n}.example"), None), n);
    }
    let mut held: Vec<_> = std::iter::from_fn(|| checks.next().map(|(place, _)| place)).collect();
    assert_eq!(held.len(), 64);
    checks.push(Lane::Quick, party("new", "fine.example", None), 9999);
    // Of a hundred others each is served once at most before.
    let mut grants = 0;
    loop {
        checks.done(held.remove(0));
        let (place, job) = checks.next().unwrap();
        held.push(place);
        grants += 1;
        if job == 9999 {
            break;
        }
    }
    assert!(grants <= 101, "{grants}");
}

#[test]
fn slow_hosts_of_all_tenants_together_have_a_lane_of_their_own() {
    let mut checks = checks();
    for n in 0..1000 {
        checks.push(Lane::Slow, party(&format!("team-{n}"), &format!("shop{n}.example"), None), n);
    }
    let slow: Vec<_> = std::iter::from_fn(|| checks.next()).collect();
    assert_eq!(slow.len(), 16);
    for n in 0..64 {
        checks.push(Lane::Quick, party(&format!("good-{n}"), &format!("good{n}.example"), None), n);
    }
    assert_eq!(std::iter::from_fn(|| checks.next()).count(), 64, "the wide lane is as wide as ever");
}

#[derive(Clone, Debug)]
enum Step {
    Push(bool, u8, u8, Option<u8>),
    Next,
    Done(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any::<bool>(), 0..6_u8, 0..5_u8, prop::option::of(0..3_u8))
            .prop_map(|(slow, ns, domain, servers)| Step::Push(slow, ns, domain, servers)),
        3 => Just(Step::Next),
        2 => any::<usize>().prop_map(Step::Done),
    ]
}

proptest! {
    #[test]
    fn widths_hold_turns_are_kept_and_nothing_is_lost(steps in prop::collection::vec(step(), 1..300), all in 1..12_usize) {
        let widths = [(Lane::Quick, Width::quick(all)), (Lane::Slow, Width::slow(all))];
        let mut checks = Checks::new(widths[0].1, widths[1].1);
        let mut waiting: BTreeMap<u32, (Lane, Party)> = BTreeMap::new();
        let mut running: Vec<Place> = Vec::new();
        let mut passed: BTreeMap<(Lane, Arc<str>), usize> = BTreeMap::new();
        let mut number = 0;
        for step in steps {
            match step {
                Step::Push(slow, namespace, domain, servers) => {
                    let lane = if slow { Lane::Slow } else { Lane::Quick };
                    let servers = servers.map(|one| format!("s{one}"));
                    let party = party(&format!("n{namespace}"), &format!("d{domain}"), servers.as_deref());
                    number += 1;
                    checks.push(lane, party.clone(), number);
                    waiting.insert(number, (lane, party));
                }
                Step::Next => {
                    // Who could go, by the rules written down anew.
                    let count = |lane: Lane, like: &dyn Fn(&Party) -> bool| {
                        running.iter().filter(|place| place.lane == lane && like(&place.party)).count()
                    };
                    let able: BTreeSet<(Lane, Arc<str>)> = waiting.values().filter(|(lane, one)| {
                        let width = if *lane == Lane::Quick { widths[0].1 } else { widths[1].1 };
                        count(*lane, &|_| true) < width.all
                            && count(*lane, &|other| other.namespace == one.namespace) < width.namespace
                            && count(*lane, &|other| other.zone.domain == one.zone.domain) < width.domain
                            && (one.zone.servers.is_none()
                                || count(*lane, &|other| other.zone.servers == one.zone.servers) < width.servers)
                    }).map(|(lane, one)| (*lane, one.namespace.clone())).collect();
                    match checks.next() {
                        None => prop_assert!(able.is_empty(), "{able:?} could go"),
                        Some((place, job)) => {
                            let (lane, party) = waiting.remove(&job).unwrap();
                            prop_assert_eq!((lane, &party), (place.lane, &place.party));
                            let mine = (lane, party.namespace.clone());
                            prop_assert!(able.contains(&mine), "{mine:?} may not go");
                            passed.retain(|one, _| able.contains(one) && *one != mine);
                            for one in able.iter().filter(|one| one.0 == lane && **one != mine) {
                                let count = passed.entry(one.clone()).or_default();
                                *count += 1;
                                prop_assert!(*count <= 6, "{one:?} waits though it has a turn in six");
                            }
                            running.push(place);
                        }
                    }
                }
                Step::Done(index) if !running.is_empty() => {
                    let place = running.swap_remove(index % running.len());
                    checks.done(place);
                }
                Step::Done(_) => {}
            }
        }
        for _ in 0..2000 {
            if let Some((place, job)) = checks.next() {
                waiting.remove(&job);
                running.push(place);
            } else if let Some(place) = running.pop() {
                checks.done(place);
            }
        }
        prop_assert!(waiting.is_empty() && is_empty(&checks), "{checks:?}");
        for n in 0..20 {
            checks.push(Lane::Slow, party(&format!("n{}", n % 3), &format!("d{}", n % 5), None), n);
        }
        checks.retain(|n| n % 4 == 0);
        prop_assert_eq!(checks.waiting(Lane::Slow), 5);
        let left: BTreeSet<u32> = std::iter::from_fn(|| {
            let (place, job) = checks.next()?;
            checks.done(place);
            Some(job)
        }).collect();
        prop_assert_eq!(left, BTreeSet::from([0, 4, 8, 12, 16]));
        prop_assert!(is_empty(&checks));
    }
}
