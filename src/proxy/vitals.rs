//! What this proxy has seen of one endpoint: whether it takes part, and how it answered lately.
//!
//! Atomics only: workers read and count here. Whoever crosses a threshold is told, and goes to the
//! machine in `ejection`, which judges and writes the standing. Survives changes of configuration
//! with its endpoint.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use crate::proxy::clock;
use crate::proxy::flight::Verdict;
use crate::resource::OutlierDetection;
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// The share of an endpoint on probation.
const TRICKLE: f32 = 0.1;

/// The smallest share while it warms up (Envoy's `min_weight_percent`).
const COLD: f32 = 0.1;

/// So many successes in a row end a probation.
const PASSED: u32 = 5;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Vitals {
    /// [`Phase`] below, [`BY_HAND`] and [`OUT`] above.
    state: AtomicU8,
    /// When it began to warm up, and how long that takes; 0: it does not.
    warm_from: AtomicU64,
    warm_ms: AtomicU32,
    /// Errors in a row, by kind.
    errors: AtomicU32,
    gateway: AtomicU32,
    local: AtomicU32,
    /// Successes and failures since they were last taken; on probation, successes.
    succeeded: AtomicU32,
    failed: AtomicU32,
}

/// It takes no part, for whatever reason.
const OUT: u8 = 1 << 7;
/// A person said so.
const BY_HAND: u8 = 1 << 6;
/// It is on probation, and not only in shadow mode.
const LITTLE: u8 = 1 << 5;

/// Whether an endpoint takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Standing {
    /// With this part of its share, above 0 and up to 1: less than 1 while it warms up (slow start)
    /// or is on probation.
    In(f32),
    /// Not at all: ejected, unhealthy, or taken out by hand.
    Out,
}

/// How what it answers is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Phase {
    /// Errors in a row count, and shares.
    Well = 0,
    /// Nothing counts: it is ejected.
    Ejected = 1,
    /// One failure decides, and so do a few successes.
    Probation = 2,
}

/// What a try says of the endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Good,
    Bad { gateway: bool, local: bool },
}

/// What a worker brings before the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Crossing {
    /// So many errors of a kind in a row.
    Errors(u32, &'static str),
    /// An error on probation.
    Relapse,
    /// Enough successes on probation.
    Recovered,
}

impl Sign {
    /// What a verdict says; `None` where it says nothing of the endpoint.
    pub(super) fn of(verdict: Verdict) -> Option<Self> {
        let bad = |gateway, local| Some(Self::Bad { gateway, local });
        match verdict {
            // Unavailable and deadline-exceeded; unknown, internal and data-loss.
            Verdict::Answered(_, Some(4 | 14)) => bad(true, false),
            Verdict::Answered(_, Some(2 | 13 | 15)) => bad(false, false),
            Verdict::Answered(502..=504, _) => bad(true, false),
            Verdict::Answered(status, _) if status >= 500 => bad(false, false),
            Verdict::Answered(..) => Some(Self::Good),
            Verdict::Failed(reason) => match reason {
                Reason::ConnectFailure
                | Reason::ConnectTimeout
                | Reason::RequestTimeout
                | Reason::TryTimeout => bad(true, true),
                Reason::UpstreamReset
                | Reason::UpstreamProtocol
                | Reason::RefusedStream
                | Reason::ProtocolMismatch => bad(false, true),
                _ if reason.is_unproved() => bad(true, true),
                _ => None,
            },
            Verdict::Abandoned => None,
        }
    }
}

impl Vitals {
    /// Whether it takes part at `now_ms` on the proxy's clock.
    pub fn standing(&self, now_ms: u64) -> Standing {
        let state = self.state.load(Ordering::Relaxed);
        if state & OUT != 0 {
            return Standing::Out;
        }
        let share = if state & LITTLE != 0 { TRICKLE } else { 1.0 };
        Standing::In(share * self.warmth(now_ms))
    }

    /// Whether a person took it out: it is no part of the pool until a person (or the time that was
    /// given) puts it back, however few are left.
    pub fn is_out_by_hand(&self) -> bool {
        self.state.load(Ordering::Relaxed) & BY_HAND != 0
    }

    /// It has come, or come back, and takes `over` until it has its full share (slow start).
    pub fn warm_up(&self, now_ms: u64, over: Duration) {
        self.warm_from.store(now_ms, Ordering::Relaxed);
        let over = u32::try_from(clock::millis(over)).unwrap_or(u32::MAX);
        self.warm_ms.store(over, Ordering::Relaxed);
    }

