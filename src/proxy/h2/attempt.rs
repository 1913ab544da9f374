//! One try of a request at one endpoint: a seat on a connection to it, the request, the head of the
//! answer. It says what it came to when it ends.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use tokio::time::Sleep;

use super::body::{Copy, CopyError, Source as _};
use super::intake::Intake;
use super::pool::Seat;
use super::{MAX_INTERIM, seat};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::Decision;
use crate::proxy::flight::{Flight, Verdict};
use crate::proxy::trace::Events;
use crate::proxy::tries::ATTEMPT_HEADER;
use crate::proxy::worker::Worker;
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;

/// How often a connection that was about to end is replaced by another one to the same endpoint:
/// when a server restarts, all of them are.
const MAX_RESEATS: u32 = 2;

/// Why a try, or all of an exchange, did not run to its end.
#[derive(Debug, Clone, Copy)]
pub(super) enum Failure {
    /// The proxy's doing, or the endpoint's without a word: the proxy answers if nobody has.
    Own(Reason),
    /// The endpoint reset the stream, and so must we.
    Reset(h2::Reason),
    /// The client has gone.
    Gone(h2::Reason),
    /// The client does not take what there is for it.
    Stalled,
}

/// What all tries of a request have in common.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'a> {
    /// The worker.
    pub(super) worker: &'a Rc<Worker>,
    /// Where it goes.
    pub(super) decision: &'a Decision,
    /// The head to send.
    pub(super) request: &'a Request<()>,
    /// It is a call of gRPC.
    pub(super) is_grpc: bool,
}

/// The client's side of an exchange.
#[derive(Debug)]
pub(super) struct Near {
    /// Where it is answered.
    pub(super) respond: SendResponse<Bytes>,
    /// The body that it sends.
    pub(super) intake: Intake,
    /// Something of an answer was passed on.
    pub(super) begun: bool,
}

/// See the head of this file.
pub(super) struct Attempt<'a> {
    call: Call<'a>,
    flight: Flight,
    stage: Stage<'a>,
    upload: Option<Copy>,
    /// Which try this is, where the endpoint is to know.
    number: Option<u32>,
    /// When it has taken too long.
    limit: Option<Pin<Box<Sleep>>>,
    reseats: u32,
    interims: usize,
}

