//! How what a control plane makes while it runs is marked.

use std::collections::BTreeMap;

use kube::api::PostParams;

use crate::names::sidecar::CONTROL_PLANE;

/// Its field manager: `install` has another, so that applying again takes back nothing of this.
pub(super) const WRITER: &str = "meshctl-control-plane";

/// The labels.
pub(super) fn labels() -> BTreeMap<String, String> {
    [("app.kubernetes.io/managed-by".to_owned(), CONTROL_PLANE.to_owned())].into()
}

/// Creating or replacing as [`WRITER`].
pub(super) fn post() -> PostParams {
    PostParams { field_manager: Some(WRITER.to_owned()), ..PostParams::default() }
}
