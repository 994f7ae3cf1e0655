//! [`Sampler`]: lets so many messages a second through, so that whoever can make
//! us say something cannot make us do nothing else.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Lets so many messages a second through and counts the others.
#[derive(Debug)]
pub struct Sampler {
    start: Instant,
    per_second: u32,
    /// The second, counted from `start` + 1, in which the last message was let through (upper half), and how many
    /// have been in it (lower half).
    let_through: AtomicU64,
    unsaid: AtomicU64,
}

impl Default for Sampler {
    /// One a second.
    fn default() -> Self {
        Self::per_second(1)
    }
}

impl Sampler {
    /// One that lets so many messages a second through.
    pub fn per_second(count: u32) -> Self {
        Self { start: Instant::now(), per_second: count, let_through: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }

    /// For tests: one for which no second ever passes.
    #[cfg(test)]
    pub(crate) fn within_one_second(count: u32) -> Self {
        let start = Instant::now() + std::time::Duration::from_secs(86_400);
        Self { start, ..Self::per_second(count) }
    }

    /// `Some`: say it, and how many have been left unsaid since the last time.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let second = now.saturating_duration_since(self.start).as_secs() + 1;
        let one_more = |last: u64| {
            let (last_second, count) = (last >> 32, last & u64::from(u32::MAX));
            if last_second < second {
                Some((second << 32) | 1)
            } else {
                (count < u64::from(self.per_second)).then_some(last + 1)
            }
        };
        if self.let_through.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).is_ok() {
            Some(self.unsaid.swap(0, Ordering::Relaxed))
        } else {
            self.unsaid.fetch_add(1, Ordering::Relaxed);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn so_many_a_second_are_said_and_the_rest_is_counted() {
        let sampler = Sampler::default();
        let at = |millis| sampler.start + Duration::from_millis(millis);
        assert_eq!(sampler.admit_at(at(0)), Some(0));
        assert_eq!(sampler.admit_at(at(10)), None);
        assert_eq!(sampler.admit_at(at(999)), None);
        assert_eq!(sampler.admit_at(at(1000)), Some(2));
        assert_eq!(sampler.admit_at(at(5000)), Some(0));

        let three = Sampler::per_second(3);
        let at = |millis| three.admit_at(three.start + Duration::from_millis(millis));
        assert_eq!([at(0), at(1), at(2), at(3), at(4)], [Some(0), Some(0), Some(0), None, None]);
        // A thread that took the time before another did counts in the later second.
        assert_eq!([at(1000), at(999), at(1001), at(1002)], [Some(2), Some(0), Some(0), None]);
    }
}
