//! Opaque bytes, both ways, each direction closed on its own.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite as _;
use tokio::net::TcpStream;

use crate::names::{Protocol, ServiceName};
use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::detect::{self, Kind};
use crate::proxy::directory::Miss;
use crate::proxy::flight::Flight;
use crate::proxy::h1::Framing;
use crate::proxy::outbound::{self, Called};
use crate::proxy::pool::{MAX_AGE, Upstream};
use crate::proxy::pump::{Pump, PumpError};
use crate::proxy::serve::{Connection, Origin};
use crate::proxy::slots::{SWEEP, Slot};
use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;
use crate::proxy::{h2, inbound, record};
use crate::telemetry::metrics::Edge;
use crate::telemetry::reason::Reason;

mod open;
#[cfg(test)]
mod tests;

pub use open::Opened;
use open::{open, open_app};

/// How long a tunnel may be silent in both directions where no policy says.
const TUNNEL_IDLE: Duration = Duration::from_secs(3600);

/// After so long a silent tunnel gives its rooms back: one sweep at least, two at most.
const QUIET: Duration = SWEEP.saturating_mul(2);

/// Serves a local port that stands for one port of a service.
pub async fn arrive_upstream(
    worker: Rc<Worker>,
    side: Side,
    service: ServiceName,
    port: u16,
) -> Option<Box<Connection>> {
    let started = Instant::now();
    match worker.shared.directory.wait_service(&service).await {
        Ok(cell) => arrive_called(worker, side, Called::Service(cell, port)).await,
        Err(miss) => {
            let reason = match miss {
                Miss::NotAService => Reason::NoService,
                Miss::Pending => Reason::ConfigPending,
            };
            tracing::debug!(%service, reason = reason.as_str(), "no connection to the upstream");
            record::refused(&worker, &service.to_string(), Protocol::Tcp, reason, started);
            None
        }
    }
}

/// Takes in a connection of our application that stands for one destination. One of HTTP/1.1 is to
/// be served then; any other was served to its end.
pub async fn arrive_called(
    worker: Rc<Worker>,
    mut side: Side,
    called: Called,
) -> Option<Box<Connection>> {
    // Boxed: what is over soon must not make a connection of HTTP/2 or of bytes larger.
    let (kind, waiting) = match outbound::protocol(&worker, &called) {
        Protocol::Http => (Kind::Http1, None),
        Protocol::Http2 | Protocol::Grpc => (Kind::Http2, None),
        Protocol::Tcp => (Kind::Opaque, None),
        Protocol::Detect => match Box::pin(find_out(&worker, &mut side, &called)).await {
            Some(found) => found,
            None => return None,
        },
    };
    let life = match called {
        // The next connection may fare better.
        Called::Refused(..) => Duration::ZERO,
        _ => MAX_AGE,
    };
    match kind {
        Kind::Http1 => {
            return Some(Connection::new(worker, side, Origin::Upstream(called), life));
        }
        Kind::Http2 => Box::pin(h2::serve(worker, side, Origin::Upstream(called), life)).await,
        Kind::Opaque | Kind::Silent => Box::pin(serve_opaque(worker, side, called, waiting)).await,
    }
    None
}

async fn serve_opaque(
    worker: Rc<Worker>,
    side: Side,
    called: Called,
    waiting: Option<Box<Dialed>>,
) {
    let dialed = match waiting {
        Some(dialed) => Some(dialed),
        None => Box::pin(dial(&worker, &called)).await,
    };
    if let Some(dialed) = dialed {
        dialed.run(worker, side).await;
    }
}

/// What the client speaks. After a silence the endpoint is connected to: if it speaks first, the
/// connection is opaque; if the client does after all, its bytes decide, and what was opened for
/// nothing is closed. `None` where neither does.
async fn find_out(
    worker: &Rc<Worker>,
    side: &mut Side,
    called: &Called,
) -> Option<(Kind, Option<Box<Dialed>>)> {
    if called.place().is_some_and(|place| worker.speaks_first(place)) {
        return Some((Kind::Opaque, None));
    }
    match detect::detect(worker, side).await? {
        Kind::Silent => {}
        kind => return Some((kind, None)),
    }
    let mut dialed = dial(worker, called).await?;
    let client = |cx: &mut Context<'_>| side.stream.poll_readable(cx);
    match first(worker, client, &mut dialed.opened, dialed.idle).await? {
        First::Server => {
            // The next client of this port need not be silent first.
            called.place().into_iter().for_each(|place| worker.remember_speaks_first(place));
            return Some((Kind::Opaque, Some(dialed)));
        }
        First::Client => {}
    }
    match detect::detect(worker, side).await? {
        kind @ (Kind::Http1 | Kind::Http2) => Some((kind, None)),
        // Its bytes are not HTTP: the connection that waits is the right one.
        kind => Some((kind, Some(dialed))),
    }
}

