//! The last stage: what a request leaves behind in counters and spans.

use std::cell::OnceCell;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::names::{Identity, Protocol};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::{Decision, Refusal};
use crate::proxy::trace::{Details, Events, Trace};
use crate::proxy::worker::Worker;
use crate::telemetry::metrics::{Edge, EdgeKey, Reporter};
use crate::telemetry::reason::Reason;

/// Who calls, and which application, as the inbound side of a connection knows it; made once per
/// connection.
#[derive(Debug)]
pub struct Caller {
    /// The application; `None` where the workload only calls.
    pub app: Option<Arc<Endpoint>>,
    /// What the certificate proved.
    pub identity: Option<Identity>,
    /// `X-Forwarded-Client-Cert` for the application (Envoy's format, the parts we know).
    pub client_cert: Option<Vec<u8>>,
    /// The identity as text; empty where there is none.
    pub label: Arc<str>,
    /// The counters of this caller.
    pub edge: Arc<Edge>,
    /// The counters of its gRPC calls; made with the first.
    grpc: OnceCell<Arc<Edge>>,
}

impl Caller {
    /// Prepares what every request of a connection needs. Who has no identity is known by its
    /// address `peer`.
    pub fn new(
        worker: &Worker,
        app: Option<Arc<Endpoint>>,
        (identity, peer): (Option<Identity>, Option<IpAddr>),
        protocol: Protocol,
    ) -> Self {
        let label: Arc<str> = identity.as_ref().map(Identity::to_string).unwrap_or_default().into();
        let source = identity.as_ref().map(|id| format!("{}/{}", id.namespace, id.service_account));
        let client_cert = (!label.is_empty())
            .then(|| format!("By={};URI={label}", worker.labels.identity).into_bytes());
        let edge = worker.cold_edge(&EdgeKey {
            reporter: Reporter::Destination,
            source: source.unwrap_or_else(|| stranger(peer)).into(),
            source_identity: Arc::clone(&label),
            destination: Arc::clone(&worker.labels.service),
            backend: Arc::clone(&worker.labels.service),
            destination_version: Arc::clone(&worker.labels.version),
            protocol,
            mtls: identity.is_some(),
        });
        Self { app, identity, client_cert, label, edge, grpc: OnceCell::new() }
    }

    /// The counters of calls of gRPC: its connections carry others too.
    fn grpc(&self, worker: &Worker) -> &Arc<Edge> {
        self.grpc.get_or_init(|| {
            worker.cold_edge(&EdgeKey { protocol: Protocol::Grpc, ..self.edge.key().clone() })
        })
    }
}

/// What a caller without an identity is called: its address, for the control plane may know whose
/// that is. Everybody on this machine has the loopback address, which says nothing.
fn stranger(peer: Option<IpAddr>) -> String {
    let peer = peer.map(|address| address.to_canonical()).filter(|address| !address.is_loopback());
    peer.map(|address| address.to_string()).unwrap_or_default()
}

/// What a request came to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The status that the client saw; 0 for none.
    pub status: u16,
    /// It was a call of gRPC.
    pub is_grpc: bool,
    /// The code of gRPC that the client saw, where it saw one.
    pub grpc_code: Option<u32>,
    /// The proxy's own reason.
    pub reason: Option<Reason>,
    /// How many tries there were.
    pub attempts: u32,
    /// Bytes of the request's body.
    pub request_bytes: u64,
    /// Bytes of the answer's body.
    pub response_bytes: u64,
    /// What happened on the way, where it is sampled.
    pub events: Events,
}

impl Outcome {
    /// The proxy's own answer.
    pub fn own(reason: Reason) -> Self {
        Self { status: reason.status(), reason: Some(reason), ..Self::default() }
    }

    /// The proxy's own answer to what it does not pass on.
    pub fn refusal(refusal: &Refusal) -> Self {
        Self { status: refusal.status(), ..Self::own(refusal.reason) }
    }
}

