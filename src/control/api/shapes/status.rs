//! `GET /v1/status`: the mesh at a glance, its proxies, services and edges.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{BreakerDetail, PoolEntry};

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
    /// Faults that are put in on purpose now, by policy and service.
    #[serde(default)]
    pub faults: Vec<FaultStatus>,
}

/// A fault policy that is active at one service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultStatus {
    /// The policy's name.
    pub policy: String,
    /// Its namespace, and the service's.
    pub namespace: String,
    /// The service whose callers meet the faults.
    pub service: String,
    /// `delay 2s (10%), abort with 503 (5%)`.
    pub what: String,
    /// `ns/default/sa/reviews, ns/shop`, or `all`.
    pub callers: String,
    /// When it ends by itself; `null`: it does not.
    pub expires: Option<Timestamp>,
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
    /// The version of its program; empty while it is away.
    #[serde(default)]
    pub product_version: String,
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
    /// `Open` while a caller's breaker has refused something in the last 10 s, else `Closed`.
    pub breaker: String,
    /// What the breakers of its callers did.
    #[serde(default)]
    pub breaker_detail: BreakerDetail,
    /// The endpoints that a caller does not give their full share, each as that caller has it.
    #[serde(default)]
    pub pool: Vec<PoolEntry>,
    /// Over the last 10 s, as its callers saw it.
    pub requests_per_second: f64,
    /// 0 to 1 over the last minute; `null` without traffic.
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
    /// Those that at least one caller sends nothing: ejected, unhealthy, or taken out by hand.
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
