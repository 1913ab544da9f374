//! What of an object is ours, and what brings it back.

use serde_json::json;

use super::*;

/// A Deployment whose fields have three owners.
fn deployment(image: &str, ours: &Value) -> DynamicObject {
    let object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "meshctl", "namespace": "meshctl-system", "uid": "1", "resourceVersion": "7",
            "labels": {"a": "ours", "b": "theirs"},
            "managedFields": [
                {"manager": "kubectl-edit", "operation": "Update", "apiVersion": "apps/v1",
                 "fieldsType": "FieldsV1", "fieldsV1": {"f:metadata": {"f:labels": {"f:b": {}}}}},
                {"manager": "meshctl", "operation": "Apply", "apiVersion": "apps/v1",
                 "fieldsType": "FieldsV1", "fieldsV1": ours},
                {"manager": "meshctl", "operation": "Apply", "apiVersion": "apps/v1",
                 "subresource": "status", "fieldsType": "FieldsV1",
                 "fieldsV1": {"f:status": {}}},
            ],
        },
        "spec": {
            "replicas": 1,
            "template": {"spec": {
                "nodeSelector": {"x": "y"},
                "tolerations": [{"key": "theirs"}],
                "containers": [
                    {"name": "injected", "image": "other:1"},
                    {"name": "control-plane", "image": image, "args": ["run"],
                     "terminationMessagePath": "/dev/termination-log",
                     "ports": [{"containerPort": 1, "protocol": "TCP", "name": "one"},
                               {"containerPort": 1, "protocol": "UDP", "name": "two"}]},
                ],
            }},
        },
        "status": {"replicas": 1},
    });
    serde_json::from_value(object).expect("an object")
}

fn ours() -> Value {
    json!({
        "f:metadata": {"f:labels": {"f:a": {}}},
        "f:spec": {"f:template": {"f:spec": {
            "f:nodeSelector": {},
            "f:volumes": {".": {}},
            "f:containers": {"k:{\"name\":\"control-plane\"}": {
                ".": {}, "f:name": {}, "f:image": {},
                "f:ports": {"k:{\"containerPort\":1,\"protocol\":\"TCP\"}": {
                    ".": {}, "f:containerPort": {}, "f:name": {},
                }},
            }},
        }}},
    })
}

#[test]
fn what_was_ours_is_put_back_and_nothing_of_others() {
    let before = deployment("meshctl:1", &ours());
    let wanted = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "meshctl", "namespace": "meshctl-system", "labels": {"a": "ours"}},
        "spec": {"template": {"spec": {
            "nodeSelector": {"x": "y"},
            "containers": [{
                "name": "control-plane", "image": "meshctl:1",
                "ports": [{"containerPort": 1, "name": "one"}],
            }],
        }}},
    });
    assert!(is_ours(&before));
    assert_eq!(put_back(&before, &before), wanted);
}

/// Somebody has changed it by hand since it was installed: it is back as they left it.
#[test]
fn what_is_taken_from_others_is_put_back_too() {
    let mut now = ours();
    now["f:spec"]["f:replicas"] = json!({});
    now["f:metadata"]["f:labels"]["f:b"] = json!({});
    now["f:spec"]["f:template"]["f:spec"]["f:tolerations"] = json!({});
    let back = put_back(&deployment("meshctl:1", &ours()), &deployment("meshctl:2", &now));
    assert_eq!(back["metadata"]["labels"], json!({"a": "ours", "b": "theirs"}));
    assert_eq!(back["spec"]["replicas"], 1);
    let pod = &back["spec"]["template"]["spec"];
    assert_eq!(pod["containers"][0]["image"], "meshctl:1");
    assert_eq!(pod["tolerations"], json!([{"key": "theirs"}]));
}

#[test]
fn of_what_was_never_applied_nothing_is_put_back_but_what_is_taken() {
    let namespace = |managed: Value| -> DynamicObject {
        let object = json!({
            "apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": "shop", "labels": {"x": "y"}, "managedFields": managed},
        });
        serde_json::from_value(object).expect("an object")
    };
    let before = namespace(json!([]));
    assert!(!is_ours(&before));
    let after = namespace(json!([{
        "manager": "meshctl", "operation": "Apply", "fieldsType": "FieldsV1",
        "fieldsV1": {"f:metadata": {"f:labels": {"f:new": {}}}},
    }]));
    let wanted = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    assert_eq!(put_back(&before, &after), wanted);
}

#[test]
fn items_of_a_list_are_known_by_value_and_the_whole_is_more_than_its_parts() {
    let tree = json!({"f:finalizers": {".": {}, "v:\"ours\"": {}}, "f:empty": {".": {}}});
    let value = json!({"finalizers": ["theirs", "ours"], "empty": {"theirs": 1}});
    let wanted = json!({"finalizers": ["ours"], "empty": {}});
    assert_eq!(taken(&value, &tree), Some(wanted));

    for (one, other) in [(json!({}), json!({"f:a": {}})), (json!({"f:a": {}}), json!({}))] {
        let mut one = one;
        unite(&mut one, &other);
        assert_eq!(one, json!({}));
    }
}
