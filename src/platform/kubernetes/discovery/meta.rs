//! The metadata of an object, as far as a mesh reads it: the rest is skipped while parsing.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use serde::{Deserialize, Deserializer};

use crate::names::sidecar::PREFIX;

/// What is kept. Who manages which field is most of an object, and of no concern here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    name: Option<String>,
    generate_name: Option<String>,
    namespace: Option<String>,
    resource_version: Option<String>,
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    owner_references: Option<Vec<OwnerReference>>,
}

/// Reads metadata without what nobody needs; of annotations only those of ours are kept.
pub(super) fn slim<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let kept = Kept::deserialize(deserializer)?;
    let annotations = kept.annotations.map(|mut annotations| {
        annotations.retain(|key, _| key.starts_with(PREFIX));
        annotations
    });
    Ok(ObjectMeta {
        name: kept.name,
        generate_name: kept.generate_name,
        namespace: kept.namespace,
        resource_version: kept.resource_version,
        labels: kept.labels,
        annotations,
        owner_references: kept.owner_references,
        ..ObjectMeta::default()
    })
}
