//! What is seen in namespaces and pods.

use serde_json::{Value, json};

use super::*;

fn namespace(labels: &Value, annotations: &Value) -> NamespaceSeen {
    let text = json!({"metadata": {"name": "shop", "labels": labels, "annotations": annotations}});
    NamespaceSeen::of(&serde_json::from_value(text).unwrap())
}

#[test]
fn only_two_values_of_the_label_mean_something() {
    for (value, spelt, enabled) in [
        ("enabled", true, true),
        ("disabled", true, false),
        ("enable", false, false),
        ("true", false, false),
        ("Enabled", false, false),
        ("", false, false),
    ] {
        let seen = namespace(&json!({"meshctl.dev/inject": value}), &json!({}));
        assert_eq!((seen.is_spelt(), seen.is_enabled()), (spelt, enabled), "{value}");
    }
    assert!(namespace(&json!({}), &json!({})).is_spelt());
}

#[test]
fn a_namespace_that_is_being_deleted_gets_no_sidecars_any_more() {
    let text = json!({"metadata": {
        "name": "shop",
        "labels": {"meshctl.dev/inject": "enabled"},
        "deletionTimestamp": "2026-11-28T12:00:00Z",
    }});
    let seen = NamespaceSeen::of(&serde_json::from_value(text).unwrap());
    assert!(seen.leaving && !seen.is_enabled());
}

#[test]
fn other_meshes_are_known_by_what_takes_a_namespace() {
    let other = |labels, annotations| namespace(&labels, &annotations).other_mesh;
    assert_eq!(
        other(json!({"istio-injection": "enabled"}), json!({})).as_deref(),
        Some("istio-injection=enabled")
    );
    assert_eq!(other(json!({"istio-injection": "disabled"}), json!({})), None);
    assert!(other(json!({"istio.io/rev": "canary"}), json!({})).is_some());
    assert!(other(json!({}), json!({"linkerd.io/inject": "enabled"})).is_some());
    assert_eq!(other(json!({"app": "x"}), json!({})), None);
}

#[test]
fn a_pod_has_a_sidecar_by_its_container_and_a_version_by_its_annotation() {
    let pod = |init: Value, annotations: Value, phase: &str| {
        PodSeen::of(
            &serde_json::from_value(json!({
                "metadata": {"name": "p", "namespace": "shop", "annotations": annotations},
                "spec": {"containers": [], "initContainers": init},
                "status": {"phase": phase},
            }))
            .unwrap(),
        )
    };
    let sidecar = json!([{"name": "meshctl-proxy"}]);
    let note = json!({"meshctl.dev/injected": "0.1.0"});
    assert_eq!(pod(sidecar.clone(), note.clone(), "Running").injected.as_deref(), Some("0.1.0"));
    assert_eq!(pod(sidecar, json!({}), "Running").injected.as_deref(), Some(""));
    let bare = pod(json!([]), note, "Succeeded");
    assert_eq!((bare.injected, bare.alive), (None, false));
}

#[test]
fn a_pod_is_made_anew_by_what_controls_it() {
    for (kind, name, hash, wanted) in [
        ("ReplicaSet", "web-v1-5d4f", Some("5d4f"), Some("deployment/web-v1")),
        ("ReplicaSet", "web", None, None),
        ("ReplicaSet", "web-5d4f", Some("77aa"), None),
        ("StatefulSet", "db", None, Some("statefulset/db")),
        ("DaemonSet", "agent", None, Some("daemonset/agent")),
        ("Job", "import", None, None),
    ] {
        let owner = json!({
            "apiVersion": "apps/v1", "kind": kind, "name": name, "uid": "1", "controller": true,
        });
        let labels = hash.map(|hash| json!({"pod-template-hash": hash})).unwrap_or(json!({}));
        let text = json!({
            "metadata": {"name": "p", "namespace": "shop", "labels": labels, "ownerReferences": [owner]},
        });
        let seen = PodSeen::of(&serde_json::from_value(text).unwrap());
        assert_eq!(seen.workload.as_deref(), wanted, "{kind} {name}");
    }
    let alone = json!({"metadata": {"name": "p", "namespace": "shop"}});
    assert_eq!(PodSeen::of(&serde_json::from_value(alone).unwrap()).workload, None);
}
