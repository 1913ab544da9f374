//! The proxy's own answers on a connection, and its end.

use std::any::Any;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};

use super::{Connection, Next, Origin};
use crate::names::Protocol;
use crate::proxy::decide::Refusal;
use crate::proxy::h1::{MAX_HEAD, Malformed};
use crate::proxy::head::Head;
use crate::proxy::record::{self, Outcome};
use crate::proxy::reply;
use crate::proxy::stream::Stream;
use crate::proxy::trace::Trace;
use crate::telemetry::escape;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// How long a client may take to receive an answer of the proxy's own.
const ANSWER: Duration = Duration::from_secs(10);

/// How long what a client still sends is read, so that it sees the answer before the reset.
const LINGER: Duration = Duration::from_secs(2);

/// How much of it is read: more than the buffers of two sockets hold, so that a client that stops
/// when it sees the answer (curl does on 413) does see it.
const MAX_LINGER: usize = 16 * 1024 * 1024;

impl Connection {
    /// Answers what is no request, and closes.
    pub(super) async fn refuse_malformed(mut self: Box<Self>, malformed: Malformed) {
        let Malformed { reason, detail } = malformed;
        tracing::debug!(reason = reason.as_str(), detail, "malformed request refused");
        match reason {
            Reason::HeadTimeout => self.worker.hit(Limit::HeadTime),
            Reason::HeadTooLarge if self.client.side.buffer.len() < MAX_HEAD => {
                self.worker.hit(Limit::HttpFields);
            }
            Reason::HeadTooLarge | Reason::UriTooLong => self.worker.hit(Limit::Http1Head),
            _ => {}
        }
        match &self.origin {
            Origin::Inbound(caller) => {
                let now = (Trace::Passed, Instant::now());
                record::inbound(&self.worker, caller, &Outcome::own(reason), now);
            }
            _ => record::refused(&self.worker, "", Protocol::Http, reason, Instant::now()),
        }
        self.answer(&reason.into(), false, false).await;
        self.linger().await;
    }

    /// Answers a request that no endpoint is to see.
    pub(super) async fn refuse(&mut self, refusal: Refusal, started: Instant) -> Next {
        let view = self.head.view(self.client.side.buffer.filled());
        let path = escape(view.path().as_bytes());
        tracing::debug!(reason = refusal.reason.as_str(), path = &*path, "request refused");
        let outcome = Outcome::refusal(&refusal);
        match &self.origin {
            Origin::Inbound(caller) => {
                record::inbound(&self.worker, caller, &outcome, (Trace::Passed, started));
            }
            _ => {
                let called = self.origin.called(view.authority());
                let destination = refusal.destination(&called);
                record::not_passed_on(
                    &self.worker,
                    &destination,
                    Protocol::Http,
                    &outcome,
                    started,
                );
            }
        }
        let is_head = view.method() == "HEAD";
        let keep = self.head.keep_alive
            && self.head.framing.is_empty()
            && !matches!(refusal.reason, Reason::BadRequest | Reason::Overloaded)
            && self.may_stay();
        self.client.side.buffer.consume(self.head.length);
        self.answer(&refusal, is_head, keep).await
    }

    /// The request panicked: it is answered, where that is possible, and the connection ends.
    pub(super) async fn broken(self: Box<Self>, panic: Box<dyn Any + Send>) {
        self.worker.shared.metrics.panics.note("a request", &*panic);
        match self.client.head.status {
            0 => {
                let (reason, detail) = (Reason::Internal, "a fault of the proxy");
                self.refuse_malformed(Malformed { reason, detail }).await;
            }
            // The answer has begun, and nothing but a reset says that it is not whole.
            _ => self.client.side.stream.abort(),
        }
    }

    /// Writes the proxy's own answer.
    pub(super) async fn answer(&mut self, refusal: &Refusal, is_head: bool, keep: bool) -> Next {
        let mut out = std::mem::take(&mut self.client.out);
        out.clear();
        reply::write(&mut out, refusal, is_head, (keep, self.head.http11));
        let written = self.write(&out).await;
        self.client.out = out;
        if keep && written.is_ok() { Next::Request } else { Next::Close }
    }

    /// Writes to the client, which must take it in time.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.client.slot.arm(ANSWER, false);
        let (slot, stream) = (&self.client.slot, &mut self.client.side.stream);
        let mut write = pin!(async {
            stream.write_all(bytes).await?;
            stream.flush().await
        });
        let written = std::future::poll_fn(|cx| match write.as_mut().poll(cx) {
            Poll::Ready(written) => Poll::Ready(written),
            Poll::Pending => slot.poll_fired(cx).map(|_| Err(io::ErrorKind::TimedOut.into())),
        });
        let written = written.await;
        slot.disarm();
        written
    }

    /// What follows an answer that was cut short.
    pub(super) fn cut_short(&self, http11: bool) -> Next {
        match self.client.side.stream {
            Stream::Accepted(_) => Next::Drop,
            _ if http11 => Next::Close,
            _ => Next::Abort,
        }
    }

    /// Ends a connection on which no request has begun. To another sidecar that is said, cleanly:
    /// what it has just sent was not read, and can be sent elsewhere.
    pub(super) async fn part(self: Box<Self>) {
        if let Stream::Accepted(_) = self.client.side.stream {
            self.linger().await;
        }
    }

    /// Closes in two steps (RFC 9112 §9.6): a reset could destroy the answer on its way.
    pub(super) async fn linger(mut self: Box<Self>) {
        self.client.slot.arm(LINGER, false);
        let mut left = MAX_LINGER;
        let mut closed = false;
        std::future::poll_fn(|cx| {
            loop {
                if self.client.slot.poll_fired(cx).is_ready() || left == 0 {
                    return Poll::Ready(());
                }
                if !closed {
                    // Over TLS this writes, which a client that reads nothing could hold up.
                    match ready!(Pin::new(&mut self.client.side.stream).poll_shutdown(cx)) {
                        Ok(()) => closed = true,
                        Err(_) => return Poll::Ready(()),
                    }
                }
                self.client.side.buffer.consume(self.client.side.buffer.len());
                match ready!(self.client.side.poll_fill(cx)) {
                    Ok(count) if count > 0 => left = left.saturating_sub(count),
                    _ => return Poll::Ready(()),
                }
            }
        })
        .await;
    }
}
