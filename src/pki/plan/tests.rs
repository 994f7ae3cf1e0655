//! The state machine in a simulated cluster: API servers and replicas that see
//! changes late, leaders that go away, people who delete things, clocks that jump.

use proptest::prelude::*;

use super::*;

const LIFETIMES: Lifetimes = Lifetimes { leaf: Duration::from_secs(60), ca: Duration::from_secs(240) };
/// How late API servers and replicas see a change, in seconds; less than [`Lifetimes::settle`].
const LAG: usize = 1;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).unwrap()
}

/// A cluster in which certificates are numbers.
#[derive(Clone)]
struct Cluster {
    observed: Observed,
    made: u64,
    /// What the caBundle was, second by second.
    bundles: Vec<Vec<Id>>,
    /// The leaf that replicas hold, second by second; they keep the last when the Secret goes.
    leaves: Vec<Option<Leaf>>,
    steps: Vec<Step>,
}

impl Cluster {
    fn new(configurations: usize) -> Self {
        let observed = Observed { published: vec![Vec::new(); configurations], ..Observed::default() };
        Self { observed, made: 0, bundles: Vec::new(), leaves: Vec::new(), steps: Vec::new() }
    }

    fn id(&mut self) -> Id {
        self.made += 1;
        let mut id = [0; 32];
        // The first octet spreads renewal times.
        id[0] = (self.made * 97) as u8;
        id[1..9].copy_from_slice(&self.made.to_be_bytes());
        id
    }

    fn ca(&mut self, now: Timestamp) -> Option<Ca> {
        let validity = Validity {
            not_before: now.checked_sub(LIFETIMES.ca / 10).unwrap(),
            not_after: now.checked_add(LIFETIMES.ca).unwrap(),
        };
        Some(Ca { id: self.id(), validity })
    }

    /// Does what the leader does: notes trust, plans, performs, until there is nothing to do.
    fn lead(&mut self, now: Timestamp) {
        for _ in 0..8 {
            let published = self.observed.published.clone();
            let everywhere = |id: &Id| published.iter().all(|bundle| bundle.contains(id));
            self.observed.trusted_since.retain(|id, since| *since <= now && everywhere(id));
            for id in published.iter().flatten().filter(|id| everywhere(id)) {
                self.observed.trusted_since.entry(*id).or_insert(now);
            }
            let Some(step) = plan(&self.observed, &LIFETIMES, now) else { return };
            self.steps.push(step);
            match step {
                Step::CreateCa => {
                    let ca = self.ca(now);
                    let previous = self.observed.carried.or(self.observed.current).or(self.observed.previous);
                    self.observed = Observed { current: ca, next: None, previous, ..self.observed.clone() };
                }
                Step::StageNext => self.observed.next = self.ca(now),
                Step::Promote => {
                    let previous = self.observed.current.or(self.observed.previous);
                    let current = self.observed.next.take();
                    self.observed = Observed { current, previous, ..self.observed.clone() };
                }
                Step::Publish => {
                    let bundle = self.observed.bundle(now);
                    self.observed.published.iter_mut().for_each(|published| published.clone_from(&bundle));
                }
                Step::IssueLeaf => {
                    let issuer = self.observed.current.unwrap();
                    let validity = Validity {
                        not_before: now.checked_sub(LIFETIMES.leaf / 10).unwrap(),
                        not_after: now.checked_add(LIFETIMES.leaf).unwrap().min(issuer.validity.not_after),
                    };
                    let leaf = Leaf { id: self.id(), validity, issuer: Some(issuer.id), names_fit: true };
                    self.observed.leaf = Some(leaf);
                    self.observed.carried = Some(issuer);
                }
            }
        }
        panic!("the leader does not come to rest: {:?}", self.steps);
    }

    /// A second passes.
    fn pass(&mut self) {
        self.bundles.push(self.observed.published.first().cloned().unwrap_or_default());
        let held = self.leaves.last().copied().flatten();
        self.leaves.push(self.observed.leaf.or(held));
    }

    /// Whether every call succeeds, whoever sees what how late.
    fn calls_succeed(&self, now: Timestamp) -> bool {
        let recent = self.leaves.len().saturating_sub(LAG + 1);
        self.leaves[recent..].iter().all(|leaf| {
            leaf.is_some_and(|leaf| {
                leaf.validity.holds(now)
                    && self.bundles[recent..].iter().all(|bundle| leaf.issuer.is_some_and(|id| bundle.contains(&id)))
            })
        })
    }
}

/// Runs `seconds`; `present` says when a leader looks. Returns the seconds in which calls failed.
fn run(cluster: &mut Cluster, seconds: i64, mut present: impl FnMut(i64, &mut Cluster) -> bool) -> Vec<i64> {
    let mut failed = Vec::new();
    for second in 0..seconds {
        if present(second, cluster) {
            cluster.lead(at(second));
        }
        cluster.pass();
        if !cluster.calls_succeed(at(second)) {
            failed.push(second);
        }
    }
    failed
}

#[test]
fn a_fresh_cluster_serves_at_once_and_through_every_rotation() {
    let mut cluster = Cluster::new(1);
    let failed = run(&mut cluster, 3000, |_, _| true);
    assert!(failed.iter().all(|second| *second <= LAG as i64), "calls failed at {failed:?}");
    assert_eq!(cluster.steps[..3], [Step::CreateCa, Step::Publish, Step::IssueLeaf]);
    let promotions = cluster.steps.iter().filter(|step| **step == Step::Promote).count();
    assert!(promotions >= 10, "{promotions} rotations");
}

