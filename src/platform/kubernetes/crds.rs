//! The CustomResourceDefinitions of our kinds, for those that this version reads.
//!
//! Structural schemas with CEL rules (Kubernetes, "Extend the Kubernetes API with
//! CustomResourceDefinitions"): what `rules` refuses the API server refuses at once, whoever asks.
//! They are those that editors get too, see `rules::schema`. Fields and words of later versions are
//! not in them, so that nothing is stored that is not obeyed.

use serde_json::{Value, json};

use super::discovery::resource;
use crate::mesh::ObjectKind;
use crate::rules::schema;

/// The API group of our kinds.
pub const GROUP: &str = "meshctl.dev";

/// The version that is served and stored.
pub const VERSION: &str = "v1alpha1";

/// The CustomResourceDefinitions, `apiextensions.k8s.io/v1`, in the order in which to apply them.
pub fn crds() -> Vec<Value> {
    vec![definition(&mesh_config()), definition(&traffic_policy()), definition(&fault_policy())]
}

/// What is different from kind to kind.
struct Custom {
    kind: ObjectKind,
    short: &'static str,
    namespaced: bool,
    labels: Value,
    columns: Vec<Value>,
}

fn mesh_config() -> Custom {
    Custom {
        kind: ObjectKind::MeshConfig,
        short: "meshcfg",
        namespaced: false,
        labels: json!({}),
        columns: vec![
            column("mTLS", "string", ".spec.mtls", "What is demanded of inbound connections"),
            column("Outbound", "string", ".spec.outbound", "What may be called outside"),
        ],
    }
}

fn traffic_policy() -> Custom {
    Custom {
        kind: ObjectKind::TrafficPolicy,
        short: "tpol",
        namespaced: true,
        // How tools find the policies of a cluster (GEP-713): this kind is about its target alone.
        labels: json!({"gateway.networking.k8s.io/policy": "Direct"}),
        columns: vec![
            column("Target", "string", ".spec.targetRefs[0].name", "The first service"),
            condition("Accepted"),
        ],
    }
}

fn fault_policy() -> Custom {
    Custom {
        kind: ObjectKind::FaultPolicy,
        short: "fpol",
        namespaced: true,
        labels: json!({"gateway.networking.k8s.io/policy": "Direct"}),
        columns: vec![
            column("Target", "string", ".spec.targetRefs[0].name", "The first service"),
            condition("Accepted"),
            condition("Active"),
            column("Expires", "string", ".spec.expires", "When it ends by itself"),
        ],
    }
}

fn definition(custom: &Custom) -> Value {
    let Custom { short, columns, .. } = custom;
    let plural = resource(custom.kind).plural;
    let kind = custom.kind.as_str();
    let schema = schema::structural(custom.kind);
    let mut columns = columns.clone();
    columns.push(condition("Programmed"));
    columns.push(column("Age", "date", ".metadata.creationTimestamp", "Since when it is there"));
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": format!("{plural}.{GROUP}"), "labels": custom.labels},
        "spec": {
            "group": GROUP,
            "scope": if custom.namespaced { "Namespaced" } else { "Cluster" },
            "names": {
                "kind": kind,
                "listKind": format!("{kind}List"),
                "plural": plural,
                "singular": kind.to_ascii_lowercase(),
                "shortNames": [short],
                "categories": ["meshctl"],
            },
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "subresources": {"status": {}},
                "additionalPrinterColumns": columns,
                "schema": {"openAPIV3Schema": schema},
            }],
        },
    })
}

fn column(name: &str, kind: &str, path: &str, description: &str) -> Value {
    json!({"name": name, "type": kind, "jsonPath": path, "description": description})
}

fn condition(kind: &str) -> Value {
    let path = format!(".status.conditions[?(@.type==\"{kind}\")].status");
    column(kind, "string", &path, "See `kubectl describe` for why")
}