/// Records a request of our own application; its edge.
pub fn outbound(
    worker: &Worker,
    decision: &Decision,
    endpoint: Option<&Endpoint>,
    protocol: Protocol,
    outcome: &Outcome,
    (trace, started): (Trace, Instant),
) -> Arc<Edge> {
    let took = started.elapsed();
    let edge = outbound_edge(worker, decision, endpoint, protocol);
    count(&edge, outcome, took);
    let details = Details {
        service: &worker.labels.service,
        peer: &decision.destination,
        status: outcome.status,
        reason: outcome.reason,
        attempts: outcome.attempts,
        rule: decision.rule.as_ref().map(|rule| &*rule.id.0),
        fault: decision.fault.as_ref().map(|fault| &*fault.id.0),
        endpoint: endpoint.map(|endpoint| endpoint.workload.to_string()),
        events: &outcome.events,
    };
    span(worker, trace, took, details);
    edge
}

/// Records a request of our own application that no rule decided about.
pub fn refused(
    worker: &Worker,
    destination: &str,
    protocol: Protocol,
    reason: Reason,
    started: Instant,
) {
    not_passed_on(worker, destination, protocol, &Outcome::own(reason), started);
}

/// Records a request of our own application that was answered here.
pub fn not_passed_on(
    worker: &Worker,
    destination: &str,
    protocol: Protocol,
    outcome: &Outcome,
    started: Instant,
) {
    let edge = worker
        .cold_edge(&EdgeKey { destination: destination.into(), ..outbound_key(worker, protocol) });
    count(&edge, outcome, started.elapsed());
}

/// Records a caller that did not get in.
pub fn handshake_refused(worker: &Worker, peer: Option<IpAddr>, reason: Reason) {
    let edge = worker.cold_edge(&EdgeKey {
        reporter: Reporter::Destination,
        source: stranger(peer).into(),
        source_identity: "".into(),
        destination: Arc::clone(&worker.labels.service),
        backend: Arc::clone(&worker.labels.service),
        destination_version: Arc::clone(&worker.labels.version),
        protocol: Protocol::Detect,
        mtls: false,
    });
    edge.record(0, Some(reason), Duration::ZERO);
}

/// Records a request to our own application.
pub fn inbound(
    worker: &Worker,
    caller: &Caller,
    outcome: &Outcome,
    (trace, started): (Trace, Instant),
) {
    let took = started.elapsed();
    let edge = if outcome.is_grpc { caller.grpc(worker) } else { &caller.edge };
    count(edge, outcome, took);
    let details = Details {
        service: &worker.labels.service,
        peer: &caller.label,
        status: outcome.status,
        reason: outcome.reason,
        attempts: outcome.attempts,
        rule: None,
        fault: None,
        endpoint: None,
        events: &outcome.events,
    };
    span(worker, trace, took, details);
}

/// The counters of a decision's edge.
pub fn outbound_edge(
    worker: &Worker,
    decision: &Decision,
    endpoint: Option<&Endpoint>,
    protocol: Protocol,
) -> Arc<Edge> {
    let key = || EdgeKey {
        destination: Arc::clone(&decision.destination),
        backend: match &decision.rule {
            Some(_) => decision.target().to_string().into(),
            None => Arc::clone(&decision.destination),
        },
        destination_version: endpoint.map_or_else(String::new, |e| e.version.clone()).into(),
        mtls: endpoint.is_some_and(|endpoint| endpoint.identity.is_some()),
        ..outbound_key(worker, protocol)
    };
    match endpoint {
        Some(endpoint) if decision.destination_id != 0 => {
            worker.edge((decision.destination_id, endpoint.id, protocol as u64), key)
        }
        _ => worker.cold_edge(&key()),
    }
}

fn outbound_key(worker: &Worker, protocol: Protocol) -> EdgeKey {
    let empty: Arc<str> = "".into();
    EdgeKey {
        reporter: Reporter::Source,
        source: Arc::clone(&worker.labels.service),
        source_identity: Arc::clone(&worker.labels.identity),
        destination: Arc::clone(&empty),
        backend: Arc::clone(&empty),
        destination_version: empty,
        protocol,
        mtls: false,
    }
}

fn count(edge: &Edge, outcome: &Outcome, took: Duration) {
    edge.record_call(outcome.status, outcome.grpc_code, outcome.reason, took);
    edge.add_bytes(outcome.request_bytes, outcome.response_bytes);
}

fn span(worker: &Worker, trace: Trace, took: Duration, details: Details<'_>) {
    if let Some(span) = trace.finish(took, details) {
        worker.shared.spans.push(span);
    }
}
