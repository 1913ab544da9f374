//! Tests of injection as a function over JSON: the patch, the shape, and the way back.

use serde_json::{Value as Json, json};

use super::{Decision, Injection, Origin, Settings, Skip, inject, uninject};
use crate::names::sidecar;

mod decisions;
mod probes;
mod review;

pub(super) fn settings() -> Settings {
    Settings::new("meshctl:test", "meshctl-system".parse().expect("a name"))
}

pub(super) fn origin() -> Origin<'static> {
    Origin { namespace: "shop", namespace_label: Some("enabled"), ..Origin::default() }
}

/// A pod with one container, and with `more` merged into it.
pub(super) fn pod(more: &Json) -> Json {
    let mut pod = json!({
        "metadata": {"name": "web-0", "labels": {"app": "web"}},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    });
    merge(&mut pod, more);
    pod
}

fn merge(into: &mut Json, from: &Json) {
    match (into, from) {
        (Json::Object(into), Json::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(Json::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

pub(super) fn injected(pod: &Json) -> Injection {
    let injection = inject(pod, &origin(), &settings());
    assert_eq!(injection.decision, Decision::Injected, "{pod:#}");
    injection
}

/// RFC 6902 as an API server applies it, as far as we write it: every path must be there.
pub(super) fn patched(json: &Json, patch: &Json) -> Json {
    let mut json = json.clone();
    for operation in patch.as_array().expect("a list") {
        let path = operation["path"].as_str().expect("a path");
        let (parent, last) = path.rsplit_once('/').expect("not the whole document");
        let last = last.replace("~1", "/").replace("~0", "~");
        let value = operation.get("value").cloned();
        let what = operation["op"].as_str().expect("an operation");
        match (json.pointer_mut(parent).expect("the parent is there"), what) {
            (Json::Object(map), "add") => drop(map.insert(last, value.expect("a value"))),
            (Json::Object(map), "replace") => {
                *map.get_mut(&last).expect("the field is there") = value.expect("a value");
            }
            (Json::Object(map), "remove") => drop(map.remove(&last).expect("the field is there")),
            (Json::Array(items), "add") => {
                items.insert(last.parse().expect("an index"), value.expect("a value"));
            }
            (Json::Array(items), "remove") => drop(items.remove(last.parse().expect("an index"))),
            other => panic!("{other:?}"),
        }
    }
    json
}

/// Pods in all the forms that their lists and mappings can have.
fn forms() -> Vec<Json> {
    let mut forms = Vec::new();
    let lists = [json!(null), json!([]), json!([{"name": "mine", "image": "x"}])];
    for init in lists.iter().map(Some).chain([None]) {
        for volumes in lists.iter().map(Some).chain([None]) {
            for annotations in [None, Some(json!(null)), Some(json!({})), Some(json!({"a": "b"}))] {
                let mut pod = pod(&json!({}));
                for (key, value) in [("initContainers", init), ("volumes", volumes)] {
                    if let Some(value) = value {
                        pod["spec"][key] = value.clone();
                    }
                }
                if let Some(annotations) = annotations {
                    pod["metadata"]["annotations"] = annotations;
                }
                forms.push(pod.clone());
                pod.as_object_mut().expect("a mapping").remove("metadata");
                forms.push(pod);
            }
        }
    }
    forms
}

#[test]
fn the_patch_leads_to_the_same_pod_as_the_edits() {
    for pod in forms() {
        let injection = injected(&pod);
        assert_eq!(patched(&pod, &injection.patch()), injection.pod, "{pod:#}");
    }
}

#[test]
fn a_pod_loses_its_sidecar_and_keeps_what_it_had() {
    for pod in forms() {
        let undone = uninject(&injected(&pod).pod).expect("it has a sidecar");
        let mut wanted = pod.clone();
        // Without the text at hand, empty and absent are one.
        for (parent, key) in
            [("/spec", "initContainers"), ("/spec", "volumes"), ("/metadata", "annotations")]
        {
            let empty = [json!(null), json!([]), json!({})];
            if let Some(Json::Object(map)) = wanted.pointer_mut(parent)
                && map.get(key).is_some_and(|value| empty.contains(value))
            {
                map.remove(key);
            }
        }
        assert_eq!(undone.pod, wanted);
        assert_eq!(uninject(&undone.pod), None);
    }
}

#[test]
fn injecting_again_changes_nothing() {
    let once = injected(&pod(&json!({})));
    let twice = inject(&once.pod, &origin(), &settings());
    assert_eq!(twice.decision, Decision::Skipped(Skip::Already));
    assert_eq!((twice.patch(), twice.warnings.len()), (json!([]), 0));
    assert_eq!(twice.pod, once.pod);
}

#[test]
fn a_sidecar_of_another_version_stays_with_a_warning() {
    let old = Settings { version: "0.0.1".to_owned(), ..settings() };
    let once = inject(&pod(&json!({})), &origin(), &old);
    let twice = inject(&once.pod, &origin(), &settings());
    assert_eq!(twice.decision, Decision::Skipped(Skip::Already));
    assert!(twice.warnings[0].message.contains("`0.0.1`"), "{:?}", twice.warnings);
}

#[test]
fn capture_is_first_the_sidecar_second_and_only_capture_has_a_capability() {
    let mine = json!({"spec": {"initContainers": [{"name": "mine"}]}});
    let pod = injected(&pod(&mine)).pod;
    let init = pod["spec"]["initContainers"].as_array().expect("a list");
    let names: Vec<_> = init.iter().map(|it| it["name"].as_str().expect("a name")).collect();
    assert_eq!(names, [sidecar::CAPTURE_CONTAINER, sidecar::SIDECAR_CONTAINER, "mine"]);
    let security = |index: usize| &init[index]["securityContext"];
    assert_eq!(security(0)["capabilities"], json!({"add": ["NET_ADMIN"], "drop": ["ALL"]}));
    assert_eq!(security(1)["capabilities"], json!({"drop": ["ALL"]}));
    assert_eq!(security(1)["runAsUser"], json!(sidecar::SIDECAR_UID));
    assert_eq!(init[1]["restartPolicy"], "Always");
    assert_eq!(init[0].get("restartPolicy"), None);
    for index in [0, 1] {
        assert_eq!(security(index)["readOnlyRootFilesystem"], true);
        assert_eq!(security(index)["allowPrivilegeEscalation"], false);
        assert_eq!(security(index)["seccompProfile"]["type"], "RuntimeDefault");
    }
}

#[test]
fn the_workload_is_named_by_label_owner_or_itself() {
    let service = |metadata: Json, workload: Option<&str>| {
        let pod = json!({"metadata": metadata, "spec": {"containers": [{"name": "app"}]}});
        let pod = inject(&pod, &Origin { workload, ..origin() }, &settings()).pod;
        let args = pod["spec"]["initContainers"][1]["args"].as_array().expect("a list").clone();
        let flag = args.iter().position(|arg| arg == "--service").expect("the flag");
        args[flag + 1].as_str().expect("a text").to_owned()
    };
    let both = json!({"labels": {"app": "b", "app.kubernetes.io/name": "a"}});
    assert_eq!(service(both, Some("c")), "a");
    assert_eq!(service(json!({"labels": {"app": "b"}}), Some("c")), "b");
    assert_eq!(service(json!({"labels": {"app": "Not_A_Name"}}), Some("c")), "c");
    let owned = json!({
        "labels": {"pod-template-hash": "6c9f"},
        "ownerReferences": [{"kind": "ReplicaSet", "name": "web-6c9f"}],
    });
    assert_eq!(service(owned, None), "web");
    assert_eq!(service(json!({"generateName": "web-"}), None), "web");
    assert_eq!(service(json!({"name": "web-0"}), None), "web-0");
    assert_eq!(service(json!({}), None), "unknown");
}
