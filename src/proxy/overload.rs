//! Shedding load before memory or descriptors run out.
//!
//! Goes in: how full the memory is, from a [`Gauge`] on the control thread a few times per second, and
//! on the acceptor whenever many connections have come since. Comes out: one [`Level`] that workers
//! read without a lock. From 92 % on connections that come new are refused, and rooms kept for reuse
//! are given back; from 95 % on every request is, connections that idle or stall are cut. Either ends
//! a few percent below where it began, so that it does not flutter. What has just begun has not taken yet
//! what it may: that counts for what is refused to others who come (`crowd`). What is let in under
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
    /// One for each worker.
    lanes: Mutex<Vec<Lane>>,
    /// Connections that have come since the memory was looked at.
    unseen: AtomicUsize,
}

/// How many requests and opaque connections are under way on one thread.
#[derive(Debug, Clone, Default)]
pub struct Lane(Arc<AtomicUsize>);

/// One of them; it ends with the value.
#[derive(Debug)]
pub struct UnderWay(Arc<AtomicUsize>);

impl Lane {
    /// One more.
    pub fn begin(&self) -> UnderWay {
        self.0.fetch_add(1, Ordering::Relaxed);
        UnderWay(Arc::clone(&self.0))
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
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

    /// Where a worker counts what is under way; `None` where nobody asks, because memory has no limit.
    pub fn lane(&self) -> Option<Lane> {
        let lane = self.is_limited().then(Lane::default)?;
        self.lanes.lock().push(lane.clone());
        Some(lane)
    }

    /// A connection of a client comes.
    pub fn arrives(&self, bell: &Bell) {
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
        let lanes = self.lanes.lock();
        let under_way = lanes.iter().map(|lane| lane.0.load(Ordering::Relaxed)).sum();
        drop(lanes);
        let coming = crowd.coming(now, under_way);
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
