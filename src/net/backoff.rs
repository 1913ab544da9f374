//! Exponential backoff with full jitter: how long to wait before something is tried again.
//!
//! The wait is drawn evenly from zero to a ceiling that doubles with every failure, so that
//! thousands that lost the same server do not come back in step. Randomness is an argument.

use std::time::Duration;

/// The state of one thing that is tried again and again.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
}

impl Backoff {
    /// The first wait lies below `first`, no wait above `longest`.
    pub fn new(first: Duration, longest: Duration) -> Self {
        Self { first, longest, failures: 0 }
    }

    /// Counts a failure and says how long to wait; `random` is any evenly distributed number.
    pub fn fail(&mut self, random: u64) -> Duration {
        let ceiling = self.ceiling();
        self.failures = self.failures.saturating_add(1);
        let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
        Duration::from_nanos(scale(nanos, random))
    }

    /// It worked: the next failure waits short again.
    pub fn succeed(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row so far.
    pub fn failures(&self) -> u32 {
        self.failures
    }

    fn ceiling(&self) -> Duration {
        let factor = 1_u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

/// `limit × random / 2^64`, without the bias of a remainder.
fn scale(limit: u64, random: u64) -> u64 {
    u64::try_from((u128::from(limit) * u128::from(random)) >> 64).unwrap_or(limit)
}
