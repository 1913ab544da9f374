//! Shedding load before memory or descriptors run out.
//!
//! Goes in: how full the memory is, from a [`Gauge`] on the control thread a few times per second, and
//! on the acceptor whenever many connections have come since. Comes out: one [`Level`] that workers
//! read without a lock. From 92 % on connections that come new are refused, and rooms kept for reuse
//! are given back; from 95 % on every request is, connections that idle or stall are cut. Either ends
//! a few percent below where it began, so that it does not flutter. Who has just come has not taken yet
//! what it may: that counts for what is refused to others who come ([`Crowd`]). What is let in under
//! load is decided in [`Overload::admits`], nowhere else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::bell::Bell;
use crowd::Crowd;
use memory::{Fill, Gauge};

mod crowd;
pub mod memory;
#[cfg(test)]
mod tests;

/// How often the memory is looked at, while there is much of it.
const LOOK: Duration = Duration::from_millis(250);

/// How often, from [`NEAR`] on.
const LOOK_NEAR: Duration = Duration::from_millis(25);

/// From so many thousandths on the memory is looked at more often.
const NEAR: u32 = 700;

/// After so many connections the memory is looked at, whatever the time.
const BURST: usize = 64;

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
    /// What follows this level when the memory is so full.
    #[must_use]
    pub fn next(self, fill: Fill) -> Self {
        let holds = |at: Self, fill: u32, (begin, end): (u32, u32)| match self >= at {
            true => fill > end,
            false => fill >= begin,
        };
        if holds(Self::Cut, fill.used, CUT) {
            Self::Cut
        } else if holds(Self::Shed, fill.soon, SHED) {
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
    gauge: Gauge,
    /// Held while one looks.
    crowd: Mutex<Crowd>,
    /// Connections of clients, as the acceptor counted them last.
    open: AtomicUsize,
    /// Those that have come since the memory was looked at.
    unseen: AtomicUsize,
}

impl Overload {
    /// One that goes by `gauge`.
    pub fn new(gauge: Gauge) -> Self {
        Self { gauge, ..Self::default() }
    }

    /// Whether there is a limit to the memory.
    pub fn is_limited(&self) -> bool {
        self.gauge.is_limited()
    }

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
    pub fn measure(&self, fill: Fill) -> bool {
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

    /// A connection of a client comes while `open` others are.
    pub fn arrives(&self, open: usize, bell: &Bell) {
        self.open.store(open + 1, Ordering::Relaxed);
        if self.unseen.fetch_add(1, Ordering::Relaxed) + 1 >= BURST && self.is_limited() {
            let before = self.level();
            self.look(Instant::now());
            if self.level() > before {
                bell.ring_shortage();
            }
        }
    }

    /// Measures until the future is dropped.
    pub async fn watch(self: Arc<Self>, bell: Arc<Bell>) {
        loop {
            let used = self.look(Instant::now()).map_or(0, |fill| fill.used);
            // As long as there is something to do.
            if self.level() != Level::Calm {
                bell.ring_shortage();
            }
            tokio::time::sleep(if used < NEAR { LOOK } else { LOOK_NEAR }).await;
        }
    }

    /// Takes one measurement, and says what follows; `None` where nothing can be read, and nothing does.
    fn look(&self, now: Instant) -> Option<Fill> {
        let mut crowd = self.crowd.lock();
        self.unseen.store(0, Ordering::Relaxed);
        let coming = crowd.coming(now, self.open.load(Ordering::Relaxed));
        let fill = self.gauge.fill(coming)?;
        if self.measure(fill) {
            let percent = fill.used / 10;
            match self.level() {
                Level::Calm => tracing::info!(percent, "enough memory: all are let in again"),
                Level::Shed => tracing::warn!(percent, "memory: new connections are refused"),
                Level::Cut => tracing::warn!(percent, "memory: all requests are refused"),
            }
        }
        Some(fill)
    }
}
