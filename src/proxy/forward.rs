//! Sends an HTTP/1.1 request to an endpoint and its answer back, try after try.
//!
//! What follows a try is said by [`Tries`](crate::proxy::tries::Tries); here it is carried out: the
//! request is sent again from its first byte, or what came of the try is the result. Beside that a
//! pooled connection that ended before any answer is replaced by a fresh one to the same endpoint,
//! where nothing was written, or the other sidecar says that it has read nothing, or repeating is
//! harmless: that is no try of its own.

use std::rc::Rc;
use std::sync::Arc;

use crate::proxy::admission::{Repetition, Sequel};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::Decision;
use crate::proxy::exchange::{Answered, Exchange, Failure, Progress, Terms};
use crate::proxy::flight::{Flight, Verdict};
use crate::proxy::h1::{Framing, RequestView, write};
use crate::proxy::head::{Head, is_idempotent};
use crate::proxy::pool::Upstream;
use crate::proxy::pump::Pump;
use crate::proxy::tcp::Tunnel;
use crate::proxy::tries::ATTEMPT_HEADER;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;
use hedge::Lane;
use plan::{Left, Plan};

mod client;
mod hedge;
mod lease;
mod plan;
#[cfg(test)]
mod tests;

pub use client::Client;

/// A request to send: everything that must outlive its head in the read buffer.
#[derive(Debug)]
pub struct Outgoing {
    /// The message on its way.
    pub upload: Pump,
    /// It may be repeated although it may have arrived (RFC 9110 §9.2.2).
    pub idempotent: bool,
    /// The number of the try that it is part of, where it is a repetition that somebody else makes.
    pub attempt: u32,
    /// Its body.
    pub framing: Framing,
    /// The method is HEAD.
    pub is_head: bool,
    /// The client speaks HTTP/1.1.
    pub http11: bool,
    /// The client wants its connection kept.
    pub keep_alive: bool,
    /// The client asked for another protocol.
    pub upgrade: bool,
    /// The length of the line in the head that says the number of this proxy's try.
    numbered: usize,
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
        Self {
            upload: Pump::new(out, head.framing, head.framing == Framing::Chunked),
            idempotent: is_idempotent(view.method()),
            attempt: head.attempt,
            framing: head.framing,
            is_head: view.method() == "HEAD",
            http11: head.http11,
            keep_alive: head.keep_alive && keep,
            upgrade: head.upgrade.is_some(),
            numbered: 0,
        }
    }

    /// Keeps the body for repetitions, as far as it has at most `limit` bytes.
    fn keep(&mut self, limit: usize) {
        let fits = match self.framing {
            Framing::Length(length) => length <= limit as u64,
            Framing::Chunked => limit > 0,
            Framing::None | Framing::UntilClose => false,
        };
        if fits {
            self.upload.keep(limit);
        }
    }

    /// Whether it may be out twice at once, as far as its form goes.
    fn is_hedgeable(&self) -> bool {
        self.framing.is_empty() && !self.upgrade
    }

    /// Says the number of the try in the head.
    fn say(&mut self, number: u32) {
        let line = numbered(number);
        self.upload.put_line(line.as_bytes(), self.numbered);
        self.numbered = line.len();
    }

    /// Whether it can be sent once more over a fresh connection, after one that was `refused` as it
    /// had been reused; begun anew then.
    fn begin_again(&mut self, refused: bool) -> bool {
        let harmless = (self.idempotent || refused) && self.upload.is_whole();
        (harmless || self.upload.is_untouched()) && self.upload.rewind()
    }
}

/// The line of a head that says the number of a try.
fn numbered(number: u32) -> String {
    format!("{ATTEMPT_HEADER}: {number}\r\n")
}

/// What came of a request.
#[derive(Debug)]
pub struct Sent {
    /// How it went.
    pub result: Result<Answered, Failure>,
    /// After an upgrade: what goes on.
    pub tunnel: Option<Box<Tunnel>>,
}

impl Sent {
    /// Nothing was sent to the client.
    pub fn failed(reason: Reason) -> Self {
        Self { result: Err(Failure::BeforeAnswer(reason)), tunnel: None }
    }
}

