//! Sends an HTTP/1.1 request to an endpoint and its answer back, with the tries that are safe.
//!
//! Two things are tried again, both at most once: a connection that could not be made, at another
//! endpoint (the default retry); and a pooled connection that ended before any answer, on a fresh
//! one, where nothing was written or where repeating is harmless.

use std::rc::Rc;
use std::sync::Arc;

use crate::proxy::cluster::Endpoint;
use crate::proxy::connect::{self, Alpn};
use crate::proxy::decide::Decision;
use crate::proxy::exchange::{Answered, Exchange, Failure, Terms};
use crate::proxy::flight::Flight;
use crate::proxy::h1::{RequestView, ResponseHead, write};
use crate::proxy::head::{Head, is_idempotent};
use crate::proxy::pool::Upstream;
use crate::proxy::pump::Pump;
use crate::proxy::slots::Slot;
use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

/// A request to send: everything that must outlive its head in the read buffer.
#[derive(Debug)]
pub struct Outgoing {
    /// The message on its way.
    pub upload: Pump,
    /// Whether it may be repeated although it may have arrived.
    pub repeatable: bool,
    /// The method is HEAD.
    pub is_head: bool,
    /// The client speaks HTTP/1.1.
    pub http11: bool,
    /// The client wants its connection kept.
    pub keep_alive: bool,
    /// The client asked for another protocol.
    pub upgrade: bool,
}

impl Outgoing {
    /// Writes the head; the caller consumes it from the read buffer then.
    pub fn new(
        view: &RequestView<'_>,
        plan: &write::RequestPlan<'_>,
        keep: bool,
        room: Vec<u8>,
    ) -> Self {
        let mut out = room;
        out.clear();
        write::request(&mut out, view, plan);
        let head = view.head;
        let chunked = head.framing == crate::proxy::h1::Framing::Chunked;
        Self {
            upload: Pump::new(out, head.framing, chunked),
            repeatable: head.framing.is_empty() && is_idempotent(view.method()),
            is_head: view.method() == "HEAD",
            http11: head.http11,
            keep_alive: head.keep_alive && keep,
            upgrade: head.upgrade.is_some(),
        }
    }
}

impl Client {
    /// A connection that has carried nothing yet.
    pub fn new(side: Side, slot: Slot) -> Self {
        Self { side, slot, head: ResponseHead::default(), out: Vec::new(), tried: None }
    }
}

/// What came of a request.
#[derive(Debug)]
pub struct Sent {
    /// How it went.
    pub result: Result<Answered, Failure>,
    /// After an upgrade: the connection to the endpoint.
    pub tunnel: Option<Upstream>,
}

/// A client's connection, and the rooms that it reuses from request to request.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub side: Side,
    /// Its deadline.
    pub slot: Slot,
    /// The answer's head, parsed.
    pub head: ResponseHead,
    /// The answer's head, written.
    pub out: Vec<u8>,
    /// The endpoint that was tried last.
    pub tried: Option<Arc<Endpoint>>,
}

/// Sends `outgoing` where `decision` says.
pub async fn send(
    worker: &Rc<Worker>,
    client: &mut Client,
    decision: &Decision,
    outgoing: &mut Outgoing,
) -> Sent {
    let terms = Terms {
        method: if outgoing.is_head { "HEAD" } else { "" },
        http11: outgoing.http11,
        keep_alive: outgoing.keep_alive,
        upgrade: outgoing.upgrade,
        edits: decision.response_edits(),
    };
    let mut avoid = None;
    let mut fresh = false;
    client.tried = None;
    loop {
        // Tells whoever gives up on this future whether an answer is on its way.
        client.head.status = 0;
        let Some(endpoint) = decision.pick(avoid.as_slice()) else {
            return Sent::failed(Reason::NoEndpoints);
        };
        let flight = Flight::begin(&decision.pool, Arc::clone(&endpoint));
        client.tried = Some(Arc::clone(&endpoint));
        let mut upstream = match acquire(worker, decision, &endpoint, fresh).await {
            Ok(upstream) => upstream,
            Err(reason) => match another(decision, &endpoint, avoid, reason) {
                Some(elsewhere) => {
                    avoid = Some(elsewhere);
                    continue;
                }
                None => return Sent::failed(reason),
            },
        };
        let mut exchange = Exchange::new(&mut outgoing.upload, &mut upstream, client, terms);
        let result = exchange.run().await;
        client.slot.disarm();
        drop(flight);
        if let Err(Failure::BeforeAnswer(Reason::UpstreamReset)) = result
            && upstream.reused
            && !fresh
            && may_repeat(outgoing)
        {
            fresh = true;
            continue;
        }
        return finish(worker, result, upstream);
    }
}

/// Whether the request can be sent once more over a fresh connection.
fn may_repeat(outgoing: &mut Outgoing) -> bool {
    let harmless = outgoing.repeatable || outgoing.upload.is_untouched();
    harmless && outgoing.upload.rewind()
}

/// The endpoint to avoid where the default retry applies: a failed connect, once, and only if
/// there is another endpoint.
fn another(
    decision: &Decision,
    failed: &Endpoint,
    avoided: Option<u64>,
    reason: Reason,
) -> Option<u64> {
    let connect = matches!(reason, Reason::ConnectFailure | Reason::ConnectTimeout);
    let first = avoided.is_none();
    let elsewhere = || decision.pick(&[failed.id]).is_some_and(|next| next.id != failed.id);
    (connect && first && elsewhere()).then_some(failed.id)
}

async fn acquire(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: &Endpoint,
    fresh: bool,
) -> Result<Upstream, Reason> {
    let pooled = match fresh {
        false => worker.pool.borrow_mut().take(endpoint.id, worker.slots.now()),
        true => None,
    };
    match pooled {
        Some(mut upstream) => {
            upstream.side.buffer = worker.take_block();
            Ok(upstream)
        }
        None => {
            let terms = connect::Terms {
                timeout: decision.pool.connect_timeout(),
                idle_limit: decision.pool.http_idle(),
                alpn: Alpn::Http1,
                service: decision.target(),
            };
            // Boxed: what is rare must not make every idle connection larger.
            Box::pin(connect::open(worker, endpoint, terms)).await
        }
    }
}

fn finish(worker: &Rc<Worker>, result: Result<Answered, Failure>, mut upstream: Upstream) -> Sent {
    let mut tunnel = None;
    match result {
        Ok(answered) if answered.upgraded => tunnel = Some(upstream),
        Ok(answered) if answered.upstream_kept => {
            worker.give_block(std::mem::take(&mut upstream.side.buffer));
            worker.pool.borrow_mut().give(upstream, worker.slots.now());
        }
        _ => {}
    }
    Sent { result, tunnel }
}

impl Sent {
    /// Nothing was sent to the client.
    pub fn failed(reason: Reason) -> Self {
        Self { result: Err(Failure::BeforeAnswer(reason)), tunnel: None }
    }
}
