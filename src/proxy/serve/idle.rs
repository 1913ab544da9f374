//! A connection between two requests: for a moment it is ready for the next one, then it keeps
//! nothing that can be made again.
//!
//! A client that sends one request after the other never gets to the second part, so that what is
//! made again there costs it nothing.

use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use super::{Connection, Origin};
use crate::proxy::forward::Client;
use crate::proxy::h1::RequestHead;
use crate::proxy::overload::Level;
use crate::proxy::slots::{Fired, SWEEP, Slot};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::worker::Worker;

/// How long a connection may be idle between requests.
const IDLE: Duration = Duration::from_secs(300);

/// How much longer than its life an idle connection stays: whoever dialed it counts the same time,
/// and is to close it first.
const AFTER_LIFE: Duration = Duration::from_secs(5);

/// After so long a connection is idle: one sweep at least, two at most.
const MOMENT: Duration = SWEEP.saturating_mul(2);

/// What came of waiting for a request.
pub(super) enum Waited {
    /// It has begun.
    Request,
    /// Nothing so far.
    InVain,
    /// The connection is over.
    Over,
}

/// A connection that has become idle: nothing but the connection.
pub(super) struct Asleep {
    worker: Rc<Worker>,
    stream: Stream,
    slot: Slot,
    origin: Origin,
    expires: Duration,
    came: Level,
    idle_until: Duration,
}

impl Asleep {
    /// Waits until there is something to read; why it was ended, where nothing has come.
    pub(super) fn wait(&self) -> impl Future<Output = Option<Fired>> {
        let left = self.idle_until.saturating_sub(self.worker.slots.now());
        readable(&self.slot, &self.stream, left)
    }

    /// Makes it fit for a request.
    pub(super) fn wake(self: Box<Self>) -> Box<Connection> {
        let Self { worker, stream, slot, origin, expires, came, idle_until } = *self;
        let client = Client::new(Side::new(stream), slot);
        let (head, upload_room) = (RequestHead::default(), Vec::new());
        Box::new(Connection {
            worker,
            client,
            origin,
            expires,
            came,
            idle_until,
            head,
            upload_room,
        })
    }
}

/// Waits until there is something to read; why it was ended, where nothing has come.
fn readable(slot: &Slot, stream: &Stream, limit: Duration) -> impl Future<Output = Option<Fired>> {
    slot.arm(limit, true);
    let over = limit.is_zero();
    std::future::poll_fn(move |cx| {
        // What has come already is answered, also when the time is over.
        if stream.poll_readable(cx).is_ready() {
            return Poll::Ready(None);
        }
        if over { Poll::Ready(Some(Fired::Deadline)) } else { slot.poll_fired(cx).map(Some) }
    })
}

impl From<Fired> for Waited {
    fn from(why: Fired) -> Self {
        match why {
            Fired::Deadline => Self::InVain,
            Fired::Drain => Self::Over,
        }
    }
}

impl Connection {
    /// Waits a moment for the first byte of a request, without holding a buffer or a room.
    pub(super) async fn wait(&mut self) -> Waited {
        if !self.client.side.buffer.is_empty() {
            return Waited::Request;
        }
        self.give_rooms();
        let patience = self.patience();
        self.idle_until = self.worker.slots.now().saturating_add(patience);
        match readable(&self.client.slot, &self.client.side.stream, MOMENT.min(patience)).await {
            None => {
                self.take_rooms();
                Waited::Request
            }
            Some(why) => why.into(),
        }
    }

    /// Lets go of all that can be made again.
    pub(super) fn fall_asleep(self: Box<Self>) -> Box<Asleep> {
        let Self { worker, client, origin, expires, came, idle_until, .. } = *self;
        let Client { side: Side { stream, .. }, slot, .. } = client;
        Box::new(Asleep { worker, stream, slot, origin, expires, came, idle_until })
    }

    /// An idle connection holds no memory that another one could use.
    fn give_rooms(&mut self) {
        self.worker.give_block(std::mem::take(&mut self.client.side.buffer));
        self.worker.give_room(std::mem::take(&mut self.client.out));
        self.worker.give_room(std::mem::take(&mut self.upload_room));
    }

    fn take_rooms(&mut self) {
        self.client.side.buffer = self.worker.take_block();
        self.client.out = self.worker.take_room();
        self.upload_room = self.worker.take_room();
    }

    /// How long to wait for a request: not beyond the life of the connection.
    fn patience(&self) -> Duration {
        let life = self.expires.saturating_sub(self.worker.slots.now());
        IDLE.min(life.saturating_add(AFTER_LIFE))
    }
}
