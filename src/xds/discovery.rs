//! The messages of delta discovery: a subset of `envoy.service.discovery.v3` and `google.rpc`, by
//! hand, with the public field numbers, so that any delta-xDS client can speak to us.
//!
//! [`Any`] is `google.protobuf.Any` whose value is shared, not copied: one encoding of a resource
//! goes to every subscriber. [`Refusal`] is our own detail of a NACK: a response may carry good
//! and bad resources, and one that is bad does not hold back the others.

use std::collections::HashMap;

use bytes::Bytes;
use prost::Message as _;

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
    // Tag 1 is the version of the whole system, which nobody reads.
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
    pub resource: Option<Any>,
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
    /// What exactly; [`Refusal`]s in a NACK. Without any, the whole response is refused.
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Any {
    /// What `value` is.
    #[prost(string, tag = "1")]
    pub type_url: String,
    /// An encoded message.
    #[prost(bytes = "bytes", tag = "2")]
    pub value: Bytes,
}

/// One resource that the proxy could not use; it keeps what it had under that name.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Refusal {
    /// The resource's name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// The path of the field at fault; empty where there is none.
    #[prost(string, tag = "2")]
    pub field: String,
    /// Why, for people.
    #[prost(string, tag = "3")]
    pub reason: String,
}

/// `google.rpc.Code.INVALID_ARGUMENT`, the code of a NACK.
const INVALID_ARGUMENT: i32 = 3;

/// The longest text that either end keeps of a refusal.
const REASON_BYTES: usize = 1024;

impl Refusal {
    /// The type URL among [`Status::details`].
    pub const TYPE_URL: &str = "type.googleapis.com/meshctl.v1.Refusal";

    /// A refusal whose texts are cut to a sane length.
    pub fn new(name: &str, field: &str, reason: &str) -> Self {
        let cut = |text: &str| {
            let (kept, _) = text.split_at(text.floor_char_boundary(REASON_BYTES));
            kept.to_owned()
        };
        Self { name: cut(name), field: cut(field), reason: cut(reason) }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, field, reason } = self;
        if field.is_empty() {
            return write!(f, "{name}: {reason}");
        }
        write!(f, "{name}: {field}: {reason}")
    }
}

impl Status {
    /// The error of a NACK: each refusal as a detail, the first one in the message.
    pub fn refused(refusals: &[Refusal]) -> Self {
        let message = match refusals {
            [] => String::new(),
            [one] => one.to_string(),
            [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
        };
        let details = refusals.iter().map(|refusal| Any {
            type_url: Refusal::TYPE_URL.into(),
            value: refusal.encode_to_vec().into(),
        });
        Self { code: INVALID_ARGUMENT, message, details: details.collect() }
    }

    /// The refusals among the details; what is not readable is left out.
    pub fn refusals(&self) -> impl Iterator<Item = Refusal> {
        let ours = self.details.iter().filter(|any| any.type_url == Refusal::TYPE_URL);
        ours.filter_map(|any| Refusal::decode(any.value.clone()).ok())
    }
}
