//! What goes up the agent stream: who we are, how we are, what was measured.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::certs::Credentials;
use crate::names::{Protocol, ProxyId, ServiceAccount, ServiceName};
use crate::proxy::handover::ProcessId;
use crate::proxy::view::Status;
use crate::telemetry::metrics::{EdgeCounts, Reporter};
use crate::telemetry::span;
use crate::xds::agent::{
    Edge, EdgeMetrics, Hello, HelloPort, Metrics, Reply, RequestCount, Span, SpanEvent, Spans,
    State, Up, up,
};

/// The program, as it introduces itself.
pub(super) const PRODUCT_VERSION: &str = env!("CARGO_PKG_VERSION");

/// Edges in one message, so that none comes near the limit of gRPC messages.
const EDGES_PER_MESSAGE: usize = 500;

/// Who a workload is, as it registers.
#[derive(Debug, Clone)]
pub struct Registration {
    /// The proxy.
    pub proxy: ProxyId,
    /// The service.
    pub service: ServiceName,
    /// The `version` label; empty for none.
    pub version: String,
    /// All labels.
    pub labels: std::collections::BTreeMap<String, String>,
    /// The service account.
    pub service_account: ServiceAccount,
    /// Where callers reach it.
    pub addresses: Vec<IpAddr>,
    /// What it serves; `None` where it only calls.
    pub serves: Option<Serves>,
    /// This process.
    pub process: ProcessId,
    /// The process whose place it takes.
    pub succeeds: Option<ProcessId>,
}

/// The one port of a workload that serves.
#[derive(Debug, Clone, Copy)]
pub struct Serves {
    /// Where the application listens.
    pub app: SocketAddr,
    /// Where the proxy listens for it.
    pub inbound: u16,
    /// The port of the service; `None` leaves it to the service's declaration.
    pub service_port: Option<u16>,
    /// What the application speaks.
    pub protocol: Protocol,
}

impl Registration {
    /// The first message of a stream.
    pub(super) fn hello(&self) -> Up {
        let port = |serves: Serves| HelloPort {
            app_port: serves.app.port().into(),
            dial_port: serves.inbound.into(),
            service_port: serves.service_port.unwrap_or_default().into(),
            protocol: serves.protocol.as_str().into(),
        };
        let labels = self.labels.iter().map(|(name, value)| (name.clone(), value.clone()));
        wrap(up::Message::Hello(Hello {
            namespace: self.proxy.namespace.to_string(),
            name: self.proxy.name.to_string(),
            service: self.service.name.to_string(),
            version: self.version.clone(),
            labels: labels.collect(),
            service_account: self.service_account.to_string(),
            addresses: self.addresses.iter().map(IpAddr::to_string).collect(),
            ports: self.serves.map(port).into_iter().collect(),
            product_version: PRODUCT_VERSION.into(),
            pid: self.process.pid,
            started_ms: self.process.started_ms,
            succeeds: self.succeeds.map(ProcessId::into),
        }))
    }
}

/// How the proxy is.
pub(super) fn state(status: Status, credentials: &Credentials) -> State {
    let seconds = |time: SystemTime| {
        time.duration_since(SystemTime::UNIX_EPOCH).as_ref().map_or(0, Duration::as_secs)
    };
    State {
        ready: status.is_ready(),
        draining: status.draining,
        last_good: status.last_good,
        certificate_serial: credentials.serial().into(),
        certificate_not_before: seconds(credentials.not_before()),
        certificate_not_after: seconds(credentials.not_after()),
        root: credentials.root().into(),
    }
}

/// What was counted, in as many messages as it takes.
pub(super) fn metrics(edges: &[EdgeCounts]) -> impl Iterator<Item = Up> {
    edges.chunks(EDGES_PER_MESSAGE).map(|edges| {
        wrap(up::Message::Metrics(Metrics { edges: edges.iter().map(edge).collect() }))
    })
}

/// Sampled spans.
pub(super) fn spans(spans: Vec<span::Span>) -> Up {
    let spans = spans.into_iter().map(|span| Span {
        trace_id: span.trace_id.to_vec(),
        span_id: span.span_id,
        parent_id: span.parent_id,
        server: span.server,
        start_ns: span.start_ns,
        duration_ns: span.duration_ns,
        name: span.name,
        service: span.service,
        peer: span.peer,
        status: span.status.into(),
        reason: span.reason.into(),
        attempts: span.attempts,
        rule: span.rule,
        endpoint: span.endpoint,
        proxy: String::new(),
        events: span.events.into_iter().map(event).collect(),
    });
    wrap(up::Message::Spans(Spans { spans: spans.collect() }))
}

fn event(event: span::SpanEvent) -> SpanEvent {
    SpanEvent {
        offset_ns: event.offset_ns,
        what: event.what.as_str().into(),
        attempt: event.attempt,
        endpoint: event.endpoint,
        why: event.why,
    }
}

/// The answer to command `id`.
pub(super) fn reply(id: u64, outcome: Result<String, String>) -> Up {
    let (body, error) = match outcome {
        Ok(body) => (body, String::new()),
        Err(error) => (String::new(), error),
    };
    wrap(up::Message::Reply(Reply { id, error, body }))
}

pub(super) fn wrap(message: up::Message) -> Up {
    Up { message: Some(message) }
}

fn edge(counts: &EdgeCounts) -> EdgeMetrics {
    let key = &counts.key;
    let (duration_buckets, duration_counts) = counts
        .durations
        .non_empty()
        .map(|(bucket, count)| (u32::try_from(bucket).unwrap_or(u32::MAX), count))
        .unzip();
    let requests = counts.requests.iter().map(|one| RequestCount {
        status: one.status.into(),
        reason: one.reason.to_string(),
        count: one.count,
        grpc: one.grpc,
    });
    EdgeMetrics {
        edge: Some(Edge {
            reporter_destination: key.reporter == Reporter::Destination,
            source: key.source.to_string(),
            source_identity: key.source_identity.to_string(),
            destination: key.destination.to_string(),
            destination_version: key.destination_version.to_string(),
            protocol: key.protocol.as_str().into(),
            mtls: key.mtls,
            backend: key.backend.to_string(),
        }),
        requests: requests.collect(),
        duration_buckets,
        duration_counts,
        duration_sum_us: counts.duration_sum_us,
        connections_opened: counts.connections_opened,
        connections_closed: counts.connections_closed,
        request_bytes: counts.request_bytes,
        response_bytes: counts.response_bytes,
    }
}
