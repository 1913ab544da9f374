//! The JSON of the admin API, which is also what `-o json` prints: requests and answers as structs.
//!
//! Served over HTTP/1.1 on the Unix socket of the home directory, on a cluster over TLS through the API
//! server's port forwarding. Fields may be added, never renamed; times are RFC 3339; latencies are
//! milliseconds, `null` without traffic.
//!
//! | call | body | answer |
//! |---|---|---|
//! | `GET /v1/version` | | [`Version`] |
//! | `GET /v1/status` | | [`MeshStatus`] |
//! | `POST /v1/apply` | [`ApplyRequest`] | [`ApplyResult`] |
//! | `POST /v1/validate` | [`ValidateRequest`] | [`ValidateResult`] |
//! | `GET /v1/propagation?revision=R` | | [`Propagation`] |
//! | `GET /v1/propagation/object?kind=K&namespace=N&name=M&after=R&resourceVersion=V` (or `goneAfter=V`) | | [`Propagation`] |
//! | `GET /v1/objects?kind=K&namespace=N&name=M&resolved=B` (each optional) | | [`ObjectList`] |
//! | `POST /v1/delete` | [`DeleteRequest`] | [`ApplyResult`] |
//! | `GET /v1/history?limit=N` | | [`RevisionList`] |
//! | `GET /v1/history/REVISION` | | [`Revision`] with documents |
//! | `POST /v1/rollback` | [`RollbackRequest`] | [`ApplyResult`] |
//! | `GET /v1/describe?kind=K&namespace=N&name=M` | | [`Description`] |
//! | `GET /v1/certificates` | | [`CertificateList`] |
//! | `GET /v1/endpoints?namespace=N&service=M` (both or none) | | [`EndpointList`] |
//! | `POST /v1/endpoints/eject` | [`EndpointRequest`] | [`EndpointResult`] |
//! | `POST /v1/endpoints/restore` | [`EndpointRequest`] | [`EndpointResult`] |
//! | `GET /v1/resources?kind=K&name=N` | | [`ResourceAnswer`] |
//! | `POST /v1/effect` | [`EffectRequest`] | [`EffectResult`] |
//! | `POST /v1/rotate` | [`RotateRequest`] | [`RotateResult`] |
//! | `GET /v1/traces?service=&status=&minMs=&limit=` | | [`TraceList`] |
//! | `GET /v1/traces/ID` | | [`Trace`] |
//! | `POST /v1/proxies/NAMESPACE/NAME/command` | [`ProxyCommand`] | the proxy's JSON |
//! | `GET /v1/tokens` (locally) | | [`TokenList`] |
//! | `POST /v1/tokens` (locally) | [`TokenRequest`] | [`JoinToken`] |
//! | `POST /v1/tokens/revoke` (locally) | [`RevokeRequest`] | [`TokenStatus`] |
//! | `POST /v1/stop` (locally) | | `{}` |
//! | `GET /metrics` | | Prometheus text |
//!
//! Every refusal is [`Failure`] with a fitting status: 400 wrong, 404 not there, 409 in conflict,
//! 422 rules with errors, 503 not ready, 507 no space.

use serde::{Deserialize, Serialize};

use crate::rules::Diagnostic;

mod certificates;
mod history;
mod objects;
mod pools;
mod resources;
mod status;
mod tokens;
mod traces;

pub use certificates::{CertificateList, CertificateStatus, RotateRequest, RotateResult, Rotated};
pub use history::{RevisedObject, Revision, RevisionList, RevisionState, RollbackRequest};
pub use objects::{
    Action, AppliedObject, ApplyRequest, ApplyResult, DeleteRequest, Description, ObjectId,
    ObjectList, Propagation, Rejection, Section, Source, ValidateRequest, ValidateResult,
};
pub use pools::{
    BreakerDetail, CallerResult, CallerStatus, EndpointList, EndpointRequest, EndpointResult,
    EndpointState, EndpointStatus, PoolEntry,
};
pub use resources::{Effect, EffectRequest, EffectResult, ResourceAnswer, ResourceBody};
pub use status::{
    ControlPlaneStatus, EdgeStatus, EndpointCounts, FaultStatus, Latency, MeshStatus, ProxyState,
    ProxyStatus, ServiceStatus,
};
pub use tokens::{JoinToken, RevokeRequest, TokenList, TokenRequest, TokenState, TokenStatus};
pub use traces::{Trace, TraceEvent, TraceList, TraceSpan, TraceSummary};

/// `apiVersion` of every document of ours.
pub const API_VERSION: &str = "meshctl.dev/v1alpha1";

/// What applying would change in what proxies do.
pub const EFFECT: &str = "/v1/effect";

/// Calls by `POST` that change nothing, because their questions are too long for a URL: who may only
/// look may make them.
pub const LOOKS: &[&str] = &[EFFECT, "/v1/validate"];

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
