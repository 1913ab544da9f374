//! Under which name the workload of a pod is seen, by its sidecar and by the control plane alike: as its
//! labels say, else its owner (of a ReplicaSet the Deployment), else its own name.

use crate::names::ServiceLabel;

/// What a pod is called that nothing names.
const NAMELESS: &str = "unknown";

/// What a pod may be named by.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Names<'p> {
    /// The object that it was written in, where that is known.
    pub(super) workload: Option<&'p str>,
    /// Its first owner.
    pub(super) owner: Option<&'p str>,
    /// `generateName`.
    pub(super) generated: Option<&'p str>,
    /// Its own.
    pub(super) own: Option<&'p str>,
}

impl<'p> Names<'p> {
    /// The first that can be a host name; `label` is the value of one of its labels.
    pub(super) fn service(self, label: impl Fn(&str) -> Option<&'p str>) -> ServiceLabel {
        let owner = self.owner.map(|owner| {
            let hash = label("pod-template-hash").and_then(|hash| owner.strip_suffix(hash));
            hash.map_or(owner, |name| name.trim_end_matches('-'))
        });
        let candidates = [
            label("app.kubernetes.io/name"),
            label("app"),
            self.workload,
            owner,
            self.generated.map(|name| name.trim_end_matches('-')),
            self.own,
            Some(NAMELESS),
        ];
        let found = candidates.into_iter().flatten().find_map(|name| name.parse().ok());
        found.expect("the last one is a DNS-1123 label")
    }
}
