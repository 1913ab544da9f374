//! What is sent of a document, and how kinds are named, without a cluster.

use super::*;
use serde_json::json;

#[test]
fn what_the_api_server_wrote_is_not_sent_back_to_it() {
    let read = json!({
        "apiVersion": "meshctl.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {
            "name": "a", "namespace": "shop", "labels": {"x": "y"},
            "uid": "1", "resourceVersion": "7", "generation": 3, "managedFields": [],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        },
        "spec": {"targetRefs": []},
        "status": {"conditions": []},
    });
    let sent = json!({
        "apiVersion": "meshctl.dev/v1alpha1",
        "kind": "TrafficPolicy",
        "metadata": {"name": "a", "namespace": "shop", "labels": {"x": "y"}},
        "spec": {"targetRefs": []},
    });
    assert_eq!(wanted(&read), sent);
    assert_eq!(wanted(&sent), sent);
}

#[test]
fn every_kind_has_the_name_that_its_definition_gives_it() {
    for definition in super::super::crds::crds() {
        let kind = definition["spec"]["names"]["kind"].as_str().expect("a kind");
        let kind = ObjectKind::ALL.into_iter().find(|it| it.as_str() == kind).expect("ours");
        let resource = resource(kind);
        assert_eq!(
            definition["metadata"]["name"],
            format!("{}.{}", resource.plural, resource.group)
        );
        assert_eq!(definition["spec"]["versions"][0]["name"], resource.version);
    }
    let route = resource(ObjectKind::HttpRoute);
    let named = (route.group.as_str(), route.version.as_str(), route.plural.as_str());
    assert_eq!(named, ("gateway.networking.k8s.io", "v1", "httproutes"));
    assert_eq!((resource(ObjectKind::Service).group.as_str(), "services"), ("", "services"));
}

#[test]
fn what_changed_is_told_by_what_users_say_and_a_status_written_meanwhile_is_no_change() {
    let object = |text: Value| serde_json::from_value::<DynamicObject>(text).expect("an object");
    let before = object(json!({
        "apiVersion": "v1", "kind": "Service",
        "metadata": {"name": "a", "resourceVersion": "1", "managedFields": []},
        "spec": {"ports": [{"port": 80}]}, "status": {"loadBalancer": {}},
    }));
    let mut after = before.clone();
    after.metadata.generation = Some(2);
    assert!(same(&before, &after));
    after.metadata.resource_version = Some("2".to_owned());
    after.data["status"] = json!({"conditions": []});
    assert!(same(&before, &after));
    after.data["spec"]["ports"][0]["port"] = 81.into();
    assert!(!same(&before, &after));
    let mut labelled = before.clone();
    labelled.labels_mut().insert("x".to_owned(), "y".to_owned());
    assert!(!same(&before, &labelled));
}

#[test]
fn addresses_of_a_dry_run_are_not_shown_unless_they_were_asked_for() {
    let after =
        json!({"spec": {"clusterIP": "10.96.0.0", "clusterIPs": ["10.96.0.0"], "ports": []}});
    for (asked, wanted) in [
        (json!({"spec": {"ports": []}}), json!({"spec": {"ports": []}})),
        (json!({"spec": {"clusterIP": "10.96.0.0"}}), after.clone()),
    ] {
        let mut shown = after.clone();
        forget_addresses(&mut shown, &asked);
        assert_eq!(shown, wanted);
    }
}
