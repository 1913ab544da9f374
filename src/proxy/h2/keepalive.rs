//! Asks the other side of a connection now and then whether it lives, for as long as streams use it:
//! what keeps a stream that nothing moves on, and ends it with a peer that is not there any more.
//!
//! Only between sidecars. Applications are not asked: gRPC servers end a connection for pings they
//! did not agree to (`too_many_pings`). Where one has gone without a word, the kernel says so.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use h2::{Ping, PingPong};

use crate::proxy::slots::Slot;
use crate::proxy::worker::Worker;

/// How long a connection in use may be silent until it is asked, and may then leave the question
/// unanswered. Two of these and the clock's grain are less than the 15 s in which a dead peer is
/// to be found, wherever in the first its death falls.
const SILENCE: Duration = Duration::from_millis(4_500);

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Keepalive {
    /// `None` where nobody is asked.
    pings: Option<PingPong>,
    slot: Slot,
    /// How often something has arrived.
    arrivals: Rc<Cell<u64>>,
    /// Arrivals at the last look.
    seen: u64,
    /// The connection is in use, as far as the last look tells.
    watches: bool,
    /// A ping is on its way since the last look.
    asked: bool,
}

impl Keepalive {
    /// For a connection at which something has `arrived` so often.
    pub(super) fn new(worker: &Worker, pings: Option<PingPong>, arrived: Rc<Cell<u64>>) -> Self {
        let slot = worker.slots.take();
        Self { pings, slot, arrivals: arrived, seen: 0, watches: false, asked: false }
    }

    /// Ready when the other side must be held for dead. To be polled when a stream has begun.
    pub(super) fn poll_dead(
        &mut self,
        cx: &mut Context<'_>,
        is_in_use: impl Fn() -> bool,
    ) -> Poll<()> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        let answered = pings.poll_pong(cx).is_ready();
        self.asked &= !answered;
        if !self.watches {
            if !is_in_use() {
                return Poll::Pending;
            }
            (self.watches, self.seen) = (true, self.arrivals.get());
            self.slot.arm(SILENCE, false);
        }
        while self.slot.poll_fired(cx).is_ready() {
            if !is_in_use() {
                self.watches = false;
                self.slot.disarm();
                return Poll::Pending;
            }
            self.slot.arm(SILENCE, false);
            let silent = std::mem::replace(&mut self.seen, self.arrivals.get()) == self.seen;
            if silent && self.asked {
                return Poll::Ready(());
            }
            if silent && !self.asked {
                self.asked = pings.send_ping(Ping::opaque()).is_ok();
            }
        }
        Poll::Pending
    }
}
