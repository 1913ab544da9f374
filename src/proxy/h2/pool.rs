//! Connections of one worker that streams share, by endpoint. A stream takes a seat on the one
//! that has room and the fewest seats taken; where none has room one more is opened, by one attempt
//! that all streams wait for. What is too old is forgotten here and ends with its last stream.

use std::cell::Cell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;

use super::{MAX_STREAMS, upstream};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::Decision;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

/// Connections of one worker to one endpoint.
const MAX_CONNECTIONS: usize = 64;

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Http2Pool {
    shelves: HashMap<u64, Shelf>,
}

/// What there is for one endpoint.
#[derive(Debug, Default)]
struct Shelf {
    lines: Vec<Rc<Line>>,
    /// The attempt to open one more; answered with why it failed.
    attempt: Option<watch::Receiver<Option<Reason>>>,
}

/// A connection to an endpoint.
#[derive(Debug)]
pub(super) struct Line {
    send: SendRequest<Bytes>,
    /// When it must end, on the worker's clock.
    expires: Duration,
    idle_limit: Duration,
    seats: Cell<u32>,
    idle_since: Cell<Duration>,
}

/// What a stream finds.
enum Found {
    Seat(Rc<Line>),
    Wait(watch::Receiver<Option<Reason>>),
    Open,
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

    fn find(&mut self, endpoint: u64, now: Duration) -> Found {
        let Some(shelf) = self.shelves.get_mut(&endpoint) else { return Found::Open };
        shelf.lines.retain(|line| line.may_be_used(now));
        let roomy = shelf.lines.iter().filter(|line| line.has_room());
        if let Some(line) = roomy.min_by_key(|line| line.seats.get()) {
            return Found::Seat(Rc::clone(line));
        }
        match &shelf.attempt {
            Some(attempt) => Found::Wait(attempt.clone()),
            None if shelf.lines.len() < MAX_CONNECTIONS => Found::Open,
            None => Found::Full,
        }
    }
}

impl Line {
    /// A connection that nobody uses yet.
    pub(super) fn new(
        send: SendRequest<Bytes>,
        expires: Duration,
        idle_limit: Duration,
        now: Duration,
    ) -> Rc<Self> {
        let (seats, idle_since) = (Cell::new(0), Cell::new(now));
        Rc::new(Self { send, expires, idle_limit, seats, idle_since })
    }

    /// How many streams use it.
    pub(super) fn seats(&self) -> u32 {
        self.seats.get()
    }

    /// Whether new streams may begin: it lives, has not been told to go away, and is not too old.
    fn may_be_used(&self, now: Duration) -> bool {
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let refused = self.send.clone().poll_ready(&mut cx).map(|ready| ready.is_err());
        self.expires > now && refused != std::task::Poll::Ready(true)
    }

    fn is_idle(&self, now: Duration) -> bool {
        self.seats.get() == 0 && self.idle_since.get() + self.idle_limit <= now
    }

    fn has_room(&self) -> bool {
        let theirs = u32::try_from(self.send.current_max_send_streams()).unwrap_or(u32::MAX);
        self.seats.get() < MAX_STREAMS.min(theirs)
    }
}

impl Seat {
    fn take(worker: &Rc<Worker>, line: Rc<Line>) -> Self {
        line.seats.set(line.seats.get() + 1);
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
        self.line.idle_since.set(self.worker.slots.now());
    }
}

/// A seat on a connection to `endpoint` (by id) that has room now.
pub(super) fn seat(worker: &Rc<Worker>, endpoint: u64) -> Option<Seat> {
    match worker.http2.borrow_mut().find(endpoint, worker.slots.now()) {
        Found::Seat(line) => Some(Seat::take(worker, line)),
        Found::Wait(_) | Found::Open | Found::Full => None,
    }
}

/// A seat on a connection to `endpoint`, opened if need be.
///
/// # Errors
/// Why there is no connection; [`Reason::Overloaded`] where there are too many.
pub(super) async fn acquire(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: Arc<Endpoint>,
) -> Result<Seat, Reason> {
    loop {
        let found = worker.http2.borrow_mut().find(endpoint.id, worker.slots.now());
        let mut attempt = match found {
            Found::Seat(line) => return Ok(Seat::take(worker, line)),
            Found::Wait(attempt) => attempt,
            Found::Open => begin(worker, decision, &endpoint),
            Found::Full => return Err(Reason::Overloaded),
        };
        // The attempt ends by dropping its sender, whose last word says whether it failed.
        while attempt.changed().await.is_ok() {}
        if let Some(reason) = *attempt.borrow() {
            return Err(reason);
        }
    }
}

/// Begins an attempt in a task of its own, so that it outlives the stream that asked for it.
fn begin(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: &Arc<Endpoint>,
) -> watch::Receiver<Option<Reason>> {
    let (answer, attempt) = watch::channel(None);
    let id = endpoint.id;
    worker.http2.borrow_mut().shelves.entry(id).or_default().attempt = Some(attempt.clone());
    let ticket = Ticket { worker: Rc::clone(worker), endpoint: id, answer };
    let terms = upstream::Terms {
        timeout: decision.pool.connect_timeout(),
        idle_limit: decision.pool.http_idle(),
        service: decision.target().clone(),
    };
    let endpoint = Arc::clone(endpoint);
    tokio::task::spawn_local(async move {
        let connected = upstream::connect(&ticket.worker, &endpoint, &terms).await;
        let driver = match connected {
            Ok((line, driver)) => {
                let mut pool = ticket.worker.http2.borrow_mut();
                pool.shelves.entry(id).or_default().lines.push(line);
                driver
            }
            Err(reason) => {
                ticket.answer.send_replace(Some(reason));
                return;
            }
        };
        drop(ticket);
        driver.run().await;
    });
    attempt
}

/// Ends an attempt, however it ends.
struct Ticket {
    worker: Rc<Worker>,
    endpoint: u64,
    answer: watch::Sender<Option<Reason>>,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut pool = self.worker.http2.borrow_mut();
        if let Some(shelf) = pool.shelves.get_mut(&self.endpoint) {
            shelf.attempt = None;
        }
    }
}
