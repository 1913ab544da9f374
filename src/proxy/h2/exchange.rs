//! Carries one request to an endpoint and the answer back. A connection that could not be made is
//! tried at another endpoint, and a stream that the endpoint refused unseen once more, if nothing
//! of its body was taken from the client yet; nothing else is repeated.

use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use h2::client::ResponseFuture;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{Request, Response};

use super::body::{Copy, CopyError};
use super::head::edit_response;
use super::pool::{self, Seat};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::Decision;
use crate::proxy::flight::Flight;
use crate::proxy::worker::Worker;
use crate::telemetry::reason::Reason;

/// Why an exchange did not run to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The proxy's doing, or the endpoint's without a word: the proxy answers if nobody has.
    Own(Reason),
    /// The endpoint reset the stream, and so must we.
    Reset(h2::Reason),
    /// The client has gone.
    Gone(h2::Reason),
}

/// One request on its way, and what is known of it whenever it is given up.
#[derive(Debug)]
pub(super) struct Exchange {
    respond: SendResponse<Bytes>,
    body: RecvStream,
    upload: Option<Copy>,
    download: Option<Copy>,
    /// The status that the client saw; 0 before the answer.
    pub(super) status: u16,
    /// The endpoint that was tried last.
    pub(super) tried: Option<Arc<Endpoint>>,
    /// What earlier tries sent.
    sent: u64,
    /// Nothing of the body was taken by a try that failed.
    untouched: bool,
}

/// An endpoint's answer on its way.
struct Awaited {
    response: ResponseFuture,
    _seat: Seat,
}

impl Exchange {
    /// A request of which nothing was sent yet.
    pub(super) fn new(respond: SendResponse<Bytes>, body: RecvStream) -> Self {
        let (upload, download) = (None, None);
        let (status, tried, sent) = (0, None, 0);
        Self { respond, body, upload, download, status, tried, sent, untouched: true }
    }

    /// Where the proxy answers itself.
    pub(super) fn respond(&mut self) -> &mut SendResponse<Bytes> {
        &mut self.respond
    }

    /// Bytes of the bodies that went through: the request's, the answer's.
    pub(super) fn moved(&self) -> (u64, u64) {
        let up = self.upload.as_ref().map_or(0, Copy::moved);
        (self.sent + up, self.download.as_ref().map_or(0, Copy::moved))
    }

