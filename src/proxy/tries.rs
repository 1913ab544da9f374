//! What follows a try of a request: what it came to stands, or the request is sent again, whereto
//! not, and after which wait. Pure; the same for every protocol.
//!
//! Whoever sends makes one [`Tries`] per request, calls [`Tries::begin`] with each endpoint, and
//! asks [`Tries::after`] what a try's end means, before anything of an answer is passed on. An
//! [`Again`] is carried out only if [`Again::budgeted`] and the circuit agree. A repetition goes to
//! an endpoint that was not tried yet, where there is one, and says its number ([`ATTEMPT_HEADER`]).

use std::time::{Duration, SystemTime};

use smallvec::SmallVec;

use crate::proxy::decide::Decision;
use crate::proxy::flight::Verdict;
use crate::proxy::head::is_idempotent;
use crate::resource::{Retry, RetryBackoff};
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// The number of a try goes out under this name from the second on. A request that comes in with
/// one is part of a repetition elsewhere, which must not be multiplied here.
pub const ATTEMPT_HEADER: &str = "x-meshctl-attempt";

/// Whoever asks to be left alone for longer is not asked again (RFC 9110 §10.2.3).
pub const MAX_ASKED: Duration = Duration::from_secs(5);

/// What holds where no rule says.
static DEFAULT: Retry = Retry::DEFAULT;

/// The tries of one request.
#[derive(Debug, Clone)]
pub struct Tries<'r> {
    retry: &'r Retry,
    idempotent: bool,
    nested: bool,
    tried: SmallVec<[u64; 2]>,
}

/// How a try ended, and what is left to go on with.
#[derive(Debug, Clone, Copy)]
pub struct Ended {
    /// What it came to; of an answer, its head.
    pub verdict: Verdict,
    /// Something of the answer was passed on to the client.
    pub passed_on: bool,
    /// It is certain for another reason than the verdict that the application has seen nothing.
    pub unseen: bool,
    /// Every byte of the request that was sent can be sent again.
    pub whole: bool,
    /// There is an endpoint that was not tried.
    pub elsewhere: bool,
    /// What the endpoint asks of who would send the request again.
    pub asked: Option<Asked>,
    /// What is left of the whole request's time.
    pub left: Option<Duration>,
}

impl Ended {
    /// It came to `verdict` before anything of an answer was passed on, all of the request can be
    /// sent again, and time does not matter.
    pub fn new(verdict: Verdict) -> Self {
        Self {
            verdict,
            passed_on: false,
            unseen: false,
            whole: true,
            elsewhere: true,
            asked: None,
            left: None,
        }
    }
}

/// What an endpoint can ask of who would send a request again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To be left alone for so long at least (`Retry-After`).
    AtLeast(Duration),
    /// To be asked again after this time, no later and no earlier (gRPC's pushback).
    After(Duration),
    /// Not to do it.
    Never,
}

/// What follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// What the try came to is the result.
    Stand,
    /// The request is sent again.
    Again(Again),
}

/// A repetition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Again {
    /// After this wait.
    pub wait: Duration,
    /// The rule's budget must allow it.
    pub budgeted: bool,
}

impl<'r> Tries<'r> {
    /// No try yet of a request with `method` that came with the number `attempt` (see
    /// [`attempt_of`]).
    pub fn new(retry: &'r Retry, method: &str, attempt: u32) -> Self {
        Self::of_kind(retry, is_idempotent(method), attempt)
    }

    /// As [`Tries::new`], with what `decision` says about repetitions.
    pub fn of(decision: &'r Decision, method: &str, attempt: u32) -> Self {
        Self::new(retry_of(decision), method, attempt)
    }

    /// As [`Tries::new`], where all that is known of the method is whether it is idempotent.
    pub fn of_kind(retry: &'r Retry, idempotent: bool, attempt: u32) -> Self {
        let nested = attempt > 1;
        let retry = if nested { &DEFAULT } else { retry };
        Self { retry, idempotent, nested, tried: SmallVec::new() }
    }

