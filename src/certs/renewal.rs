//! When a leaf is renewed: at half of its life, counted from issuance, give or take one percent.
//!
//! Pure: moments and randomness are arguments. The jitter keeps proxies that were started together
//! from asking together for ever; half leaves as much time again to survive without the control plane.

use std::time::{Duration, SystemTime};

/// How long after issuance a leaf is renewed; `random` is any evenly distributed number.
pub fn due(issued: SystemTime, not_after: SystemTime, random: u64) -> Duration {
    let life = not_after.duration_since(issued).unwrap_or_default();
    // 49 % to 51 % of the life, in steps of 2 % / 2^16.
    let step = u32::from(u16::try_from(random & 0xffff).unwrap_or(0));
    life.mul_f64(0.49 + 0.02 * f64::from(step) / 65_536.0)
}
