//! What may yet be taken by what has just begun; a machine without I/O.
//!
//! A request costs little when it is admitted, and most of what it ever will when its answer is there
//! and waits to be read. Thousands can begin in that moment, which is the longer the more there are. So
//! for some seconds each counts as if it took as much as one whose client does not read, besides what
//! is measured. Those that end make place for others: what counts is by how many they have become more.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

#[cfg(test)]
mod tests;

/// What one may come to, bytes, half as much again as was measured: the rooms of both sides, TLS with a
/// record of 16 KiB sealed and open, and what the kernel counts to the group. What ends is given back late.
const EACH: u64 = 112 * 1024;

/// How long it may take until it has.
const SETTLED: Duration = Duration::from_secs(5);

/// How many were under way, at the looks of the last seconds.
#[derive(Debug, Default)]
pub(super) struct Crowd(VecDeque<(Instant, usize)>);

impl Crowd {
    /// Bytes that are to be expected of those that began lately, where so many are under way now.
    pub(super) fn coming(&mut self, now: Instant, under_way: usize) -> u64 {
        let old = |(at, _): &mut (Instant, usize)| now.saturating_duration_since(*at) >= SETTLED;
        while self.0.pop_front_if(old).is_some() {}
        self.0.push_back((now, under_way));
        let least = self.0.iter().map(|(_, under_way)| *under_way).min().unwrap_or(under_way);
        EACH.saturating_mul((under_way - least) as u64)
    }
}
