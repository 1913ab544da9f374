//! A connection to the endpoint for one try: from the pool or new, and where it goes afterwards.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use tokio::time::timeout;

use super::hedge::Lane;
use super::plan::Plan;
use super::{Dropped, Ended, Forward};
use crate::proxy::admission::Repetition;
use crate::proxy::circuit::{Circuit, Grant, Permit};
use crate::proxy::cluster::Endpoint;
use crate::proxy::connect::{self, Alpn};
use crate::proxy::decide::Decision;
use crate::proxy::exchange::Failure;
use crate::proxy::h1::{BodyDecoder, Decoded, Malformed, ResponseHead};
use crate::proxy::pool::Upstream;
use crate::proxy::worker::Worker;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// How long the rest of an answer that is not passed on may take, so that its connection is kept.
const DRAIN: Duration = Duration::from_millis(20);

/// How much of it is read.
const MAX_DRAIN: usize = 16 * 1024;

impl Forward<'_> {
    /// A connection for the try that has begun; a `fresh` one where it is not to be from the pool.
    pub(super) async fn acquire(&self, fresh: bool) -> Result<Upstream, Reason> {
        let Some(flight) = &self.flight else { return Err(Reason::Internal) };
        let Plan { decision, in_line, .. } = &self.plan;
        acquire(self.worker, decision, flight.endpoint(), fresh, in_line).await
    }

    /// The try that has begun, for as long as it may take.
    pub(super) async fn attempt_in_time(&mut self) -> Ended {
        let limit = self.plan.limit();
        let mut alarm = std::mem::take(&mut self.client.alarm);
        alarm.set(limit.map(|(end, _)| end));
        let in_time = {
            let mut attempt = pin!(self.attempt());
            let in_time = std::future::poll_fn(|cx| match attempt.as_mut().poll(cx) {
                Poll::Ready(ended) => Poll::Ready(Some(ended)),
                Poll::Pending => alarm.poll(cx).map(|()| None),
            });
            in_time.await
        };
        self.client.alarm = alarm;
        match (in_time, limit) {
            (Some(ended), _) => ended,
            (None, limit) => {
                let reason = limit.map_or(Reason::RequestTimeout, |(_, reason)| reason);
                let failure = match self.client.head.status {
                    0 => Failure::BeforeAnswer(self.plan.late(reason, self.is_in_line())),
                    status => Failure::MidAnswer { status, reason },
                };
                Ended::Over(Err(failure), None)
            }
        }
    }

    /// Whether what is out waits in line for a connection.
    fn is_in_line(&self) -> bool {
        let hedged = !self.lanes.is_empty() && self.lanes.iter().all(Lane::is_in_line);
        hedged || self.plan.in_line.get()
    }

    /// Waits as long as the client is there.
    pub(super) async fn pause(&mut self, wait: Duration) -> Result<(), Failure> {
        let Self { client, outgoing, .. } = self;
        let complete = outgoing.upload.is_complete();
        let gone = std::future::poll_fn(|cx| match complete && client.is_gone(cx) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        });
        match timeout(wait, gone).await {
            Ok(()) => Err(Failure::Client(Reason::ClientGone)),
            Err(_) => Ok(()),
        }
    }

    /// Keeps the connection of an answer that is not passed on, if little of it is left.
    pub(super) async fn forget(&self, dropped: Box<Dropped>) -> Box<Repetition> {
        let Dropped { mut upstream, repetition } = *dropped;
        let head = &self.client.head;
        if head.keep_alive
            && self.outgoing.upload.is_sent()
            && let Ok(Ok(true)) = timeout(DRAIN, drain(&mut upstream, head)).await
        {
            self.give_back(upstream);
        }
        repetition
    }

    /// Keeps a connection for the next request, unless others need its place more.
    pub(super) fn give_back(&self, mut upstream: Upstream) {
        let Self { worker, plan, .. } = self;
        worker.give_block(std::mem::take(&mut upstream.side.buffer));
        let most = plan.decision.pool.circuit().and_then(|it| it.max_requests_per_connection());
        if most.is_some_and(|most| upstream.carried >= most) {
            return;
        }
        if let Some(permit) = &upstream.permit
            && !permit.keep_idle(worker.place(upstream.endpoint))
        {
            return;
        }
        if !worker.pool.borrow_mut().give(upstream, worker.slots.now()) {
            worker.hit(Limit::IdleConnections);
        }
    }
}