/// How far it has come.
enum Stage<'a> {
    /// Without a connection.
    Unseated,
    /// One is waited for.
    Seating(Pin<Box<dyn Future<Output = Result<Seat, Reason>> + 'a>>),
    /// The request is on its way.
    Asked(ResponseFuture, #[expect(dead_code, reason = "held for its end")] Seat),
}

impl<'a> Attempt<'a> {
    /// A try at `endpoint`, where nothing was done yet.
    pub(super) fn new(call: Call<'a>, endpoint: Arc<Endpoint>) -> Self {
        let limit = call.decision.timeouts().backend_request;
        Self {
            call,
            flight: Flight::begin(&call.decision.pool, endpoint),
            stage: Stage::Unseated,
            upload: None,
            number: None,
            limit: limit.map(|limit| Box::pin(tokio::time::sleep(limit))),
            reseats: 0,
            interims: 0,
        }
    }

    /// The endpoint is told that this is the try with this number.
    pub(super) fn numbered(self, number: Option<u32>) -> Self {
        Self { number, ..self }
    }

    /// The endpoint.
    pub(super) fn endpoint(&self) -> &Arc<Endpoint> {
        self.flight.endpoint()
    }

    /// Ready with the head of the answer. Interim answers are passed on where this try is `alone`.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        near: &mut Near,
        alone: bool,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        if let Poll::Ready(done) = self.poll_stages(cx, near, alone) {
            return Poll::Ready(done);
        }
        self.poll_limit(cx).map(Err)
    }

    /// Whether the endpoint does not take what there is for it.
    pub(super) fn is_stalled(&self) -> bool {
        self.upload.as_ref().is_some_and(Copy::is_stalled)
    }

    /// Ready when it has taken too long.
    pub(super) fn poll_limit(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        match &mut self.limit {
            Some(limit) => limit.as_mut().poll(cx).map(|()| Failure::Own(Reason::TryTimeout)),
            None => Poll::Pending,
        }
    }

    fn poll_stages(
        &mut self,
        cx: &mut Context<'_>,
        near: &mut Near,
        alone: bool,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        let Call { worker, decision, .. } = self.call;
        loop {
            let response = match &mut self.stage {
                Stage::Unseated => {
                    let endpoint = Arc::clone(self.endpoint());
                    match seat::free(worker, endpoint.id) {
                        Some(seat) => self.ask(seat, &near.intake)?,
                        None => {
                            let seat = Box::pin(seat::acquire(worker, decision, endpoint));
                            self.stage = Stage::Seating(seat);
                        }
                    }
                    continue;
                }
                Stage::Seating(seat) => {
                    let seat = ready!(seat.as_mut().poll(cx)).map_err(Failure::Own)?;
                    self.ask(seat, &near.intake)?;
                    continue;
                }
                Stage::Asked(response, _) => response,
            };
            while let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
                self.interims += 1;
                if self.interims > MAX_INTERIM {
                    self.call.worker.hit(Limit::InterimAnswers);
                    return Poll::Ready(Err(Failure::Own(Reason::UpstreamProtocol)));
                }
                if alone {
                    near.begun = true;
                    // Whoever is not there any more is noticed elsewhere.
                    let _ = near.respond.send_informational(interim);
                }
            }
            match Pin::new(response).poll(cx) {
                Poll::Ready(Ok(response)) => return Poll::Ready(Ok(response)),
                Poll::Ready(Err(error)) if was_unseen(&error) && self.reseat(&near.intake) => {}
                Poll::Ready(Err(error)) => return Poll::Ready(Err(failure_of(&error))),
                Poll::Pending => {
                    return match self.poll_upload(cx, &mut near.intake) {
                        Some(failure) => Poll::Ready(Err(failure)),
                        None => Poll::Pending,
                    };
                }
            }
        }
    }

    /// Sends the head.
    fn ask(&mut self, seat: Seat, intake: &Intake) -> Result<(), Failure> {
        let ended = intake.is_over(0);
        let mut request = self.call.request.clone();
        if let Some(number) = self.number {
            let name = HeaderName::from_static(ATTEMPT_HEADER);
            request.headers_mut().insert(name, HeaderValue::from(number));
        }
        match seat.send().send_request(request, ended) {
            Ok((response, to)) => {
                self.upload = (!ended).then(|| Copy::new(to));
                self.stage = Stage::Asked(response, seat);
                Ok(())
            }
            // A connection that has just been told to go away refuses here.
            Err(error) if error.get_io().is_some() || error.is_go_away() => {
                match self.reseat(intake) {
                    true => Ok(()),
                    false => Err(Failure::Own(Reason::RefusedStream)),
                }
            }
            Err(_) => Err(Failure::Own(Reason::BadRequest)),
        }
    }

    /// Begins anew over another connection, because the endpoint has seen nothing of the request;
    /// `false` where that cannot be.
    fn reseat(&mut self, intake: &Intake) -> bool {
        let possible = self.reseats < MAX_RESEATS && intake.is_whole();
        if possible {
            self.reseats += 1;
            self.upload = None;
            self.stage = Stage::Unseated;
        }
        possible
    }

    /// Moves the request's body on; a failure where the client's side of it broke.
    pub(super) fn poll_upload(
        &mut self,
        cx: &mut Context<'_>,
        intake: &mut Intake,
    ) -> Option<Failure> {
        let upload = self.upload.as_mut()?;
        match upload.poll(cx, intake) {
            Poll::Pending => None,
            Poll::Ready(Err(CopyError::From(error))) => Some(Failure::Gone(code(&error))),
            // An endpoint that wants no more of it may still answer; its side tells.
            Poll::Ready(Ok(()) | Err(CopyError::To(_))) => None,
        }
    }

    /// Its answer has begun, with this status, and stands.
    pub(super) fn answered(&mut self, status: StatusCode) {
        self.flight.answered(status.as_u16());
    }

    /// Ends with an answer.
    pub(super) fn end(self, verdict: Verdict, events: &mut Events) {
        events.end(self.flight, verdict);
    }

    /// Ends without one. An endpoint whose client has gone hears why; everything else it learns as
    /// CANCEL, when the stream is dropped.
    pub(super) fn fail(mut self, failure: Failure, events: &mut Events) {
        let verdict = self.verdict(failure);
        if let (Failure::Gone(reason), Some(upload)) = (failure, &mut self.upload) {
            upload.reset(reason);
        }
        events.end(self.flight, verdict);
    }

    /// What a failure says of the endpoint.
    pub(super) fn verdict(&self, failure: Failure) -> Verdict {
        let waits = self.upload.as_ref().is_some_and(Copy::is_starved);
        match failure {
            Failure::Gone(_) | Failure::Stalled => Verdict::Abandoned,
            Failure::Reset(_) => Verdict::Failed(Reason::UpstreamReset),
            Failure::Own(reason) => Verdict::of_failure(reason, waits),
        }
    }
}

/// Whether an endpoint says that it has not looked at a stream, because its connection ends: the
/// crate tells this to streams behind the last one that GOAWAY names.
fn was_unseen(error: &h2::Error) -> bool {
    error.reason() == Some(h2::Reason::NO_ERROR) && error.is_go_away() && error.is_remote()
}

/// What an endpoint's error means.
pub(super) fn failure_of(error: &h2::Error) -> Failure {
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if error.is_reset() => Failure::Own(Reason::RefusedStream),
        _ if was_unseen(error) => Failure::Own(Reason::RefusedStream),
        Some(reason) if error.is_reset() && error.is_remote() => Failure::Reset(reason),
        Some(_) if error.is_library() => Failure::Own(Reason::UpstreamProtocol),
        _ => Failure::Own(Reason::UpstreamReset),
    }
}

pub(super) fn code(error: &h2::Error) -> h2::Reason {
    error.reason().unwrap_or(h2::Reason::CANCEL)
}
