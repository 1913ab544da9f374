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

/// Milliseconds since the Unix epoch at `then_ms` on this clock, where it is `now_ms` and `wall`
/// now.
pub fn wall_ms(then_ms: u64, now_ms: u64, wall: SystemTime) -> u64 {
    let wall = wall.duration_since(UNIX_EPOCH).map_or(0, millis);
    (wall + then_ms).saturating_sub(now_ms)
}

/// A length of time in milliseconds.
pub fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
