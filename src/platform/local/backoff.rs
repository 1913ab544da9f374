//! How long to wait before a crashed control plane is started again. Pure.

use std::time::Duration;

/// After the first crash.
const FIRST: Duration = Duration::from_millis(100);
/// At most.
const LONGEST: Duration = Duration::from_secs(10);
/// Who ran so long is started as if it had never crashed.
const STEADY: Duration = Duration::from_secs(60);

/// Doubles from crash to crash.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    crashes: u32,
}

impl Backoff {
    /// The wait after a run that lasted `ran`.
    pub(super) fn after(&mut self, ran: Duration) -> Duration {
        if ran >= STEADY {
            self.crashes = 0;
        }
        let wait = FIRST.saturating_mul(1 << self.crashes.min(16)).min(LONGEST);
        self.crashes += 1;
        wait
    }
}
