//! What `explain` comes to, as data: the shapes of `meshctl explain -o json`, `kind: Explanation`.
//! Fields may be added, never renamed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

/// What would become of a request, and why.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// What was asked.
    pub request: Asked,
    /// What becomes of it, in a word.
    pub outcome: Outcome,
    /// What becomes of it, by part of such requests, the largest first.
    pub answers: Vec<Answer>,
    /// What is called.
    pub destination: Destination,
    /// The rule that it falls under, and those that it does not; `null` where no table was asked.
    pub route: Option<RouteView>,
    /// The fault policies that it meets, in the order in which they are tried.
    pub faults: Vec<FaultView>,
    /// Times and repetitions that hold of it.
    pub settings: Vec<SettingView>,
    /// Where it goes, in the order written.
    pub backends: Vec<BackendView>,
    /// What was assumed for want of a mesh, and what else there is to say.
    pub notes: Vec<String>,
}

/// A request, and who makes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Asked {
    /// The caller's identity.
    pub from: String,
    /// The caller's proxy, `namespace/name`.
    pub proxy: String,
    /// The method.
    pub method: String,
    /// As asked.
    pub url: String,
    /// The canonical path, as rules see it; empty where the request cannot be read.
    pub path: String,
    /// `http` or `grpc`.
    pub protocol: &'static str,
}

/// What becomes of such requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// They are passed on.
    Passes,
    /// The client is sent elsewhere.
    Redirected,
    /// Some are passed on, and some are refused.
    Sometimes,
    /// None is passed on.
    Refused,
}

/// What becomes of a part of such requests.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// Of all of them.
    pub percent: f64,
    /// The status that the proxy answers with; `null` where the application does, 0 for a reset.
    pub status: Option<u16>,
    /// The code of gRPC that the answer carries instead, with the HTTP status 200; `null` for other
    /// requests.
    pub grpc_code: Option<u32>,
    /// `meshctl-reason` of the answer.
    pub reason: Option<&'static str>,
    /// The rule that decides, as in `meshctl-rule` of the answers that have one.
    pub rule: Option<String>,
    /// Where it goes, `namespace/service:port`.
    pub to: Option<String>,
    /// Where the client is sent.
    pub location: Option<String>,
    /// Why, where it is not passed on.
    pub why: String,
}

/// What kind of thing is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum DestinationKind {
    /// A service of the mesh.
    Service,
    /// A workload, by its own address: no route, no balancing.
    Workload,
    /// Something outside of the mesh.
    Outside,
    /// Not found out.
    Unknown,
}

/// What is called, and how that was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Destination {
    /// What it is.
    pub kind: DestinationKind,
    /// `namespace/service`, `namespace/workload`, or the host.
    pub name: String,
    /// The port called.
    pub port: u16,
    /// What is declared to be spoken there; empty where nothing is known.
    pub protocol: String,
    /// How it was found, for people.
    pub found: String,
    /// The namespace whose own rules hold; `null` where those for everyone do.
    pub consumer: Option<String>,
    /// The objects that its rules come from.
    pub origins: Vec<String>,
    /// Who must answer, where a workload is called.
    pub identity: Option<String>,
}

/// The way through a service's table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RouteView {
    /// The rule; `null` where none fits.
    pub rule: Option<String>,
    /// Nobody wrote a route: everything goes to the service itself.
    pub implicit: bool,
    /// The match that it falls under, for people.
    pub matched: Option<String>,
    /// Its place in the order in which matches are tried, from 1.
    pub position: usize,
    /// How many matches there are.
    pub matches: usize,
    /// Those that were tried before it.
    pub skipped: Vec<Skipped>,
    /// What is changed of the request and its answer, for people.
    pub changes: Vec<String>,
}

/// A match that the request does not fall under.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    /// The rule that it leads to.
    pub rule: String,
    /// Its conditions, for people.
    pub matched: String,
    /// The condition that does not hold.
    pub why: String,
}

/// A fault policy that the request meets.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct FaultView {
    /// `FaultPolicy/namespace/name`.
    pub rule: String,
    /// What it puts in, for people.
    pub what: String,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// Whether it is put in; else only counted, or another comes first.
    pub effective: bool,
}

/// A setting that holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SettingView {
    /// The field, as users write it: `timeouts.request`.
    pub field: &'static str,
    /// The value, as users write it; `none` for no limit.
    pub value: String,
    /// The object that says so; `null` where the default holds.
    pub source: Option<String>,
}

/// One destination of the rule.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BackendView {
    /// `namespace/service`.
    pub service: String,
    /// Its port.
    pub port: u16,
    /// Its weight.
    pub weight: u64,
    /// Its part of the requests.
    pub percent: f64,
    /// Whether there is such a service with such a port.
    pub exists: bool,
    /// What is changed for it alone, for people.
    pub changes: Vec<String>,
    /// Limits, ejection and balancing of its pool.
    pub settings: Vec<SettingView>,
    /// Who can answer, each with its part; of a mesh that does not run none is named.
    pub endpoints: Vec<EndpointView>,
    /// So few are left that all are used, whoever is out.
    pub panic: bool,
    /// The endpoint that this very request leads to, under a consistent algorithm.
    pub leads_to: Option<String>,
    /// The breaker of the caller's proxy, where it has refused something.
    pub breaker: Option<BreakerView>,
}

/// An endpoint of a backend.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EndpointView {
    /// The workload's name.
    pub name: String,
    /// `ip:port`.
    pub address: String,
    /// The `version` label; empty for none.
    pub version: String,
    /// Its zone; empty where that is not known.
    pub zone: String,
    /// Who must answer there, over mutual TLS; `null` for plaintext.
    pub identity: Option<String>,
    /// Its part of the backend's requests, by weight and standing.
    pub percent: f64,
    /// Why it does not have its full share; `null` where it has.
    pub out: Option<OutView>,
}

/// Why an endpoint does not have its full share.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OutView {
    /// `Ejected`, `Unhealthy`, `ByHand`, `Probation` or `Warming`.
    pub state: String,
    /// Why, for people.
    pub why: String,
    /// Since when.
    pub since: Option<Timestamp>,
    /// Until when.
    pub until: Option<Timestamp>,
    /// It would be out, and is not.
    pub spared: bool,
}

/// What a breaker did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BreakerView {
    /// `Open` while it has refused something in the last 10 s, else `Closed`.
    pub state: String,
    /// It only counts.
    pub shadow: bool,
    /// Refused, by reason.
    pub refused: BTreeMap<String, u64>,
    /// When it last refused something.
    pub last_refused: Option<Timestamp>,
}
