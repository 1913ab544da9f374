//! Opaque connections: to whom they go, who speaks first, and that they are counted.

use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::names::{Protocol, ServiceName};
use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::detect::{self, Kind};
use crate::proxy::directory::Miss;
use crate::proxy::flight::Flight;
use crate::proxy::outbound::{self, Called};
use crate::proxy::pool::{MAX_AGE, Upstream};
use crate::proxy::record::Caller;
use crate::proxy::serve::{Connection, Origin};
use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;
use crate::proxy::{h2, inbound, record};
use crate::telemetry::metrics::Edge;
use crate::telemetry::reason::Reason;

mod carry;
mod open;
#[cfg(test)]
mod tests;

use carry::carry;
pub use open::Opened;
use open::{open, open_app};

/// How long a tunnel may be silent in both directions where no policy says.
const TUNNEL_IDLE: Duration = Duration::from_secs(3600);

/// Serves a local port that stands for one port of a service.
pub async fn arrive_upstream(
    worker: Rc<Worker>,
    side: Side,
    service: ServiceName,
    port: u16,
) -> Option<Box<Connection>> {
    let started = Instant::now();
    // Boxed, as all that is over before the bytes begin: it must not make a tunnel larger.
    match Box::pin(worker.shared.directory.wait_service(&service)).await {
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
        dialed.run(&worker, side).await;
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
pub fn serve_inbound(
    worker: Rc<Worker>,
    side: Side,
    caller: Caller,
    spoke: Option<Box<Opened>>,
) -> impl Future<Output = ()> {
    let (edge, started) = (Arc::clone(&caller.edge), Instant::now());
    let opening = Box::pin(open_inbound(Rc::clone(&worker), caller, spoke));
    async move {
        match opening.await {
            Ok(opened) => {
                Box::new(Dialed { opened, edge, idle: TUNNEL_IDLE }).run(&worker, side).await;
            }
            Err(reason) => edge.record(0, Some(reason), started.elapsed()),
        }
    }
}

/// Connects to the application that is called, where that has not been done.
async fn open_inbound(
    worker: Rc<Worker>,
    caller: Caller,
    spoke: Option<Box<Opened>>,
) -> Result<Box<Opened>, Reason> {
    match (spoke, inbound::decide(&worker, &caller)) {
        (Some(spoke), _) => Ok(spoke),
        (None, _) if !worker.admits_new() => Err(Reason::Overloaded),
        (None, Ok(decision)) => open(&worker, &decision).await.map(Box::new),
        (None, Err(refusal)) => Err(refusal.reason),
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
    /// No `async fn`, in whose future each argument would lie twice.
    fn run(
        mut self: Box<Self>,
        worker: &Rc<Worker>,
        mut side: Side,
    ) -> impl Future<Output = ()> + use<> {
        self.edge.opened();
        let (under_way, slot) = (worker.begin(), worker.slots.take());
        async move {
            let _under_way = under_way;
            let moved = carry(&slot, self.idle, &mut side, &mut self.opened.upstream.side).await;
            self.edge.add_bytes(moved.0, moved.1);
            self.edge.closed();
        }
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
