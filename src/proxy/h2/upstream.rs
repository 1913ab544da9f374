//! One connection to an endpoint: opened, driven, and between sidecars asked now and then whether
//! it lives. Applications are not asked: gRPC servers end a connection for pings they did not
//! agree to (`too_many_pings`).

use std::cell::Cell;
use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::{Ping, PingPong, client};

use super::io::Io;
use super::pool::{Line, LineTerms};
use super::{
    CONNECTION_WINDOW, DATA_FRAME_BUDGET, MAX_HEADER_LIST, RESET_MEMORY, SEND_BUFFER, STREAM_WINDOW,
};
use crate::names::ServiceName;
use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::connect::{self, Alpn};
use crate::proxy::slots::Slot;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

/// How long a connection in use may be silent until it is asked, and may then leave the question
/// unanswered. Two of these and the clock's grain are less than the 15 s in which a dead peer is
/// to be found, wherever in the first its death falls.
const SILENCE: Duration = Duration::from_millis(4_500);

/// How to connect.
#[derive(Debug)]
pub(super) struct Terms {
    /// TCP and TLS together.
    pub(super) timeout: Duration,
    /// How long the connection may lie idle.
    pub(super) idle_limit: Duration,
    /// The service, for the SNI.
    pub(super) service: ServiceName,
    /// How many streams the connection carries in all; `None`: no limit.
    pub(super) most: Option<u32>,
    /// It counts among the connections of its service, where those are limited.
    pub(super) permit: Option<Rc<Permit>>,
}

/// Connects; the driver must run for anything to move.
///
/// # Errors
/// As [`connect::open`].
pub(super) async fn connect(
    worker: &Rc<Worker>,
    endpoint: &Arc<Endpoint>,
    terms: &Terms,
) -> Result<(Rc<Line>, Driver), Reason> {
    let dial = connect::Terms {
        timeout: terms.timeout,
        idle_limit: terms.idle_limit,
        alpn: Alpn::Http2,
        service: &terms.service,
    };
    let upstream = connect::open(worker, endpoint, dial).await?;
    let io = Io::new(worker, upstream.side);
    let arrivals = io.arrivals();
    let (send, mut connection) =
        builder().handshake(io).await.map_err(|_| Reason::ConnectFailure)?;
    let pings = match endpoint.identity {
        Some(_) => connection.ping_pong(),
        None => None,
    };
    let line_terms = LineTerms {
        endpoint: Arc::clone(endpoint),
        opened: worker.slots.now(),
        expires: upstream.expires,
        idle_limit: terms.idle_limit,
        most: terms.most,
        permit: terms.permit.clone(),
    };
    let line = Line::new(send, line_terms);
    let slot = worker.slots.take();
    slot.arm(SILENCE, false);
    let keepalive =
        Keepalive { pings, slot, line: Rc::downgrade(&line), arrivals, seen: 0, asked: false };
    Ok((line, Driver { connection, keepalive, _permit: terms.permit.clone() }))
}

fn builder() -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST)
        .max_send_buffer_size(SEND_BUFFER)
        .reset_stream_duration(RESET_MEMORY)
        .data_frame_budget(DATA_FRAME_BUDGET);
    builder
}

/// Moves the connection's bytes.
#[derive(Debug)]
pub(super) struct Driver {
    connection: client::Connection<Io, Bytes>,
    keepalive: Keepalive,
    /// It counts to its very end.
    _permit: Option<Rc<Permit>>,
}

impl Driver {
    /// Runs until the connection has ended: closed by the endpoint, dead, or not needed any more.
    pub(super) async fn run(mut self) {
        let ended = std::future::poll_fn(|cx| {
            if self.keepalive.poll_dead(cx).is_ready() {
                return Poll::Ready(Ok(false));
            }
            Pin::new(&mut self.connection).poll(cx).map(|ended| ended.map(|()| true))
        });
        match ended.await {
            Ok(true) => {}
            Ok(false) => tracing::debug!("an endpoint left a ping unanswered"),
            Err(error) => tracing::debug!(%error, "a connection to an endpoint ended"),
        }
    }
}

#[derive(Debug)]
struct Keepalive {
    /// `None` where nobody is asked.
    pings: Option<PingPong>,
    slot: Slot,
    line: std::rc::Weak<Line>,
    arrivals: Rc<Cell<u64>>,
    /// Arrivals at the last look.
    seen: u64,
    /// A ping is on its way since the last look.
    asked: bool,
}

impl Keepalive {
    /// Ready when the other side must be held for dead.
    fn poll_dead(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(pings) = &mut self.pings else { return Poll::Pending };
        let answered = pings.poll_pong(cx).is_ready();
        self.asked &= !answered;
        while self.slot.poll_fired(cx).is_ready() {
            self.slot.arm(SILENCE, false);
            let silent = std::mem::replace(&mut self.seen, self.arrivals.get()) == self.seen;
            if silent && self.asked {
                return Poll::Ready(());
            }
            // One that was forgotten by the pool has streams, or it would have ended.
            let in_use = self.line.upgrade().is_none_or(|line| line.seats() > 0);
            if silent && in_use && !self.asked {
                self.asked = pings.send_ping(Ping::opaque()).is_ok();
            }
        }
        Poll::Pending
    }
}
