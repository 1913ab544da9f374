//! The tries of a request until one answers: one after another, or a second beside the first where
//! a rule asks for it (hedging). What follows a try is said by [`Tries`]; here it is carried out.

use std::future::Future as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use h2::RecvStream;
use http::Response;
use http::header::{HeaderMap, HeaderValue, RETRY_AFTER};
use smallvec::{SmallVec, smallvec};
use tokio::time::Sleep;

use super::attempt::{Attempt, Call, Failure};
use super::exchange::Exchange;
use super::{grpc, seat};
use crate::proxy::admission::{Admission, Repetition, Sequel};
use crate::proxy::cluster::Endpoint;
use crate::proxy::flight::Verdict;
use crate::proxy::spent;
use crate::proxy::tries::{Asked, Ended, pushback, retry_after};
use crate::telemetry::reason::Reason;

type Answered = Result<Response<RecvStream>, Failure>;

/// What is waited for.
enum Event {
    /// The client has gone, or all of the time is over.
    Over(Failure),
    /// The first try takes long enough for a second one beside it.
    Hedge,
    /// A try has ended.
    Ended(usize, Answered),
}

/// What follows a try.
enum Judged {
    /// It is the result.
    Stands,
    /// Another try is still out, which may do better.
    Another,
    /// The request is sent again.
    Again(Repetition),
}