/// Sends `outgoing` where `decision` says.
pub async fn send(
    worker: &Rc<Worker>,
    client: &mut Client,
    decision: &Decision,
    outgoing: &mut Outgoing,
) -> Sent {
    let plan = Plan::new(decision, outgoing.idempotent, outgoing.attempt);
    let mut forward = Forward { worker, client, outgoing, plan, flight: None, lanes: Vec::new() };
    if let Err(reason) = forward.plan.admission.enter() {
        forward.client.events.failed(0, reason);
        return Sent::failed(reason);
    }
    forward.outgoing.keep(forward.plan.tries().keeps(false));
    let mut sent = forward.run().await;
    if let Some(tunnel) = &mut sent.tunnel {
        // What follows an upgrade is still this request.
        tunnel.hold(forward.plan.admission.take());
    }
    sent
}

/// A request on its way.
struct Forward<'a> {
    worker: &'a Rc<Worker>,
    client: &'a mut Client,
    outgoing: &'a mut Outgoing,
    plan: Plan<'a>,
    /// The try that is out.
    flight: Option<Flight>,
    /// Those that are, where there may be two at once.
    lanes: Vec<Lane<'a>>,
}

/// How a try ended. What is rare is boxed: it must not make every idle connection larger.
enum Ended {
    /// Whether it is the result must be decided yet, where nothing was passed on.
    Over(Result<Answered, Failure>, Option<Box<Tunnel>>),
    /// Its answer was held back, and is to be forgotten for a repetition.
    Dropped(Box<Dropped>),
}

/// What is left of an answer that is not passed on.
struct Dropped {
    upstream: Upstream,
    repetition: Box<Repetition>,
}

