//! The messages of delta discovery: a subset of `envoy.service.discovery.v3` and `google.rpc`, by
//! hand, with the public field numbers, so that any delta-xDS client can speak to us.

use std::collections::HashMap;

/// The full path of the method.
pub const DELTA: &str =
    "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources";

/// Who asks.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Node {
    /// `namespace/proxy`; must be what the certificate allows.
    #[prost(string, tag = "1")]
    pub id: String,
    /// The service that it stands for, for reading.
    #[prost(string, tag = "2")]
    pub cluster: String,
    /// The program's name and version.
    #[prost(string, tag = "6")]
    pub user_agent_name: String,
}

/// From the proxy: subscriptions, ACK and NACK.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaRequest {
    /// On the first message of a stream.
    #[prost(message, optional, tag = "1")]
    pub node: Option<Node>,
    /// The kind that this is about.
    #[prost(string, tag = "2")]
    pub type_url: String,
    /// Names wanted from now on.
    #[prost(string, repeated, tag = "3")]
    pub subscribe: Vec<String>,
    /// Names no longer wanted.
    #[prost(string, repeated, tag = "4")]
    pub unsubscribe: Vec<String>,
    /// What the proxy has already, name to version; on the first message of a kind in a stream.
    #[prost(map = "string, string", tag = "5")]
    pub initial_versions: HashMap<String, String>,
    /// The response that this answers; empty for a mere change of subscriptions.
    #[prost(string, tag = "6")]
    pub response_nonce: String,
    /// Set: the response was refused (NACK), with the reason.
    #[prost(message, optional, tag = "7")]
    pub error: Option<Status>,
}

/// From the control plane: what changed.
#[derive(Clone, PartialEq, prost::Message)]
pub struct DeltaResponse {
    /// Of the whole control plane, for reading.
    #[prost(string, tag = "1")]
    pub system_version: String,
    /// New or changed.
    #[prost(message, repeated, tag = "2")]
    pub resources: Vec<WireResource>,
    /// The kind that this is about.
    #[prost(string, tag = "4")]
    pub type_url: String,
    /// Named by the request that answers.
    #[prost(string, tag = "5")]
    pub nonce: String,
    /// Gone, or never there: "not a service".
    #[prost(string, repeated, tag = "6")]
    pub removed: Vec<String>,
}

/// One resource, encoded.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WireResource {
    /// Hash of the canonical encoding, hexadecimal.
    #[prost(string, tag = "1")]
    pub version: String,
    /// The body with its type.
    #[prost(message, optional, tag = "2")]
    pub resource: Option<prost_types::Any>,
    /// The name.
    #[prost(string, tag = "3")]
    pub name: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    /// `google.rpc.Code`.
    #[prost(int32, tag = "1")]
    pub code: i32,
    /// The reason, for people.
    #[prost(string, tag = "2")]
    pub message: String,
}
