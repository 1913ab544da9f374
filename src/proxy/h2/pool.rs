//! Connections of one worker that streams share, by endpoint. A stream takes a seat on the one
//! that has room and the fewest seats taken; where none has room one more is opened (`seat`). What
//! is too old, or has carried as much as it may, is forgotten here and ends with its last stream.
//!
//! Where connections are limited, each holds its permit, and makes way for who waits: at once when
//! it becomes idle, and after [`TURN`] in any case.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;

use super::MAX_STREAMS;
use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::worker::Worker;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// Connections of one worker to one endpoint.
const MAX_CONNECTIONS: usize = Limit::Http2Connections.most();

/// How long a connection that somebody waits for takes new streams.
const TURN: Duration = Duration::from_secs(1);

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Http2Pool {
    shelves: HashMap<u64, Shelf>,
}

/// What there is for one endpoint.
#[derive(Debug, Default)]
struct Shelf {
    lines: Vec<Rc<Line>>,
    attempt: Option<Attempt>,
}

/// The attempt to open one more connection; answered with why it failed.
pub(super) type Attempt = watch::Receiver<Option<Reason>>;

/// A connection to an endpoint.
#[derive(Debug)]
pub(super) struct Line {
    send: SendRequest<Bytes>,
    terms: LineTerms,
    seats: Cell<u32>,
    /// Streams that may still begin.
    left: Cell<u32>,
    idle_since: Cell<Duration>,
}

/// What holds for one connection. Times are on the worker's clock.
#[derive(Debug)]
pub(super) struct LineTerms {
    /// Whereto.
    pub(super) endpoint: Arc<Endpoint>,
    /// When it was opened.
    pub(super) opened: Duration,
    /// When it must end.
    pub(super) expires: Duration,
    /// How long it may be without a stream.
    pub(super) idle_limit: Duration,
    /// How many streams it carries in all; `None`: no limit.
    pub(super) most: Option<u32>,
    /// It counts among the connections of its service, where those are limited.
    pub(super) permit: Option<Rc<Permit>>,
}

/// What a stream finds.
pub(super) enum Found {
    /// A connection with room.
    Seat(Rc<Line>),
    /// One is being opened.
    Wait(Attempt),
    /// One more may be opened.
    Open,
    /// There are too many.
    Full,
}

/// A stream's place on a connection, until it is dropped.
#[derive(Debug)]
pub(super) struct Seat {
    line: Rc<Line>,
    worker: Rc<Worker>,
}

impl Http2Pool {
    /// Lets go of what is too old, idle for too long, or closed.
    pub fn sweep(&mut self, now: Duration) {
        self.shelves.retain(|_, shelf| {
            shelf.lines.retain(|line| line.may_be_used(now) && !line.is_idle(now));
            !shelf.lines.is_empty() || shelf.attempt.is_some()
        });
    }

    /// Closes idle connections that somebody waits for who cannot use them as they are.
    pub fn make_way(&mut self) {
        for shelf in self.shelves.values_mut() {
            shelf.lines.retain(|line| line.seats.get() > 0 || !line.is_waited_for());
        }
    }

    /// Closes those that no stream uses: their descriptors, or their memory, are needed more.
    pub fn clear_idle(&mut self) {
        for shelf in self.shelves.values_mut() {
            shelf.lines.retain(|line| line.seats.get() > 0);
        }
    }

    /// What a stream to an endpoint finds.
    pub(super) fn find(&mut self, endpoint: u64, now: Duration) -> Found {
        let Some(shelf) = self.shelves.get_mut(&endpoint) else { return Found::Open };
        shelf.lines.retain(|line| line.may_be_used(now));
        let roomy = shelf.lines.iter().filter(|line| line.room() > 0);
        if let Some(line) = roomy.min_by_key(|line| line.seats.get()) {
            return Found::Seat(Rc::clone(line));
        }
        match &shelf.attempt {
            Some(attempt) => Found::Wait(attempt.clone()),
            None if shelf.lines.len() < MAX_CONNECTIONS => Found::Open,
            None => Found::Full,
        }
    }

    /// An endpoint that `suits` and has a connection with room.
    pub(super) fn roomy(
        &self,
        now: Duration,
        suits: impl Fn(&Arc<Endpoint>) -> bool,
    ) -> Option<Arc<Endpoint>> {
        let lines = self.shelves.values().flat_map(|shelf| &shelf.lines);
        let mut fit = lines
            .filter(|line| line.room() > 0 && line.may_be_used(now) && suits(&line.terms.endpoint));
        fit.next().map(|line| Arc::clone(&line.terms.endpoint))
    }

