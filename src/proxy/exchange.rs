//! One try of one HTTP/1.1 request: its message goes up while its answer comes down.
//!
//! Both directions are driven by one task. The answer may come before the request is complete; the
//! client may go away while the answer is awaited. Nothing of an answer is sent to the client
//! before its head is whole, so that until then the request can be tried again; a head that may be
//! a reason to is held back until that is decided.

use std::task::{Context, Poll};
use std::time::Duration;

use crate::proxy::decide::Decision;
use crate::proxy::flight::Flight;
use crate::proxy::forward::Client;
use crate::proxy::h1::{Framing, Malformed, head_end, write};
use crate::proxy::pool::Upstream;
use crate::proxy::pump::{Pump, PumpError};
use crate::proxy::spent::Spent;
use crate::proxy::stream::{Side, Stream};
use crate::proxy::tries::is_retriable;
use crate::resource::Retry;
use crate::telemetry::limits::{Limit, LimitCounts};
use crate::telemetry::reason::Reason;

/// How long a request may go without a byte in either direction.
pub const SILENCE: Duration = Duration::from_secs(300);

/// Interim answers to one request; applications send one or two.
const MAX_INTERIM: usize = Limit::InterimAnswers.most();

/// What the answer's head must look like for this client.
#[derive(Debug, Clone, Copy)]
pub struct Terms<'a> {
    /// `HEAD`, for framing; any other word else.
    pub method: &'a str,
    /// The client speaks HTTP/1.1.
    pub http11: bool,
    /// The client's connection is to be kept.
    pub keep_alive: bool,
    /// The client asked for another protocol.
    pub upgrade: bool,
    /// Who answers; edits the answer's header.
    pub decision: &'a Decision,
    /// Whether to warn the caller of repeating a failure.
    pub spent: &'a Spent,
    /// Counts what was over a limit.
    pub limits: &'a LimitCounts,
    /// Answers that could be repeated by this are held back.
    pub held: Option<&'a Retry>,
}

/// How it went, where an answer was passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// The endpoint's connection can carry another request.
    pub upstream_kept: bool,
    /// The client's connection can carry another request.
    pub client_kept: bool,
    /// 101: both connections now belong to another protocol.
    pub upgraded: bool,
    /// Bytes of the answer's body.
    pub body_bytes: u64,
}

/// Where a try stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// The answer was passed on.
    Answered(Answered),
    /// The answer's head has come, and could be a reason to try again: nothing was passed on, and
    /// nothing of it taken out of the endpoint's buffer.
    Held,
}

/// How it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Nothing was sent to the client yet.
    BeforeAnswer(Reason),
    /// The client has gone, or what it sent is wrong.
    Client(Reason),
    /// In the middle of the answer: all that can be done is to close.
    MidAnswer {
        /// What the client was told.
        status: u16,
        /// Why it ended.
        reason: Reason,
    },
}

/// The state of one try.
#[derive(Debug)]
pub struct Exchange<'a> {
    /// The request on its way up.
    pub upload: &'a mut Pump,
    /// The endpoint.
    pub upstream: &'a mut Upstream,
    /// The client.
    pub client: &'a mut Client,
    /// What the client is to get.
    pub terms: Terms<'a>,
    /// The try, which hears when its answer's head has come.
    flight: Option<&'a mut Flight>,
    uploaded: bool,
    upload_broken: bool,
    scanned: usize,
    relay: Option<Pump>,
    interim: bool,
    interims: usize,
    /// The client was told that its connection is kept.
    kept: bool,
}

impl<'a> Exchange<'a> {
    /// Ready to be polled.
    pub fn new(
        upload: &'a mut Pump,
        upstream: &'a mut Upstream,
        client: &'a mut Client,
        (terms, flight): (Terms<'a>, Option<&'a mut Flight>),
    ) -> Self {
        Self {
            upload,
            upstream,
            client,
            terms,
            flight,
            uploaded: false,
            upload_broken: false,
            scanned: 0,
            relay: None,
            interim: false,
            interims: 0,
            kept: false,
        }
    }

    /// Runs to the end of the answer, or until one is held back.
    ///
    /// # Errors
    /// [`Failure`], which says what the client has seen.
    pub async fn run(&mut self) -> Result<Progress, Failure> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    /// The answer that was held back is passed on after all.
    pub fn release(&mut self) {
        self.terms.held = None;
    }

