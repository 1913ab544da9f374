//! One try of one request at one endpoint (or one opaque connection), from the choice to the result.
//!
//! It counts as in flight while it lives, and its verdict is what ejection, latency and adaptive
//! concurrency learn from. Every stage that talks to an endpoint holds one; nothing else reports.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::proxy::cluster::{Cluster, Endpoint};
use crate::proxy::decide::Endpoints;
use crate::telemetry::reason::Reason;

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

/// See the head of this file. Dropped without a verdict it is [`Verdict::Abandoned`].
#[derive(Debug)]
pub struct Flight {
    endpoint: Arc<Endpoint>,
    /// The cluster that wants to hear the verdict, and when the try began where that matters;
    /// `None` where nothing learns from it.
    learner: Option<(Arc<Cluster>, Option<Instant>)>,
    /// When the head of an answer came that may go on for as long as its reader likes.
    answered: Option<Instant>,
}

impl Flight {
    /// Begins a try at an endpoint that [`Endpoints::pick`] gave.
    pub fn begin(pool: &Endpoints, endpoint: Arc<Endpoint>) -> Self {
        endpoint.in_flight.fetch_add(1, Ordering::Relaxed);
        let learner = match pool {
            Endpoints::Mesh(cluster, _) if cluster.learns() => {
                Some((Arc::clone(cluster), cluster.is_timed().then(Instant::now)))
            }
            _ => None,
        };
        Self { endpoint, learner, answered: None }
    }

    /// The endpoint.
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The head of an answer has come: where answers are streams, as in HTTP/2, what follows says
    /// nothing of how fast the endpoint is.
    pub fn answered(&mut self) {
        let timed = self.learner.as_ref().is_some_and(|(_, began)| began.is_some());
        self.answered = timed.then(Instant::now);
    }

    /// Ends it.
    pub fn end(mut self, verdict: Verdict) {
        self.tell(verdict);
    }

    /// Says what it came to, once, although it goes on: an opaque connection that was made.
    pub fn tell(&mut self, verdict: Verdict) {
        if let Some((cluster, began)) = self.learner.take() {
            let after = self.answered.map(|answered| answered.elapsed()).unwrap_or_default();
            cluster.learn(&self.endpoint, verdict, began.map(|began| began + after));
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        self.endpoint.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
