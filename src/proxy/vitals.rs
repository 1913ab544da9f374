//! What this proxy has seen of one endpoint: whether it takes part, and how it answered lately.
//!
//! Atomics only: workers read and count here, the warden judges. Survives changes of configuration
//! with its endpoint.

use std::time::Duration;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Vitals {}

/// Whether an endpoint takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// With this part of its share, above 0 and up to 1: less than 1 while it warms up (slow start)
    /// or is on probation.
    In(f32),
    /// Not at all: ejected, unhealthy, or taken out by hand.
    Out,
}

impl Vitals {
    /// Whether it takes part at `now_ms` on the proxy's clock.
    pub fn standing(&self, _now_ms: u64) -> Standing {
        Standing::In(1.0)
    }

    /// Whether a person took it out: it is no part of the pool until a person (or the time that was
    /// given) puts it back, however few are left.
    pub fn is_out_by_hand(&self) -> bool {
        false
    }

    /// It has come, or come back, and takes `over` until it has its full share (slow start).
    pub fn warm_up(&self, _now_ms: u64, _over: Duration) {}
}
