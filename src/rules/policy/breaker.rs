//! `circuitBreaker`: the most that one calling proxy does at once at one service.
//!
//! A limit that is left out does not hold. Zero is refused where it would let nothing through at
//! all; nobody may wait, or be repeated, is a wish that can be granted.

use crate::resource::{AdaptiveConcurrency, CircuitBreaker};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::policy::{number, ordered};
use crate::rules::problems::Problems;

/// More than any machine does at once.
const MOST: u32 = 1_000_000;
const USUAL_MIN: u32 = 3;
const USUAL_MAX: u32 = 1_000;

const BREAKER: Shape = Shape {
    known: &[
        "maxConnections",
        "maxPendingRequests",
        "maxRequests",
        "maxRetries",
        "maxRequestsPerConnection",
        "adaptiveConcurrency",
    ],
    later: &[],
};
const ADAPTIVE: Shape = Shape { known: &["minConcurrency", "maxConcurrency"], later: &[] };

pub(super) fn read<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> CircuitBreaker {
    let Some(fields) = at.fields(problems, &BREAKER) else { return CircuitBreaker::default() };
    if fields.all().next().is_none() {
        let message = "`circuitBreaker` names no limit, so none holds".to_owned();
        let help = format!("add at least one: {}", BREAKER.known.join(", "));
        at.error_with(problems, codes::MISSING_FIELD, message, &help);
    }
    let mut limit = |key, least| number(&fields, problems, key, least, MOST);
    let breaker = CircuitBreaker {
        max_connections: limit("maxConnections", 1),
        max_pending_requests: limit("maxPendingRequests", 0),
        max_requests: limit("maxRequests", 1),
        max_retries: limit("maxRetries", 0),
        max_requests_per_connection: limit("maxRequestsPerConnection", 1),
        adaptive: fields.get("adaptiveConcurrency").and_then(|at| adaptive(&at, problems)),
    };
    pointless(&fields, &breaker, problems);
    breaker
}

/// Warns of limits that never take effect, because of another one or for want of it.
fn pointless(fields: &Fields<'_>, breaker: &CircuitBreaker, problems: &mut Problems<'_>) {
    if let (Some(at), None) = (fields.get("maxPendingRequests"), breaker.max_connections) {
        let message = "without `maxConnections` no request ever waits for a connection";
        at.warning(problems, codes::NO_EFFECT, message.to_owned());
    }
    let Some(requests) = breaker.max_requests else { return };
    if let (Some(at), Some(retries)) = (fields.get("maxRetries"), breaker.max_retries)
        && retries > requests
    {
        let message = format!(
            "`maxRetries` ({retries}) is more than `maxRequests` ({requests}) lets through"
        );
        at.warning(problems, codes::OUT_OF_REACH, message);
    }
    if let (Some(at), Some(adaptive)) = (fields.get("adaptiveConcurrency"), &breaker.adaptive)
        && adaptive.min >= requests
    {
        let message = format!(
            "it never falls below {} (`minConcurrency`), and `maxRequests` ({requests}) lets no more through",
            adaptive.min
        );
        at.warning(problems, codes::OUT_OF_REACH, message);
    }
}

fn adaptive<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<AdaptiveConcurrency> {
    let fields = at.fields(problems, &ADAPTIVE)?;
    let mut bound = |key| number(&fields, problems, key, 1, MOST);
    let (min, max) = match (bound("minConcurrency"), bound("maxConcurrency")) {
        (Some(min), Some(max)) => (min, max),
        (Some(min), None) => (min, USUAL_MAX.max(min)),
        (None, Some(max)) => (USUAL_MIN.min(max), max),
        (None, None) => (USUAL_MIN, USUAL_MAX),
    };
    let (low, high) = (("minConcurrency", min), ("maxConcurrency", max));
    ordered(&fields, problems, low, high, |number| number.to_string());
    Some(AdaptiveConcurrency { min, max })
}
