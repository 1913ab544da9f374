//! Which kinds there are: those read now, those that come later, those that are none of ours.
//!
//! The groups `meshctl.dev` and `gateway.networking.k8s.io` are known as a whole: a kind of theirs
//! that is not listed is a mistake. Of the core group only `Service` concerns a mesh.

use crate::mesh::ObjectKind;
use crate::rules::problems::nearest;

/// What `apiVersion` and `kind` say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Known {
    /// A kind that is read.
    Kind(ObjectKind),
    /// A list of documents, as `kubectl get -o yaml` writes it.
    List,
    /// A kind that is documented and not supported yet.
    Later,
    /// A kind of a group that is known, in a version that is not; with the version that is.
    OtherVersion(String),
    /// No kind of a group that is known; with the near one, if any.
    Unknown(Option<&'static str>),
    /// None of ours.
    Foreign,
}

pub(super) const OURS: &str = "meshctl.dev";
pub(super) const GATEWAY: &str = "gateway.networking.k8s.io";

/// Group, kind, and the versions that this build knows of kinds that come later.
const LATER: &[(&str, &str, &str)] = &[
    (OURS, "AuthorizationPolicy", "v1alpha1"),
    (OURS, "RequestAuthentication", "v1alpha1"),
    (OURS, "RateLimitPolicy", "v1alpha1"),
    (OURS, "ExternalService", "v1alpha1"),
    (GATEWAY, "GRPCRoute", "v1"),
    (GATEWAY, "TLSRoute", "v1"),
    (GATEWAY, "TCPRoute", "v1"),
    (GATEWAY, "ReferenceGrant", "v1"),
    (GATEWAY, "Gateway", "v1"),
    (GATEWAY, "GatewayClass", "v1"),
    (GATEWAY, "BackendTLSPolicy", "v1"),
];

/// Finds out what a document is.
pub(super) fn find(api_version: &str, kind: &str) -> Known {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    if group.is_empty() {
        return core(version, kind);
    }
    if group != OURS && group != GATEWAY {
        return Known::Foreign;
    }
    // What `get -o yaml` prints, so that it can be applied again.
    if (api_version, kind) == ("meshctl.dev/v1alpha1", "List") {
        return Known::List;
    }
    let now = || ObjectKind::ALL.into_iter().filter(|kind| group_of(*kind) == group);
    if let Some(found) = now().find(|known| known.as_str() == kind) {
        return match found.api_version() == api_version {
            true => Known::Kind(found),
            false => Known::OtherVersion(found.api_version().to_owned()),
        };
    }
    let later = || LATER.iter().filter(|(of, _, _)| *of == group);
    if later().any(|(_, name, _)| *name == kind) {
        return Known::Later;
    }
    let words = now().map(ObjectKind::as_str).chain(later().map(|(_, name, _)| *name));
    Known::Unknown(nearest(kind, words))
}

/// The kinds that are read now, for help.
pub(super) fn supported() -> String {
    let kinds = ObjectKind::ALL.map(|kind| format!("{} {}", kind.api_version(), kind.as_str()));
    kinds.join(", ")
}

fn core(version: &str, kind: &str) -> Known {
    match (version, kind) {
        ("v1", "Service") => Known::Kind(ObjectKind::Service),
        ("v1", "List") => Known::List,
        (_, "Service") => Known::OtherVersion("v1".to_owned()),
        _ => Known::Foreign,
    }
}

/// The group of a kind; empty for the core group.
pub(super) fn group_of(kind: ObjectKind) -> &'static str {
    kind.api_version().split_once('/').map_or("", |(group, _)| group)
}
