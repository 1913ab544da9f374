//! One HTTP/1.1 connection of a client: request after request until one side has enough.
//!
//! The client is our own application (outbound, or a local port of one upstream) or somebody
//! elsewhere in the mesh (inbound). One task does all of it.

use std::borrow::Cow;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;

use crate::names::Protocol;
use crate::proxy::decide::Decision;
use crate::proxy::exchange::{Answered, Failure};
use crate::proxy::forward::{self, Client, Outgoing, Sent};
use crate::proxy::h1::write::RequestPlan;
use crate::proxy::h1::{Malformed, RequestHead, Target, head_end};
use crate::proxy::head::Head;
use crate::proxy::outbound::{self, Called};
use crate::proxy::overload::Level;
use crate::proxy::record::{self, Caller, Outcome};
use crate::proxy::stream::{Side, Stream};
use crate::proxy::trace::{Events, Trace};
use crate::proxy::worker::Worker;
use crate::proxy::{inbound, tcp};
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;
use idle::Waited;

mod fault;
mod idle;
mod parting;
#[cfg(test)]
pub(crate) mod tests;

/// How long a head may take from its first byte.
const HEAD: Duration = Duration::from_secs(Limit::HeadTime.most() as u64);

/// Where a connection came in.
#[derive(Debug)]
pub enum Origin {
    /// From our application, which names what it calls.
    Outbound,
    /// From our application, at a port or through a tunnel that stands for one destination.
    Upstream(Called),
    /// From a caller.
    Inbound(Caller),
}

impl Origin {
    /// What a request to `authority` calls, for telemetry.
    pub fn called<'a>(&self, authority: &'a str) -> Cow<'a, str> {
        match self {
            // What was called is known by the connection; the authority is the client's word.
            Self::Upstream(called) => called.to_string().into(),
            Self::Outbound | Self::Inbound(_) => authority.into(),
        }
    }
}

/// A client's connection, and what its requests need; of one that has become idle less is left.
#[derive(Debug)]
pub struct Connection {
    worker: Rc<Worker>,
    client: Client,
    origin: Origin,
    /// When the connection must end, on the worker's clock.
    expires: Duration,
    /// How short memory was when it came.
    came: Level,
    /// When it has waited long enough for a request, on the same clock.
    idle_until: Duration,
    head: RequestHead,
    upload_room: Vec<u8>,
}

/// What follows a request.
enum Next {
    /// Another request.
    Request,
    /// The end, after which what the client still sends is read and dropped.
    Close,
    /// The end without a word: between sidecars a clean end before an answer says that the request
    /// was not passed on.
    Drop,
    /// The end, which must not look like that of the answer: nothing else tells a client of
    /// HTTP/1.0 that it was cut short.
    Abort,
    /// Another protocol, of which the connection is the caller's.
    Tunnel(Box<tcp::Tunnel>),
    /// `CONNECT` was granted.
    Connected(Called),
}

/// Serves a client that speaks HTTP/1.1 to the end of its connection.
///
/// What is done for a request is in a box, which a connection that has become idle gives back with
/// all that can be made again.
pub async fn serve(mut connection: Box<Connection>) {
    while let Some(idle) = Box::pin(work(connection)).await {
        let asleep = idle.fall_asleep();
        let ended = asleep.wait().await;
        connection = asleep.wake();
        if ended.is_some() {
            return Box::pin(connection.part()).await;
        }
    }
}

/// Serves requests while they follow one another; the connection, once it has become idle.
async fn work(mut connection: Box<Connection>) -> Option<Box<Connection>> {
    loop {
        match connection.wait().await {
            Waited::Request => {}
            Waited::InVain => return Some(connection),
            Waited::Over => {
                Box::pin(connection.part()).await;
                return None;
            }
        }
        match connection.read_head().await {
            Ok(Waited::Request) => {}
            Ok(Waited::InVain) => return Some(connection),
            Ok(Waited::Over) => {
                Box::pin(connection.part()).await;
                return None;
            }
            Err(malformed) => {
                Box::pin(connection.refuse_malformed(malformed)).await;
                return None;
            }
        }
        if let Origin::Inbound(caller) = &connection.origin
            && !inbound::is_still_welcome(&connection.worker, caller)
        {
            Box::pin(connection.linger()).await;
            return None;
        }
        // A panic costs this request and its connection, and nobody else's.
        let next = match AssertUnwindSafe(connection.request()).catch_unwind().await {
            Ok(next) => next,
            Err(panic) => {
                Box::pin(connection.broken(panic)).await;
                return None;
            }
        };
        match next {
            Next::Request => {}
            Next::Close => {
                Box::pin(connection.linger()).await;
                return None;
            }
            Next::Drop => return None,
            Next::Abort => {
                connection.client.side.stream.abort();
                return None;
            }
            Next::Tunnel(tunnel) => {
                let Connection { worker, client, .. } = *connection;
                Box::pin(tunnel.run(worker, client.side)).await;
                return None;
            }
            Next::Connected(called) => {
                let Connection { worker, client, .. } = *connection;
                connection = Box::pin(tcp::arrive_called(worker, client.side, called)).await?;
            }
        }
    }
}

