//! What happens to a request on its way, for the span of one that is sampled: tries more, what the
//! circuit refused, who was ejected for it, what was put in on purpose. Of all other requests nothing
//! is kept, and nothing is made to be kept.

use std::time::Instant;

use super::Trace;
use crate::proxy::circuit;
use crate::proxy::cluster::Endpoint;
use crate::proxy::fault::Injected;
use crate::proxy::flight::{Flight, Verdict};
use crate::resource::AbortHow;
use crate::telemetry::reason::Reason;
use crate::telemetry::span::{Happening, MAX_EVENTS, SpanEvent};

/// See the head of this file.
#[derive(Debug, Default)]
pub struct Events(Option<Box<Noted>>);

#[derive(Debug)]
struct Noted {
    began: Instant,
    events: Vec<SpanEvent>,
}

impl Events {
    /// Of a request that began at `began`, as its trace has it.
    pub fn of(trace: &Trace, began: Instant) -> Self {
        let is_sampled = matches!(trace, Trace::Sampled(_));
        Self(is_sampled.then(|| Box::new(Noted { began, events: Vec::new() })))
    }

    /// What was noted, in order.
    pub fn all(&self) -> &[SpanEvent] {
        self.0.as_ref().map_or(&[], |noted| &noted.events)
    }

    /// Try number `attempt` goes to `endpoint`, because the one before came to `verdict`.
    pub fn retry(&mut self, attempt: u32, endpoint: &Endpoint, verdict: Verdict) {
        let said = || (endpoint.workload.to_string(), verdict.to_string());
        self.note(Happening::Retry, attempt, said);
    }

    /// Try number `attempt` goes to `endpoint`, beside the one that is out.
    pub fn hedge(&mut self, attempt: u32, endpoint: &Endpoint) {
        self.note(Happening::Hedge, attempt, || (endpoint.workload.to_string(), String::new()));
    }

    /// The circuit or the budget refused what came after try number `attempt`, for the reason `word`.
    pub fn refused(&mut self, attempt: u32, word: &'static str) {
        self.note(Happening::Refused, attempt, || (String::new(), word.to_owned()));
    }

    /// Try number `attempt` failed; to be noted where the circuit refused it.
    pub fn failed(&mut self, attempt: u32, reason: Reason) {
        if circuit::is_refusal(reason) {
            self.refused(attempt, reason.as_str());
        }
    }

    /// Ends a try, whose endpoint may be ejected for it.
    pub fn end(&mut self, mut flight: Flight, verdict: Verdict) {
        self.tell(&mut flight, verdict);
    }

    /// As [`Events::end`] of one that goes on: a connection that was upgraded.
    pub fn tell(&mut self, flight: &mut Flight, verdict: Verdict) {
        let endpoint = self.0.is_some().then(|| flight.endpoint().workload.to_string());
        let why = flight.tell(verdict);
        if let (Some(endpoint), Some(why)) = (endpoint, why) {
            self.note(Happening::Ejected, 0, || (endpoint, why));
        }
    }

    /// A fault was put in.
    pub fn fault(&mut self, fault: &Injected) {
        self.note(Happening::Fault, 0, || {
            let delay = fault.delay.map(|delay| format!("delay {delay:?}"));
            let abort = fault.abort.map(|how| match how {
                AbortHow::Status(status) => format!("abort with {status}"),
                AbortHow::Grpc(code) => format!("abort with gRPC code {code}"),
                AbortHow::Reset => "abort with a reset".to_owned(),
            });
            let all: Vec<_> = delay.into_iter().chain(abort).collect();
            (String::new(), format!("{}: {}", fault.id, all.join(", ")))
        });
    }

    fn note(&mut self, what: Happening, attempt: u32, said: impl FnOnce() -> (String, String)) {
        let Some(noted) = self.0.as_mut().filter(|noted| noted.events.len() < MAX_EVENTS) else {
            return;
        };
        let offset_ns = u64::try_from(noted.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let (endpoint, why) = said();
        noted.events.push(SpanEvent { offset_ns, what, attempt, endpoint, why });
    }
}
