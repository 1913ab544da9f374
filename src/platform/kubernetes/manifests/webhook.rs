//! The webhooks that put sidecars into pods. Which pods they ask about is decided in
//! [`selectors`](crate::platform::kubernetes::inject::selectors).

use serde_json::{Value, json};

use super::Values;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::kubernetes::inject::selectors::webhooks;

/// `MutatingWebhookConfiguration`, without `caBundle`: the control plane owns that field.
pub(super) fn configuration(values: &Values) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONTROL_PLANE },
        "webhooks": webhooks(values.namespace.as_str()),
    })
}