impl Connection {
    /// One that has carried nothing yet, to be served for `life` at most (and to the end of a
    /// request).
    pub fn new(worker: Rc<Worker>, side: Side, origin: Origin, life: Duration) -> Box<Self> {
        let client = Client::new(side, worker.slots.take());
        Box::new(Self {
            expires: worker.slots.now().saturating_add(life),
            came: worker.shared.overload.level(),
            worker,
            client,
            origin,
            idle_until: Duration::ZERO,
            head: RequestHead::default(),
            upload_room: Vec::new(),
        })
    }

    /// Reads and parses a head. Nothing may come after all: what wakes is no promise.
    async fn read_head(&mut self) -> Result<Waited, Malformed> {
        let mut scanned = 0;
        // From the first byte on, be it only an empty line, the head's own time runs.
        let mut begun = !self.client.side.buffer.is_empty();
        if begun {
            self.client.slot.arm(HEAD, false);
        }
        loop {
            // An empty line before a request is ignored (RFC 9112 §2.2).
            while self.client.side.buffer.filled().starts_with(b"\r\n") {
                self.client.side.buffer.consume(2);
                scanned = 0;
            }
            if head_end(self.client.side.buffer.filled(), &mut scanned)?.is_some() {
                self.client.slot.disarm();
                let Side { stream, buffer } = &self.client.side;
                self.head.parse(buffer.filled(), stream.headroom())?;
                return Ok(Waited::Request);
            }
            let (slot, side) = (&self.client.slot, &mut self.client.side);
            let count = std::future::poll_fn(|cx| match side.poll_fill(cx) {
                Poll::Ready(read) => Poll::Ready(Ok(read.unwrap_or(0))),
                Poll::Pending => slot.poll_fired(cx).map(Err),
            });
            match count.await {
                Ok(0) => return Ok(Waited::Over),
                Ok(_) if begun => {}
                Ok(_) => {
                    begun = true;
                    self.client.slot.arm(HEAD, false);
                }
                Err(why) if !begun => return Ok(why.into()),
                Err(_) => {
                    let reason = Reason::HeadTimeout;
                    return Err(Malformed { reason, detail: "the head did not arrive in time" });
                }
            }
        }
    }

    /// Whether the connection may carry another request.
    fn may_stay(&self) -> bool {
        !self.worker.slots.is_draining() && self.worker.slots.now() < self.expires
    }

    async fn request(&mut self) -> Next {
        let started = Instant::now();
        self.client.head.status = 0;
        if !self.worker.admits(self.came) {
            let next = Box::pin(self.refuse(Reason::Overloaded.into(), started)).await;
            // An application that was told is not waited for: of those who come when memory is short
            // there are thousands. What it said is read, so that no reset overtakes the answer.
            return match self.client.side.stream {
                Stream::Plain(_) if self.head.framing.is_empty() => Next::Drop,
                _ => next,
            };
        }
        let _under_way = self.worker.begin();
        let view = self.head.view(self.client.side.buffer.filled());
        if self.head.target == Target::Authority {
            return Box::pin(self.connect(started)).await;
        }
        let decision = match &self.origin {
            Origin::Inbound(caller) => inbound::decide(&self.worker, caller),
            Origin::Upstream(called) => outbound::decide(&self.worker, called, &view).await,
            Origin::Outbound => match outbound::resolve(&self.worker, view.authority(), 80).await {
                Ok(called) => outbound::decide(&self.worker, &called, &view).await,
                Err(reason) => Err(reason.into()),
            },
        };
        match decision {
            Ok(decision) => self.forward(&decision, started).await,
            Err(refusal) => Box::pin(self.refuse(refusal, started)).await,
        }
    }

    async fn forward(&mut self, decision: &Decision, started: Instant) -> Next {
        let (mut outgoing, trace) = self.prepare(decision);
        self.client.events = Events::of(&trace, started);
        let failed = match decision.fault {
            None => None,
            Some(_) => Box::pin(self.fault(decision)).await,
        };
        let sent = match failed {
            None => forward::send(&self.worker, &mut self.client, decision, &mut outgoing).await,
            Some(failure) => Sent { result: Err(failure), tunnel: None },
        };
        let next = self.settle(decision, &outgoing, sent, (trace, started)).await;
        self.upload_room = outgoing.upload.into_room();
        next
    }