impl Exchange {
    /// Finds an endpoint whose answer stands.
    ///
    /// # Errors
    /// [`Failure`] of the last try, or of the whole.
    pub(super) async fn answered<'a>(
        &mut self,
        call: Call<'a>,
        admission: &mut Admission<'a>,
    ) -> Result<(Attempt<'a>, Response<RecvStream>), Failure> {
        let first = call.decision.pick(&[]).ok_or(Failure::Own(Reason::NoEndpoints))?;
        let mut out: SmallVec<[Attempt<'a>; 1]> = smallvec![self.launch(call, admission, first)];
        let after = admission.tries.hedge_after(self.near.intake.may_be_whole());
        let mut hedge = after.map(|after| Box::pin(tokio::time::sleep(after)));
        loop {
            let event = std::future::poll_fn(|cx| self.poll_race(cx, &mut out, hedge.as_mut()));
            match event.await {
                Event::Over(failure) => {
                    out.into_iter().for_each(|attempt| attempt.fail(failure, &mut self.events));
                    return Err(failure);
                }
                Event::Hedge => {
                    hedge = None;
                    if let Some(endpoint) = self.hedge(admission) {
                        let attempt = self.launch(call, admission, endpoint);
                        self.events.hedge(self.attempts, attempt.endpoint());
                        out.push(attempt);
                    }
                }
                Event::Ended(index, result) => {
                    let attempt = out.remove(index);
                    let verdict = verdict(call, &attempt, &result);
                    let judged = self.judge(call, admission, (verdict, &result), !out.is_empty());
                    if let Judged::Stands = judged {
                        // Tries that are still out end here; nothing is known of them.
                        return match result {
                            Ok(response) => Ok((attempt, response)),
                            Err(failure) => {
                                attempt.fail(failure, &mut self.events);
                                Err(failure)
                            }
                        };
                    }
                    attempt.end(verdict, &mut self.events);
                    drop(result);
                    if let Judged::Again(Repetition { endpoint, wait }) = judged {
                        // A second try was to join the first alone.
                        hedge = None;
                        self.pause(wait).await?;
                        let attempt = self.launch(call, admission, endpoint);
                        self.events.retry(self.attempts, attempt.endpoint(), verdict);
                        out.push(attempt);
                    }
                }
            }
        }
    }

    fn launch<'a>(
        &mut self,
        call: Call<'a>,
        Admission { tries, .. }: &mut Admission<'a>,
        endpoint: Arc<Endpoint>,
    ) -> Attempt<'a> {
        let endpoint = seat::within_limit(call.worker, call.decision, endpoint, tries.tried());
        tries.begin(endpoint.id);
        self.attempts = tries.count();
        self.tried = Some(Arc::clone(&endpoint));
        Attempt::new(call, endpoint).numbered(tries.number())
    }

    fn poll_race(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut [Attempt<'_>],
        hedge: Option<&mut Pin<Box<Sleep>>>,
    ) -> Poll<Event> {
        if let Poll::Ready(reason) = self.poll_given_up(cx) {
            return Poll::Ready(Event::Over(Failure::Gone(reason)));
        }
        let alone = out.len() == 1;
        for (index, attempt) in out.iter_mut().enumerate() {
            if let Poll::Ready(result) = attempt.poll(cx, &mut self.near, alone) {
                return Poll::Ready(match result {
                    Err(failure @ Failure::Gone(_)) => Event::Over(failure),
                    result => Event::Ended(index, result),
                });
            }
        }
        if let Poll::Ready(failure) = self.poll_late(cx, out.iter().any(Attempt::is_stalled)) {
            return Poll::Ready(Event::Over(failure));
        }
        match hedge {
            Some(hedge) => {
                if !hedge.is_elapsed() {
                    ready!(hedge.as_mut().poll(cx));
                }
                // The first try may not have come to send the body yet.
                self.near.intake.poll_ahead(cx).map(|()| Event::Hedge)
            }
            None => Poll::Pending,
        }
    }

    /// The wait before a repetition.
    async fn pause(&mut self, wait: Duration) -> Result<(), Failure> {
        if wait.is_zero() {
            return Ok(());
        }
        let mut sleep = std::pin::pin!(tokio::time::sleep(wait));
        std::future::poll_fn(|cx| {
            if let Poll::Ready(reason) = self.poll_given_up(cx) {
                return Poll::Ready(Err(Failure::Gone(reason)));
            }
            if let Poll::Ready(failure) = self.poll_late(cx, false) {
                return Poll::Ready(Err(failure));
            }
            sleep.as_mut().poll(cx).map(Ok)
        })
        .await
    }

    fn judge(
        &mut self,
        call: Call<'_>,
        admission: &mut Admission<'_>,
        (verdict, result): (Verdict, &Answered),
        others: bool,
    ) -> Judged {
        if let Verdict::Answered(status, code) = verdict
            && !admission.tries.is_retriable(status, code)
        {
            return Judged::Stands;
        }
        if let Err(Failure::Own(reason)) = result {
            self.events.failed(self.attempts, *reason);
        }
        if others {
            return Judged::Another;
        }
        let ended = Ended {
            passed_on: self.near.begun,
            whole: self.near.intake.is_whole(),
            asked: result.as_ref().ok().and_then(|response| asked(call, response.headers())),
            left: self.left(),
            ..Ended::new(verdict)
        };
        match admission.after(ended) {
            Sequel::Again(repetition) => return Judged::Again(repetition),
            Sequel::Refused(limit) => self.events.refused(self.attempts, limit.as_str()),
            Sequel::Stands => {}
        }
        if admission.tries.retry().budget.is_some() {
            call.worker.shared.directory.spent().mark();
        }
        Judged::Stands
    }

    /// Where a second try goes, if it may.
    fn hedge(&self, admission: &mut Admission<'_>) -> Option<Arc<Endpoint>> {
        let intake = &self.near.intake;
        let may = !self.near.begun && intake.is_complete() && intake.is_whole();
        if may { admission.beside() } else { None }
    }
}

/// What an answer asks of who would send the request again.
fn asked(call: Call<'_>, fields: &HeaderMap) -> Option<Asked> {
    if spent::forbids(fields.get(spent::RETRY_HEADER).map(HeaderValue::as_bytes)) {
        return Some(Asked::Never);
    }
    let mut pushed_back = fields.get_all(grpc::PUSHBACK).iter();
    match (pushed_back.next().filter(|_| call.is_grpc), pushed_back.next()) {
        (Some(value), None) => Some(pushback(value.as_bytes())),
        // Two of them are no number.
        (Some(_), Some(_)) => Some(Asked::Never),
        (None, _) => {
            retry_after(fields.get(RETRY_AFTER)?.as_bytes(), SystemTime::now()).map(Asked::AtLeast)
        }
    }
}

/// What a try came to, as far as the head of its answer says.
fn verdict(call: Call<'_>, attempt: &Attempt<'_>, result: &Answered) -> Verdict {
    match result {
        Ok(response) => {
            let code = call.is_grpc.then(|| grpc::code(response.headers())).flatten();
            Verdict::Answered(response.status().as_u16(), code)
        }
        Err(failure) => attempt.verdict(*failure),
    }
}