    fn is_held(&self) -> bool {
        let Some(retry) = self.terms.held else { return false };
        !self.client.head.is_interim() && is_retriable(retry, self.client.head.status, None)
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Failure>> {
        if let Err(failure) = self.poll_upload(cx) {
            return Poll::Ready(Err(failure));
        }
        loop {
            if self.relay.is_none() {
                match self.poll_head(cx) {
                    Poll::Ready(Ok(())) if self.is_held() => {
                        return Poll::Ready(Ok(Progress::Held));
                    }
                    Poll::Ready(Ok(())) => self.begin_relay(),
                    Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                    Poll::Pending => break,
                }
            }
            match self.poll_relay(cx) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(answered))) => {
                    return Poll::Ready(Ok(Progress::Answered(answered)));
                }
                Poll::Ready(Err(failure)) => return Poll::Ready(Err(failure)),
                Poll::Pending => break,
            }
        }
        if self.uploaded && self.client.is_gone(cx) {
            return Poll::Ready(Err(Failure::Client(Reason::ClientGone)));
        }
        self.poll_silence(cx)
    }

    /// Nothing is to be silent for ever; whatever happens begins the time anew.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<Result<Progress, Failure>> {
        if self.client.slot.poll_fired(cx).is_ready() {
            let reason = Reason::RequestTimeout;
            return Poll::Ready(Err(match &self.relay {
                Some(_) => self.mid_answer(reason),
                None => Failure::BeforeAnswer(reason),
            }));
        }
        self.client.slot.arm(SILENCE, false);
        Poll::Pending
    }

    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.uploaded || self.upload_broken {
            return Ok(());
        }
        match self.upload.poll(cx, &mut self.client.side, &mut self.upstream.side) {
            Poll::Ready(Ok(())) => self.uploaded = true,
            // The endpoint takes no more, but it may have answered already (413 and the like).
            Poll::Ready(Err(PumpError::Write(_))) => self.upload_broken = true,
            Poll::Ready(Err(PumpError::Read(_))) => {
                return Err(Failure::Client(Reason::ClientGone));
            }
            Poll::Ready(Err(PumpError::Malformed(malformed))) => {
                return Err(match &self.relay {
                    None => Failure::Client(malformed.reason),
                    Some(_) => self.mid_answer(Reason::ClientGone),
                });
            }
            Poll::Pending => {}
        }
        Ok(())
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        loop {
            let bytes = self.upstream.side.buffer.filled();
            match head_end(bytes, &mut self.scanned) {
                Ok(Some(_)) => {
                    let headroom = self.upstream.side.stream.headroom();
                    let parsed = self.client.head.parse(bytes, self.terms.method, headroom);
                    return Poll::Ready(match parsed {
                        Ok(()) => self.check_switch(cx),
                        Err(malformed) => Err(broken(malformed)),
                    });
                }
                Ok(None) => {}
                Err(malformed) => return Poll::Ready(Err(broken(malformed))),
            }
            match self.upstream.side.poll_fill(cx) {
                Poll::Ready(Ok(count)) if count > 0 => {}
                Poll::Ready(end) => {
                    return Poll::Ready(Err(Failure::BeforeAnswer(self.ended_early(end.is_ok()))));
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Why a connection has ended before an answer. Another sidecar that ends one `cleanly` then has
    /// not passed the request on: it was about to leave, or the connection was too old.
    fn ended_early(&self, cleanly: bool) -> Reason {
        let Side { stream, buffer } = &self.upstream.side;
        let of_sidecar = matches!(stream, Stream::Dialed(_));
        match cleanly && of_sidecar && buffer.is_empty() && !self.interim {
            true => Reason::RefusedStream,
            false => Reason::UpstreamReset,
        }
    }

    /// A switch of protocols must have been asked for, by all of the request, and what the client
    /// sent before it was granted belongs to neither protocol.
    fn check_switch(&mut self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.client.head.status != 101 {
            Ok(())
        } else if !self.terms.upgrade || self.client.head.upgrade.is_none() || !self.uploaded {
            Err(Failure::BeforeAnswer(Reason::UpstreamProtocol))
        } else if self.client.is_gone(cx) {
            Err(Failure::Client(Reason::ClientGone))
        } else if !self.client.side.buffer.is_empty() {
            Err(Failure::Client(Reason::BadRequest))
        } else {
            Ok(())
        }
    }

    /// Writes the head for the client, and what is to follow it.
    fn begin_relay(&mut self) {
        self.interim = self.client.head.is_interim();
        if let Some(flight) = self.flight.as_mut().filter(|_| !self.interim) {
            flight.answered(self.client.head.status);
        }
        let mut out = std::mem::take(&mut self.client.out);
        out.clear();
        let framing = self.client_framing();
        self.kept = self.client_may_stay(framing);
        // Interim answers are for those who know them (RFC 9110 §15.2).
        if !self.interim || self.terms.http11 {
            let decision = self.terms.decision;
            let mut edits = decision.response_edits();
            let warning = self.terms.spent.warning(&decision.pool, self.client.head.status, None);
            if warning.is_some() {
                edits[0] = warning;
            }
            let plan = write::ResponsePlan {
                edits,
                framing,
                http11: self.terms.http11,
                keep_alive: self.kept,
            };
            write::response(&mut out, &self.client.head, self.upstream.side.buffer.filled(), &plan);
        }
        self.upstream.side.buffer.consume(self.client.head.length);
        self.scanned = 0;
        let body =
            if self.client.head.status == 101 { Framing::None } else { self.client.head.framing };
        self.relay = Some(Pump::new(out, body, framing == Framing::Chunked));
    }

    /// A body that ends with its connection is chunked for HTTP/1.1 clients; HTTP/1.0 clients get
    /// what is chunked until the end.
    fn client_framing(&self) -> Framing {
        match self.client.head.framing {
            Framing::Chunked | Framing::UntilClose if self.terms.http11 => Framing::Chunked,
            Framing::Chunked | Framing::UntilClose => Framing::UntilClose,
            other => other,
        }
    }

    /// An answer that comes before the end of the request is the last of its connection, and says
    /// so: a client that is told no by 417 need not send the body, so nobody knows what comes next.
    fn client_may_stay(&self, framing: Framing) -> bool {
        self.terms.keep_alive && framing != Framing::UntilClose && self.uploaded
    }

    fn poll_relay(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Answered>, Failure>> {
        let Some(relay) = &mut self.relay else { return Poll::Ready(Ok(None)) };
        let done = match relay.poll(cx, &mut self.upstream.side, &mut self.client.side) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(done) => done,
        };
        match done {
            Ok(()) if self.interim => {
                self.client.head.status = 0;
                self.client.out = self.relay.take().map(Pump::into_room).unwrap_or_default();
                self.interims += 1;
                if self.interims <= MAX_INTERIM {
                    return Poll::Ready(Ok(None));
                }
                self.terms.limits.hit(Limit::InterimAnswers);
                Poll::Ready(Err(broken(Malformed::bad("interim answers without end"))))
            }
            Ok(()) => Poll::Ready(Ok(Some(self.finish()))),
            Err(PumpError::Write(_)) => Poll::Ready(Err(Failure::Client(Reason::ClientGone))),
            Err(PumpError::Read(_)) => Poll::Ready(Err(self.mid_answer(Reason::UpstreamReset))),
            Err(PumpError::Malformed(malformed)) => {
                let untouched = self.relay.as_ref().is_some_and(Pump::is_untouched);
                Poll::Ready(Err(match (untouched, broken(malformed)) {
                    (true, before) => {
                        self.client.head.status = 0;
                        before
                    }
                    (false, _) => self.mid_answer(Reason::UpstreamProtocol),
                }))
            }
        }
    }

    fn finish(&mut self) -> Answered {
        let relay = self.relay.take();
        let body_bytes = relay.as_ref().map_or(0, Pump::moved);
        self.client.out = relay.map(Pump::into_room).unwrap_or_default();
        Answered {
            status: self.client.head.status,
            upstream_kept: self.client.head.keep_alive
                && self.uploaded
                && self.upstream.side.buffer.is_empty(),
            client_kept: self.kept,
            upgraded: self.client.head.status == 101,
            body_bytes,
        }
    }

    fn mid_answer(&self, reason: Reason) -> Failure {
        Failure::MidAnswer { status: self.client.head.status, reason }
    }
}

/// The endpoint does not speak HTTP as it must.
fn broken(malformed: Malformed) -> Failure {
    tracing::warn!(detail = malformed.detail, "an answer breaks HTTP");
    Failure::BeforeAnswer(Reason::UpstreamProtocol)
}
