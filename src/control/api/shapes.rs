//! The JSON of the admin API, which is also what `-o json` prints: requests and answers as structs.
//!
//! Served over HTTP/1.1 on the Unix socket of the home directory. Fields may be added, never
//! renamed; times are RFC 3339; latencies are milliseconds, `null` without traffic.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /v1/version` | | [`Version`] |
//! | `GET /v1/status` | | [`MeshStatus`] |
//! | `POST /v1/apply` | [`ApplyRequest`] | [`ApplyResult`] |
//! | `GET /v1/propagation?revision=R` | | [`Propagation`] |
//! | `GET /v1/objects?kind=K&namespace=N&name=M` (each optional) | | [`ObjectList`] |
//! | `POST /v1/delete` | [`DeleteRequest`] | [`ApplyResult`] |
//! | `GET /v1/describe?kind=K&namespace=N&name=M` | | [`Description`] |
//! | `GET /v1/certificates` | | [`CertificateList`] |
//! | `POST /v1/rotate` | [`RotateRequest`] | [`RotateResult`] |
//! | `GET /v1/traces?service=&status=&minMs=&limit=` | | [`TraceList`] |
//! | `GET /v1/traces/ID` | | [`Trace`] |
//! | `POST /v1/proxies/NAMESPACE/NAME/command` | [`ProxyCommand`] | the proxy's JSON |
//! | `POST /v1/stop` | | `{}` |
//!
//! Every refusal is [`Failure`] with a fitting status: 400 wrong, 404 not there, 409 in conflict,
//! 422 rules with errors, 503 not ready, 507 no space.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::rules::Diagnostic;

/// `apiVersion` of every document of ours.
pub const API_VERSION: &str = "meshctl.dev/v1alpha1";

/// A refusal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// What failed, lower case, no period.
    pub error: String,
    /// What to do about it; empty where there is nothing to say.
    #[serde(default)]
    pub help: String,
    /// The problems of the rules, for 422.
    #[serde(default)]
    pub diagnostics: Vec<Diagnostic>,
}

/// Who answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Version {
    /// Always `meshctl`.
    pub product: String,
    /// The control plane's version.
    pub version: String,
    /// Its process id.
    pub pid: u32,
}

/// The mesh at a glance.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MeshStatus {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `MeshStatus`.
    pub kind: String,
    /// The control plane.
    pub control_plane: ControlPlaneStatus,
    /// By name.
    pub proxies: Vec<ProxyStatus>,
    /// By name.
    pub services: Vec<ServiceStatus>,
    /// Who talked to whom in the last minute.
    pub edges: Vec<EdgeStatus>,
}

/// The control plane.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ControlPlaneStatus {
    /// It serves.
    pub ready: bool,
    /// Its version.
    pub version: String,
    /// Where proxies reach it.
    pub address: String,
    /// When the root certificate expires.
    pub root_expires: Timestamp,
    /// The revision of the rules.
    pub revision: u64,
    /// Since when it runs.
    pub since: Timestamp,
}

/// Whether a proxy has what it should have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProxyState {
    /// All that was sent is acknowledged.
    Synced,
    /// Something is not acknowledged yet.
    Pending,
    /// It refused something; see the reason.
    Rejected,
    /// No stream; see since when.
    Disconnected,
}

/// One proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ProxyStatus {
    /// Inside its namespace.
    pub name: String,
    /// The service that it registered under.
    pub service: String,
    /// Its namespace.
    pub namespace: String,
    /// The `version` label.
    pub version: String,
    /// Its SPIFFE identity.
    pub identity: String,
    /// Synced, Pending, Rejected or Disconnected.
    pub state: ProxyState,
    /// Why, where it is Rejected or serves from its last good configuration; else empty.
    pub reason: String,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When its certificate expires; `null` when it never told.
    pub certificate_expires: Option<Timestamp>,
}

/// One service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServiceStatus {
    /// Inside its namespace.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its endpoints.
    pub endpoints: EndpointCounts,
    /// `Closed` or `Open`.
    pub breaker: String,
    /// Over the last 10 s, as its callers saw it.
    pub requests_per_second: f64,
    /// 0 to 1 over the last 10 s; `null` without traffic.
    pub success_rate: Option<f64>,
    /// Over the last minute.
    pub latency: Latency,
}

/// How many endpoints.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointCounts {
    /// Taking requests.
    pub ready: u32,
    /// Ejected by a caller.
    pub ejected: u32,
    /// All.
    pub total: u32,
}

/// Quantiles, milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// Median.
    pub p50: Option<f64>,
    /// 95 %.
    pub p95: Option<f64>,
    /// 99 %.
    pub p99: Option<f64>,
}

