//! Whether pods that should have a sidecar have one, of this version.

use std::collections::{BTreeMap, BTreeSet};

use super::unknown;
use crate::cli::check::Finding;
use crate::cli::diagnostics::listed;
use crate::cli::on_cluster::OnCluster;
use crate::cli::version::CLIENT;
use crate::platform::kubernetes::survey::{self, NamespaceSeen, PodSeen};

pub(super) fn checks(cluster: &OnCluster) -> Vec<Finding> {
    let name = "pods can be read";
    let to = &cluster.connection;
    let namespaces = match cluster.attempt(survey::namespaces(to)) {
        Ok(namespaces) => namespaces,
        Err(error) => return vec![unknown(name, &error)],
    };
    match cluster.attempt(survey::pods(to)) {
        Ok(pods) => vec![meshed(&namespaces, &pods), current(&pods)],
        Err(error) => vec![unknown(name, &error)],
    }
}

/// Pods of enabled namespaces, and those that say so themselves, have a sidecar.
pub(super) fn meshed(namespaces: &[NamespaceSeen], pods: &[PodSeen]) -> Finding {
    let name = "every pod that should have a sidecar has one";
    let enabled: BTreeMap<&str, bool> =
        namespaces.iter().map(|it| (it.name.as_str(), it.is_enabled())).collect();
    let wanted = |it: &&PodSeen| match it.inject.as_deref() {
        Some(word) => word == "enabled",
        None => enabled.get(it.namespace.as_str()).copied().unwrap_or(false),
    };
    let bare = pods.iter().filter(|it| it.alive && !it.host_network && it.injected.is_none());
    let bare: Vec<&PodSeen> = bare.filter(wanted).collect();
    let ids: Vec<String> = bare.iter().map(|it| it.id()).collect();
    match bare.is_empty() {
        true => Finding::passed(name),
        false => Finding::warning(
            name,
            format!("not {}, which were there before the label", listed(&ids)),
            &restart(&bare),
        ),
    }
}

/// The commands that make these pods anew, one for each namespace.
fn restart(pods: &[&PodSeen]) -> String {
    let namespaces: BTreeSet<&str> = pods.iter().map(|it| it.namespace.as_str()).collect();
    let each = namespaces.iter().map(|namespace| {
        format!("kubectl rollout restart deployment,statefulset,daemonset -n {namespace}")
    });
    each.collect::<Vec<_>>().join("; ")
}

/// Sidecars have the version of this program.
pub(super) fn current(pods: &[PodSeen]) -> Finding {
    let name = "every sidecar has the version of this program";
    let old = pods.iter().filter(|it| it.alive);
    let old = old.filter_map(|it| match it.injected.as_deref() {
        None | Some(CLIENT) => None,
        Some(version) => Some((it, format!("{} ({version})", it.id()))),
    });
    let (old, shown): (Vec<&PodSeen>, Vec<String>) = old.unzip();
    match old.is_empty() {
        true => Finding::passed(name),
        false => Finding::warning(name, listed(&shown), &restart(&old)),
    }
}
