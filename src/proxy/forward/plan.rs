//! What a request may do: how often, how long, and whether the circuit lets it.

use std::cell::Cell;
use std::time::SystemTime;

use tokio::time::Instant;

use crate::proxy::admission::{Admission, Sequel};
use crate::proxy::decide::Decision;
use crate::proxy::flight::Verdict;
use crate::proxy::h1::ResponseHead;
use crate::proxy::spent;
use crate::proxy::tries::{Asked, Ended, Tries, retry_after, retry_of};
use crate::telemetry::reason::Reason;

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Plan<'a> {
    /// Where it goes.
    pub(super) decision: &'a Decision,
    /// How often.
    pub(super) admission: Admission<'a>,
    /// When it began, until its first try has; the clock is read where there are time limits.
    began: Cell<Option<Instant>>,
    /// When the whole request must be over.
    end: Option<Instant>,
    /// It waits in line for a connection.
    pub(super) in_line: Cell<bool>,
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
        let timeouts = decision.timeouts();
        let limited = timeouts.request.is_some() || timeouts.backend_request.is_some();
        let began = limited.then(Instant::now);
        let end = began.zip(timeouts.request).map(|(began, limit)| began + limit);
        let tries = Tries::of_kind(retry_of(decision), idempotent, attempt);
        let admission = Admission::new(decision, tries);
        Self { decision, admission, began: Cell::new(began), end, in_line: Cell::new(false) }
    }

    /// What was tried.
    pub(super) fn tries(&self) -> &Tries<'a> {
        &self.admission.tries
    }

    /// When a try that begins now must be over, and the reason where it is not.
    pub(super) fn limit(&self) -> Option<(Instant, Reason)> {
        let now = || self.began.take().unwrap_or_else(Instant::now);
        let own = self.decision.timeouts().backend_request.map(|limit| now() + limit);
        match (own, self.end) {
            (Some(own), end) if end.is_none_or(|end| own < end) => Some((own, Reason::TryTimeout)),
            (_, end) => end.map(|end| (end, Reason::RequestTimeout)),
        }
    }

    /// Why a try is over that had to be over now, for `reason` unless it waited `in_line`: that is
    /// nothing that the endpoint did.
    pub(super) fn late(&self, reason: Reason, in_line: bool) -> Reason {
        match self.decision.pool.circuit() {
            Some(circuit) if in_line => circuit.gave_up(),
            _ => reason,
        }
    }

    /// What follows the try that began last.
    pub(super) fn after(&mut self, verdict: Verdict, left: Left) -> Sequel {
        self.admission.after(Ended {
            unseen: left.untouched,
            whole: left.whole,
            asked: left.asked,
            left: self.end.map(|end| end.saturating_duration_since(Instant::now())),
            ..Ended::new(verdict)
        })
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
