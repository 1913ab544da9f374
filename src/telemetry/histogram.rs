//! Durations in log-linear buckets: eight per power of two of microseconds, so no value is off by
//! more than an eighth, from 1 µs to 71 minutes in 240 buckets.
//!
//! The layout is part of the wire format of the agent stream: bucket indices mean the same to every
//! version. [`Histogram`] is plain counts; [`Slots`] is what one worker counts in while others read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The number of buckets.
pub const BUCKETS: usize = 240;

/// Sub-buckets per power of two.
const SUB: u64 = 8;
const SUB_BITS: u32 = 3;

/// From here on everything is in the last bucket, microseconds.
const LIMIT: u64 = 1 << 32;

/// The bucket of a value in microseconds.
pub fn bucket_of(micros: u64) -> usize {
    let value = micros.min(LIMIT - 1);
    if value < SUB {
        return usize::try_from(value).unwrap_or(0);
    }
    let power = value.ilog2();
    let sub = (value >> (power - SUB_BITS)) - SUB;
    usize::try_from(u64::from(power - SUB_BITS + 1) * SUB + sub).unwrap_or(BUCKETS - 1)
}

/// The least value of a bucket, microseconds; for [`BUCKETS`] and above the upper end of all.
pub fn lower_bound(bucket: usize) -> u64 {
    let bucket = u64::try_from(bucket.min(BUCKETS)).unwrap_or(0);
    match bucket / SUB {
        0 => bucket,
        row => (SUB + bucket % SUB) << (row - 1),
    }
}

/// Counts per bucket.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: Box::new([0; BUCKETS]) }
    }
}

impl Histogram {
    /// Counts a duration.
    pub fn record(&mut self, duration: Duration) {
        self.add(bucket_of(micros(duration)), 1);
    }

    /// Adds to a bucket; indices that do not exist go to the last one (they come from the network).
    pub fn add(&mut self, bucket: usize, count: u64) {
        if let Some(slot) = self.counts.get_mut(bucket.min(BUCKETS - 1)) {
            *slot = slot.saturating_add(count);
        }
    }

    /// Adds another one.
    pub fn merge(&mut self, other: &Self) {
        for (slot, count) in self.counts.iter_mut().zip(other.counts.iter()) {
            *slot = slot.saturating_add(*count);
        }
    }

    /// What was added since `before`, an earlier state of the same histogram.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut delta = self.clone();
        for (slot, count) in delta.counts.iter_mut().zip(before.counts.iter()) {
            *slot = slot.saturating_sub(*count);
        }
        delta
    }

    /// How many values.
    pub fn count(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// How many values below `bucket`'s least value.
    pub fn count_below(&self, bucket: usize) -> u64 {
        self.counts.iter().take(bucket).fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The buckets that are not empty: index and count.
    pub fn non_empty(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// The value below which a share `q` (0 to 1) lies, straight-lined inside its bucket; `None`
    /// without values.
    pub fn quantile(&self, q: f64) -> Option<Duration> {
        let all = self.count();
        if all == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * as_float(all);
        let mut below = 0.0;
        let mut last = 0;
        for (bucket, count) in self.non_empty() {
            let count = as_float(count);
            if below + count >= rank {
                return Some(inside(bucket, ((rank - below) / count).max(0.0)));
            }
            below += count;
            last = bucket;
        }
        Some(inside(last, 1.0))
    }
}

/// One worker's counts: written by that worker alone, read by any thread.
#[derive(Debug)]
pub struct Slots {
    counts: [AtomicU64; BUCKETS],
}

impl Default for Slots {
    fn default() -> Self {
        Self { counts: std::array::from_fn(|_| AtomicU64::new(0)) }
    }
}

impl Slots {
    /// Counts a value; only ever from one thread.
    #[inline]
    pub fn record(&self, micros: u64) {
        if let Some(slot) = self.counts.get(bucket_of(micros)) {
            super::metrics::add(slot, 1);
        }
    }

    /// Adds the counts so far to `sum`.
    pub fn add_to(&self, sum: &mut Histogram) {
        for (slot, count) in sum.counts.iter_mut().zip(&self.counts) {
            *slot = slot.saturating_add(count.load(Ordering::Relaxed));
        }
    }
}

/// A duration in whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    // Without the 128-bit division of `as_micros`: this is on the way of every request.
    duration.as_secs().saturating_mul(1_000_000).saturating_add(duration.subsec_micros().into())
}

fn inside(bucket: usize, share: f64) -> Duration {
    let low = as_float(lower_bound(bucket));
    let high = as_float(lower_bound(bucket + 1));
    Duration::from_secs_f64((low + (high - low) * share) / 1e6)
}

#[expect(clippy::cast_precision_loss, reason = "counts and microseconds stay far below 2^53")]
fn as_float(count: u64) -> f64 {
    count as f64
}
