//! Deadlines of waiting connections, kept by the worker instead of one timer each.
//!
//! A connection that waits for its peer arms its slot; a sweep twice a second wakes those whose
//! time is over. Arming costs a store. The same slots tell idle connections that the proxy drains.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often deadlines are looked at; their precision.
pub const SWEEP: Duration = Duration::from_millis(500);

/// Memory runs out: who has waited for so long for its peer is cut.
pub const STALLED: Duration = Duration::from_secs(5);

/// … unless it may wait longer than this anyway: a tunnel is silent for long, and holds little.
const PATIENT: u32 = 300;

/// Why a wait was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fired {
    /// The deadline is over.
    Deadline,
    /// The proxy is about to end, and the connection was idle.
    Drain,
}

#[derive(Debug, Default)]
struct Entry {
    deadline: Option<Duration>,
    /// Of the wait, whole seconds.
    limit: u32,
    idle: bool,
    fired: Option<Fired>,
    waker: Option<Waker>,
}

/// All slots of a worker.
#[derive(Debug)]
pub struct Slots {
    entries: RefCell<Vec<Entry>>,
    free: RefCell<Vec<usize>>,
    started: Instant,
    now: Cell<Duration>,
    draining: Cell<bool>,
    closing: Cell<bool>,
}

impl Slots {
    /// No slots yet.
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            entries: RefCell::default(),
            free: RefCell::default(),
            started: Instant::now(),
            now: Cell::new(Duration::ZERO),
            draining: Cell::new(false),
            closing: Cell::new(false),
        })
    }

    /// Time since the worker began, as of the last sweep.
    pub fn now(&self) -> Duration {
        self.now.get()
    }

    /// Whether the proxy drains.
    pub fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Takes a slot for a connection.
    pub fn take(self: &Rc<Self>) -> Slot {
        let mut entries = self.entries.borrow_mut();
        let index = self.free.borrow_mut().pop().unwrap_or_else(|| {
            entries.push(Entry::default());
            entries.len() - 1
        });
        Slot { slots: Rc::clone(self), index }
    }

    /// How many connections hold a slot.
    #[cfg(test)]
    pub fn in_use(&self) -> usize {
        self.entries.borrow().len() - self.free.borrow().len()
    }

    /// Wakes those whose deadline is over.
    pub fn sweep(&self) {
        self.advance(self.started.elapsed());
    }

    /// Wakes those whose deadline is over at `now`.
    pub(super) fn advance(&self, now: Duration) {
        self.now.set(now);
        for entry in self.entries.borrow_mut().iter_mut() {
            if entry.deadline.is_some_and(|deadline| deadline <= now) {
                entry.fire(Fired::Deadline);
            }
        }
    }

    /// From now on every answer is the last of its connection. Those that are idle stay for the
    /// moment: a caller that has not heard of it yet may be using one right now.
    pub fn drain(&self) {
        self.draining.set(true);
    }

    /// Wakes those that have waited for [`STALLED`]: idle ones as when the proxy ends, the others as
    /// if their time were over; how many.
    pub fn cut(&self) -> u64 {
        let now = self.now();
        let mut cut = 0;
        for entry in self.entries.borrow_mut().iter_mut() {
            let Some(deadline) = entry.deadline.filter(|_| entry.limit <= PATIENT) else {
                continue;
            };
            let limit = Duration::from_secs(entry.limit.into());
            if deadline + STALLED <= now + limit {
                entry.fire(if entry.idle { Fired::Drain } else { Fired::Deadline });
                cut += 1;
            }
        }
        cut
    }

    /// Wakes every idle connection, now and from now on.
    pub fn close(&self) {
        self.draining.set(true);
        self.closing.set(true);
        for entry in self.entries.borrow_mut().iter_mut().filter(|entry| entry.idle) {
            entry.fire(Fired::Drain);
        }
    }
}

impl Entry {
    fn fire(&mut self, why: Fired) {
        self.deadline = None;
        self.fired.get_or_insert(why);
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }
}

/// The slot of one connection.
#[derive(Debug)]
pub struct Slot {
    slots: Rc<Slots>,
    index: usize,
}

impl Slot {
    /// The wait that begins now ends after `limit` at the latest; an idle one also when the proxy
    /// is about to end.
    pub fn arm(&self, limit: Duration, idle: bool) {
        let deadline = self.slots.now() + limit;
        self.with(|entry| {
            *entry = Entry {
                deadline: Some(deadline),
                limit: u32::try_from(limit.as_secs()).unwrap_or(u32::MAX),
                idle,
                fired: (idle && self.slots.closing.get()).then_some(Fired::Drain),
                waker: entry.waker.take(),
            };
        });
    }

    /// The wait is over.
    pub fn disarm(&self) {
        self.with(|entry| {
            entry.deadline = None;
            entry.idle = false;
            entry.fired = None;
        });
    }

    /// Ready when the wait was ended.
    pub fn poll_fired(&self, cx: &mut Context<'_>) -> Poll<Fired> {
        self.with(|entry| match entry.fired {
            Some(why) => Poll::Ready(why),
            None => {
                let known = entry.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker()));
                if !known {
                    entry.waker = Some(cx.waker().clone());
                }
                Poll::Pending
            }
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Entry) -> T) -> T {
        let mut entries = self.slots.entries.borrow_mut();
        act(entries.get_mut(self.index).expect("a slot's index stays valid while it lives"))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.with(|entry| *entry = Entry::default());
        self.slots.free.borrow_mut().push(self.index);
    }
}
