//! The budget of repetitions towards one service, over all workers of a proxy: in the last ten
//! seconds no more than a share of the requests, or a floor, whichever is more (Finagle's
//! `RetryBudget`, where the floor comes on top).
//!
//! A request that wants a repetition, or several, lends nothing: while a service is down altogether
//! repetitions stop but for the floor, so that callers in a chain do not multiply each other's
//! shares (gRPC's retry throttling, proposal A6, has the same effect). A failure of seconds still
//! lives on what succeeded before it.
//!
//! Time is cut into slots of half a second, of which a window covers the current one and the twenty
//! before, for requests and repetitions alike: a request lends its share to one window and no more,
//! so that over any time repetitions stay below the share of the requests plus the floor. The
//! success path touches one atomic; who wants to repeat takes a lock, and the bound is exact.

use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::resource::{PARTS_PER_MILLION, RetryBudget};

#[cfg(test)]
mod tests;

/// A slot, milliseconds.
const SLOT: u64 = 500;

/// Slots of a window: ten seconds and the one that has begun.
const SLOTS: usize = 21;

/// Seconds of a window, for the floor.
const SECONDS: u64 = 10;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Budget {
    requests: Window,
    /// Of these, those that want a repetition.
    wanting: Window,
    repetitions: Window,
    /// Held while it is decided about a repetition.
    gate: Mutex<()>,
    refused: AtomicU64,
}

impl Budget {
    /// One request more; first tries only.
    pub fn counted(&self, now_ms: u64) {
        self.requests.add(now_ms);
    }

    /// A request wants to be sent again; to be said once of each.
    pub fn wanted(&self, now_ms: u64) {
        self.wanting.add(now_ms);
    }

    /// Whether there may be one repetition more, which is counted then.
    pub fn may_repeat(&self, budget: &RetryBudget, now_ms: u64) -> bool {
        let _gate = self.gate.lock();
        let well = self.requests.sum(now_ms).saturating_sub(self.wanting.sum(now_ms));
        let share = well * u64::from(budget.ppm) / u64::from(PARTS_PER_MILLION);
        let floor = u64::from(budget.min_per_second) * SECONDS;
        let may = self.repetitions.sum(now_ms) < share.max(floor);
        match may {
            true => self.repetitions.add(now_ms),
            false => drop(self.refused.fetch_add(1, Ordering::Relaxed)),
        }
        may
    }

    /// How many repetitions were not allowed.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

/// Events of the last ten seconds. Each slot is the number of its half second (plus one, so that
/// zero is never) above a count, in one word.
#[derive(Debug, Default)]
struct Window([AtomicU64; SLOTS]);

impl Window {
    fn add(&self, now_ms: u64) {
        let number = number(now_ms);
        let Some(slot) = self.0.get((u64::from(number) % SLOTS as u64) as usize) else { return };
        let more = |word: u64| {
            let (at, count) = split(word);
            match at.cmp(&number) {
                std::cmp::Ordering::Equal => Some(join(number, count.saturating_add(1))),
                std::cmp::Ordering::Less => Some(join(number, 1)),
                // Who slept for a whole window between the clock and here has nothing to add.
                std::cmp::Ordering::Greater => None,
            }
        };
        let _ = slot.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
    }

    fn sum(&self, now_ms: u64) -> u64 {
        let newest = number(now_ms);
        let oldest = newest.saturating_sub(SLOTS as u32 - 1);
        let slots = self.0.iter().map(|slot| split(slot.load(Ordering::Relaxed)));
        let inside = slots.filter(|(at, _)| (oldest.max(1)..=newest).contains(at));
        inside.map(|(_, count)| u64::from(count)).sum()
    }
}

/// The number of the half second, from 1.
fn number(now_ms: u64) -> u32 {
    u32::try_from(now_ms / SLOT + 1).unwrap_or(u32::MAX)
}

fn split(word: u64) -> (u32, u32) {
    ((word >> 32) as u32, word as u32)
}

fn join(number: u32, count: u32) -> u64 {
    (u64::from(number) << 32) | u64::from(count)
}
