//! Carries one request to an endpoint and the answer back.
//!
//! Until something of an answer is passed on, the request may be tried again (`race`); what of its
//! body was sent is sent again from what was kept (`intake`). Then the answer that stands goes to
//! the client (here), while the rest of the request's body goes on beside it.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Response, StatusCode};
use tokio::time::{Instant, Sleep};

use super::attempt::{Attempt, Call, Failure, Near, code, failure_of};
use super::body::{Copy, CopyError};
use super::grpc;
use super::head::edit_response;
use super::intake::Intake;
use crate::proxy::admission::Admission;
use crate::proxy::cluster::Endpoint;
use crate::proxy::flight::Verdict;
use crate::proxy::slots::Slot;
use crate::proxy::trace::Events;
use crate::telemetry::reason::Reason;

/// How long nothing may move while there is something to move: as long as a request of HTTP/1.1 may
/// go without a byte. A stream on which there is nothing to say lives as long as its connections.
const SILENCE: Duration = Duration::from_secs(300);

/// One request on its way, and what is known of it whenever it is given up.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The client.
    pub(super) near: Near,
    download: Option<Copy>,
    /// When all of it has taken too long.
    deadline: Option<Pin<Box<Sleep>>>,
    /// When somebody has not taken for too long what there is for them.
    slot: Slot,
    /// What had moved when that was looked at last, and whether there was somebody.
    seen: (u64, u64, bool),
    /// The status that the client saw; 0 before the answer.
    pub(super) status: u16,
    /// The code of gRPC that the client saw.
    pub(super) grpc_code: Option<u32>,
    /// The proxy had to say that code, because the endpoint did not.
    pub(super) supplied: bool,
    /// The endpoint that was tried last, or answered.
    pub(super) tried: Option<Arc<Endpoint>>,
    /// How many tries there were.
    pub(super) attempts: u32,
    /// What happened on the way.
    pub(super) events: Events,
}

impl Exchange {
    /// A request of which nothing was sent yet.
    pub(super) fn new(slot: Slot, respond: SendResponse<Bytes>, body: RecvStream) -> Self {
        Self {
            near: Near { respond, intake: Intake::new(body), begun: false },
            download: None,
            deadline: None,
            slot,
            seen: (0, 0, false),
            status: 0,
            grpc_code: None,
            supplied: false,
            tried: None,
            attempts: 0,
            events: Events::default(),
        }
    }

    /// Where the proxy answers itself.
    pub(super) fn respond(&mut self) -> &mut SendResponse<Bytes> {
        &mut self.near.respond
    }