/// Serves opaque bytes to our own application, which may have been connected to already.
pub async fn serve_inbound(
    worker: Rc<Worker>,
    side: Side,
    origin: Origin,
    spoke: Option<Box<Opened>>,
) {
    let Origin::Inbound(caller) = origin else { return };
    let edge = Arc::clone(&caller.edge);
    let started = Instant::now();
    // Boxed, as in `serve_opaque`: what is over once it is connected must not make all that follows larger.
    let opened = match (spoke, inbound::decide(&worker, &caller)) {
        (Some(spoke), _) => Ok(spoke),
        (None, _) if !worker.admits_new() => Err(Reason::Overloaded),
        (None, Ok(decision)) => Box::pin(open(&worker, &decision)).await.map(Box::new),
        (None, Err(refusal)) => Err(refusal.reason),
    };
    match opened {
        Ok(opened) => Box::new(Dialed { opened, edge, idle: TUNNEL_IDLE }).run(worker, side).await,
        Err(reason) => edge.record(0, Some(reason), started.elapsed()),
    }
}

/// Connects to the application for a client that is silent; `None` where the client is heard first
/// after all, or nobody is for long, or the application does not answer.
pub async fn speaks_first(
    worker: &Rc<Worker>,
    client: &TcpStream,
    app: &Arc<Endpoint>,
) -> Option<Box<Opened>> {
    if !worker.admits_new() {
        return None;
    }
    let mut opened = open_app(worker, app).await.ok()?;
    let client = |cx: &mut Context<'_>| client.poll_read_ready(cx).map(|_| ());
    match first(worker, client, &mut opened, TUNNEL_IDLE).await? {
        First::Server => Some(Box::new(opened)),
        First::Client => None,
    }
}

/// Who of two that were silent is heard first.
enum First {
    Client,
    Server,
}

