//! Whether what is written on namespaces means what was meant.

use super::unknown;
use crate::cli::check::Finding;
use crate::cli::diagnostics::listed;
use crate::cli::on_cluster::OnCluster;
use crate::names::sidecar::INJECT_LABEL;
use crate::platform::kubernetes::survey::{self, NamespaceSeen};

pub(super) fn checks(cluster: &OnCluster) -> Vec<Finding> {
    match cluster.attempt(survey::namespaces(&cluster.connection)) {
        Ok(namespaces) => vec![spelt(&namespaces), alone(&namespaces), allowed(&namespaces)],
        Err(error) => vec![unknown("namespaces can be read", &error)],
    }
}

/// The label has one of its two values.
pub(super) fn spelt(namespaces: &[NamespaceSeen]) -> Finding {
    let name = format!("the label `{INJECT_LABEL}` is `enabled` or `disabled`");
    let wrong = namespaces.iter().filter(|it| !it.is_spelt());
    let wrong: Vec<String> = wrong
        .map(|it| format!("`{}` has `{}`", it.name, it.inject.as_deref().unwrap_or_default()))
        .collect();
    match wrong.is_empty() {
        true => Finding::passed(name),
        false => Finding::failed(
            name,
            format!("{}; no pod starts there", listed(&wrong)),
            "kubectl label namespace NAME --overwrite meshctl.dev/inject=enabled",
        ),
    }
}

/// No other mesh takes the same pods.
pub(super) fn alone(namespaces: &[NamespaceSeen]) -> Finding {
    let name = "no other mesh takes the same namespaces";
    let both = namespaces.iter().filter(|it| it.is_enabled());
    let both =
        both.filter_map(|it| Some(format!("`{}` has `{}`", it.name, it.other_mesh.as_ref()?)));
    let both: Vec<String> = both.collect();
    match both.is_empty() {
        true => Finding::passed(name),
        false => Finding::failed(
            name,
            format!("{}; two sidecars would fight for the same traffic", listed(&both)),
            "take one of the two marks off the namespace, then restart its workloads",
        ),
    }
}

/// Pod security lets the container in that programs the capture.
pub(super) fn allowed(namespaces: &[NamespaceSeen]) -> Finding {
    let name = "pod security lets the capture container in";
    let forbid = |it: &&NamespaceSeen| {
        it.is_enabled() && matches!(it.pod_security.as_deref(), Some("baseline" | "restricted"))
    };
    let forbidding: Vec<String> = namespaces
        .iter()
        .filter(forbid)
        .map(|it| format!("`{}` ({})", it.name, it.pod_security.as_deref().unwrap_or_default()))
        .collect();
    match forbidding.is_empty() {
        true => Finding::passed(name),
        false => Finding::failed(
            name,
            format!("not in {}: it needs NET_ADMIN", listed(&forbidding)),
            "kubectl label namespace NAME --overwrite pod-security.kubernetes.io/enforce=privileged",
        ),
    }
}