    /// What holds for this request.
    pub fn retry(&self) -> &'r Retry {
        self.retry
    }

    /// A try at the endpoint with this id begins.
    pub fn begin(&mut self, endpoint: u64) {
        self.tried.push(endpoint);
    }

    /// How many tries have begun; also the number of the one that began last.
    pub fn count(&self) -> u32 {
        u32::try_from(self.tried.len()).unwrap_or(u32::MAX)
    }

    /// The number to send with the try that began last; `None` where none is to be sent: it is the
    /// first, or the number that came with the request goes on.
    pub fn number(&self) -> Option<u32> {
        (self.count() > 1 && !self.nested).then(|| self.count())
    }

    /// The endpoints that were tried, in order.
    pub fn tried(&self) -> &[u64] {
        &self.tried
    }

    /// How many bytes of the request's body to keep for a repetition; 0 where none could need them.
    /// `streams`: an endpoint can refuse a request after it took some of its body (HTTP/2).
    pub fn keeps(&self, streams: bool) -> usize {
        let Retry { on, status_codes, grpc_codes, .. } = self.retry;
        // Without a policy nothing is kept: what was sent of a body cannot be sent again.
        let refused = streams && on.refused_stream && self.retry.budget.is_some();
        let failed = on.gateway_error || on.server_error || on.reset;
        let answered = !status_codes.is_empty() || !grpc_codes.is_empty();
        let hedged = self.retry.hedge_after.is_some();
        let needed = refused || (failed || answered || hedged) && self.may_be_seen();
        if needed && self.retry.attempts > 0 { self.retry.max_body as usize } else { 0 }
    }

    /// After which time a second try joins the first, which is still out; `None`: never. `whole`:
    /// the request has no body, or all of it is there by then. The budget must allow it.
    pub fn hedge_after(&self, whole: bool) -> Option<Duration> {
        let fits = whole && self.may_be_seen() && self.tried.len() == 1 && self.retry.attempts > 0;
        self.retry.hedge_after.filter(|_| fits)
    }

    /// Whether an answer with this head could be tried again at all: it must be held back until
    /// [`Tries::after`] has decided.
    pub fn is_retriable(&self, status: u16, grpc_code: Option<u32>) -> bool {
        is_retriable(self.retry, status, grpc_code)
    }

    /// What follows the try that began last. `random` is uniform.
    pub fn after(&self, ended: &Ended, random: u64) -> Next {
        let repetitions = self.count().saturating_sub(1);
        if ended.passed_on || !ended.whole || repetitions >= self.retry.attempts {
            return Next::Stand;
        }
        let unseen = ended.unseen || is_unseen(ended.verdict);
        if !self.is_asked_for(ended.verdict) || !(unseen || self.may_be_seen()) {
            return Next::Stand;
        }
        let asked = match ended.asked {
            None => Duration::ZERO,
            Some(Asked::AtLeast(asked) | Asked::After(asked)) if asked <= MAX_ASKED => asked,
            Some(_) => return Next::Stand,
        };
        // The default repetition: at once, but elsewhere, unless all that was wrong is that the
        // connection was about to end.
        let free = unseen && repetitions == 0 && ended.asked.is_none();
        if free && (ended.elsewhere || ended.verdict == Verdict::Failed(Reason::RefusedStream)) {
            return Next::Again(Again { wait: self.retry.backoff_floor, budgeted: false });
        }
        if !ended.elsewhere && self.retry.backoff.max.is_zero() {
            return Next::Stand;
        }
        let drawn = match ended.asked {
            Some(Asked::After(_)) => Duration::ZERO,
            _ => jittered(self.retry.backoff, repetitions, random),
        };
        let wait = asked.max(self.retry.backoff_floor) + drawn;
        let late = ended.left.is_some_and(|left| left <= wait);
        match late {
            true => Next::Stand,
            false => Next::Again(Again { wait, budgeted: true }),
        }
    }

    /// Whether it may be repeated although it may have been carried out.
    fn may_be_seen(&self) -> bool {
        self.idempotent || self.retry.any_method
    }

    fn is_asked_for(&self, verdict: Verdict) -> bool {
        let on = self.retry.on;
        // What the proxy would answer itself counts as that answer.
        let broad = on.gateway_error || on.server_error;
        match verdict {
            Verdict::Answered(status, grpc_code) => self.is_retriable(status, grpc_code),
            Verdict::Failed(Reason::RefusedStream) => on.refused_stream || broad,
            Verdict::Failed(Reason::UpstreamReset | Reason::TryTimeout) => on.reset || broad,
            Verdict::Failed(Reason::UpstreamProtocol) => broad,
            Verdict::Failed(_) => is_unseen(verdict) && (on.connect_failure || broad),
            Verdict::Abandoned => false,
        }
    }
}