/// Who talks to whom.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EdgeStatus {
    /// The caller's service.
    pub from: String,
    /// The caller's namespace.
    pub from_namespace: String,
    /// The service that was called.
    pub to: String,
    /// Its namespace.
    pub to_namespace: String,
    /// The service whose endpoint answered, after routing.
    pub backend: String,
    /// The version that answered; empty when unknown.
    pub version: String,
    /// Whether every call was over mutual TLS.
    pub mtls: bool,
    /// What was spoken.
    pub protocol: String,
    /// Over the last 10 s.
    pub requests_per_second: f64,
    /// Over the last minute; `null` without traffic.
    pub success_rate: Option<f64>,
    /// Over the last minute.
    pub latency: Latency,
}

/// Documents to apply, all or none.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplyRequest {
    /// In the order given.
    pub sources: Vec<Source>,
    /// Check and say what would change, change nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// The namespace of documents that name none.
    pub namespace: String,
    /// Who applies, for the log.
    #[serde(default)]
    pub actor: String,
}

/// One file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Source {
    /// As the user named it, for diagnostics.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// What was done to one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It is new.
    Created,
    /// It changed.
    Configured,
    /// It was like this already.
    Unchanged,
    /// It is gone.
    Deleted,
}

/// What `apply` or `delete` did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyResult {
    /// The revision of the rules after it.
    pub revision: u64,
    /// In the order of the documents.
    pub objects: Vec<AppliedObject>,
    /// Warnings (errors are a [`Failure`]).
    pub warnings: Vec<Diagnostic>,
}

/// One object of an [`ApplyResult`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AppliedObject {
    /// `HTTPRoute`, …
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// What was done.
    pub action: Action,
    /// Its generation now.
    pub generation: u64,
}

/// Objects to delete; one that is not there is a 404 and nothing is deleted.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DeleteRequest {
    /// Which.
    pub objects: Vec<ObjectId>,
    /// Say what would go, delete nothing.
    #[serde(default)]
    pub dry_run: bool,
    /// Objects that are not there are no error.
    #[serde(default)]
    pub ignore_not_found: bool,
    /// Who deletes, for the log.
    #[serde(default)]
    pub actor: String,
}

/// Names one object.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectId {
    /// As users write it, `HTTPRoute`.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// How far a revision has come; `apply --wait` asks until it is settled.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Propagation {
    /// The revision asked for.
    pub revision: u64,
    /// The control plane has compiled and sent it.
    pub compiled: bool,
    /// Proxies that subscribe to what it changed and have acknowledged it.
    pub acknowledged: Vec<String>,
    /// Proxies that subscribe to what it changed and have not answered.
    pub pending: Vec<String>,
    /// Proxies that subscribe to what it changed and are away.
    pub disconnected: Vec<String>,
    /// Proxies that refused.
    pub rejected: Vec<Rejection>,
    /// From the commit to the last acknowledgement, milliseconds; `null` until settled.
    pub settled_ms: Option<f64>,
}

/// A refusal by a proxy.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rejection {
    /// `namespace/name`.
    pub proxy: String,
    /// `Service default/reviews`.
    pub resource: String,
    /// The rules that it came from, `HTTPRoute/default/reviews`.
    pub rules: Vec<String>,
    /// The field and what is wrong with it.
    pub reason: String,
}

/// Objects with their status.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `List`.
    pub kind: String,
    /// Each as it was applied, with `metadata.generation`, `metadata.creationTimestamp` and
    /// `status` added.
    pub items: Vec<serde_json::Value>,
}

/// An object or service with everything that applies to it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Description {
    /// `HTTPRoute/default/reviews`.
    pub title: String,
    /// Sections in order; each has a heading and lines of key and value.
    pub sections: Vec<Section>,
}

/// One part of a [`Description`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Section {
    /// `Ports`, `Routes`, `Policy`, `Endpoints`, `Status`, …
    pub heading: String,
    /// Key and value; an empty key continues the line above.
    pub lines: Vec<(String, String)>,
}

/// The certificates of the mesh.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `CertificateList`.
    pub kind: String,
    /// By workload; only what proxies have in use.
    pub certificates: Vec<CertificateStatus>,
}

/// One certificate in use.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CertificateStatus {
    /// `namespace/proxy`.
    pub workload: String,
    /// SPIFFE identity.
    pub identity: String,
    /// Hexadecimal.
    pub serial: String,
    /// Not valid before.
    pub not_before: Timestamp,
    /// Not valid after.
    pub not_after: Timestamp,
    /// SHA-256 of the root, hexadecimal.
    pub root: String,
}

/// Which workloads to renew.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RotateRequest {
    /// `namespace/proxy`, or `namespace/service` for all of a service's; empty for all connected.
    pub workloads: Vec<String>,
}

/// What was renewed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RotateResult {
    /// By workload.
    pub workloads: Vec<Rotated>,
}

/// One workload of a [`RotateResult`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rotated {
    /// `namespace/proxy`.
    pub workload: String,
    /// The serial number in use now.
    pub serial: String,
    /// Empty when it worked.
    pub error: String,
}

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
    /// The rule that decided.
    pub rule: String,
    /// The endpoint that was chosen.
    pub endpoint: String,
}

/// What a proxy is asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum ProxyCommand {
    /// Change the log level.
    Log(String),
    /// The configuration in use.
    Config,
    /// Counters and gauges.
    Stats,
}
