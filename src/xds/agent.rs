//! The agent stream: beside ADS, one bidirectional stream per proxy. Up go who it is, its state,
//! metrics and spans; down come commands. Changes are additive only.
//!
//! `/meshctl.v1.Agent/Connect`: stream of [`Up`] to stream of [`Down`]. The first message up is
//! [`Hello`]; the control plane holds the identity in it against the certificate of the stream.

use std::collections::HashMap;

mod pools;
mod spans;

pub use pools::{Breaker, EndpointOrder, Pool, PoolEndpoint, Pools, state};
pub use spans::{Span, SpanEvent, Spans};

/// The full path of the method.
pub const CONNECT: &str = "/meshctl.v1.Agent/Connect";

/// From the proxy.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Up {
    /// What it says.
    #[prost(oneof = "up::Message", tags = "1, 2, 3, 4, 5, 6, 7, 8")]
    pub message: Option<up::Message>,
}

/// The alternatives of [`Up`].
pub mod up {
    /// What a proxy says.
    #[derive(Clone, PartialEq, prost::Oneof)]
    #[expect(clippy::large_enum_variant, reason = "messages are made and sent, not kept")]
    pub enum Message {
        /// First, once per stream.
        #[prost(message, tag = "1")]
        Hello(super::Hello),
        /// At once when it changes.
        #[prost(message, tag = "2")]
        State(super::State),
        /// Every second while there is traffic.
        #[prost(message, tag = "3")]
        Metrics(super::Metrics),
        /// Within a tenth of a second of the first that waits.
        #[prost(message, tag = "4")]
        Spans(super::Spans),
        /// The answer to a command.
        #[prost(message, tag = "5")]
        Reply(super::Reply),
        /// Last: the workload leaves, its endpoints go now.
        #[prost(message, tag = "6")]
        Goodbye(super::Goodbye),
        /// When it changes, at most every second; at once after a command.
        #[prost(message, tag = "7")]
        Pools(super::Pools),
        /// When it changes, at most every second.
        #[prost(message, tag = "8")]
        Counters(super::Counters),
    }
}

/// Who connects, and what it offers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Hello {
    /// Namespace of the proxy.
    #[prost(string, tag = "1")]
    pub namespace: String,
    /// Name of the proxy inside its namespace.
    #[prost(string, tag = "2")]
    pub name: String,
    /// The service that it registers under.
    #[prost(string, tag = "3")]
    pub service: String,
    /// The `version` label; empty for none.
    #[prost(string, tag = "4")]
    pub version: String,
    /// All labels.
    #[prost(map = "string, string", tag = "5")]
    pub labels: HashMap<String, String>,
    /// The service account; must be the certificate's.
    #[prost(string, tag = "6")]
    pub service_account: String,
    /// Addresses at which callers reach it, without port.
    #[prost(string, repeated, tag = "7")]
    pub addresses: Vec<String>,
    /// What it listens on; empty when the workload only calls.
    #[prost(message, repeated, tag = "8")]
    pub ports: Vec<HelloPort>,
    /// The version of this program.
    #[prost(string, tag = "9")]
    pub product_version: String,
    /// The process id, for reading.
    #[prost(uint32, tag = "10")]
    pub pid: u32,
    /// When the process started, milliseconds since the Unix epoch.
    #[prost(uint64, tag = "11")]
    pub started_ms: u64,
    /// The process of the same proxy whose place this one takes while that one still runs. Discovery is
    /// asked for after [`Welcome`] then: before it the streams of that name are the other process's.
    #[prost(message, optional, tag = "12")]
    pub succeeds: Option<ProcessId>,
}

/// A process, as it introduced itself in its own [`Hello`].
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ProcessId {
    /// The process id.
    #[prost(uint32, tag = "1")]
    pub pid: u32,
    /// When it started, milliseconds since the Unix epoch.
    #[prost(uint64, tag = "2")]
    pub started_ms: u64,
}

/// One port of the workload.
#[derive(Clone, PartialEq, prost::Message)]
pub struct HelloPort {
    /// The application's port.
    #[prost(uint32, tag = "1")]
    pub app_port: u32,
    /// The port to dial.
    #[prost(uint32, tag = "2")]
    pub dial_port: u32,
    /// The port of the service that it answers for; 0 where nobody said.
    #[prost(uint32, tag = "3")]
    pub service_port: u32,
    /// `detect`, `http`, `http2`, `grpc` or `tcp`.
    #[prost(string, tag = "4")]
    pub protocol: String,
}

/// How the proxy is.
#[derive(Clone, PartialEq, prost::Message)]
pub struct State {
    /// It serves.
    #[prost(bool, tag = "1")]
    pub ready: bool,
    /// It is about to end.
    #[prost(bool, tag = "2")]
    pub draining: bool,
    /// It started from its last good configuration and has not synced since.
    #[prost(bool, tag = "3")]
    pub last_good: bool,
    /// Serial number of its certificate, hexadecimal.
    #[prost(string, tag = "4")]
    pub certificate_serial: String,
    /// Seconds since the Unix epoch.
    #[prost(uint64, tag = "5")]
    pub certificate_not_before: u64,
    /// Seconds since the Unix epoch.
    #[prost(uint64, tag = "6")]
    pub certificate_not_after: u64,
    /// SHA-256 of the root that its certificate chains to, hexadecimal.
    #[prost(string, tag = "7")]
    pub root: String,
}

/// Increments since the message before, only for edges with traffic.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Metrics {
    /// One per edge.
    #[prost(message, repeated, tag = "1")]
    pub edges: Vec<EdgeMetrics>,
    // Tag 2 were spans that were dropped, which `Counters` tells too.
}

