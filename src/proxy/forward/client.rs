//! The client's side of a connection of HTTP/1.1, from request to request.

use std::sync::Arc;
use std::task::{Context, Poll};

use crate::proxy::admission::Sequel;
use crate::proxy::alarm::Alarm;
use crate::proxy::cluster::Endpoint;
use crate::proxy::h1::ResponseHead;
use crate::proxy::slots::Slot;
use crate::proxy::stream::Side;
use crate::proxy::trace::Events;

/// The most that a client may send ahead while its answer is awaited, bytes.
const MAX_AHEAD: usize = 32 * 1024;

/// A client's connection, and the rooms that it reuses from request to request.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub side: Side,
    /// Its deadline.
    pub slot: Slot,
    /// The answer's head, parsed; its status tells whether the answer is on its way.
    pub head: ResponseHead,
    /// The answer's head, written.
    pub out: Vec<u8>,
    /// The endpoint that was tried last.
    pub tried: Option<Arc<Endpoint>>,
    /// How many tries there were.
    pub attempts: u32,
    /// What happened to the request on its way.
    pub events: Events,
    /// When the try that is out must be over.
    pub alarm: Alarm,
}

impl Client {
    /// A connection that has carried nothing yet.
    pub fn new(side: Side, slot: Slot) -> Self {
        let (head, out) = (ResponseHead::default(), Vec::new());
        let (events, alarm) = (Events::default(), Alarm::default());
        Self { side, slot, head, out, tried: None, attempts: 0, events, alarm }
    }

    /// Forgets the endpoints of the request before.
    pub fn begin(&mut self) {
        (self.tried, self.attempts) = (None, 0);
    }

    /// What came of the last try is the result, because of `sequel`.
    pub(super) fn stays(&mut self, sequel: &Sequel) {
        if let Sequel::Refused(limit) = sequel {
            self.events.refused(self.attempts, limit.as_str());
        }
    }

    /// Whether the client has closed; what it sends ahead is kept for the next request.
    pub fn is_gone(&mut self, cx: &mut Context<'_>) -> bool {
        while self.side.buffer.len() < MAX_AHEAD {
            if self.side.buffer.is_empty() && self.side.stream.poll_readable(cx).is_pending() {
                return false;
            }
            match self.side.poll_fill(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(_) => return true,
                Poll::Pending => return false,
            }
        }
        false
    }
}
