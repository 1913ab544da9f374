//! A second try while the first is still out: whose head comes first answers.
//!
//! Only for requests that are idempotent and have no body: what is sent is the head, and until one
//! answers nothing of the client is needed but to know that it is still there.

use std::cell::Cell;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Sleep;

use super::{Client, Forward, lease, numbered};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::Decision;
use crate::proxy::exchange::{Failure, SILENCE};
use crate::proxy::flight::{Flight, Verdict};
use crate::proxy::h1::head_end;
use crate::proxy::pool::Upstream;
use crate::proxy::pump::Pump;
use crate::proxy::trace::Events;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

/// A try that is out.
pub(super) struct Lane<'a> {
    flight: Flight,
    asked: Pin<Box<dyn Future<Output = Result<Upstream, Reason>> + 'a>>,
    /// It waits in line for a connection.
    in_line: Rc<Cell<bool>>,
    /// It began later than the other.
    is_second: bool,
}

/// What happens next.
enum Event {
    /// It is time for a second try.
    Late,
    /// A try has an answer's head in its buffer, or failed.
    Came(usize, Result<Upstream, Reason>),
    /// The client has gone, or nothing came for too long.
    Over(Failure),
}

impl Lane<'_> {
    /// Whether it waits in line for a connection.
    pub(super) fn is_in_line(&self) -> bool {
        self.in_line.get()
    }

    /// It ends because the whole does, which came to `verdict`: that is nothing that an endpoint did
    /// of which nothing was asked yet, nor one that has not had the time of a try.
    pub(super) fn land(self, verdict: Verdict, events: &mut Events) {
        let too_early = self.is_second && verdict == Verdict::Failed(Reason::TryTimeout);
        let is_theirs = !self.in_line.get() && !too_early;
        events.end(self.flight, if is_theirs { verdict } else { Verdict::Abandoned });
    }
}

impl<'a> Forward<'a> {
    /// The connection that answers the try that has begun, or one that joins it after `after`, with
    /// the answer's head in its buffer.
    ///
    /// # Errors
    /// The failure of the try that ended last, or of the whole: tries that are out then are left to
    /// [`Forward::land`].
    pub(super) async fn hedged(&mut self, after: Duration) -> Result<Upstream, Failure> {
        let Some(flight) = self.flight.take() else {
            return Err(Failure::BeforeAnswer(Reason::Internal));
        };
        let mut timer = Some(pin!(tokio::time::sleep(after)));
        let message = self.outgoing.upload.message().to_vec();
        let first = self.lane(flight, message, false);
        self.lanes.push(first);
        self.client.slot.arm(SILENCE, false);
        loop {
            let Self { lanes, client, .. } = &mut *self;
            let event = std::future::poll_fn(|cx| poll(cx, lanes, timer.as_mut(), client));
            match event.await {
                Event::Over(failure) => return Err(failure),
                Event::Late => {
                    timer = None;
                    let second = self.second();
                    self.lanes.extend(second);
                }
                Event::Came(index, result) => {
                    let lane = self.lanes.swap_remove(index);
                    let is_alone = self.lanes.is_empty();
                    let retriable = |status| self.plan.tries().is_retriable(status, None);
                    match result.map(|upstream| (status_of(&upstream), upstream)) {
                        // The other one may do better.
                        Ok((status, _)) if retriable(status) && !is_alone => {
                            self.client.events.end(lane.flight, Verdict::Answered(status, None));
                        }
                        Err(reason) if !is_alone => {
                            let verdict = Verdict::of_failure(reason, false);
                            self.client.events.end(lane.flight, verdict);
                        }
                        result => {
                            // Of the one that is out still, nothing is known.
                            self.lanes.clear();
                            self.client.tried = Some(Arc::clone(lane.flight.endpoint()));
                            self.flight = Some(lane.flight);
                            let (_, upstream) = result.map_err(Failure::BeforeAnswer)?;
                            self.outgoing.upload.sent();
                            return Ok(upstream);
                        }
                    }
                }
            }
        }
    }

