//! A request's place in its trace (W3C Trace Context): read from its header, or begun here.
//!
//! The first proxy that sees a request without a context decides for all: what it does not sample
//! it says so, and nobody behind it rolls the dice again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::proxy::head::Head;
use crate::telemetry::escape;
use crate::telemetry::reason::Reason;
use crate::telemetry::span::{Span, TRACEPARENT_BYTES, TraceContext, decide};

mod events;
#[cfg(test)]
mod tests;

pub use events::Events;

/// What happens to a request's trace here.
#[derive(Debug)]
pub enum Trace {
    /// The caller's context goes on as it came: it is not sampled.
    Passed,
    /// A context that begins here and is not sampled.
    Unsampled([u8; TRACEPARENT_BYTES]),
    /// Sampled: a span is recorded.
    Sampled(Box<Sampled>),
}

/// A span in the making.
#[derive(Debug)]
pub struct Sampled {
    header: [u8; TRACEPARENT_BYTES],
    span: Span,
}

impl Trace {
    /// Decides; `ppm` holds where nobody decided before.
    pub fn begin(traceparent: Option<&[u8]>, ppm: u32, head: &impl Head, server: bool) -> Self {
        let parent = traceparent.and_then(TraceContext::parse);
        let sampled = decide(parent.as_ref(), ppm, fastrand::u64(..));
        let own = match &parent {
            Some(_) if !sampled => return Self::Passed,
            Some(parent) => parent.child(fastrand::u64(..)),
            None => TraceContext::root(fastrand::u128(..), fastrand::u64(..), sampled),
        };
        if !sampled {
            return Self::Unsampled(own.format());
        }
        let span = Span {
            trace_id: own.trace_id,
            span_id: own.span_id,
            parent_id: parent.map_or(0, |parent| parent.span_id),
            server,
            name: escape(format!("{} {}", head.method(), head.path()).as_bytes()).into_owned(),
            ..Span::default()
        };
        Self::Sampled(Box::new(Sampled { header: own.format(), span }))
    }

    /// The `traceparent` to send; `None` where the one received goes on.
    pub fn header(&self) -> Option<&[u8]> {
        match self {
            Self::Passed => None,
            Self::Unsampled(header) => Some(header),
            Self::Sampled(sampled) => Some(&sampled.header),
        }
    }

    /// The finished span, where there is one; `took` is how long the request took until now.
    pub fn finish(self, took: Duration, details: Details<'_>) -> Option<Span> {
        let Self::Sampled(sampled) = self else { return None };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        Some(Span {
            start_ns: nanos(now.saturating_sub(took)),
            duration_ns: nanos(took),
            service: details.service.to_owned(),
            peer: details.peer.to_owned(),
            status: details.status,
            reason: details.reason.map_or("", Reason::as_str),
            attempts: details.attempts,
            rule: [details.rule, details.fault]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", "),
            endpoint: details.endpoint.unwrap_or_default(),
            events: details.events.all().to_vec(),
            ..sampled.span
        })
    }
}

/// What is known of a request when it is over.
#[derive(Debug)]
pub struct Details<'a> {
    /// The proxy's own service.
    pub service: &'a str,
    /// The other end.
    pub peer: &'a str,
    /// The status that the client saw.
    pub status: u16,
    /// The proxy's own reason.
    pub reason: Option<Reason>,
    /// How many tries there were.
    pub attempts: u32,
    /// The rule that decided.
    pub rule: Option<&'a str>,
    /// The fault policy that put something in.
    pub fault: Option<&'a str>,
    /// The endpoint that was chosen.
    pub endpoint: Option<String>,
    /// What happened on the way.
    pub events: &'a Events,
}