    /// When it will have its full share, while it warms up.
    pub fn warm_at(&self, now_ms: u64) -> Option<u64> {
        let over = u64::from(self.warm_ms.load(Ordering::Relaxed));
        let at = self.warm_from.load(Ordering::Relaxed) + over;
        (over > 0 && now_ms < at).then_some(at)
    }

    /// Since when it warms up.
    pub(super) fn warms_since(&self) -> u64 {
        self.warm_from.load(Ordering::Relaxed)
    }

    /// The part of its share that it has while it warms up; grows evenly.
    fn warmth(&self, now_ms: u64) -> f32 {
        match self.warm_at(now_ms) {
            None => 1.0,
            Some(at) => {
                let over = self.warm_ms.load(Ordering::Relaxed).max(1);
                let left = at.saturating_sub(now_ms) as f32 / over as f32;
                (1.0 - left).max(COLD)
            }
        }
    }

    /// A try at it ended with `sign`; what the machine must be asked about.
    pub(super) fn note(&self, sign: Sign, rules: &OutlierDetection) -> Option<Crossing> {
        match self.phase() {
            Phase::Ejected => None,
            Phase::Well => {
                if rules.success_rate.is_some() || rules.failure_percent.is_some() {
                    let tally = if sign == Sign::Good { &self.succeeded } else { &self.failed };
                    tally.fetch_add(1, Ordering::Relaxed);
                }
                self.in_a_row(sign, rules)
            }
            Phase::Probation => match sign {
                Sign::Good => {
                    let good = self.succeeded.fetch_add(1, Ordering::Relaxed) + 1;
                    (good >= PASSED).then_some(Crossing::Recovered)
                }
                Sign::Bad { gateway, local } => {
                    let any = rules.consecutive_errors.is_some()
                        || rules.success_rate.is_some()
                        || rules.failure_percent.is_some();
                    let counts = any
                        || gateway && rules.consecutive_gateway_errors.is_some()
                        || local && rules.consecutive_local_errors.is_some();
                    counts.then_some(Crossing::Relapse)
                }
            },
        }
    }

    /// Counts errors in a row, and writes nothing as long as all is well.
    fn in_a_row(&self, sign: Sign, rules: &OutlierDetection) -> Option<Crossing> {
        let (any, gateway, local) = match sign {
            Sign::Good => (false, false, false),
            Sign::Bad { gateway, local } => (true, gateway, local),
        };
        let kinds = [
            (&self.errors, any, rules.consecutive_errors, "errors"),
            (&self.gateway, gateway, rules.consecutive_gateway_errors, "gateway errors"),
            (&self.local, local, rules.consecutive_local_errors, "local errors"),
        ];
        let mut crossing = None;
        for (count, counts, limit, kind) in kinds {
            let Some(limit) = limit else { continue };
            if !counts {
                if count.load(Ordering::Relaxed) != 0 {
                    count.store(0, Ordering::Relaxed);
                }
                continue;
            }
            let errors = count.fetch_add(1, Ordering::Relaxed) + 1;
            if errors >= limit {
                crossing = crossing.or(Some(Crossing::Errors(errors, kind)));
            }
        }
        crossing
    }

    /// Successes and failures since the last call.
    pub(super) fn take_tally(&self) -> (u32, u32) {
        (self.succeeded.swap(0, Ordering::Relaxed), self.failed.swap(0, Ordering::Relaxed))
    }

    /// Successes on probation so far.
    pub(super) fn successes(&self) -> u32 {
        self.succeeded.load(Ordering::Relaxed)
    }

    pub(super) fn phase(&self) -> Phase {
        match self.state.load(Ordering::Relaxed) & 3 {
            0 => Phase::Well,
            1 => Phase::Ejected,
            _ => Phase::Probation,
        }
    }

    /// What the machine has decided: how answers are judged, and whether it takes part. Only the
    /// machine calls it, under its lock.
    pub(super) fn decide(&self, phase: Phase, out: bool, by_hand: bool, little: bool) {
        let bit = |is: bool, bit: u8| if is { bit } else { 0 };
        let state = phase as u8 | bit(out, OUT) | bit(by_hand, BY_HAND) | bit(little, LITTLE);
        self.state.store(state, Ordering::Relaxed);
    }

    /// What it answered so far is forgotten.
    pub(super) fn forget(&self) {
        for count in [&self.errors, &self.gateway, &self.local, &self.succeeded, &self.failed] {
            count.store(0, Ordering::Relaxed);
        }
    }
}
