//! Sampled spans, as proxies tell of them.

/// Sampled spans.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Spans {
    /// In order of their end.
    #[prost(message, repeated, tag = "1")]
    pub spans: Vec<Span>,
}

/// One proxy's part in a request (W3C Trace Context ids).
#[derive(Clone, PartialEq, prost::Message)]
pub struct Span {
    /// 16 bytes.
    #[prost(bytes = "vec", tag = "1")]
    pub trace_id: Vec<u8>,
    /// Never 0.
    #[prost(fixed64, tag = "2")]
    pub span_id: u64,
    /// 0 for a root.
    #[prost(fixed64, tag = "3")]
    pub parent_id: u64,
    /// A server span (inbound side) rather than a client span.
    #[prost(bool, tag = "4")]
    pub server: bool,
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "5")]
    pub start_ns: u64,
    /// Nanoseconds.
    #[prost(uint64, tag = "6")]
    pub duration_ns: u64,
    /// Method and path, cut at 1 KiB.
    #[prost(string, tag = "7")]
    pub name: String,
    /// The proxy's own service, `namespace/service`.
    #[prost(string, tag = "8")]
    pub service: String,
    /// The other end: the service called, or the caller's identity.
    #[prost(string, tag = "9")]
    pub peer: String,
    /// HTTP status; 0 for none.
    #[prost(uint32, tag = "10")]
    pub status: u32,
    /// The proxy's own reason, where it answered itself.
    #[prost(string, tag = "11")]
    pub reason: String,
    /// The rule that decided.
    #[prost(string, tag = "12")]
    pub rule: String,
    /// The endpoint that was chosen.
    #[prost(string, tag = "13")]
    pub endpoint: String,
    /// The proxy that recorded it, `namespace/name`; filled in by the control plane.
    #[prost(string, tag = "14")]
    pub proxy: String,
    /// How often it was sent to an endpoint; 0 where it was not.
    #[prost(uint32, tag = "15")]
    pub attempts: u32,
    /// What happened on the way, in order.
    #[prost(message, repeated, tag = "16")]
    pub events: Vec<SpanEvent>,
}

/// Something that happened to a request on its way.
#[derive(Clone, PartialEq, prost::Message)]
pub struct SpanEvent {
    /// Nanoseconds after the span's start.
    #[prost(uint64, tag = "1")]
    pub offset_ns: u64,
    /// `retry`, `hedge`, `refused`, `ejected` or `fault`.
    #[prost(string, tag = "2")]
    pub what: String,
    /// The number of the try that it is about; 0 where it is about none.
    #[prost(uint32, tag = "3")]
    pub attempt: u32,
    /// The endpoint that it is about; empty where it is about none.
    #[prost(string, tag = "4")]
    pub endpoint: String,
    /// Why, for people; of what was refused the reason.
    #[prost(string, tag = "5")]
    pub why: String,
}