impl Forward<'_> {
    async fn run(&mut self) -> Sent {
        let Some(mut endpoint) = self.plan.decision.pick(&[]) else {
            return Sent::failed(Reason::NoEndpoints);
        };
        loop {
            self.begin(endpoint);
            let ended = self.attempt_in_time().await;
            self.client.slot.disarm();
            let (verdict, repetition) = match ended {
                Ended::Dropped(dropped) => {
                    let verdict = Verdict::Answered(self.client.head.status, None);
                    self.land(verdict);
                    (verdict, Box::pin(self.forget(dropped)).await)
                }
                Ended::Over(result, mut tunnel) => {
                    let verdict = self.verdict(&result);
                    if let Some(tunnel) = &mut tunnel
                        && let Some(mut flight) = self.flight.take()
                    {
                        self.client.events.tell(&mut flight, verdict);
                        tunnel.keep(flight);
                    }
                    self.land(verdict);
                    match self.again(&result, verdict) {
                        Some(repetition) => (verdict, Box::new(repetition)),
                        None => return Sent { result, tunnel },
                    }
                }
            };
            let wait;
            Repetition { endpoint, wait } = *repetition;
            if !wait.is_zero()
                && let Err(failure) = Box::pin(self.pause(wait)).await
            {
                return Sent { result: Err(failure), tunnel: None };
            }
            self.outgoing.upload.rewind();
            self.client.events.retry(self.client.attempts + 1, &endpoint, verdict);
        }
    }

    /// A try at `endpoint` begins.
    fn begin(&mut self, endpoint: Arc<Endpoint>) {
        // Tells whoever gives up on a try whether an answer is on its way.
        self.client.head.status = 0;
        self.plan.admission.tries.begin(endpoint.id);
        self.client.attempts = self.plan.tries().count();
        self.client.tried = Some(Arc::clone(&endpoint));
        if let Some(number) = self.plan.tries().number() {
            self.outgoing.say(number);
        }
        self.flight = Some(Flight::begin(&self.plan.decision.pool, endpoint));
    }

    /// What is out has come to its end.
    fn land(&mut self, verdict: Verdict) {
        if let Some(flight) = self.flight.take() {
            self.client.events.end(flight, verdict);
        }
        for lane in self.lanes.drain(..) {
            lane.land(verdict, &mut self.client.events);
        }
    }

    /// The try that has begun, until its answer was passed on or it failed.
    async fn attempt(&mut self) -> Ended {
        let mut fresh = false;
        loop {
            let mut upstream = match self.plan.tries().hedge_after(self.outgoing.is_hedgeable()) {
                None => match self.acquire(fresh).await {
                    Ok(upstream) => upstream,
                    Err(reason) => return Ended::Over(Err(Failure::BeforeAnswer(reason)), None),
                },
                Some(after) => match Box::pin(self.hedged(after)).await {
                    Ok(upstream) => upstream,
                    Err(failure) => return Ended::Over(Err(failure), None),
                },
            };
            let result = match self.exchange(&mut upstream).await {
                Ok(result) => result,
                Err(repetition) => {
                    return Ended::Dropped(Box::new(Dropped { upstream, repetition }));
                }
            };
            if let Err(Failure::BeforeAnswer(
                reason @ (Reason::UpstreamReset | Reason::RefusedStream),
            )) = result
                && upstream.is_reused()
                && !fresh
                && self.outgoing.begin_again(reason == Reason::RefusedStream)
            {
                fresh = true;
                continue;
            }
            return Ended::Over(result, self.done_with(upstream, &result));
        }
    }

    /// Sends the request over a connection and its answer to the client. `Err`: the answer was held
    /// back, and the request is to be sent again.
    async fn exchange(
        &mut self,
        upstream: &mut Upstream,
    ) -> Result<Result<Answered, Failure>, Box<Repetition>> {
        let Self { worker, client, outgoing, plan, flight, .. } = self;
        let terms = Terms {
            method: if outgoing.is_head { "HEAD" } else { "" },
            http11: outgoing.http11,
            keep_alive: outgoing.keep_alive,
            upgrade: outgoing.upgrade,
            decision: plan.decision,
            held: Some(plan.tries().retry()),
            spent: worker.shared.directory.spent(),
            limits: &worker.shared.metrics.limits,
        };
        let terms = (terms, flight.as_mut());
        let mut exchange = Exchange::new(&mut outgoing.upload, upstream, client, terms);
        loop {
            match exchange.run().await {
                Ok(Progress::Answered(answered)) => return Ok(Ok(answered)),
                Err(failure) => return Ok(Err(failure)),
                Ok(Progress::Held) => {}
            }
            let head = &exchange.client.head;
            let left = Left {
                untouched: false,
                whole: exchange.upload.is_whole(),
                asked: plan::asked(head, exchange.upstream.side.buffer.filled()),
            };
            match plan.after(Verdict::Answered(head.status, None), left) {
                Sequel::Again(repetition) => return Err(Box::new(repetition)),
                sequel => {
                    exchange.client.stays(&sequel);
                    worker.shared.directory.spent().mark();
                    exchange.release();
                }
            }
        }
    }

    /// The repetition that follows a try of which nothing was passed on, where one does.
    fn again(
        &mut self,
        result: &Result<Answered, Failure>,
        verdict: Verdict,
    ) -> Option<Repetition> {
        let Err(Failure::BeforeAnswer(reason)) = *result else { return None };
        self.client.events.failed(self.client.attempts, reason);
        let upload = &self.outgoing.upload;
        let left = Left { untouched: upload.is_untouched(), whole: upload.is_whole(), asked: None };
        match self.plan.after(verdict, left) {
            Sequel::Again(repetition) => return Some(repetition),
            sequel => self.client.stays(&sequel),
        }
        if self.plan.tries().retry().budget.is_some() {
            self.worker.shared.directory.spent().mark();
        }
        None
    }

    /// What a result says about the endpoint.
    fn verdict(&self, result: &Result<Answered, Failure>) -> Verdict {
        match *result {
            Ok(answered) => Verdict::Answered(answered.status, None),
            Err(Failure::Client(_)) => Verdict::Abandoned,
            Err(Failure::BeforeAnswer(reason) | Failure::MidAnswer { reason, .. }) => {
                Verdict::of_failure(reason, self.outgoing.upload.is_starved())
            }
        }
    }

    /// Keeps, or closes, the connection of a try that is over.
    fn done_with(
        &self,
        upstream: Upstream,
        result: &Result<Answered, Failure>,
    ) -> Option<Box<Tunnel>> {
        match result {
            Ok(answered) if answered.upgraded => Some(Box::new(Tunnel::of_upgrade(upstream))),
            Ok(answered) if answered.upstream_kept => {
                self.give_back(upstream);
                None
            }
            _ => None,
        }
    }
}
