//! Connections under a limit, and the line of those who wait for one, first come first served
//! across workers.
//!
//! A permit that ends is handed to the first in line, so that nobody overtakes. A connection that
//! only becomes idle is better used again than closed, but it is good for one worker and one
//! endpoint: whoever waits for just that place may overtake the first in line, at most [`PATIENCE`]
//! times in a row.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::sync::oneshot;

use super::{Circuit, Kind, Permit};

/// How often the first in line is overtaken by who can use a connection as it is.
const PATIENCE: u32 = 16;

/// Where a pooled connection lies: good for one endpoint, in the pool of one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Tells the workers of a proxy apart.
    pub worker: usize,
    /// [`Endpoint::id`](crate::proxy::cluster::Endpoint::id).
    pub endpoint: u64,
}

/// What there is instead of a refusal.
#[derive(Debug)]
pub enum Grant {
    /// Nothing limits connections.
    Unlimited,
    /// One may be opened; the permit is kept with it.
    Open(Permit),
    /// One has become idle at the place that was asked for.
    Pooled,
}

/// What comes of entering.
#[derive(Debug)]
pub(super) enum Entered {
    Open(Permit),
    /// Over the limit, in shadow mode.
    Over(Permit),
    Full,
    Waits(Turn),
}

/// See the head of this file.
#[derive(Debug, Default)]
pub(super) struct Line {
    state: Mutex<State>,
    /// The length of the queue, for who only looks.
    waiting: AtomicUsize,
}

#[derive(Debug, Default)]
struct State {
    open: u32,
    max: u32,
    max_pending: u32,
    queue: VecDeque<Waiter>,
    last_id: u64,
    /// How often in a row the first was overtaken.
    overtaken: u32,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    place: Option<Place>,
    grant: oneshot::Sender<Grant>,
}

/// A place in the line, left when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    circuit: Arc<Circuit>,
    id: u64,
    place: Option<Place>,
    grant: oneshot::Receiver<Grant>,
}

impl Line {
    /// Other limits; those who now may are let through.
    pub(super) fn limit(&self, circuit: &Arc<Circuit>, max: u32, max_pending: u32, shadow: bool) {
        let mut state = self.state.lock();
        (state.max, state.max_pending) = (max, max_pending);
        while (shadow || state.open < state.max) && state.pass(circuit) {
            state.open += 1;
        }
        self.note(&state);
    }

    /// A connection is wanted.
    pub(super) fn enter(
        &self,
        circuit: &Arc<Circuit>,
        place: Option<Place>,
        again: bool,
        shadow: bool,
    ) -> Entered {
        let mut state = self.state.lock();
        // While somebody waits there is no room: room is handed on as soon as there is some.
        let over = state.open >= state.max;
        if !over || shadow {
            state.open += 1;
            let permit = circuit.permit(Kind::Connection);
            return if over { Entered::Over(permit) } else { Entered::Open(permit) };
        }
        if state.queue.len() >= state.max_pending as usize && !again {
            return Entered::Full;
        }
        let (sender, grant) = oneshot::channel();
        state.last_id += 1;
        let id = state.last_id;
        let waiter = Waiter { id, place, grant: sender };
        match again {
            true => state.queue.push_front(waiter),
            false => state.queue.push_back(waiter),
        }
        self.note(&state);
        Entered::Waits(Turn { circuit: Arc::clone(circuit), id, place, grant })
    }

    /// A connection has ended: its permit goes to the first in line.
    pub(super) fn ended(&self, circuit: &Arc<Circuit>) {
        let mut state = self.state.lock();
        if state.open > state.max || !state.pass(circuit) {
            state.open = state.open.saturating_sub(1);
        }
        self.note(&state);
    }

    /// See [`Permit::keep_idle`].
    pub(super) fn keep_idle(&self, place: Place) -> bool {
        if !self.is_waited_for() {
            return true;
        }
        let mut state = self.state.lock();
        let kept = state.reuse(place);
        self.note(&state);
        kept
    }

    pub(super) fn is_full(&self) -> bool {
        let state = self.state.lock();
        state.open >= state.max
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0
    }

    fn leave(&self, id: u64) {
        let mut state = self.state.lock();
        state.queue.retain(|waiter| waiter.id != id);
        self.note(&state);
    }

    fn note(&self, state: &State) {
        self.waiting.store(state.queue.len(), Ordering::Relaxed);
    }

    /// How many are open, and how many wait.
    #[cfg(test)]
    pub(super) fn counts(&self) -> (u32, usize) {
        let state = self.state.lock();
        (state.open, state.queue.len())
    }
}

impl State {
    /// Hands one permit to the first in line that still waits; whether there was one.
    fn pass(&mut self, circuit: &Arc<Circuit>) -> bool {
        self.overtaken = 0;
        while let Some(waiter) = self.queue.pop_front() {
            match waiter.grant.send(Grant::Open(circuit.permit(Kind::Connection))) {
                Ok(()) => return true,
                // It is the one that is being handed on, and must not end here.
                Err(Grant::Open(mut permit)) => permit.kind = Kind::Spent,
                Err(Grant::Unlimited | Grant::Pooled) => {}
            }
        }
        false
    }

    /// Whether a connection that has become idle at `place` is kept, and who it is kept for told.
    fn reuse(&mut self, place: Place) -> bool {
        loop {
            let Some(at) = self.queue.iter().position(|waiter| waiter.place == Some(place)) else {
                return self.queue.is_empty();
            };
            if at > 0 && self.overtaken >= PATIENCE {
                return false;
            }
            self.overtaken = if at > 0 { self.overtaken + 1 } else { 0 };
            let Some(waiter) = self.queue.remove(at) else { return false };
            if waiter.grant.send(Grant::Pooled).is_ok() {
                return true;
            }
        }
    }
}

impl Turn {
    /// Waits until it comes.
    pub(super) async fn comes(mut self) -> Option<Grant> {
        (&mut self.grant).await.ok()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let line = &self.circuit.line;
        // From here on nothing can come any more. A permit that came too late ends with the receiver,
        // and goes to the next.
        line.leave(self.id);
        // An idle connection that came too late is another's, who is told: there at its place, or else
        // by closing it.
        if let (Ok(Grant::Pooled), Some(place)) = (self.grant.try_recv(), self.place)
            && !line.keep_idle(place)
        {
            self.circuit.bell.ring_shortage();
        }
    }
}
