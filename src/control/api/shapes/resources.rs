//! `GET /v1/resources`: what a proxy would be sent; `POST /v1/effect`: what rules would change of it.

use serde::{Deserialize, Serialize};

use super::{ObjectId, Source};

/// The answer to one subscription.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceAnswer {
    /// The kind asked for.
    pub kind: String,
    /// The name asked for.
    pub name: String,
    /// What proxies are sent; `null` where there is no such resource, and they are told so.
    pub resource: Option<ResourceBody>,
}

/// A resource as proxies are sent it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ResourceBody {
    /// The hash of the body.
    pub version: String,
    /// The protobuf message, in base64.
    pub body: String,
    /// The objects that it came from, `HTTPRoute/default/reviews`.
    pub origins: Vec<String>,
}

/// Documents that would be applied.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EffectRequest {
    /// In the order given.
    pub sources: Vec<Source>,
    /// The namespace of documents that name none.
    pub namespace: String,
    /// What would be deleted together with it.
    #[serde(default)]
    pub prune: Vec<ObjectId>,
}

/// What they would change in what proxies do.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EffectResult {
    /// By service and port.
    pub effects: Vec<Effect>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Effect {
    /// `namespace/service`; empty for the whole mesh.
    pub service: String,
    /// The port; `null` for all of it.
    pub port: Option<u16>,
    /// The namespace whose callers it is about; `null`: all that have no rules of their own.
    pub consumer: Option<String>,
    /// Which requests, `GET /reviews/*`; `everything else` for those of no other line; empty for all.
    pub requests: String,
    /// `destination`, or the field of a setting: `timeouts.request`.
    pub what: String,
    /// What holds now.
    pub before: String,
    /// What would hold.
    pub after: String,
}
