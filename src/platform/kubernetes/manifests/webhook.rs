//! The webhooks that put sidecars into pods; which of them asks about which pod is injection's
//! business.

use serde_json::{Value, json};

use super::Values;
use crate::names::sidecar::CONTROL_PLANE;
use crate::platform::kubernetes::inject::selectors;

/// `MutatingWebhookConfiguration`, without `caBundle`: the control plane owns that field.
pub(super) fn configuration(values: &Values) -> Value {
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": { "name": CONTROL_PLANE },
        "webhooks": selectors::webhooks(values.namespace.as_str()),
    })
}
