//! Streams that a client opens only to give them up (CVE-2023-44487): a budget per connection that
//! completed streams and time refill, so that clients which cancel now and then never notice it.

use std::time::Duration;

use crate::telemetry::limits::Limit;

/// Streams that may be given up at once.
const BUDGET: u32 = Limit::Http2Resets.most() as u32;

/// Streams per second that may be given up for good.
const PER_SECOND: u32 = 50;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Tally {
    left: u32,
    refilled: Duration,
}

impl Tally {
    /// A full budget; `now` is the worker's clock, here and below.
    pub(super) fn new(now: Duration) -> Self {
        Self { left: BUDGET, refilled: now }
    }

    /// A stream ran to its end.
    pub(super) fn completed(&mut self) {
        self.left = BUDGET.min(self.left + 1);
    }

    /// The client gave a stream up; `false`: it did so too often.
    #[must_use]
    pub(super) fn given_up(&mut self, now: Duration) -> bool {
        let seconds = now.saturating_sub(self.refilled).as_secs();
        if seconds > 0 {
            self.refilled = now;
            let refill = u32::try_from(seconds).unwrap_or(BUDGET).saturating_mul(PER_SECOND);
            self.left = BUDGET.min(self.left.saturating_add(refill));
        }
        match self.left.checked_sub(1) {
            Some(left) => {
                self.left = left;
                true
            }
            None => false,
        }
    }
}
