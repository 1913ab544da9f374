//! `GET /v1/traces`: recent traces in short, and one of them whole.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Recent traces, newest first.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `TraceList`.
    pub kind: String,
    /// Newest first.
    pub traces: Vec<TraceSummary>,
}

/// One trace, in short.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSummary {
    /// 32 hexadecimal digits.
    pub id: String,
    /// Of the earliest span.
    pub start: Timestamp,
    /// From the earliest start to the latest end.
    pub duration_ms: f64,
    /// In order of appearance.
    pub services: Vec<String>,
    /// How many spans.
    pub spans: usize,
    /// HTTP status of the root span.
    pub status: u32,
    /// Method and path of the root span.
    pub name: String,
}

/// One trace, whole.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trace {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `Trace`.
    pub kind: String,
    /// 32 hexadecimal digits.
    pub id: String,
    /// By start.
    pub spans: Vec<TraceSpan>,
}

/// One span of a [`Trace`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceSpan {
    /// 16 hexadecimal digits.
    pub id: String,
    /// 16 hexadecimal digits; empty for a root.
    pub parent: String,
    /// The proxy, `namespace/name`.
    pub proxy: String,
    /// Its service, `namespace/service`.
    pub service: String,
    /// `client` or `server`.
    pub side: String,
    /// The other end.
    pub peer: String,
    /// Method and path.
    pub name: String,
    /// When it began.
    pub start: Timestamp,
    /// Milliseconds after the trace's start.
    pub offset_ms: f64,
    /// How long it took.
    pub duration_ms: f64,
    /// HTTP status; 0 for none.
    pub status: u32,
    /// The proxy's own reason, where it answered itself.
    pub reason: String,
    /// How often it was sent to an endpoint; 0 where it was not.
    #[serde(default)]
    pub attempts: u32,
    /// The rule that decided.
    pub rule: String,
    /// The endpoint that was chosen.
    pub endpoint: String,
    /// What happened on the way, in order.
    #[serde(default)]
    pub events: Vec<TraceEvent>,
}

/// Something that happened to a request on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TraceEvent {
    /// Milliseconds after the trace's start.
    pub offset_ms: f64,
    /// `retry`, `hedge`, `refused`, `ejected` or `fault`.
    pub what: String,
    /// The number of the try that it is about; 0 where it is about none.
    pub attempt: u32,
    /// The endpoint that it is about; empty where it is about none.
    pub endpoint: String,
    /// Why, for people; of what was refused the reason.
    pub why: String,
}
