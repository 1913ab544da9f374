//! The pods of a document: itself, the template inside of a workload, those of a list.

use serde_json::Value as Json;

/// How deep lists of lists are looked into.
const MAX_DEPTH: usize = 4;

/// Kinds with pods in them: group, kind, where the pod is.
const KINDS: &[(&str, &str, &str)] = &[
    ("", "Pod", ""),
    ("", "PodTemplate", "/template"),
    ("", "ReplicationController", "/spec/template"),
    ("apps", "Deployment", "/spec/template"),
    ("apps", "StatefulSet", "/spec/template"),
    ("apps", "DaemonSet", "/spec/template"),
    ("apps", "ReplicaSet", "/spec/template"),
    ("batch", "Job", "/spec/template"),
    ("batch", "CronJob", "/spec/jobTemplate/spec/template"),
];

/// A pod in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Such as `Deployment`.
    pub(super) kind: String,
    pub(super) namespace: String,
    /// Of the workload; may be empty.
    pub(super) name: String,
    /// Where the workload is in the document, as a JSON pointer.
    pub(super) workload: String,
    /// Where its pod is.
    pub(super) at: String,
}

/// Every pod of a document; `namespace` is that of workloads that name none.
pub(super) fn found(document: &Json, namespace: &str) -> Vec<Found> {
    let mut all = Vec::new();
    look(document, String::new(), namespace, 0, &mut all);
    all
}

fn look(json: &Json, at: String, namespace: &str, depth: usize, all: &mut Vec<Found>) {
    let text = |pointer: &str| json.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let (kind, version) = (text("/kind"), text("/apiVersion"));
    if let (true, Some(Json::Array(items))) = (kind.ends_with("List"), json.get("items")) {
        for (index, item) in items.iter().enumerate().filter(|_| depth < MAX_DEPTH) {
            look(item, format!("{at}/items/{index}"), namespace, depth + 1, all);
        }
        return;
    }
    let group = version.split_once('/').map_or("", |(group, _)| group);
    let known = KINDS.iter().find(|known| (known.0, known.1) == (group, kind));
    let Some((_, _, pod)) = known.filter(|_| !version.is_empty()) else { return };
    if json.pointer(pod).and_then(Json::as_object).is_none() {
        return;
    }
    let own = text("/metadata/namespace");
    all.push(Found {
        kind: kind.to_owned(),
        namespace: if own.is_empty() { namespace.to_owned() } else { own.to_owned() },
        name: text("/metadata/name").to_owned(),
        at: format!("{at}{pod}"),
        workload: at,
    });
}
