//! A client's connection: accepts streams, each in a task of its own, and ends when it is idle, too
//! old, abused, or the proxy drains. Ending is graceful: GOAWAY twice, streams run to their end.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server;
use tokio::task::{JoinError, JoinSet};

use super::io::Io;
use super::keepalive::Keepalive;
use super::meter::Meter;
use super::tally::Tally;
use super::{
    CONNECTION_WINDOW, DATA_FRAME_BUDGET, MAX_HEADER_LIST, MAX_STREAMS, RESET_MEMORY, SEND_BUFFER,
    STREAM_WINDOW, stream,
};
use crate::names::Protocol;
use crate::proxy::h1::Headroom;
use crate::proxy::inbound;
use crate::proxy::overload::Level;
use crate::proxy::record::{self, Outcome};
use crate::proxy::serve::Origin;
use crate::proxy::slots::{Fired, Slot};
use crate::proxy::stream::Side;
use crate::proxy::trace::Trace;
use crate::proxy::worker::Worker;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// How long a client may take to say how it speaks.
const PREFACE: Duration = Duration::from_secs(10);

/// How long a connection may be without a stream.
const IDLE: Duration = Duration::from_secs(300);

/// How long a client may take to close a connection that has ended.
const PARTING: Duration = Duration::from_secs(10);

/// What the streams of a connection share.
#[derive(Debug)]
pub(super) struct Client {
    /// The worker.
    pub(super) worker: Rc<Worker>,
    /// Where the connection came in.
    pub(super) origin: Origin,
    /// How short memory was when it came.
    pub(super) came: Level,
    /// How far its heads may go over the limits.
    pub(super) headroom: Headroom,
    tally: RefCell<Tally>,
    abused: Cell<bool>,
    meter: Rc<RefCell<Meter>>,
}

impl Client {
    /// A stream has ended: given up by the client, or not.
    pub(super) fn ended(&self, given_up: bool) {
        let mut tally = self.tally.borrow_mut();
        if !given_up {
            tally.completed();
        } else if !tally.given_up(self.worker.slots.now()) {
            self.abused.set(true);
        }
    }

    /// A stream's task has ended; one that panicked was reset by that.
    fn report(&self, ended: Result<(), JoinError>) {
        if let Err(Ok(panic)) = ended.map_err(JoinError::try_into_panic) {
            self.worker.shared.metrics.panics.note("a stream", &*panic);
        }
    }

    /// Records what broke HTTP so early that it was no request; the crate has answered.
    fn malformed(&self) {
        let outcome = Outcome { reason: Some(Reason::BadRequest), ..Outcome::default() };
        let now = Instant::now();
        match &self.origin {
            Origin::Inbound(caller) => {
                record::inbound(&self.worker, caller, &outcome, (Trace::Passed, now));
            }
            origin => {
                let called = origin.called("");
                record::not_passed_on(&self.worker, &called, Protocol::Http2, &outcome, now);
            }
        }
    }
}

/// Serves a client that speaks HTTP/2, for `life` at most (and to the end of its streams).
pub async fn serve(worker: Rc<Worker>, side: Side, origin: Origin, life: Duration) {
    let meter = Rc::new(RefCell::new(Meter::new()));
    let headroom = side.stream.headroom();
    let io = Io::new(&worker, side).metered(&meter);
    let arrivals = io.arrivals();
    let handshake = tokio::time::timeout(PREFACE, builder(headroom).handshake(io));
    let mut connection = match handshake.await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => {
            return tracing::debug!(%error, "a client does not speak HTTP/2");
        }
        Err(_) => return,
    };
    // Nobody else is a sidecar.
    let pings = match &origin {
        Origin::Inbound(caller) if caller.identity.is_some() => connection.ping_pong(),
        _ => None,
    };
    let now = worker.slots.now();
    let client = Client {
        origin,
        came: worker.shared.overload.level(),
        headroom,
        tally: RefCell::new(Tally::new(now)),
        abused: Cell::new(false),
        meter,
        worker: Rc::clone(&worker),
    };
    let serving = Serving {
        client: Rc::new(client),
        connection,
        keepalive: Keepalive::new(&worker, pings, arrivals),
        slot: worker.slots.take(),
        streams: JoinSet::new(),
        began: now,
        accepted: 0,
        refused: 0,
        expires: now + life,
        busy_until: now,
        parting: false,
        given_up: false,
    };
    serving.run().await;
}

fn builder(headroom: Headroom) -> server::Builder {
    let mut builder = server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADER_LIST + headroom.bytes as u32)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(MAX_STREAMS as usize)
        .max_pending_accept_reset_streams(MAX_STREAMS as usize)
        .reset_stream_duration(RESET_MEMORY)
        .data_frame_budget(DATA_FRAME_BUDGET);
    builder
}

