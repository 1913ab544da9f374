//! `v1 Node`: its zone, which is that of the pods on it.

use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use super::meta;
use crate::names::sidecar::ZONE_LABEL;
use crate::platform::kubernetes::partial::partial;

/// A node as it is parsed: its metadata alone.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Node {
    #[serde(deserialize_with = "meta::slim")]
    metadata: ObjectMeta,
}

partial!(Node, "", "v1", "Node", "nodes");

impl Node {
    /// The node's name and its zone; without one where no label says it.
    pub(super) fn read(self) -> Option<(Arc<str>, Option<String>)> {
        let zone = self.metadata.labels.and_then(|mut labels| labels.remove(ZONE_LABEL));
        Some((self.metadata.name?.into(), zone.filter(|zone| !zone.is_empty())))
    }
}
