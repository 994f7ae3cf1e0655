use proptest::prelude::*;

use super::*;

/// The same bucket, written as people tell it: tokens that are added as time goes by.
#[derive(Clone, Debug)]
struct Tokens {
    level: i64,
    cost: i64,
    burst: i64,
    at: i64,
}

impl Tokens {
    fn new(burst: i64, window: i64, at: i64) -> Self {
        Self { level: burst * window, cost: window, burst, at }
    }

    fn has_one(&mut self, at: i64) -> bool {
        let gained = (at - self.at) * self.burst;
        self.level = (self.level + gained).min(self.burst * self.cost);
        self.at = at;
        self.level >= self.cost
    }

    fn take(&mut self) {
        self.level -= self.cost;
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millisecond(1_795_000_000_000 + ms).unwrap()
}

fn rate(count: u32, window: i64) -> Rate {
    Rate::new(count, SignedDuration::from_millis(window), 100).unwrap()
}

proptest! {
    #[test]
    fn takes_exactly_what_the_ca_takes(burst in 1_u32..60, interval in 1_i64..5_000, gaps in prop::collection::vec(0_i64..20_000, 1..300)) {
        let rate = rate(burst, interval * i64::from(burst));
        let (mut ours, mut now) = (Bucket::full(), 0);
        let mut theirs = Tokens::new(i64::from(burst), interval * i64::from(burst), at(0).as_millisecond());
        for gap in gaps {
            now += gap;
            let free = ours.free_at(rate, 1, at(now)) <= at(now);
            prop_assert_eq!(free, theirs.has_one(at(now).as_millisecond()));
            prop_assert_eq!(free, ours.left(rate, at(now)) > 0);
            if free {
                ours.spend(rate, at(now));
                theirs.take();
            }
        }
    }

    #[test]
    fn never_takes_what_the_ca_would_not_however_limits_divide(burst in 1_u32..400, window in 1_i64..1_000_000, share in 1_u8..=100, gaps in prop::collection::vec(0_i64..20_000, 1..300)) {
        let rate = Rate::new(burst, SignedDuration::from_millis(window), share).unwrap();
        let (mut ours, mut now) = (Bucket::full(), 0);
        let mut theirs = Tokens::new(i64::from(burst), window, at(0).as_millisecond());
        for gap in gaps {
            now += gap;
            if ours.free_at(rate, 1, at(now)) <= at(now) {
                prop_assert!(theirs.has_one(at(now).as_millisecond()));
                ours.spend(rate, at(now));
                theirs.take();
            }
        }
    }

    #[test]
    fn a_place_is_there_when_it_was_announced_and_not_before(burst in 1_u32..60, interval in 1_i64..5_000, spent in prop::collection::vec(0_i64..50_000, 0..100), nth in 1_u32..20) {
        let rate = rate(burst, interval * i64::from(burst));
        let mut bucket = Bucket::full();
        let mut spent = spent;
        spent.sort_unstable();
        for ms in &spent {
            bucket.spend(rate, at(*ms));
        }
        let now = at(spent.last().copied().unwrap_or_default());
        let then = bucket.free_at(rate, nth, now);
        prop_assert!(then >= now);
        // As many as announced are used at once as soon as they are there.
        for n in 1..=nth {
            let free = bucket.free_at(rate, 1, now);
            prop_assert_eq!(free, Bucket::free_at(&bucket, rate, 1, now));
            if n == nth && nth <= burst {
                prop_assert_eq!(free, then);
            }
            bucket.spend(rate, free);
        }
    }

    #[test]
    fn told_late_leaves_no_more(burst in 1_u32..20, interval in 1_i64..5_000, spent in prop::collection::vec((0_i64..50_000, 0_i64..10_000), 0..60)) {
        let rate = rate(burst, interval * i64::from(burst));
        let fill = |mut times: Vec<i64>| {
            times.sort_unstable();
            let mut bucket = Bucket::full();
            times.iter().for_each(|ms| bucket.spend(rate, at(*ms)));
            bucket
        };
        let exact = fill(spent.iter().map(|(ms, _)| *ms).collect());
        let late = fill(spent.iter().map(|(ms, lag)| ms + lag).collect());
        prop_assert!(late.full_at >= exact.full_at);
    }

    #[test]
    fn what_is_rebuilt_from_two_windows_leaves_no_more(burst in 1_u32..20, interval in 1_i64..5_000, gaps in prop::collection::vec(0_i64..10_000, 1..200)) {
        let rate = rate(burst, interval * i64::from(burst));
        let (mut whole, mut now, mut spent) = (Bucket::full(), 0, Vec::new());
        for gap in gaps {
            now += gap;
            if whole.free_at(rate, 1, at(now)) <= at(now) {
                whole.spend(rate, at(now));
                spent.push(now);
            }
        }
        let known_from = at(now - 2 * rate.span_ms());
        let mut rebuilt = Bucket::empty_at(known_from, rate);
        for ms in spent.into_iter().filter(|ms| at(*ms) >= known_from) {
            rebuilt.spend(rate, at(ms));
        }
        prop_assert!(rebuilt.full_at >= whole.full_at || whole.is_full(at(now)));
    }
}

#[test]
fn a_share_is_a_part_of_burst_and_refill() {
    let week = SignedDuration::from_hours(7 * 24);
    let half = Rate::new(50, week, 50).unwrap();
    assert_eq!((half.burst(), half.interval()), (25, week / 25));
    let whole = Rate::new(50, week, 100).unwrap();
    assert_eq!(whole.interval(), SignedDuration::from_secs(12_096));
    // Less than one place: one, that comes back more seldom.
    let sliver = Rate::new(5, week, 10).unwrap();
    assert_eq!((sliver.burst(), sliver.interval()), (1, week * 2));
    assert_eq!(Rate::new(0, week, 100), None);
    assert_eq!(Rate::new(5, SignedDuration::ZERO, 100), None);
}

#[test]
fn a_bucket_that_is_shut_has_one_place_when_it_opens() {
    let rate = rate(10, 10_000);
    let mut bucket = Bucket::full();
    bucket.shut_until(rate, at(60_000));
    assert_eq!(bucket.free_at(rate, 1, at(0)), at(60_000));
    assert_eq!(bucket.free_at(rate, 2, at(60_000)), at(61_000));
    assert_eq!(bucket.left(rate, at(59_000)), 0);
}