    /// A try at another endpoint, if there may be one.
    fn second(&mut self) -> Option<Lane<'a>> {
        let endpoint = self.plan.admission.beside()?;
        self.plan.admission.tries.begin(endpoint.id);
        self.client.attempts = self.plan.tries().count();
        self.client.events.hedge(self.client.attempts, &endpoint);
        let mut message = Pump::again(self.outgoing.upload.message());
        if let Some(number) = self.plan.tries().number() {
            message.put_line(numbered(number).as_bytes(), 0);
        }
        let flight = Flight::begin(&self.plan.decision.pool, endpoint);
        Some(self.lane(flight, message.into_room(), true))
    }

    /// A try that sends `message`.
    fn lane(&self, flight: Flight, message: Vec<u8>, is_second: bool) -> Lane<'a> {
        let in_line = Rc::new(Cell::new(false));
        let endpoint = Arc::clone(flight.endpoint());
        let asked = ask(self.worker, self.plan.decision, endpoint, message, Rc::clone(&in_line));
        Lane { flight, asked: Box::pin(asked), in_line, is_second }
    }
}

fn poll(
    cx: &mut Context<'_>,
    lanes: &mut [Lane<'_>],
    timer: Option<&mut Pin<&mut Sleep>>,
    client: &mut Client,
) -> Poll<Event> {
    for (index, lane) in lanes.iter_mut().enumerate() {
        if let Poll::Ready(result) = lane.asked.as_mut().poll(cx) {
            return Poll::Ready(Event::Came(index, result));
        }
    }
    if client.is_gone(cx) {
        return Poll::Ready(Event::Over(Failure::Client(Reason::ClientGone)));
    }
    if client.slot.poll_fired(cx).is_ready() {
        return Poll::Ready(Event::Over(Failure::BeforeAnswer(Reason::RequestTimeout)));
    }
    let Some(timer) = timer else { return Poll::Pending };
    ready!(timer.as_mut().poll(cx));
    Poll::Ready(Event::Late)
}

/// Sends `message` to `endpoint` and waits for an answer's head; `in_line` says whether it waits for
/// a connection yet.
async fn ask(
    worker: &Rc<Worker>,
    decision: &Decision,
    endpoint: Arc<Endpoint>,
    message: Vec<u8>,
    in_line: Rc<Cell<bool>>,
) -> Result<Upstream, Reason> {
    let mut fresh = false;
    loop {
        let mut upstream = lease::acquire(worker, decision, &endpoint, fresh, &in_line).await?;
        match head_of(&mut upstream, &message).await {
            Ok(()) => return Ok(upstream),
            // It was about to end; a request of this kind is harmless.
            Err(Reason::UpstreamReset) if upstream.is_reused() && !fresh => fresh = true,
            Err(reason) => return Err(reason),
        }
    }
}

async fn head_of(upstream: &mut Upstream, message: &[u8]) -> Result<(), Reason> {
    let side = &mut upstream.side;
    let mut written = 0;
    let mut scanned = 0;
    std::future::poll_fn(|cx| {
        while let Some(rest) = message.get(written..).filter(|rest| !rest.is_empty()) {
            match ready!(side.poll_write(cx, rest)) {
                Ok(count) if count > 0 => written += count,
                _ => return Poll::Ready(Err(Reason::UpstreamReset)),
            }
        }
        // What cannot be flushed yet is when the answer is waited for.
        let _ = side.poll_flush(cx);
        loop {
            match head_end(side.buffer.filled(), &mut scanned) {
                Ok(Some(_)) => return Poll::Ready(Ok(())),
                Ok(None) => {}
                Err(_) => return Poll::Ready(Err(Reason::UpstreamProtocol)),
            }
            match ready!(side.poll_fill(cx)) {
                Ok(count) if count > 0 => {}
                _ => return Poll::Ready(Err(Reason::UpstreamReset)),
            }
        }
    })
    .await
}

/// The status in the head at the front of a connection's buffer; 0 where it is none.
fn status_of(upstream: &Upstream) -> u16 {
    let line = upstream.side.buffer.filled().get(9..12).unwrap_or_default();
    std::str::from_utf8(line).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}
