//! How fast an endpoint answers: a moving average that follows a rise at once and forgets it
//! slowly (Peak EWMA, after Finagle's load balancer).

use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::flight::Verdict;

#[cfg(test)]
mod tests;

/// After so long an observation still counts for 1/e, milliseconds (Finagle's default).
const DECAY_MS: f32 = 10_000.0;

/// What an endpoint that has not answered yet counts for while something is under way to it,
/// milliseconds: enough that only one request finds out how fast it is.
const UNKNOWN_MS: f64 = 60_000.0;

/// An average that has faded to less is not known any more, milliseconds.
const FORGOTTEN_MS: f64 = 0.001;

/// The average and when it was last brought up to date, in one word, so that no lock is needed: the
/// milliseconds as `f32` above, the clock's low 32 bits below.
#[derive(Debug, Default)]
pub struct Latency(AtomicU64);

/// What an observation is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    /// How long an answer takes.
    Answer,
    /// A failure that says how long one waits at least, but not that it is fast.
    Failure,
}

impl Worth {
    /// What a verdict is good for; `None` where it says nothing of the endpoint.
    pub fn of(verdict: Verdict) -> Option<Self> {
        match verdict {
            Verdict::Answered(status, _) if status < 500 => Some(Self::Answer),
            Verdict::Answered(..) | Verdict::Failed(_) => Some(Self::Failure),
            Verdict::Abandoned => None,
        }
    }
}

impl Latency {
    /// A try took `took_ms` and ended at `now_ms`.
    pub fn observe(&self, took_ms: f32, worth: Worth, now_ms: u64) {
        let took_ms = took_ms.max(f32::MIN_POSITIVE);
        let observed = |word| {
            let (known, since) = unpack(word, now_ms);
            let faded = (-since / DECAY_MS).exp();
            let average = match worth {
                _ if took_ms >= known => took_ms,
                Worth::Failure => known * faded,
                Worth::Answer => known * faded + took_ms * (1.0 - faded),
            };
            Some(pack(average, now_ms))
        };
        // The closure always gives a value, so the update cannot fail.
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, observed);
    }

    /// What a request more would wait for, in milliseconds, with `waiting` already under way; what
    /// is not known yet is worth one try.
    pub fn cost(&self, waiting: f64, now_ms: u64) -> f64 {
        let (known, since) = unpack(self.0.load(Ordering::Relaxed), now_ms);
        match f64::from(known * (-since / DECAY_MS).exp()) {
            faded if faded < FORGOTTEN_MS && waiting > 0.0 => UNKNOWN_MS + waiting,
            faded => faded * (1.0 + waiting),
        }
    }
}

fn pack(average: f32, now_ms: u64) -> u64 {
    u64::from(average.to_bits()) << 32 | (now_ms & 0xffff_ffff)
}

/// The average, and how many milliseconds ago it was written (0 where another thread's clock is
/// ahead).
fn unpack(word: u64, now_ms: u64) -> (f32, f32) {
    let since = (now_ms as u32).wrapping_sub(word as u32).cast_signed();
    (f32::from_bits((word >> 32) as u32), since.max(0) as f32)
}
