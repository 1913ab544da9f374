//! One try of one request at one endpoint (or one opaque connection), from the choice to the result.
//!
//! It counts as in flight while it lives, and its verdict is what ejection, latency and adaptive
//! concurrency learn from. Latency is the time to the head of the answer, of an opaque connection
//! that to the connection, whatever the protocol. Every stage that talks to an endpoint holds one;
//! nothing else reports.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::proxy::cluster::{Cluster, Endpoint};
use crate::proxy::decide::Endpoints;
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// What a try came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// The endpoint answered with this status; of gRPC with the code too (from the answer's head or
    /// its trailers).
    Answered(u16, Option<u32>),
    /// There was no answer: no connection, a reset, a timeout.
    Failed(Reason),
    /// The client went away, or another try was faster: nothing is known of the endpoint.
    Abandoned,
}

impl Verdict {
    /// What a try without an answer says, that failed for `reason`: what this proxy's own limits and
    /// faults do, and what the client does, is none of the endpoint's; nor is that the time was over
    /// while it `waits` for the client.
    pub fn of_failure(reason: Reason, waits: bool) -> Self {
        use Reason::{
            ConnectFailure, ConnectTimeout, ProtocolMismatch, RefusedStream, RequestTimeout,
            TryTimeout, UpstreamProtocol, UpstreamReset,
        };
        match reason {
            RequestTimeout | TryTimeout if waits => Self::Abandoned,
            ConnectFailure | ConnectTimeout | ProtocolMismatch | RefusedStream | RequestTimeout
            | TryTimeout | UpstreamProtocol | UpstreamReset => Self::Failed(reason),
            _ if reason.is_unproved() => Self::Failed(reason),
            _ => Self::Abandoned,
        }
    }
}

/// For people.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Answered(_, Some(code)) if *code > 0 => write!(f, "gRPC code {code}"),
            Self::Answered(status, _) => status.fmt(f),
            Self::Failed(reason) => f.write_str(reason.as_str()),
            Self::Abandoned => f.write_str("nothing"),
        }
    }
}

/// See the head of this file. Dropped without a verdict it is [`Verdict::Abandoned`].
#[derive(Debug)]
pub struct Flight {
    endpoint: Arc<Endpoint>,
    /// Who wants to hear of it; `None` where nothing learns from it.
    learner: Option<Learner>,
}

#[derive(Debug)]
struct Learner {
    cluster: Arc<Cluster>,
    clock: Clock,
}

/// How long the endpoint takes to answer.
#[derive(Debug, Clone, Copy)]
enum Clock {
    /// Nobody wants to know.
    Off,
    /// It has not answered yet.
    Runs(Instant),
    /// So long, which is told.
    Read(Duration),
}

impl Flight {
    /// Begins a try at an endpoint that [`Endpoints::pick`] gave.
    pub fn begin(pool: &Endpoints, endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        let learner = match pool {
            Endpoints::Mesh(cluster, _) if cluster.learns() => Some(Learner {
                clock: match cluster.is_timed() {
                    true => Clock::Runs(Instant::now()),
                    false => Clock::Off,
                },
                cluster: Arc::clone(cluster),
            }),
            _ => None,
        };
        Self { endpoint, learner }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The head of an answer with this status has come, and the answer stands. How fast the endpoint
    /// is is told now: what follows may take as long as there is to read and its reader likes.
    pub fn answered(&mut self, status: u16) {
        if let Some(Learner { cluster, clock }) = &mut self.learner
            && let Clock::Runs(began) = *clock
        {
            let took = began.elapsed();
            *clock = Clock::Read(took);
            cluster.time(&self.endpoint, Verdict::Answered(status, None), took);
        }
    }

    /// Ends it. Why the endpoint is ejected for that, where it is.
    pub fn end(mut self, verdict: Verdict) -> Option<String> {
        self.tell(verdict)
    }

    /// Says what it came to, once, although it goes on: an opaque connection that was made. As
    /// [`Flight::end`].
    pub fn tell(&mut self, verdict: Verdict) -> Option<String> {
        let Learner { cluster, clock } = self.learner.take()?;
        match (clock, verdict) {
            (Clock::Runs(began), _) => cluster.time(&self.endpoint, verdict, began.elapsed()),
            // It answered, and then it broke off.
            (Clock::Read(took), Verdict::Failed(_)) => cluster.time(&self.endpoint, verdict, took),
            (Clock::Off | Clock::Read(_), _) => {}
        }
        cluster.judge(&self.endpoint, verdict)
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
