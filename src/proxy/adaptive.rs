//! A limit on requests in flight that is found by measuring: where latency rises above what it is
//! without a queue, there are too many.
//!
//! The gradient of Netflix concurrency-limits (Gradient2, 2018) and of Envoy's adaptive concurrency
//! filter: `limit = gradient × limit + √limit`, where the gradient is the latency without a queue
//! (and a buffer of a quarter) over the latency measured, at least one half and at most one. The
//! latency without a queue is where the two part, and we from both: Netflix averages over a long
//! time, which drifts upwards while the overload lasts; Envoy measures it once a minute by letting
//! almost nothing through, which refuses requests to a service that is well. Here it is the lowest
//! seen; it follows the latency while less than half of the limit is in use; and only where the
//! limit has been in the way for a minute without a lower one, one window runs at half of the limit
//! to measure it anew. At the lower bound for `STUCK` windows it is taken as it is measured, as
//! Envoy does.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use crate::resource::AdaptiveConcurrency;

#[cfg(test)]
mod tests;

/// The shortest window, milliseconds.
const WINDOW: u64 = 250;

/// A window ends only with so many samples.
const SAMPLES: u64 = 10;

/// The limit before anything is measured, within its bounds.
const FIRST: f64 = 20.0;

/// Latency may be above the lowest by this factor before it counts as a queue.
const BUFFER: f64 = 1.25;

/// How much of a step one window takes.
const SMOOTHING: f64 = 0.2;

/// How much of the measured latency the lowest takes over per window, while there is room.
const FOLLOW: f64 = 0.1;

/// How long the limit may be in the way until the lowest latency is measured anew, milliseconds.
const STALE: u64 = 60_000;

/// Windows at the lower bound after which what is measured is taken for the lowest.
const STUCK: u32 = 5;

/// What workers write and read; the algorithm is [`Gradient`].
#[derive(Debug, Default)]
pub struct Adaptive {
    /// The limit now; meaningless while `on` is 0.
    limit: AtomicU32,
    on: AtomicU32,
    /// Of the current window: samples, the sum of their latencies, the most in flight, its end.
    samples: AtomicU64,
    sum_us: AtomicU64,
    most: AtomicU32,
    ends_ms: AtomicU64,
    gradient: Mutex<Option<Gradient>>,
}

impl Adaptive {
    /// Other bounds, or none; what was learned stays where there were some before.
    pub fn limit(&self, bounds: Option<AdaptiveConcurrency>) {
        let mut gradient = self.gradient.lock();
        match (bounds, &mut *gradient) {
            (Some(bounds), Some(gradient)) => gradient.bounds = bounds,
            (Some(bounds), none) => *none = Some(Gradient::new(bounds)),
            (None, some) => *some = None,
        }
        if let Some(gradient) = &*gradient {
            self.limit.store(gradient.limit(), Ordering::Relaxed);
        }
        self.on.store(u32::from(gradient.is_some()), Ordering::Relaxed);
    }

    /// The limit now; [`u32::MAX`] where there is none.
    pub fn current(&self) -> u32 {
        match self.on.load(Ordering::Relaxed) {
            0 => u32::MAX,
            _ => self.limit.load(Ordering::Relaxed),
        }
    }

    /// A request took so long, while so many were in flight.
    pub fn sample(&self, took: Duration, in_flight: u32, now_ms: u64) {
        let took = u64::try_from(took.as_micros()).unwrap_or(u64::MAX >> 20);
        self.sum_us.fetch_add(took, Ordering::Relaxed);
        self.most.fetch_max(in_flight, Ordering::Relaxed);
        let samples = self.samples.fetch_add(1, Ordering::Relaxed) + 1;
        if samples < SAMPLES || now_ms < self.ends_ms.load(Ordering::Relaxed) {
            return;
        }
        // Whoever comes while another ends the window belongs to the next.
        let Some(mut gradient) = self.gradient.try_lock() else { return };
        let Some(gradient) = &mut *gradient else { return };
        if now_ms < self.ends_ms.load(Ordering::Relaxed) {
            return;
        }
        self.ends_ms.store(now_ms + WINDOW, Ordering::Relaxed);
        let samples = self.samples.swap(0, Ordering::Relaxed).max(1);
        let window = Window {
            latency_us: self.sum_us.swap(0, Ordering::Relaxed) as f64 / samples as f64,
            most: self.most.swap(0, Ordering::Relaxed),
        };
        gradient.learn(window, now_ms);
        self.limit.store(gradient.limit(), Ordering::Relaxed);
    }
}

/// What was measured in a window.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    /// The mean latency, microseconds.
    pub latency_us: f64,
    /// The most requests in flight.
    pub most: u32,
}

/// The algorithm; see the head of this file.
#[derive(Debug, Clone)]
pub struct Gradient {
    bounds: AdaptiveConcurrency,
    limit: f64,
    /// Latency without a queue, microseconds.
    lowest: Option<f64>,
    /// When that was last known to be so.
    known_ms: u64,
    /// Windows at the lower bound in a row.
    stuck: u32,
    /// The limit to return to, while the lowest is measured anew.
    probing: Option<f64>,
}

impl Gradient {
    /// Nothing is known yet.
    pub fn new(bounds: AdaptiveConcurrency) -> Self {
        Self { bounds, limit: FIRST, lowest: None, known_ms: 0, stuck: 0, probing: None }
    }

    /// The limit now.
    pub fn limit(&self) -> u32 {
        let limit = if self.probing.is_some() { self.limit / 2.0 } else { self.limit };
        // Rounded down: within the bounds it fits.
        (limit as u32).clamp(self.bounds.min, self.bounds.max.max(self.bounds.min))
    }

    /// A window has ended.
    pub fn learn(&mut self, window: Window, now_ms: u64) {
        let latency = window.latency_us.max(1.0);
        if let Some(before) = self.probing.take() {
            (self.limit, self.lowest, self.known_ms) = (before, Some(latency), now_ms);
            return;
        }
        let lowest = match self.lowest {
            Some(lowest) if latency >= lowest => lowest,
            _ => {
                self.known_ms = now_ms;
                latency
            }
        };
        self.lowest = Some(lowest);
        if f64::from(window.most) < self.limit / 2.0 {
            self.lowest = Some(lowest + (latency - lowest) * FOLLOW);
            self.known_ms = now_ms;
            return;
        }
        let gradient = (lowest * BUFFER / latency).clamp(0.5, 1.0);
        let wanted = gradient * self.limit + self.limit.sqrt();
        let (min, max) = (f64::from(self.bounds.min), f64::from(self.bounds.max));
        self.limit = (self.limit + (wanted - self.limit) * SMOOTHING).min(max).max(min);
        self.stuck = if self.limit <= min { self.stuck + 1 } else { 0 };
        if self.stuck >= STUCK {
            (self.lowest, self.known_ms, self.stuck) = (Some(latency), now_ms, 0);
        } else if gradient < 1.0 && now_ms.saturating_sub(self.known_ms) >= STALE {
            self.probing = Some(self.limit);
        }
    }
}