/// What happened between two workloads, as seen at one end.
#[derive(Clone, PartialEq, prost::Message)]
pub struct EdgeMetrics {
    /// The edge.
    #[prost(message, optional, tag = "1")]
    pub edge: Option<Edge>,
    /// Requests by answer.
    #[prost(message, repeated, tag = "2")]
    pub requests: Vec<RequestCount>,
    /// Indices of the duration buckets that are not empty, as `telemetry::histogram` defines them.
    #[prost(uint32, repeated, tag = "3")]
    pub duration_buckets: Vec<u32>,
    /// Counts, in step with `duration_buckets`.
    #[prost(uint64, repeated, tag = "4")]
    pub duration_counts: Vec<u64>,
    /// Sum of durations, microseconds.
    #[prost(uint64, tag = "5")]
    pub duration_sum_us: u64,
    /// Opaque connections opened.
    #[prost(uint64, tag = "6")]
    pub connections_opened: u64,
    /// Opaque connections closed.
    #[prost(uint64, tag = "7")]
    pub connections_closed: u64,
    /// Body bytes (HTTP) or bytes (opaque) towards the destination.
    #[prost(uint64, tag = "8")]
    pub request_bytes: u64,
    /// The same, towards the source.
    #[prost(uint64, tag = "9")]
    pub response_bytes: u64,
}

/// Labels of an edge.
#[derive(Clone, PartialEq, Eq, Hash, prost::Message)]
pub struct Edge {
    /// The destination reports (its inbound side) rather than the source.
    #[prost(bool, tag = "1")]
    pub reporter_destination: bool,
    /// `namespace/workload service` of the caller; empty when unknown.
    #[prost(string, tag = "2")]
    pub source: String,
    /// SPIFFE identity of the caller; empty when unknown.
    #[prost(string, tag = "3")]
    pub source_identity: String,
    /// `namespace/service` called; for what is outside of the mesh the host.
    #[prost(string, tag = "4")]
    pub destination: String,
    /// `version` label of the endpoint that answered; empty when unknown.
    #[prost(string, tag = "5")]
    pub destination_version: String,
    /// `http`, `http2`, `grpc` or `tcp`.
    #[prost(string, tag = "6")]
    pub protocol: String,
    /// Over mutual TLS.
    #[prost(bool, tag = "7")]
    pub mtls: bool,
    /// The service that the request was sent to after routing, `namespace/service`.
    #[prost(string, tag = "8")]
    pub backend: String,
}

/// Requests with one answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct RequestCount {
    /// HTTP status; 0 where no answer was sent (the client had gone).
    #[prost(uint32, tag = "1")]
    pub status: u32,
    /// The reason where a proxy answered itself; else empty.
    #[prost(string, tag = "2")]
    pub reason: String,
    /// How many.
    #[prost(uint64, tag = "3")]
    pub count: u64,
    /// The code of a gRPC call, where it had one.
    #[prost(uint32, optional, tag = "4")]
    pub grpc: Option<u32>,
}

/// What the proxy counts of itself since it began; each message replaces the one before.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Counters {
    /// How often limits were reached, by the words of `telemetry::limits`.
    #[prost(map = "string, uint64", tag = "1")]
    pub limits: HashMap<String, u64>,
    /// Panics, each of which ended one task.
    #[prost(uint64, tag = "2")]
    pub panics: u64,
}

/// The answer to a command.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Reply {
    /// The command's id.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// Empty when it worked.
    #[prost(string, tag = "2")]
    pub error: String,
    /// JSON, where the command asks for something.
    #[prost(string, tag = "3")]
    pub body: String,
}

/// The workload leaves.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Goodbye {}

/// From the control plane.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Down {
    /// What it says.
    #[prost(oneof = "down::Message", tags = "1, 2, 3")]
    pub message: Option<down::Message>,
}

/// The alternatives of [`Down`].
pub mod down {
    /// What the control plane says.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Message {
        /// The answer to [`Hello`](super::Hello).
        #[prost(message, tag = "1")]
        Welcome(super::Welcome),
        /// Something to do.
        #[prost(message, tag = "2")]
        Command(super::Command),
        /// The answer to [`State`](super::State).
        #[prost(message, tag = "3")]
        Noted(super::Noted),
    }
}

/// The mesh has taken a [`State`]: whoever asks from now on is told.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Noted {
    /// The workload takes requests, as far as the mesh knows.
    #[prost(bool, tag = "1")]
    pub ready: bool,
}

/// The registration holds.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Welcome {
    /// The version of the control plane.
    #[prost(string, tag = "1")]
    pub product_version: String,
}

/// Something to do; answered by a [`Reply`] with the same id.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Command {
    /// Chosen by the control plane, unique per stream.
    #[prost(uint64, tag = "1")]
    pub id: u64,
    /// What.
    #[prost(oneof = "command::Action", tags = "2, 3, 4, 5, 6, 7")]
    pub action: Option<command::Action>,
}

/// The alternatives of [`Command`].
pub mod command {
    /// What to do.
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Action {
        /// Change the log level: a `tracing` filter directive such as `debug` or `info,proxy=trace`.
        #[prost(string, tag = "2")]
        Log(String),
        /// Send the configuration in use, as JSON.
        #[prost(bool, tag = "3")]
        Config(bool),
        /// Send counters and gauges, as JSON.
        #[prost(bool, tag = "4")]
        Stats(bool),
        /// Renew the certificate now; the reply comes when the new one is in use.
        #[prost(bool, tag = "5")]
        Rotate(bool),
        /// Take an endpoint out of a pool, until it is put back or the time is over.
        #[prost(message, tag = "6")]
        Eject(super::EndpointOrder),
        /// Put an endpoint back, whatever took it out.
        #[prost(message, tag = "7")]
        Restore(super::EndpointOrder),
    }
}
