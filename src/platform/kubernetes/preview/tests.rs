//! Where two objects differ: fields by their place, without what the API server writes.

use serde_json::json;

use super::*;

fn object(version: &str, image: &str, more: Value) -> DynamicObject {
    let mut object = json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {
            "name": "a", "resourceVersion": image, "generation": image.len(), "managedFields": [],
            "labels": {"app.kubernetes.io/version": version},
        },
        "spec": {"replicas": 1, "containers": [{"name": "a", "image": image}, {"name": "b"}]},
        "status": {"replicas": image.len()},
    });
    object["spec"]["more"] = more;
    serde_json::from_value(object).expect("an object")
}

#[test]
fn fields_are_named_by_their_place_and_what_the_api_server_writes_is_not_one() {
    let before = object("1", "x:1", json!([1]));
    assert_eq!(differences(&before, &object("1", "x:1", json!([1]))), Vec::<String>::new());
    let after = object("2", "x:22", json!([1, 2]));
    let found = differences(&before, &after);
    assert_eq!(
        found,
        ["metadata.labels.app.kubernetes.io/version", "spec.containers[0].image", "spec.more"]
    );
}

#[test]
fn what_lies_deep_is_told_by_the_place_above_it() {
    let deep = |leaf: u32| json!({"a": {"b": {"c": {"d": {"e": leaf}}}}});
    let found = differences(&object("1", "x", deep(1)), &object("1", "x", deep(2)));
    assert_eq!(found, ["spec.more.a.b.c.d"]);
    let gone = differences(&object("1", "x", deep(1)), &object("1", "x", json!({})));
    assert_eq!(gone, ["spec.more.a"]);
}
