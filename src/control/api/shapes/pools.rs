//! `GET /v1/endpoints` and `POST /v1/endpoints/eject|restore`, and what `GET /v1/status` says of
//! breakers and endpoints: as each caller sees it, because each decides for itself.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What circuit breakers did, all callers together and each by itself. Counts go back to the start
/// of each caller's proxy, and go with it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerDetail {
    /// Refused by all callers that are connected, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Each caller of which there is something to say, by proxy.
    pub callers: Vec<CallerStatus>,
}

/// The pool of a service as one caller has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerStatus {
    /// The caller's proxy, `namespace/name`.
    pub proxy: String,
    /// The caller's service, `namespace/service`.
    pub service: String,
    /// `Open` while its breaker has refused something in the last 10 s, else `Closed`.
    pub breaker: String,
    /// The policy is in `mode: Shadow`: what would be refused is only counted.
    pub shadow: bool,
    /// Refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// When it last refused something.
    pub last_refused: Option<Timestamp>,
    /// Requests in flight that adaptive concurrency allows; `null` without it.
    pub concurrency: Option<u32>,
    /// Repetitions that the retry budget did not allow.
    pub retries_over_budget: u64,
    /// How often it took an endpoint out for what that answered.
    pub ejections: u64,
    /// It uses all endpoints, because too few were left (panic threshold).
    pub panic: bool,
}

/// In which state a caller has an endpoint that is not in its full share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum EndpointState {
    /// Out for what it answered.
    Ejected,
    /// Out because it fails its health checks.
    Unhealthy,
    /// Out because a person said so.
    ByHand,
    /// Back, with a trickle of its share.
    Probation,
    /// New, with a growing part of its share.
    Warming,
}

impl EndpointState {
    /// The word in JSON and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ejected => "Ejected",
            Self::Unhealthy => "Unhealthy",
            Self::ByHand => "ByHand",
            Self::Probation => "Probation",
            Self::Warming => "Warming",
        }
    }
}

/// An endpoint that a caller does not give its full share.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PoolEntry {
    /// The endpoint's name inside the service.
    pub endpoint: String,
    /// `ip:port`.
    pub address: String,
    /// The caller's proxy, `namespace/name`.
    pub caller: String,
    /// In which state the caller has it.
    pub state: EndpointState,
    /// Why, for people.
    pub why: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when; `null` where that is not known.
    pub until: Option<Timestamp>,
    /// How often the caller took it out.
    pub ejections: u32,
    /// It would be out, and is not: `mode: Shadow`, or `maxEjectionPercent` held it back.
    pub spared: bool,
}

impl PoolEntry {
    /// Whether the caller sends it nothing.
    pub fn is_out(&self) -> bool {
        let state = self.state;
        !self.spared && !matches!(state, EndpointState::Probation | EndpointState::Warming)
    }
}

/// Endpoints of services.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointList {
    /// `meshctl.dev/v1alpha1`.
    pub api_version: String,
    /// `EndpointList`.
    pub kind: String,
    /// By service and name.
    pub endpoints: Vec<EndpointStatus>,
}

/// One endpoint of a service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointStatus {
    /// Inside the service.
    pub name: String,
    /// The service.
    pub service: String,
    /// The service's namespace.
    pub namespace: String,
    /// Where it is dialled, `ip:port`.
    pub addresses: Vec<String>,
    /// Whether it takes requests, by its own word.
    pub ready: bool,
    /// Its share against the others'.
    pub weight: u32,
    /// Its zone; empty where that is not known.
    pub zone: String,
    /// The `version` label; empty for none.
    pub version: String,
    /// Its SPIFFE identity; `null` without a sidecar.
    pub identity: Option<String>,
    /// The callers that do not give it its full share.
    pub pool: Vec<PoolEntry>,
}

/// Endpoints to take out or to put back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EndpointRequest {
    /// `namespace/service`.
    pub service: String,
    /// The endpoint's name.
    pub endpoint: String,
    /// Callers: `namespace/proxy`, or `namespace/service` for all of a service's; empty for all.
    #[serde(default)]
    pub from: Vec<String>,
    /// For how long, seconds; 0 for until it is put back.
    #[serde(default)]
    pub seconds: u64,
}

/// Which proxies did it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointResult {
    /// By proxy; each calls the service and is connected.
    pub callers: Vec<CallerResult>,
}

/// What one proxy did.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CallerResult {
    /// `namespace/name`.
    pub proxy: String,
    /// Empty when it did it.
    pub error: String,
}