#[test]
fn a_ca_is_published_for_a_while_before_it_signs() {
    let mut cluster = Cluster::new(2);
    run(&mut cluster, 1000, |_, _| true);
    let mut since = BTreeMap::new();
    for (second, (bundle, leaf)) in cluster.bundles.iter().zip(&cluster.leaves).enumerate() {
        for id in bundle {
            since.entry(*id).or_insert(second);
        }
        let Some(issuer) = leaf.and_then(|leaf| leaf.issuer) else { continue };
        let first_ca = since.values().all(|published| *published == second);
        assert!(first_ca || since[&issuer] + 2 <= second || since[&issuer] == 0, "second {second}");
    }
}

#[test]
fn without_a_configuration_a_leaf_is_made_all_the_same() {
    let mut cluster = Cluster::new(0);
    cluster.lead(at(0));
    assert_eq!(cluster.steps, [Step::CreateCa, Step::IssueLeaf]);
}

#[test]
fn nothing_is_done_while_nothing_is_due() {
    let mut cluster = Cluster::new(1);
    cluster.lead(at(0));
    let done = cluster.steps.len();
    for second in 0..30 {
        cluster.lead(at(second));
    }
    assert_eq!(cluster.steps.len(), done);
}

#[test]
fn losing_the_ca_secret_loses_no_call() {
    let mut cluster = Cluster::new(1);
    let failed = run(&mut cluster, 600, |second, cluster| {
        if second == 100 {
            cluster.observed = Observed { current: None, next: None, previous: None, ..cluster.observed.clone() };
        }
        true
    });
    assert!(failed.iter().all(|second| *second <= LAG as i64), "calls failed at {failed:?}");
}

#[test]
fn an_overwritten_bundle_is_healed_at_the_next_look() {
    let mut cluster = Cluster::new(1);
    let failed = run(&mut cluster, 300, |second, cluster| {
        if second == 100 {
            cluster.observed.published = vec![vec![[7; 32]]];
        }
        second != 100
    });
    assert!(failed.iter().all(|second| *second <= 1 || (100..=102).contains(second)), "calls failed at {failed:?}");
    assert!(cluster.bundles.last().is_some_and(|bundle| !bundle.contains(&[7; 32])));
}

#[test]
fn a_leaf_for_other_names_is_replaced() {
    let mut cluster = Cluster::new(1);
    cluster.lead(at(0));
    cluster.observed.leaf.as_mut().unwrap().names_fit = false;
    assert_eq!(plan(&cluster.observed, &LIFETIMES, at(1)), Some(Step::IssueLeaf));
}

#[test]
fn after_a_long_sleep_everything_is_made_anew_at_once() {
    let mut cluster = Cluster::new(1);
    let failed = run(&mut cluster, 5000, |second, _| !(100..4000).contains(&second));
    let late: Vec<_> = failed.iter().filter(|second| **second > 4000 + LAG as i64).collect();
    assert!(late.is_empty(), "still failing at {late:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Leaders come and go; as long as none is away for longer than the leaf has left, no call is lost.
    #[test]
    fn no_call_is_lost_while_leaders_change(gaps in prop::collection::vec((3_i64..40, 1_i64..15), 60)) {
        let mut cluster = Cluster::new(2);
        let mut away = Vec::new();
        let mut second = 5;
        for (lead, gap) in gaps {
            second += lead;
            away.push(second..second + gap);
            second += gap;
        }
        let failed = run(&mut cluster, second, |now, cluster| {
            if away.iter().any(|gap| gap.start == now) {
                // The next leader has not seen since when what is trusted.
                cluster.observed.trusted_since.clear();
            }
            !away.iter().any(|gap| gap.contains(&now))
        });
        prop_assert!(failed.iter().all(|second| *second <= LAG as i64), "calls failed at {failed:?}");
    }

    /// Whatever is deleted, overwritten or set back, calls succeed again soon after.
    #[test]
    fn it_recovers_from_anything(faults in prop::collection::vec((10_i64..60, 0_u8..6), 1..12), jump in -400_i64..400) {
        let mut cluster = Cluster::new(1);
        let mut when = 0;
        let faults: Vec<(i64, u8)> = faults.into_iter().map(|(gap, fault)| { when += gap; (when, fault) }).collect();
        let jump_at = when / 2;
        // After the jump the clock goes on from another time.
        let clock = |second: i64| if second >= jump_at { second + jump } else { second };
        let end = when + 30;
        for second in 0..end {
            let observed = &mut cluster.observed;
            for (_, fault) in faults.iter().filter(|(at, _)| *at == second) {
                match fault {
                    0 => { observed.current = None; observed.next = None; observed.previous = None; }
                    1 => { observed.leaf = None; observed.carried = None; }
                    2 => observed.published = vec![Vec::new()],
                    3 => observed.published = vec![vec![[9; 32]]],
                    4 => observed.next = None,
                    _ => observed.trusted_since.clear(),
                }
            }
            cluster.lead(at(clock(second)));
            cluster.pass();
        }
        prop_assert!(cluster.calls_succeed(at(clock(end - 1))), "{:?}", cluster.steps);
    }
}
