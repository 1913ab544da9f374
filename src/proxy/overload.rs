//! Shedding load before memory or descriptors run out.
//!
//! Goes in: how full the memory is, a few times per second, from a [`Gauge`](memory::Gauge) on the
//! control thread. Comes out: one [`Level`] that workers read without a lock. From 92 % on connections
//! that come new are refused, and rooms kept for reuse are given back; from 95 % on every request is,
//! connections that idle or stall are cut. Either ends a few percent below where it began, so that
//! it does not flutter. What is let in under load is decided in [`Overload::admits`], nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use super::bell::Bell;

pub mod memory;
#[cfg(test)]
mod tests;

/// How often the memory is looked at.
pub const LOOK: Duration = Duration::from_millis(250);

/// Where shedding begins and ends, thousandths of the memory.
const SHED: (u32, u32) = (920, 880);

/// Where cutting begins and ends.
const CUT: (u32, u32) = (950, 920);

/// How much is done about it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Level {
    /// Nothing: there is room.
    #[default]
    Calm,
    /// Who comes new is refused.
    Shed,
    /// Everybody is, and whoever idles or stalls is cut.
    Cut,
}

impl Level {
    /// What follows this level when `fill` thousandths of the memory are used.
    #[must_use]
    pub fn next(self, fill: u32) -> Self {
        let holds = |at: Self, (begin, end): (u32, u32)| match self >= at {
            true => fill > end,
            false => fill >= begin,
        };
        if holds(Self::Cut, CUT) {
            Self::Cut
        } else if holds(Self::Shed, SHED) {
            Self::Shed
        } else {
            Self::Calm
        }
    }
}

/// What workers see of it.
#[derive(Debug, Default)]
pub struct Overload {
    level: AtomicU8,
    /// Counts up whenever descriptors have run out.
    dry: AtomicU64,
}

impl Overload {
    /// The level now.
    pub fn level(&self) -> Level {
        match self.level.load(Ordering::Relaxed) {
            0 => Level::Calm,
            1 => Level::Shed,
            _ => Level::Cut,
        }
    }

    /// Whether a request may go on whose connection came when the level was `then`.
    pub fn admits(&self, then: Level) -> bool {
        match self.level() {
            Level::Calm => true,
            Level::Shed => then == Level::Calm,
            Level::Cut => false,
        }
    }

    /// Takes a measurement; whether the level is another one now.
    pub fn measure(&self, fill: u32) -> bool {
        let before = self.level();
        let now = before.next(fill);
        self.level.store(now as u8, Ordering::Relaxed);
        now != before
    }

    /// Descriptors have run out: workers close connections that nobody uses.
    pub fn run_dry(&self, bell: &Bell) {
        self.dry.fetch_add(1, Ordering::Relaxed);
        bell.ring_shortage();
    }

    /// How often descriptors have run out.
    pub fn dry(&self) -> u64 {
        self.dry.load(Ordering::Relaxed)
    }

    /// Measures by `fill` (thousandths; `None`: not known just now) until the future is dropped.
    pub async fn watch(self: Arc<Self>, mut fill: impl FnMut() -> Option<u32>, bell: Arc<Bell>) {
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            self.look(fill(), &bell);
        }
    }

    /// Takes one measurement, says what follows, and calls the workers while anything is to be done.
    fn look(&self, fill: Option<u32>, bell: &Bell) {
        let Some(fill) = fill else { return };
        if self.measure(fill) {
            let percent = fill / 10;
            match self.level() {
                Level::Calm => tracing::info!(percent, "enough memory: all are let in again"),
                Level::Shed => tracing::warn!(percent, "memory: new connections are refused"),
                Level::Cut => tracing::warn!(percent, "memory: all requests are refused"),
            }
        }
        if self.level() != Level::Calm {
            bell.ring_shortage();
        }
    }
}
