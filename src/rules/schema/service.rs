//! The schema of `v1 Service`, as far as a mesh reads it.

use serde_json::{Value, json};

use super::{LABEL, also, list, number, object, root, text, words};
use crate::rules::service::APP_PROTOCOLS;

pub(super) fn service() -> Value {
    let address = json!({"type": "string", "description": "An IP address, or `None`."});
    let selector = json!({
        "description": "The labels of the workloads behind it. Left out: those that register under its name.",
        "type": "object",
        "additionalProperties": {"type": "string", "maxLength": 63},
    });
    let named = json!({"if": {"minItems": 2}, "then": {"items": {"required": ["name"]}}});
    let spec = json!({
        "ports": also(list("Its ports; of several each has a name.", (1, 256), &port()), named),
        "selector": selector,
        "type": words("How it is reached.", &["ClusterIP"]),
        "clusterIP": address,
        "clusterIPs": list("Its addresses, one per family.", (0, 2), &address),
        "ipFamilies": {"description": "The cluster's own.", "type": "array"},
        "ipFamilyPolicy": {"description": "The cluster's own.", "type": "string"},
        "sessionAffinity": words("The mesh balances; see `hashOn` of TrafficPolicy.", &["None"]),
        "internalTrafficPolicy": words("See `locality` of TrafficPolicy.", &["Cluster"]),
    });
    let spec = object("What is wanted.", spec, &["ports"]);
    root("A service: a name that workloads call, and who stands behind it.", &spec, &["spec"])
}

fn port() -> Value {
    let protocols: Vec<&str> = APP_PROTOCOLS.iter().map(|(word, _)| *word).collect();
    let fields = json!({
        "name": text("Its name.", 63, LABEL),
        "port": number("The number that callers use.", 1, 65_535),
        "targetPort": {
            "description": "The workload's port, by number or by name. Default the same number.",
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": 65_535},
                {"type": "string", "maxLength": 15, "pattern": "^[-a-z0-9]*[a-z][-a-z0-9]*$"},
            ],
        },
        "protocol": words("Default `TCP`.", &["TCP"]),
        "appProtocol": words(
            "What is spoken there. Left out it is detected, or as the workloads say.",
            &protocols,
        ),
    });
    object("A port.", fields, &["port"])
}
