//! Which pods the API server asks the webhook about, as the webhooks of our
//! `MutatingWebhookConfiguration`.
//!
//! The webhook is not told the labels of a pod's namespace, so there is one entry for each case, and
//! the path says which it is. They exclude one another: a pod with a label of its own is judged by
//! that alone, through the last one. Nothing depends on what the control plane has seen so far, and
//! a pod that says `disabled` itself never depends on the control plane.

use serde_json::{Value as Json, json};

use crate::names::sidecar::INJECT_LABEL;
use crate::platform::kubernetes::manifests::WEBHOOK_SERVICE;

/// Namespaces of Kubernetes itself, whose pods are never injected.
pub const SYSTEM_NAMESPACES: &[&str] = &["kube-system", "kube-public", "kube-node-lease"];

/// Where the webhook is served; each entry has a path below it.
pub const PATH: &str = "/inject";

/// The label that the API server puts on every namespace.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

/// How long the API server waits; it asks again when it may.
const TIMEOUT_SECONDS: u64 = 10;

/// Which entry asks, and what that says of the pod's namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The namespace is labelled `enabled`, the pod not at all.
    Namespace,
    /// The namespace's label has a value that means nothing, the pod has none.
    Misspelt,
    /// The pod has a label.
    Pod,
}

impl Entry {
    const ALL: [Self; 3] = [Self::Namespace, Self::Misspelt, Self::Pod];

    fn word(self) -> &'static str {
        match self {
            Self::Namespace => "namespace",
            Self::Misspelt => "misspelt",
            Self::Pod => "pod",
        }
    }

    /// Where it asks.
    pub fn path(self) -> String {
        format!("{PATH}/{}", self.word())
    }

    /// Which one asks at a path.
    pub fn at(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|entry| entry.path() == path)
    }

    /// What the entry asks about: the expressions on the namespace's and on the pod's label.
    fn expressions(self) -> (Vec<Json>, Vec<Json>) {
        let exists = json!({"key": INJECT_LABEL, "operator": "Exists"});
        let absent = json!({"key": INJECT_LABEL, "operator": "DoesNotExist"});
        let is = |operator: &str, values: &[&str]| json!({"key": INJECT_LABEL, "operator": operator, "values": values});
        match self {
            Self::Namespace => (vec![is("In", &["enabled"])], vec![absent]),
            Self::Misspelt => (vec![exists, is("NotIn", &["enabled", "disabled"])], vec![absent]),
            Self::Pod => (Vec::new(), vec![exists, is("NotIn", &["disabled"])]),
        }
    }
}

/// The `webhooks` of the configuration, without `caBundle`, for a control plane in `namespace`.
pub fn webhooks(namespace: &str) -> Vec<Json> {
    let excluded: Vec<&str> = SYSTEM_NAMESPACES.iter().copied().chain([namespace]).collect();
    let outside = json!({"key": NAME_LABEL, "operator": "NotIn", "values": excluded});
    Entry::ALL
        .into_iter()
        .map(|entry| {
            let (mut namespaces, pods) = entry.expressions();
            namespaces.push(outside.clone());
            json!({
                "name": format!("{}.inject.meshctl.dev", entry.word()),
                "admissionReviewVersions": ["v1"],
                "clientConfig": {
                    "service": {
                        "name": WEBHOOK_SERVICE,
                        "namespace": namespace,
                        "path": entry.path(),
                        "port": 443,
                    },
                },
                "failurePolicy": "Fail",
                "matchPolicy": "Equivalent",
                "namespaceSelector": {"matchExpressions": namespaces},
                "objectSelector": {"matchExpressions": pods},
                "reinvocationPolicy": "IfNeeded",
                "rules": [{
                    "apiGroups": [""],
                    "apiVersions": ["v1"],
                    "operations": ["CREATE"],
                    "resources": ["pods"],
                    "scope": "Namespaced",
                }],
                "sideEffects": "None",
                "timeoutSeconds": TIMEOUT_SECONDS,
            })
        })
        .collect()
}