/// A connection to `endpoint`; `in_line` says whether it is waited for just now.
pub(super) async fn acquire(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: &Endpoint,
    fresh: bool,
    in_line: &Cell<bool>,
) -> Result<Upstream, Reason> {
    let found = if fresh { None } else { pooled(worker, endpoint) };
    match found {
        Some(upstream) => Ok(upstream),
        // Boxed: what is rare must not make every idle connection larger.
        None => Box::pin(open(worker, decision, endpoint, fresh, in_line)).await,
    }
}

fn pooled(worker: &Worker, endpoint: &Endpoint) -> Option<Upstream> {
    let mut upstream = worker.pool.borrow_mut().take(endpoint.id, worker.slots.now())?;
    upstream.side.buffer = worker.take_block();
    Some(upstream)
}

async fn open(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: &Endpoint,
    fresh: bool,
    in_line: &Cell<bool>,
) -> Result<Upstream, Reason> {
    let permit = match decision.pool.circuit() {
        None => None,
        Some(circuit) => {
            let turn = turn(worker, circuit, endpoint, fresh);
            in_line.set(true);
            let turn = timeout(decision.pool.connect_timeout(), turn).await;
            in_line.set(false);
            match turn {
                Err(_) => return Err(circuit.gave_up()),
                Ok(Err(reason)) => return Err(reason),
                Ok(Ok(Turn::Pooled(upstream))) => return Ok(*upstream),
                Ok(Ok(Turn::Open(permit))) => permit,
            }
        }
    };
    let terms = connect::Terms {
        timeout: decision.pool.connect_timeout(),
        idle_limit: decision.pool.http_idle(),
        alpn: Alpn::Http1,
        service: decision.target(),
    };
    let upstream = connect::open(worker, endpoint, terms).await?;
    Ok(Upstream { permit, ..upstream })
}

/// What comes of waiting for a connection.
enum Turn {
    /// One may be opened.
    Open(Option<Permit>),
    /// One has become idle.
    Pooled(Box<Upstream>),
}

async fn turn(
    worker: &Rc<Worker>,
    circuit: &Arc<Circuit>,
    endpoint: &Endpoint,
    fresh: bool,
) -> Result<Turn, Reason> {
    let mut again = false;
    // Who is not to use a pooled one is not to be told of one.
    let place = (!fresh).then(|| worker.place(endpoint.id));
    loop {
        match circuit.connection_or_pooled(place, again).await? {
            Grant::Unlimited => return Ok(Turn::Open(None)),
            Grant::Open(permit) => return Ok(Turn::Open(Some(permit))),
            Grant::Pooled => {
                if let Some(upstream) = pooled(worker, endpoint) {
                    return Ok(Turn::Pooled(Box::new(upstream)));
                }
                again = true;
            }
        }
    }
}

/// Reads the rest of an answer whose head is in the buffer; whether that was all of it.
async fn drain(upstream: &mut Upstream, head: &ResponseHead) -> Result<bool, Malformed> {
    let side = &mut upstream.side;
    side.buffer.consume(head.length);
    let mut body = BodyDecoder::new(head.framing);
    let mut left = MAX_DRAIN;
    loop {
        match body.decode(side.buffer.filled())? {
            Decoded::Done { skip } => {
                side.buffer.consume(skip);
                return Ok(side.buffer.is_empty());
            }
            Decoded::Data { skip, len } if len <= left => {
                left -= len;
                side.buffer.consume(skip + len);
            }
            Decoded::Data { .. } => return Ok(false),
            Decoded::NeedMore => {
                if side.fill().await.unwrap_or(0) == 0 {
                    return Ok(false);
                }
            }
        }
    }
}