    /// Writes the head that goes out, and takes the one that came in out of the buffer.
    fn prepare(&mut self, decision: &Decision) -> (Outgoing, Trace) {
        let view = self.head.view(self.client.side.buffer.filled());
        let (server, caller) = match &self.origin {
            Origin::Inbound(caller) => (true, Some(caller)),
            _ => (false, None),
        };
        let traceparent = self.head.traceparent.map(|range| view.bytes_of(range));
        let ppm = self.worker.sampling_ppm();
        let trace = Trace::begin(traceparent, ppm, &view, server);
        let plan = RequestPlan {
            edits: decision.request_edits(),
            target: decision.rewritten(view.path()),
            traceparent: trace.header(),
            client_cert: caller.and_then(|caller| caller.client_cert.as_deref()),
        };
        let keep = self.may_stay();
        let room = std::mem::take(&mut self.upload_room);
        let outgoing = Outgoing::new(&view, &plan, keep, room);
        self.client.side.buffer.consume(self.head.length);
        self.client.begin();
        (outgoing, trace)
    }

    /// Ends a request: the proxy's own answer where there was none, counters, what comes next.
    async fn settle(
        &mut self,
        decision: &Decision,
        outgoing: &Outgoing,
        sent: Sent,
        record: (Trace, Instant),
    ) -> Next {
        let request_bytes = outgoing.upload.moved();
        let attempts = self.client.attempts;
        let mut outcome = Outcome { request_bytes, attempts, ..Outcome::default() };
        let mut next = match sent.result {
            Ok(Answered { status, client_kept, body_bytes, .. }) => {
                outcome = Outcome { status, response_bytes: body_bytes, ..outcome };
                match sent.tunnel {
                    Some(tunnel) => Next::Tunnel(tunnel),
                    None if client_kept => Next::Request,
                    None => Next::Close,
                }
            }
            Err(Failure::BeforeAnswer(reason)) => {
                let refusal = decision.refuse(reason);
                outcome = Outcome { request_bytes, attempts, ..Outcome::refusal(&refusal) };
                let keep = outgoing.keep_alive && outgoing.upload.is_complete();
                match refusal.is_reset() {
                    true => Next::Abort,
                    // Boxed: what is rare must not make every idle connection larger.
                    false => Box::pin(self.answer(&refusal, outgoing.is_head, keep)).await,
                }
            }
            Err(Failure::Client(Reason::ClientGone)) => {
                outcome.reason = Some(Reason::ClientGone);
                Next::Drop
            }
            Err(Failure::Client(reason)) => {
                outcome = Outcome { request_bytes, attempts, ..Outcome::own(reason) };
                Box::pin(self.answer(&reason.into(), outgoing.is_head, false)).await
            }
            Err(Failure::MidAnswer { status, reason }) => {
                outcome = Outcome { status, reason: Some(reason), ..outcome };
                self.cut_short(outgoing.http11)
            }
        };
        outcome.events = std::mem::take(&mut self.client.events);
        let endpoint = self.client.tried.as_deref();
        let edge = match &self.origin {
            Origin::Inbound(caller) => {
                record::inbound(&self.worker, caller, &outcome, record);
                &caller.edge
            }
            _ => {
                let protocol = Protocol::Http;
                &record::outbound(&self.worker, decision, endpoint, protocol, &outcome, record)
            }
        };
        if let Next::Tunnel(tunnel) = &mut next {
            tunnel.count(Arc::clone(edge));
        }
        next
    }

    /// `CONNECT`: our application wants bytes carried to a destination.
    async fn connect(&mut self, started: Instant) -> Next {
        let Origin::Outbound = self.origin else {
            return self.refuse(Reason::BadRequest.into(), started).await;
        };
        let view = self.head.view(self.client.side.buffer.filled());
        let called = match outbound::resolve(&self.worker, view.authority(), 443).await {
            Ok(called) => called,
            Err(reason) => return self.refuse(reason.into(), started).await,
        };
        if let Err(refusal) = outbound::decide_opaque(&self.worker, &called).await
            && refusal.reason != Reason::NoRoute
        {
            return self.refuse(refusal, started).await;
        }
        // Bytes sent before the answer belong to nobody: the client cannot know yet who gets them.
        if self.client.side.buffer.len() > self.head.length || self.client.side.has_more().await {
            return self.refuse(Reason::BadRequest.into(), started).await;
        }
        self.client.side.buffer.consume(self.head.length);
        match self.write(b"HTTP/1.1 200 Connection established\r\n\r\n").await {
            Ok(()) => Next::Connected(called),
            Err(_) => Next::Close,
        }
    }
}
