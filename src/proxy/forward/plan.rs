//! What a request may do: how often, how long, and whether the circuit lets it.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use crate::proxy::circuit::Permit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::Decision;
use crate::proxy::flight::Verdict;
use crate::proxy::h1::ResponseHead;
use crate::proxy::spent;
use crate::proxy::tries::{Again, Asked, Ended, Next, Tries, retry_after, retry_of};
use crate::telemetry::reason::Reason;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Where it goes.
    pub(super) decision: &'a Decision,
    /// What was tried.
    pub(super) tries: Tries<'a>,
    /// When the whole request must be over.
    end: Option<Instant>,
    /// Counts its repetitions, of which one is out at a time.
    permit: Option<Permit>,
    /// It waits in line for a connection.
    pub(super) in_line: Cell<bool>,
}

/// A try more.
#[derive(Debug)]
pub(super) struct Repetition {
    endpoint: Arc<Endpoint>,
    wait: Duration,
    permit: Option<Permit>,
}

/// What a try left behind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Left {
    /// Nothing of the request was written.
    pub(super) untouched: bool,
    /// Everything that was written can be written again.
    pub(super) whole: bool,
    /// What the endpoint asks of who would send the request again.
    pub(super) asked: Option<Asked>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(decision: &'a Decision, idempotent: bool, attempt: u32) -> Self {
        let end = decision.timeouts().request.map(|limit| Instant::now() + limit);
        let tries = Tries::of_kind(retry_of(decision), idempotent, attempt);
        Self { decision, tries, end, permit: None, in_line: Cell::new(false) }
    }

    /// Carries out a repetition: where, and after which wait.
    pub(super) fn begin(&mut self, repetition: Repetition) -> (Arc<Endpoint>, Duration) {
        if repetition.permit.is_some() {
            self.permit = repetition.permit;
        }
        (repetition.endpoint, repetition.wait)
    }

    /// What the request holds for as long as it lasts.
    ///
    /// # Errors
    /// The reason of the refusal.
    pub(super) fn admit(&self) -> Result<Option<Permit>, Reason> {
        let Some(circuit) = self.decision.pool.circuit() else { return Ok(None) };
        let permit = circuit.request()?;
        if self.tries.retry().budget.is_some() {
            circuit.counted();
        }
        Ok(permit)
    }

    /// When a try that begins now must be over, and the reason where it is not.
    pub(super) fn limit(&self) -> Option<(Instant, Reason)> {
        let own = self.decision.timeouts().backend_request.map(|limit| Instant::now() + limit);
        match (own, self.end) {
            (Some(own), end) if end.is_none_or(|end| own < end) => Some((own, Reason::TryTimeout)),
            (_, end) => end.map(|end| (end, Reason::RequestTimeout)),
        }
    }

    /// Why a try is over that had to be over now, for `reason` unless it waited in line: that is
    /// nothing that the endpoint did.
    pub(super) fn late(&self, reason: Reason) -> Reason {
        match self.decision.pool.circuit() {
            Some(circuit) if self.in_line.get() => circuit.gave_up(),
            _ => reason,
        }
    }

    /// The repetition that follows the try that began last, where one does.
    pub(super) fn after(&self, verdict: Verdict, left: Left) -> Option<Repetition> {
        let mut ended = Ended {
            verdict,
            passed_on: false,
            unseen: left.untouched,
            whole: left.whole,
            elsewhere: true,
            asked: left.asked,
            left: self.end.map(|end| end.saturating_duration_since(Instant::now())),
        };
        let random = fastrand::u64(..);
        // A choice that nobody follows would be missed by the others: first whether it is needed.
        if self.tries.after(&ended, random) == Next::Stand {
            return None;
        }
        let endpoint = self.decision.pick(self.tries.tried())?;
        ended.elsewhere = !self.tries.tried().contains(&endpoint.id);
        match self.tries.after(&ended, random) {
            Next::Stand => None,
            Next::Again(again) => self.repetition(endpoint, again),
        }
    }

    /// The second try beside the first, where there may be one.
    pub(super) fn beside(&self) -> Option<Repetition> {
        let endpoint = self.decision.pick(self.tries.tried())?;
        let elsewhere = !self.tries.tried().contains(&endpoint.id);
        let again = Again { wait: Duration::ZERO, budgeted: true };
        if elsewhere { self.repetition(endpoint, again) } else { None }
    }

    /// Asks the circuit and the budget.
    fn repetition(&self, endpoint: Arc<Endpoint>, again: Again) -> Option<Repetition> {
        let circuit = self.decision.pool.circuit().filter(|_| again.budgeted);
        let permit = match circuit {
            None => None,
            Some(circuit) => {
                let permit = match self.permit {
                    Some(_) => None,
                    None => circuit.retry().ok()?,
                };
                let budget = self.tries.retry().budget;
                if !budget.is_none_or(|budget| circuit.may_repeat(&budget)) {
                    return None;
                }
                permit
            }
        };
        Some(Repetition { endpoint, wait: again.wait, permit })
    }
}

/// What an answer asks of who would send the request again; `bytes` is what its head was parsed
/// from.
pub(super) fn asked(head: &ResponseHead, bytes: &[u8]) -> Option<Asked> {
    if spent::forbids(head.header(bytes, spent::RETRY_HEADER)) {
        return Some(Asked::Never);
    }
    retry_after(head.header(bytes, "retry-after")?, SystemTime::now()).map(Asked::AtLeast)
}