/// As [`Tries::is_retriable`], for a request about which `retry` holds.
pub fn is_retriable(retry: &Retry, status: u16, grpc_code: Option<u32>) -> bool {
    let Retry { on, status_codes, grpc_codes, .. } = retry;
    on.server_error && (500..600).contains(&status)
        || on.gateway_error && (502..505).contains(&status)
        || status_codes.binary_search(&status).is_ok()
        || grpc_code.is_some_and(|code| grpc_codes.binary_search(&code).is_ok())
}

/// What `decision` says about repetitions.
pub fn retry_of(decision: &Decision) -> &Retry {
    decision.rule.as_ref().map_or(&DEFAULT, |rule| &rule.retry)
}

/// Whether the verdict alone proves that the application has seen nothing of the request.
pub fn is_unseen(verdict: Verdict) -> bool {
    use Reason::{ConnectFailure, ConnectTimeout, RefusedStream};
    let Verdict::Failed(reason) = verdict else { return false };
    matches!(reason, ConnectFailure | ConnectTimeout | RefusedStream) || reason.is_unproved()
}

/// Exponential back-off with full jitter (Brooker, "Exponential Backoff And Jitter", 2015): evenly
/// from zero to `base × 2^n`, at most `max`.
fn jittered(backoff: RetryBackoff, n: u32, random: u64) -> Duration {
    let factor = 1_u32.checked_shl(n.min(31)).unwrap_or(u32::MAX);
    let ceiling = backoff.base.saturating_mul(factor).min(backoff.max);
    let nanos = u64::try_from(ceiling.as_nanos()).unwrap_or(u64::MAX);
    let drawn = (u128::from(random) * (u128::from(nanos) + 1)) >> 64;
    Duration::from_nanos(u64::try_from(drawn).unwrap_or(u64::MAX))
}

/// The number in the value of [`ATTEMPT_HEADER`]; 1 where there is none, or no number.
pub fn attempt_of(value: Option<&[u8]>) -> u32 {
    let Some(value) = value else { return 1 };
    let text = std::str::from_utf8(value).unwrap_or_default().trim_ascii();
    text.parse().unwrap_or(1)
}

/// How long the value of `Retry-After` asks for, at `now`: seconds, or a date (RFC 9110 §10.2.3,
/// the preferred form only). `None` where it is neither.
pub fn retry_after(value: &[u8], now: SystemTime) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?.trim_ascii();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    let date = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    let date = SystemTime::from(date);
    Some(date.duration_since(now).unwrap_or_default())
}

/// What the value of `grpc-retry-pushback-ms` asks for (gRPC's proposal A6, "Pushback"): to be asked
/// again after so many milliseconds; what is negative or no number, not at all.
pub fn pushback(value: &[u8]) -> Asked {
    let digits = value.iter().all(u8::is_ascii_digit);
    let text = std::str::from_utf8(value).ok().filter(|_| digits);
    match text.and_then(|text| text.parse::<i32>().ok()) {
        Some(ms) => Asked::After(Duration::from_millis(ms.unsigned_abs().into())),
        None => Asked::Never,
    }
}
