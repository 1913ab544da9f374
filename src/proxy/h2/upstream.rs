//! One connection to an endpoint: opened, driven, and between sidecars asked now and then whether
//! it lives (`keepalive`).

use std::future::Future as _;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client;

use super::io::Io;
use super::keepalive::Keepalive;
use super::pool::{Line, LineTerms};
use super::{
    CONNECTION_WINDOW, DATA_FRAME_BUDGET, MAX_HEADER_LIST, RESET_MEMORY, SEND_BUFFER, STREAM_WINDOW,
};
use crate::names::ServiceName;
use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::connect::{self, Alpn};
use crate::proxy::h1::Headroom;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

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
    let headroom = upstream.side.stream.headroom();
    let io = Io::new(worker, upstream.side);
    let arrivals = io.arrivals();
    let (send, mut connection) =
        builder(headroom).handshake(io).await.map_err(|_| Reason::ConnectFailure)?;
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
    let driver = Driver {
        connection,
        keepalive: Keepalive::new(worker, pings, arrivals),
        line: Rc::downgrade(&line),
        _permit: terms.permit.clone(),
    };
    Ok((line, driver))
}

fn builder(headroom: Headroom) -> client::Builder {
    let mut builder = client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(MAX_HEADER_LIST + headroom.bytes as u32)
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
    line: std::rc::Weak<Line>,
    /// It counts to its very end.
    _permit: Option<Rc<Permit>>,
}

impl Driver {
    /// Runs until the connection has ended: closed by the endpoint, dead, or not needed any more.
    pub(super) async fn run(mut self) {
        // One that was forgotten by the pool has streams, or it would have ended.
        let line = self.line;
        let is_in_use = || line.upgrade().is_none_or(|line| line.seats() > 0);
        let ended = std::future::poll_fn(|cx| {
            if self.keepalive.poll_dead(cx, is_in_use).is_ready() {
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
