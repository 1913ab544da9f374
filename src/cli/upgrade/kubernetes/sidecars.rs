//! Workloads whose sidecars are not of this version: they go on, and whoever owns them restarts them.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::installation::Target;
use crate::cli::version::CLIENT;
use crate::platform::kubernetes::survey::PodSeen;

/// Pods of one workload, or one that nothing makes anew, with sidecars of another version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Sidecars {
    pub(super) namespace: String,
    /// `deployment/web`, or `pod/NAME` where there is no such thing.
    pub(super) workload: String,
    /// Of the sidecars; empty where the pod does not tell.
    pub(super) version: String,
    pub(super) pods: usize,
}

/// Those of these pods, by namespace, workload and version.
pub(super) fn others(pods: &[PodSeen]) -> Vec<Sidecars> {
    let mut found: BTreeMap<(&str, String, &str), usize> = BTreeMap::new();
    for pod in pods.iter().filter(|it| it.alive) {
        let Some(version) = pod.injected.as_deref().filter(|it| *it != CLIENT) else { continue };
        let workload = pod.workload.clone().unwrap_or_else(|| format!("pod/{}", pod.name));
        *found.entry((&pod.namespace, workload, version)).or_default() += 1;
    }
    let each = found.into_iter().map(|((namespace, workload, version), pods)| Sidecars {
        namespace: namespace.to_owned(),
        workload,
        version: version.to_owned(),
        pods,
    });
    each.collect()
}

impl Sidecars {
    /// The command that makes them anew; `None` where there is none.
    pub(super) fn restart(&self, on: &Target) -> Option<String> {
        if self.workload.starts_with("pod/") {
            return None;
        }
        let Self { namespace, workload, .. } = self;
        let flags = on.flags();
        Some(format!("kubectl{flags} --namespace {namespace} rollout restart {workload}"))
    }

    /// What to do about them, in words.
    pub(super) fn remedy(&self, on: &Target) -> String {
        self.restart(on).unwrap_or_else(|| {
            let Self { namespace, workload, .. } = self;
            format!("make {workload} in the namespace `{namespace}` anew by what has made it")
        })
    }
}