/// Waits until one of two that are silent says something: what the server says is in its buffer then.
/// `None` where neither does for `idle`, or the server ends without a word, which tells nothing about
/// who is to begin.
async fn first(
    worker: &Worker,
    mut client: impl FnMut(&mut Context<'_>) -> Poll<()>,
    server: &mut Opened,
    idle: Duration,
) -> Option<First> {
    let slot = worker.slots.take();
    slot.arm(idle, true);
    std::future::poll_fn(|cx| {
        if client(cx).is_ready() {
            return Poll::Ready(Some(First::Client));
        }
        if let Poll::Ready(read) = server.upstream.side.poll_fill(cx) {
            return Poll::Ready(read.is_ok_and(|count| count > 0).then_some(First::Server));
        }
        slot.poll_fired(cx).map(|_| None)
    })
    .await
}

/// An opaque connection to an endpoint, counted.
#[derive(Debug)]
struct Dialed {
    opened: Box<Opened>,
    edge: Arc<Edge>,
    idle: Duration,
}

impl Dialed {
    async fn run(mut self: Box<Self>, worker: Rc<Worker>, mut side: Side) {
        self.edge.opened();
        let (_under_way, slot) = (worker.begin(), worker.slots.take());
        let moved = carry(&slot, self.idle, &mut side, &mut self.opened.upstream.side).await;
        self.edge.add_bytes(moved.0, moved.1);
        self.edge.closed();
    }
}

/// Decides and connects, where there is memory for it; `None` where that fails, which is recorded.
async fn dial(worker: &Rc<Worker>, called: &Called) -> Option<Box<Dialed>> {
    let started = Instant::now();
    if !worker.admits_new() {
        let reason = Reason::Overloaded;
        record::refused(worker, &called.to_string(), Protocol::Tcp, reason, started);
        return None;
    }
    let decision = match outbound::decide_opaque(worker, called).await {
        Ok(decision) => decision,
        Err(refusal) => {
            record::refused(worker, &called.to_string(), Protocol::Tcp, refusal.reason, started);
            return None;
        }
    };
    match open(worker, &decision).await {
        Ok(opened) => {
            let endpoint = Some(&**opened.flight.endpoint());
            let edge = record::outbound_edge(worker, &decision, endpoint, Protocol::Tcp);
            let (opened, idle) = (Box::new(opened), decision.pool.tcp_idle());
            Some(Box::new(Dialed { opened, edge, idle }))
        }
        Err(reason) => {
            tracing::debug!(destination = %decision.destination, reason = reason.as_str(), "no tunnel");
            record::refused(worker, &decision.destination, Protocol::Tcp, reason, started);
            None
        }
    }
}

/// A connection whose protocol was switched (101), and its other end.
#[derive(Debug)]
pub struct Tunnel {
    upstream: Upstream,
    flight: Option<Flight>,
    request: Option<Permit>,
    edge: Option<Arc<Edge>>,
}

impl Tunnel {
    /// Takes over the endpoint's connection.
    pub fn of_upgrade(upstream: Upstream) -> Self {
        Self { upstream, flight: None, request: None, edge: None }
    }

    /// The request that it came from is in flight for as long as it lasts.
    pub fn keep(&mut self, flight: Flight) {
        self.flight = Some(flight);
    }

    /// Counts the request that it came from for as long as it lasts.
    pub fn hold(&mut self, request: Option<Permit>) {
        self.request = request;
    }

    /// Its bytes are counted in `edge`.
    pub fn count(&mut self, edge: Arc<Edge>) {
        self.edge = Some(edge);
    }

    /// Carries bytes until both directions have ended.
    pub async fn run(mut self, worker: Rc<Worker>, mut client: Side) {
        let (_under_way, slot) = (worker.begin(), worker.slots.take());
        let moved = carry(&slot, TUNNEL_IDLE, &mut client, &mut self.upstream.side).await;
        self.edge.iter().for_each(|edge| edge.add_bytes(moved.0, moved.1));
    }
}

/// Carries bytes both ways until both have ended, one has failed, or both were silent for `idle`.
/// How many bytes went to the endpoint, and to the client. A silent one holds no room: databases are
/// called over pools of them.
async fn carry(slot: &Slot, idle: Duration, client: &mut Side, upstream: &mut Side) -> (u64, u64) {
    let mut up = Direction::new();
    let mut down = Direction::new();
    let quiet = QUIET.min(idle);
    slot.arm(quiet, false);
    let (mut seen, mut silent) = ((0, 0), false);
    std::future::poll_fn(|cx| {
        let results = [up.poll(cx, client, upstream), down.poll(cx, upstream, client)];
        let moved = (up.pump.moved(), down.pump.moved());
        if moved != seen {
            (seen, silent) = (moved, false);
            slot.arm(quiet, false);
        }
        let failed = results.iter().any(|result| matches!(result, Poll::Ready(Err(_))));
        let ended = results.iter().all(Poll::is_ready);
        if failed {
            // Whoever still reads must not take what was cut off for the end.
            client.stream.abort();
            upstream.stream.abort();
        }
        if failed || ended {
            return Poll::Ready(());
        }
        ready!(slot.poll_fired(cx));
        if silent || quiet == idle {
            return Poll::Ready(());
        }
        silent = true;
        slot.arm(idle - quiet, false);
        client.let_go();
        upstream.let_go();
        slot.poll_fired(cx).map(|_| ())
    })
    .await;
    seen
}

/// One direction of a tunnel.
struct Direction {
    pump: Pump,
    ended: bool,
    closed: bool,
}

impl Direction {
    fn new() -> Self {
        Self {
            pump: Pump::new(Vec::new(), Framing::UntilClose, false),
            ended: false,
            closed: false,
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut Side,
        to: &mut Side,
    ) -> Poll<Result<(), io::Error>> {
        if !self.ended {
            match self.pump.poll(cx, from, to) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.ended = true,
                Poll::Ready(Err(PumpError::Read(error) | PumpError::Write(error))) => {
                    return Poll::Ready(Err(error));
                }
                Poll::Ready(Err(PumpError::Malformed(_))) => {
                    return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
                }
            }
        }
        if !self.closed {
            match Pin::new(&mut to.stream).poll_shutdown(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(())) => self.closed = true,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            }
        }
        Poll::Ready(Ok(()))
    }
}
