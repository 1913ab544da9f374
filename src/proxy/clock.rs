//! The proxy's clock as one number that any thread may keep in an atomic.
//!
//! State machines never read it: they are told the time. Who drives them reads it here.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

static BEGAN: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Milliseconds since this process first asked; never goes back.
pub fn now_ms() -> u64 {
    ms(Instant::now())
}

/// The same for an instant that is known already.
pub fn ms(instant: Instant) -> u64 {
    millis(instant.saturating_duration_since(*BEGAN))
}

/// A length of time in milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The clock beside the time of day, for what people are told.
#[derive(Debug, Clone, Copy)]
pub struct Wall {
    now_ms: u64,
    epoch_ms: u64,
}

impl Wall {
    /// What both say now.
    pub fn now() -> Self {
        let epoch = SystemTime::now().duration_since(UNIX_EPOCH);
        Self::new(now_ms(), epoch.map_or(0, millis))
    }

    /// What both say: the clock, and milliseconds since the Unix epoch.
    pub fn new(now_ms: u64, epoch_ms: u64) -> Self {
        Self { now_ms, epoch_ms }
    }

    /// The clock's reading.
    pub fn now_ms(self) -> u64 {
        self.now_ms
    }

    /// Milliseconds since the Unix epoch at a reading of the clock.
    pub fn at(self, ms: u64) -> u64 {
        self.epoch_ms.saturating_add(ms).saturating_sub(self.now_ms)
    }
}
