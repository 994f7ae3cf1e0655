//! [`Sampler`]: lets one message a second through, so that whoever can make us
//! complain cannot make us do nothing else.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

/// Lets one message a second through and counts the others.
#[derive(Debug)]
pub struct Sampler {
    start: Instant,
    /// The second, counted from `start` + 1, in which the last message was let through.
    last: AtomicU64,
    unsaid: AtomicU64,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { start: Instant::now(), last: AtomicU64::new(0), unsaid: AtomicU64::new(0) }
    }
}

impl Sampler {
    /// `Some`: say it, and how many have been left unsaid since the last time.
    pub fn admit(&self) -> Option<u64> {
        self.admit_at(Instant::now())
    }

    fn admit_at(&self, now: Instant) -> Option<u64> {
        let second = now.saturating_duration_since(self.start).as_secs() + 1;
        let last = self.last.load(Ordering::Relaxed);
        if last < second && self.last.compare_exchange(last, second, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
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
    fn one_a_second_is_said_and_the_rest_is_counted() {
        let sampler = Sampler::default();
        let at = |millis| sampler.start + Duration::from_millis(millis);
        assert_eq!(sampler.admit_at(at(0)), Some(0));
        assert_eq!(sampler.admit_at(at(10)), None);
        assert_eq!(sampler.admit_at(at(999)), None);
        assert_eq!(sampler.admit_at(at(1000)), Some(2));
        assert_eq!(sampler.admit_at(at(5000)), Some(0));
    }
}