    /// Whether there is a connection to an endpoint, or soon will be.
    pub(super) fn knows(&self, endpoint: u64) -> bool {
        let shelf = self.shelves.get(&endpoint);
        shelf.is_some_and(|shelf| !shelf.lines.is_empty() || shelf.attempt.is_some())
    }

    /// An attempt to open one more begins.
    pub(super) fn begin(&mut self, endpoint: u64, attempt: Attempt) {
        self.shelves.entry(endpoint).or_default().attempt = Some(attempt);
    }

    /// The attempt has ended.
    pub(super) fn ended(&mut self, endpoint: u64) {
        if let Some(shelf) = self.shelves.get_mut(&endpoint) {
            shelf.attempt = None;
        }
    }

    /// Streams may use a connection.
    pub(super) fn put(&mut self, line: Rc<Line>) {
        self.shelves.entry(line.terms.endpoint.id).or_default().lines.push(line);
    }

    /// Forgets connections to an endpoint that cannot be used any more.
    pub(super) fn purge(&mut self, endpoint: u64, now: Duration) {
        if let Some(shelf) = self.shelves.get_mut(&endpoint) {
            shelf.lines.retain(|line| line.may_be_used(now));
        }
    }
}

impl Line {
    /// A connection that nobody uses yet.
    pub(super) fn new(send: SendRequest<Bytes>, terms: LineTerms) -> Rc<Self> {
        Rc::new(Self {
            send,
            seats: Cell::new(0),
            left: Cell::new(terms.most.unwrap_or(u32::MAX)),
            idle_since: Cell::new(terms.opened),
            terms,
        })
    }

    /// How many streams use it.
    pub(super) fn seats(&self) -> u32 {
        self.seats.get()
    }

    /// Whether new streams may begin: it lives, has not been told to go away, is not too old, and
    /// has not carried all that it may.
    fn may_be_used(&self, now: Duration) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let refused = self.send.clone().poll_ready(&mut cx).map(|ready| ready.is_err());
        self.terms.expires > now && self.left.get() > 0 && refused != Poll::Ready(true)
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.seats.get() == 0 && self.idle_since.get() + self.terms.idle_limit <= now
    }

    fn is_waited_for(&self) -> bool {
        self.terms.permit.as_ref().is_some_and(|permit| permit.is_waited_for())
    }

    /// How many streams more may begin now.
    fn room(&self) -> u32 {
        let theirs = u32::try_from(self.send.current_max_send_streams()).unwrap_or(u32::MAX);
        MAX_STREAMS.min(theirs).saturating_sub(self.seats.get()).min(self.left.get())
    }

    /// Tells up to `seats` streams that wait for a seat here that there is one, and those who wait
    /// for a connection elsewhere that this one ends, if it is time.
    pub(super) fn offer(&self, worker: &Rc<Worker>, seats: u32) {
        let Some(permit) = &self.terms.permit else { return };
        for _ in 0..seats.min(self.room()) {
            if !permit.is_waited_for() {
                return;
            }
            if !permit.keep_idle(worker.place(self.terms.endpoint.id)) {
                let now = worker.slots.now();
                if self.seats.get() == 0 || self.terms.opened + TURN <= now {
                    self.left.set(0);
                    worker.http2.borrow_mut().purge(self.terms.endpoint.id, now);
                }
                return;
            }
        }
    }
}

impl Seat {
    /// Sits down.
    pub(super) fn take(worker: &Rc<Worker>, line: Rc<Line>) -> Self {
        line.seats.set(line.seats.get() + 1);
        line.left.set(line.left.get().saturating_sub(u32::from(line.terms.most.is_some())));
        Self { line, worker: Rc::clone(worker) }
    }

    /// The way to send a request.
    pub(super) fn send(&self) -> SendRequest<Bytes> {
        self.line.send.clone()
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.line.seats.set(self.line.seats.get() - 1);
        let (line, now) = (&self.line, self.worker.slots.now());
        line.idle_since.set(now);
        if line.left.get() == 0 && line.seats.get() == 0 {
            self.worker.http2.borrow_mut().purge(line.terms.endpoint.id, now);
        } else {
            line.offer(&self.worker, 1);
        }
    }
}