struct Serving {
    client: Rc<Client>,
    connection: server::Connection<Io, Bytes>,
    keepalive: Keepalive,
    slot: Slot,
    streams: JoinSet<()>,
    began: Duration,
    /// Streams that the crate has handed out.
    accepted: u64,
    /// Streams that it has refused itself, as far as they are counted.
    refused: u64,
    expires: Duration,
    /// When a stream was last seen, on the worker's clock.
    busy_until: Duration,
    /// GOAWAY was said.
    parting: bool,
    /// The client was told to go away at once, and that is counted.
    given_up: bool,
}

impl Serving {
    async fn run(mut self) {
        self.watch();
        std::future::poll_fn(|cx| {
            self.poll_streams(cx);
            // The stream that was one too many has just ended, which is why this task runs.
            if self.client.abused.take() {
                self.give_up(Limit::Http2Resets, "a client opens streams only to reset them");
            }
            if self.poll_over(cx).is_ready() {
                return Poll::Ready(());
            }
            let accepted = self.poll_accept(cx);
            self.count_refused();
            if !self.given_up && self.is_flooded() {
                self.give_up(Limit::Http2Floods, "a client sends frames that bring nothing");
                // What was just said is to be written.
                cx.waker().wake_by_ref();
            }
            if accepted.is_ready() {
                return Poll::Ready(());
            }
            // Last: streams may just have begun.
            let Self { keepalive, streams, .. } = &mut self;
            let dead = keepalive.poll_dead(cx, || !streams.is_empty());
            dead.map(|()| tracing::debug!("a caller left a ping unanswered"))
        })
        .await;
        let Self { client, connection, mut streams, .. } = self;
        // Streams that still run learn from this that their client has gone, and leave a record.
        drop(connection);
        while let Some(ended) = streams.join_next().await {
            client.report(ended);
        }
    }

    /// Ends the connection of a client that abuses it.
    fn give_up(&mut self, limit: Limit, why: &'static str) {
        tracing::warn!(why, "a client's HTTP/2 connection was ended");
        self.client.worker.hit(limit);
        self.connection.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
        self.given_up = true;
        // Who does not even read that is waited for no longer than others.
        self.parting = true;
        self.watch();
    }

    fn is_flooded(&self) -> bool {
        let since = self.client.worker.slots.now().saturating_sub(self.began);
        self.client.meter.borrow().is_flooded(since)
    }

    /// Records the streams that the crate refused by itself (a head over the limit or malformed, a
    /// stream too many), for it tells nobody.
    fn count_refused(&mut self) {
        let meter = self.client.meter.borrow();
        // What lies unread, because answers cannot be written, is not refused; nor is what crosses
        // a GOAWAY, which its client sends again.
        if self.parting || meter.is_blocked() {
            return;
        }
        let refused = meter.opened().saturating_sub(self.accepted);
        (self.refused..refused).for_each(|_| self.client.malformed());
        self.refused = self.refused.max(refused);
    }

    /// The connection failed, by the crate's judgement, the client's, or the network's.
    fn failed(&mut self, error: &h2::Error) {
        tracing::debug!(%error, "a client's connection failed");
        if self.given_up || !error.is_library() {
            return;
        }
        self.given_up = true;
        match error.reason() {
            Some(h2::Reason::ENHANCE_YOUR_CALM) => self.client.worker.hit(Limit::Http2Floods),
            Some(_) => self.client.malformed(),
            None => {}
        }
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.accepted += 1;
                    if let Origin::Inbound(caller) = &self.client.origin
                        && !inbound::is_still_welcome(&self.client.worker, caller)
                    {
                        return Poll::Ready(());
                    }
                    let stream = stream::serve(Rc::clone(&self.client), request, respond);
                    self.streams.spawn_local(stream);
                    // A task that was just added has not told the set to wake this one.
                    self.poll_streams(cx);
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failed(&error);
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    fn poll_streams(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready(Some(ended)) = self.streams.poll_join_next(cx) {
            self.busy_until = self.client.worker.slots.now();
            self.client.report(ended);
        }
    }

    /// Looks after the deadlines; ready where there is nothing left to wait for.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Poll::Ready(why) = self.slot.poll_fired(cx) {
            let empty = self.streams.is_empty() && !self.connection.has_streams();
            if self.parting && empty {
                return Poll::Ready(());
            }
            let now = self.client.worker.slots.now();
            let idle = empty && self.busy_until + IDLE <= now;
            if !self.parting && (why == Fired::Drain || idle || self.expires <= now) {
                self.parting = true;
                self.connection.graceful_shutdown();
            }
            self.watch();
        }
        Poll::Pending
    }

    fn watch(&self) {
        if self.parting {
            return self.slot.arm(PARTING, false);
        }
        let now = self.client.worker.slots.now();
        let idle_end = match self.streams.is_empty() {
            true => self.busy_until + IDLE,
            false => now + IDLE,
        };
        let end = idle_end.min(self.expires);
        self.slot.arm(end.saturating_sub(now).max(Duration::from_secs(1)), true);
    }
}
