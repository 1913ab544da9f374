//! The webhooks that put sidecars into pods.
//!
//! They select by the label's existence, so that a value which is neither `enabled` nor `disabled`
//! is refused instead of starting a pod bare; only a plain `disabled` on the pod never asks. They
//! fail closed. The way out: the namespaces of the mesh and of the system are not asked about, or
//! neither could be mended.

use serde_json::{Value, json};

use super::{Values, WEBHOOK_SERVICE};
use crate::names::sidecar::{CONTROL_PLANE, INJECT_LABEL};

/// Where the control plane serves the webhooks.
pub const INJECT_PATH: &str = "/inject";

/// Namespaces without which a cluster cannot be mended.
const SYSTEM: [&str; 3] = ["kube-system", "kube-public", "kube-node-lease"];

/// `MutatingWebhookConfiguration`, without `caBundle`: the control plane owns that field.
pub(super) fn configuration(values: &Values) -> Value {
    let labelled = json!({ "key": INJECT_LABEL, "operator": "Exists" });
    let wanted = json!({ "key": INJECT_LABEL, "operator": "NotIn", "values": ["disabled"] });
    let untouched = [&[values.namespace.as_str()], SYSTEM.as_slice()].concat();
    let elsewhere = json!({
        "key": "kubernetes.io/metadata.name",
        "operator": "NotIn",
        "values": untouched,
    });
    let webhooks = [
        webhook(values, "namespace", &json!([elsewhere, labelled, wanted]), &json!([wanted])),
        webhook(values, "pod", &json!([elsewhere]), &json!([labelled, wanted])),
    ];
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONTROL_PLANE },
        "webhooks": webhooks,
    })
}

fn webhook(values: &Values, name: &str, namespaces: &Value, pods: &Value) -> Value {
    json!({
        "name": format!("{name}.inject.meshctl.dev"),
        "admissionReviewVersions": ["v1"],
        "clientConfig": {
            "service": {
                "name": WEBHOOK_SERVICE,
                "namespace": values.namespace,
                "path": INJECT_PATH,
                "port": 443,
            },
        },
        "rules": [{
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "resources": ["pods"],
            "operations": ["CREATE"],
            "scope": "Namespaced",
        }],
        "namespaceSelector": { "matchExpressions": namespaces },
        "objectSelector": { "matchExpressions": pods },
        "failurePolicy": "Fail",
        "matchPolicy": "Equivalent",
        // What other webhooks add after ours, such as a container, must be seen too.
        "reinvocationPolicy": "IfNeeded",
        "sideEffects": "None",
        "timeoutSeconds": 10,
    })
}