    /// Ends the client's stream; its answer has begun or never will.
    pub(super) fn reset(&mut self, reason: h2::Reason) {
        match &mut self.download {
            Some(download) => download.reset(reason),
            None => self.respond.send_reset(reason),
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

    /// Sends `request` where `decision` says, and the answer back.
    ///
    /// # Errors
    /// [`Failure`]; the client's stream is then still to be ended.
    pub(super) async fn run(
        &mut self,
        worker: &Rc<Worker>,
        decision: &Decision,
        request: &Request<()>,
    ) -> Result<(), Failure> {
        let (flight, awaited, response) = self.answered(worker, decision, request).await?;
        let (mut head, mut answer) = response.into_parts();
        edit_response(&mut head.headers, &decision.response_edits());
        self.status = head.status.as_u16();
        let ended = answer.is_end_stream();
        let to = self
            .respond
            .send_response(Response::from_parts(head, ()), ended)
            .map_err(|error| Failure::Gone(code(&error)))?;
        let carried = match ended {
            true => Ok(()),
            false => self.carry(&mut answer, to).await,
        };
        drop((flight, awaited));
        carried
    }

    /// Finds an endpoint that answers.
    async fn answered(
        &mut self,
        worker: &Rc<Worker>,
        decision: &Decision,
        request: &Request<()>,
    ) -> Result<(Flight, Awaited, Response<RecvStream>), Failure> {
        let mut avoid = None;
        loop {
            let endpoint =
                decision.pick(avoid.as_slice()).ok_or(Failure::Own(Reason::NoEndpoints))?;
            let flight = Flight::begin(&decision.pool, Arc::clone(&endpoint));
            self.tried = Some(Arc::clone(&endpoint));
            let acquired = self.while_wanted(pool::acquire(worker, decision, &endpoint)).await?;
            let refused = match acquired {
                Ok(seat) => match self.attempt(seat, request).await {
                    Ok((awaited, response)) => return Ok((flight, awaited, response)),
                    Err(failure) => failure,
                },
                Err(reason) => Failure::Own(reason),
            };
            let again = avoid.is_none()
                && match refused {
                    Failure::Own(Reason::ConnectFailure | Reason::ConnectTimeout) => {
                        let other = decision.pick(&[endpoint.id]);
                        other.is_some_and(|other| other.id != endpoint.id)
                    }
                    Failure::Own(Reason::RefusedStream) => self.untouched,
                    _ => false,
                };
            if !again {
                return Err(refused);
            }
            avoid = Some(endpoint.id);
        }
    }

    /// Sends the request over one connection and waits for the answer's head.
    async fn attempt(
        &mut self,
        seat: Seat,
        request: &Request<()>,
    ) -> Result<(Awaited, Response<RecvStream>), Failure> {
        let mut send = seat.send();
        let ended = self.body.is_end_stream();
        // A connection that has just been told to go away refuses here, before anything was sent.
        let (response, to) =
            send.send_request(request.clone(), ended).map_err(|error| match error.get_io() {
                Some(_) => Failure::Own(Reason::RefusedStream),
                None if error.is_go_away() => Failure::Own(Reason::RefusedStream),
                None => Failure::Own(Reason::BadRequest),
            })?;
        self.upload = (!ended).then(|| Copy::new(to));
        let mut awaited = Awaited { response, _seat: seat };
        let answer = std::future::poll_fn(|cx| {
            if let Poll::Ready(reason) = self.poll_given_up(cx) {
                return Poll::Ready(Err(Failure::Gone(reason)));
            }
            if let Poll::Ready(answer) = self.poll_answer(cx, &mut awaited.response) {
                return Poll::Ready(answer);
            }
            match self.poll_upload(cx) {
                Some(failure) => Poll::Ready(Err(failure)),
                None => Poll::Pending,
            }
        });
        match answer.await {
            Ok(response) => Ok((awaited, response)),
            Err(failure) => {
                self.give_up(&failure);
                Err(failure)
            }
        }
    }

    fn poll_answer(
        &mut self,
        cx: &mut Context<'_>,
        response: &mut ResponseFuture,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        while let Poll::Ready(Some(Ok(interim))) = response.poll_informational(cx) {
            // Whoever is not there any more is noticed elsewhere.
            let _ = self.respond.send_informational(interim);
        }
        Pin::new(response).poll(cx).map_err(|error| failure_of(&error))
    }

    /// The answer's body, while the rest of the request's goes on beside it.
    async fn carry(
        &mut self,
        answer: &mut RecvStream,
        to: SendStream<Bytes>,
    ) -> Result<(), Failure> {
        self.download = Some(Copy::new(to));
        let carried = std::future::poll_fn(|cx| {
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
            match self.poll_upload(cx) {
                Some(failure) => Poll::Ready(Err(failure)),
                None => Poll::Pending,
            }
        });
        let carried = carried.await;
        if let Err(failure) = &carried {
            self.give_up(failure);
        }
        carried
    }

    /// Moves the request's body on; a failure where the client's side of it broke.
    fn poll_upload(&mut self, cx: &mut Context<'_>) -> Option<Failure> {
        let upload = self.upload.as_mut()?;
        match upload.poll(cx, &mut self.body) {
            Poll::Pending => None,
            Poll::Ready(Err(CopyError::From(error))) => Some(Failure::Gone(code(&error))),
            // An endpoint that wants no more of it may still answer; its side tells.
            Poll::Ready(Ok(()) | Err(CopyError::To(_))) => None,
        }
    }

    /// Tells the endpoint that the client has gone; everything else it learns as CANCEL, when the
    /// stream is dropped.
    fn give_up(&mut self, failure: &Failure) {
        if let Some(mut upload) = self.upload.take() {
            self.sent += upload.moved();
            self.untouched &= upload.is_untouched();
            if let Failure::Gone(reason) = failure {
                upload.reset(*reason);
            }
        }
    }

    /// Ready when the client reset its stream, before the answer begins.
    fn poll_given_up(&mut self, cx: &mut Context<'_>) -> Poll<h2::Reason> {
        self.respond.poll_reset(cx).map(|reset| reset.unwrap_or(h2::Reason::CANCEL))
    }
}

/// What an endpoint's error means.
fn failure_of(error: &h2::Error) -> Failure {
    match error.reason() {
        Some(h2::Reason::REFUSED_STREAM) if error.is_reset() => Failure::Own(Reason::RefusedStream),
        // The crate tells this to streams that the endpoint says it has not looked at.
        Some(h2::Reason::NO_ERROR) if error.is_go_away() && error.is_remote() => {
            Failure::Own(Reason::RefusedStream)
        }
        Some(reason) if error.is_reset() && error.is_remote() => Failure::Reset(reason),
        Some(_) if error.is_library() => Failure::Own(Reason::UpstreamProtocol),
        _ => Failure::Own(Reason::UpstreamReset),
    }
}

fn code(error: &h2::Error) -> h2::Reason {
    error.reason().unwrap_or(h2::Reason::CANCEL)
}