    /// Bytes of the bodies that went through: the request's, the answer's.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.near.intake.sent(), self.download.as_ref().map_or(0, Copy::moved))
    }

    /// Ends the client's stream; its answer has begun or never will.
    pub(super) fn reset(&mut self, reason: h2::Reason) {
        match &mut self.download {
            Some(download) => download.reset(reason),
            None => self.near.respond.send_reset(reason),
        }
    }

    /// Waits for `work` as long as the client is there; for before the answer begins.
    pub(super) async fn while_wanted<T>(
        &mut self,
        work: impl Future<Output = T>,
    ) -> Result<T, Failure> {
        tokio::pin!(work);
        std::future::poll_fn(|cx| match self.poll_given_up(cx) {
            Poll::Ready(reason) => Poll::Ready(Err(Failure::Gone(reason))),
            Poll::Pending => work.as_mut().poll(cx).map(Ok),
        })
        .await
    }

    /// Sends the request where it was decided, and the answer back.
    ///
    /// # Errors
    /// [`Failure`]; the client's stream is then still to be ended.
    pub(super) async fn run<'a>(
        &mut self,
        call: Call<'a>,
        mut admission: Admission<'a>,
    ) -> Result<(), Failure> {
        admission.enter().map_err(|reason| {
            self.events.failed(0, reason);
            Failure::Own(reason)
        })?;
        let limit = call.decision.timeouts().request;
        self.deadline = limit.map(|limit| Box::pin(tokio::time::sleep(limit)));
        let room = admission.tries.keeps(true);
        if length(call.request) <= room as u64 {
            self.near.intake.keep(room);
        }
        let (mut attempt, response) = self.answered(call, &mut admission).await?;
        attempt.answered(response.status());
        self.tried = Some(Arc::clone(attempt.endpoint()));
        match self.pass_on(call, &mut attempt, response).await {
            Ok(()) => {
                let verdict = Verdict::Answered(self.status, self.grpc_code);
                attempt.end(verdict, &mut self.events);
                Ok(())
            }
            Err(failure) => {
                attempt.fail(failure, &mut self.events);
                Err(failure)
            }
        }
    }

    async fn pass_on(
        &mut self,
        call: Call<'_>,
        attempt: &mut Attempt<'_>,
        response: Response<RecvStream>,
    ) -> Result<(), Failure> {
        let (mut head, mut answer) = response.into_parts();
        if call.is_grpc && grpc::is_foreign(head.status, &head.headers) {
            return Err(Failure::Own(Reason::UpstreamProtocol));
        }
        let ended = answer.is_end_stream();
        let owes_code = call.is_grpc && head.status == StatusCode::OK;
        if owes_code && ended && grpc::code(&head.headers).is_none() {
            self.supplied = true;
            head.headers.extend(grpc::in_place_of_code());
        }
        let of_head = grpc::code(&head.headers);
        let mut edits = call.decision.response_edits();
        let spent = call.worker.shared.directory.spent();
        let warning = spent.warning(&call.decision.pool, head.status.as_u16(), of_head);
        if warning.is_some() {
            edits[0] = warning;
        }
        edit_response(&mut head.headers, &edits);
        self.near.begun = true;
        let status = head.status;
        self.status = status.as_u16();
        let to = self
            .near
            .respond
            .send_response(Response::from_parts(head, ()), ended)
            .map_err(|error| Failure::Gone(code(&error)))?;
        if !ended {
            let to = Copy::new(to).owing_code(owes_code && of_head.is_none());
            self.carry(attempt, &mut answer, to).await?;
            self.supplied = self.download.as_ref().is_some_and(Copy::has_supplied);
        }
        if call.is_grpc {
            let of_trailers = self.download.as_ref().and_then(Copy::grpc_code);
            let said = of_trailers.or(of_head);
            self.grpc_code = said.or_else(|| Some(grpc::code_of_status(status)));
        }
        Ok(())
    }

    /// The answer's body, while the rest of the request's goes on beside it.
    async fn carry(
        &mut self,
        attempt: &mut Attempt<'_>,
        answer: &mut RecvStream,
        to: Copy,
    ) -> Result<(), Failure> {
        self.download = Some(to);
        std::future::poll_fn(|cx| {
            let Some(download) = &mut self.download else { return Poll::Ready(Ok(())) };
            match download.poll(cx, answer) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(CopyError::To(reason))) => {
                    return Poll::Ready(Err(Failure::Gone(reason)));
                }
                Poll::Ready(Err(CopyError::From(error))) => {
                    return Poll::Ready(Err(failure_of(&error)));
                }
                Poll::Pending => {}
            }
            if let Some(failure) = attempt.poll_upload(cx, &mut self.near.intake) {
                return Poll::Ready(Err(failure));
            }
            match attempt.poll_limit(cx) {
                Poll::Ready(failure) => Poll::Ready(Err(failure)),
                Poll::Pending => self.poll_late(cx, attempt.is_stalled()).map(Err),
            }
        })
        .await
    }

    /// Ready when the client reset its stream, before the answer begins.
    pub(super) fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<h2::Reason> {
        self.near.respond.poll_reset(cx).map(|reset| reset.unwrap_or(h2::Reason::CANCEL))
    }

    /// Ready when all of it has taken too long, or the client, or an endpoint that is `stalled`, has
    /// not taken for too long what there is for them.
    pub(super) fn poll_late(&mut self, cx: &mut Context<'_>, stalled: bool) -> Poll<Failure> {
        let late = Failure::Own(Reason::RequestTimeout);
        if let Some(deadline) = &mut self.deadline
            && deadline.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(late);
        }
        let down = self.download.as_ref();
        let by_client = down.is_some_and(Copy::is_stalled);
        let now = (self.near.intake.taken(), down.map_or(0, Copy::moved), stalled || by_client);
        if now != self.seen {
            self.seen = now;
            match now.2 {
                true => self.slot.arm(SILENCE, false),
                false => self.slot.disarm(),
            }
        }
        let stalled = if by_client { Failure::Stalled } else { late };
        self.slot.poll_fired(cx).map(|_| stalled)
    }

    /// What is left of all of its time.
    pub(super) fn left(&self) -> Option<Duration> {
        let deadline = self.deadline.as_ref()?.deadline();
        Some(deadline.saturating_duration_since(Instant::now()))
    }
}

/// The length that a request says its body has; 0 where it says nothing.
fn length(request: &http::Request<()>) -> u64 {
    let length = request.headers().get(http::header::CONTENT_LENGTH);
    length.and_then(|value| value.to_str().ok()?.parse().ok()).unwrap_or(0)
}
