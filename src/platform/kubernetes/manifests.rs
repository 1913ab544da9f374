//! All that `install` makes on a cluster, as data: from [`Values`] to objects, without I/O.
//!
//! [`objects`] lists them in the order in which they are applied; `uninstall` goes backwards. What
//! `--dry-run` prints is exactly this, so there is no key and no certificate in it: the control
//! plane makes them at its first start and owns the field `caBundle`, which stands in none of these.

use serde_json::{Value, json};

use crate::names::sidecar::CONTROL_PLANE;

mod installed;
mod rbac;
#[cfg(test)]
mod tests;
mod values;
mod webhook;
mod workload;

pub use rbac::{Rule, control_plane_rules};
pub use values::{Resources, Values, ValuesError};

pub use crate::names::sidecar::WEBHOOK_SERVICE;

/// The label by which everything that `install` made is found.
pub const MANAGED_BY: &str = "app.kubernetes.io/managed-by";

/// The label that holds the version that was installed.
pub const VERSION_LABEL: &str = "app.kubernetes.io/version";

/// The objects in the order in which they are applied.
pub fn objects(values: &Values) -> Vec<Value> {
    let mut all = vec![workload::namespace(values)];
    all.extend(super::crds::crds());
    all.extend(workload::service_accounts(values));
    all.extend(rbac::objects(values));
    all.extend(workload::services(values));
    all.push(webhook::configuration(values));
    all.push(workload::deployment(values));
    for object in &mut all {
        label(object);
    }
    all
}

/// The labels by which pods of the control plane are found.
pub fn selector() -> Value {
    json!({ "app.kubernetes.io/name": CONTROL_PLANE, "app.kubernetes.io/component": "control-plane" })
}

/// Adds the labels that all objects have to those that one has.
fn label(object: &mut Value) {
    let labels = &mut object["metadata"]["labels"];
    if !labels.is_object() {
        *labels = json!({});
    }
    labels["app.kubernetes.io/name"] = json!(CONTROL_PLANE);
    labels[VERSION_LABEL] = json!(env!("CARGO_PKG_VERSION"));
    labels[MANAGED_BY] = json!(CONTROL_PLANE);
}
