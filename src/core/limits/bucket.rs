//! [`Bucket`]: a token bucket as the CA keeps it, in one number (the generic
//! cell rate algorithm; Boulder `ratelimits/gcra.go`).

use jiff::{SignedDuration, Timestamp};

/// How fast places are used up and come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Places of a full bucket, at least one.
    burst: u32,
    /// Milliseconds after which one comes back.
    interval: i64,
}

/// How much of a limit is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// When it will be full again, in milliseconds of Unix time.
    full_at: i64,
}

// === impl Rate ===

impl Rate {
    /// `count` places in `window`, of which `share` percent are ours. `None`: no places at all.
    ///
    /// What does not divide is rounded against us.
    pub fn new(count: u32, window: SignedDuration, share: u8) -> Option<Self> {
        let ours = u64::from(count).saturating_mul(u64::from(share.min(100))) / 100;
        let window = i64::try_from(window.as_millis()).ok().filter(|window| *window > 0)?;
        if count == 0 || share == 0 {
            return None;
        }
        // A share of less than one place is one place that comes back more seldom.
        let burst = u32::try_from(ours).unwrap_or(u32::MAX).max(1);
        let whole = i128::from(window) * 100;
        let part = i128::from(count) * i128::from(share.min(100));
        let by_share = i64::try_from((whole + part - 1) / part).ok()?;
        let by_burst = window / i64::from(burst) + i64::from(window % i64::from(burst) != 0);
        Some(Self { burst, interval: if ours == 0 { by_share } else { by_burst } })
    }

    /// Places of a full bucket.
    pub const fn burst(&self) -> u32 {
        self.burst
    }

    /// After which time one place comes back.
    pub const fn interval(&self) -> SignedDuration {
        SignedDuration::from_millis(self.interval)
    }

    /// After which time an empty bucket is full.
    pub const fn span(&self) -> SignedDuration {
        SignedDuration::from_millis(self.span_ms())
    }

    const fn span_ms(&self) -> i64 {
        self.interval.saturating_mul(self.burst as i64)
    }
}

// === impl Bucket ===

impl Bucket {
    /// One of which nothing was ever used.
    pub const fn full() -> Self {
        Self { full_at: i64::MIN }
    }

    /// One of which nothing was left at a time: the least that can be, where no more is known of what was before.
    pub fn empty_at(at: Timestamp, rate: Rate) -> Self {
        Self { full_at: at.as_millisecond().saturating_add(rate.span_ms()) }
    }

    /// One place is used, not before all that were told of earlier. Told late it counts for more, never for less; below
    /// empty it does not go, nor at the CA.
    pub fn spend(&mut self, rate: Rate, at: Timestamp) {
        let at = at.as_millisecond();
        let next = self.full_at.max(at).saturating_add(rate.interval);
        self.full_at = next.min(at.saturating_add(rate.span_ms())).max(self.full_at);
    }

    /// Nothing is left before that time, when there is one place.
    pub fn shut_until(&mut self, rate: Rate, until: Timestamp) {
        let full_at = until.as_millisecond().saturating_add(rate.span_ms() - rate.interval);
        self.full_at = self.full_at.max(full_at);
    }

    /// When the `nth` place from now on (the first: 1) is there, if all before it are used at once.
    pub fn free_at(&self, rate: Rate, nth: u32, now: Timestamp) -> Timestamp {
        let used = self.full_at.max(now.as_millisecond());
        let at = used.saturating_add(rate.interval.saturating_mul(i64::from(nth))).saturating_sub(rate.span_ms());
        Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX).max(now)
    }

    /// How many places are left.
    pub fn left(&self, rate: Rate, now: Timestamp) -> u32 {
        let missing = self.full_at.saturating_sub(now.as_millisecond()).max(0);
        let used = missing / rate.interval + i64::from(missing % rate.interval != 0);
        rate.burst.saturating_sub(u32::try_from(used).unwrap_or(u32::MAX))
    }

    /// Whether nothing of it is used any more.
    pub fn is_full(&self, now: Timestamp) -> bool {
        self.full_at <= now.as_millisecond()
    }
}

#[cfg(test)]
mod tests;
