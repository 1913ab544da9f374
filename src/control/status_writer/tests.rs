//! What is written into a status, what of it is left alone, and, with a cluster, that it is written.

use kube::api::ApiResource;
use kube::core::GroupVersionKind;
use serde_json::{Value, json};

use super::*;
use crate::control::conditions::{PENDING, ParentStatus};

fn condition(kind: &'static str, status: &'static str, reason: &'static str) -> Condition {
    let message = if status == "True" { String::new() } else { format!("why {reason}") };
    Condition { kind, status, reason, message, observed_generation: 2 }
}

fn reference(name: &str) -> Value {
    json!({"group": "", "kind": "Service", "name": name, "port": 80})
}

fn accepted(name: &str) -> ParentStatus {
    let conditions = vec![condition("Accepted", "True", "Accepted")];
    ParentStatus { parent: reference(name), conditions }
}

fn refused(name: &str) -> ParentStatus {
    let conditions = vec![condition("Accepted", "False", "UnsupportedValue")];
    ParentStatus { parent: reference(name), conditions }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millisecond(second * 1_000 + 7).unwrap()
}

/// The status after `wanted` was written at that time.
fn written(live: &Value, wanted: Vec<ParentStatus>, second: i64) -> Value {
    merge(live, &Wanted::Parents(wanted), at(second)).expect("something is different").0
}

#[test]
fn entries_of_other_controllers_stay() {
    let theirs = json!({
        "parentRef": {"name": "edge"}, "controllerName": "example.com/gateway",
        "conditions": [{"type": "Accepted", "status": "True", "x": 1}],
    });
    let live = json!({"parents": [theirs]});
    let status = written(&live, vec![accepted("web")], 1);
    assert_eq!(status["parents"][0], theirs);
    assert_eq!(status["parents"][1]["controllerName"], CONTROLLER_NAME);
    assert_eq!(status["parents"][1]["parentRef"], reference("web"));
    let gone = written(&status, vec![], 2);
    assert_eq!(gone, live, "our own entry goes with the parent");
}

#[test]
fn the_same_again_is_not_written() {
    let status = written(&Value::Null, vec![accepted("web"), refused("api")], 1);
    let again = Wanted::Parents(vec![accepted("web"), refused("api")]);
    assert_eq!(merge(&status, &again, at(9)), None);
    assert_eq!(merge(&Value::Null, &Wanted::Parents(vec![]), at(9)), None);
}

#[test]
fn references_are_the_same_as_the_api_server_fills_them_in() {
    let mut status = written(&Value::Null, vec![accepted("web")], 1);
    status["parents"][0]["parentRef"].as_object_mut().unwrap().remove("group");
    let status = written(&status, vec![accepted("web")], 2);
    let since = &status["parents"][0]["conditions"][0]["lastTransitionTime"];
    assert_eq!(since, "1970-01-01T00:00:01Z", "it is the same parent");
}

#[test]
fn times_are_those_of_transitions() {
    let one = |status, reason| Wanted::Conditions(vec![condition("Programmed", status, reason)]);
    let write = |live: &Value, wanted, second| merge(live, &wanted, at(second)).unwrap();
    let since = |status: &Value| status["conditions"][0]["lastTransitionTime"].clone();
    let (status, news) = write(&Value::Null, one("False", PENDING), 1);
    assert_eq!((since(&status), news.len()), (json!("1970-01-01T00:00:01Z"), 1));
    let (status, news) = write(&status, one("False", "Rejected"), 2);
    assert_eq!((since(&status), news.len()), (json!("1970-01-01T00:00:01Z"), 1));
    assert!(news.iter().all(is_alarming));
    let (status, news) = write(&status, one("True", "Programmed"), 3);
    assert_eq!(since(&status), "1970-01-01T00:00:03Z");
    assert!(!news.iter().any(is_alarming));
    let later =
        Condition { observed_generation: 3, ..condition("Programmed", "True", "Programmed") };
    let (status, news) = write(&status, Wanted::Conditions(vec![later]), 4);
    assert_eq!(status["conditions"][0]["observedGeneration"], 3);
    assert_eq!((since(&status), news.len()), (json!("1970-01-01T00:00:03Z"), 0));
}

#[test]
fn what_is_on_its_way_may_be_so_for_a_moment() {
    let due = |reason| {
        let wanted = Wanted::Conditions(vec![condition("Programmed", "False", reason)]);
        let live = json!({"conditions": [{"type": "Programmed", "observedGeneration": 2}]});
        let may_wait = wanted.is_pending() && wanted.was_told(&live);
        assert!(!wanted.was_told(&Value::Null), "what is new is told at once");
        vec![Due {
            reference: crate::mesh::MeshConfig::reference(),
            generation: 2,
            wanted,
            may_wait,
        }]
    };
    let (mut held, start) = (Held::default(), Instant::now());
    assert!(held.without(due(PENDING), start).is_empty());
    assert!(!held.is_empty());
    assert!(held.without(due(PENDING), start + PATIENCE / 2).is_empty());
    assert_eq!(held.without(due(PENDING), start + PATIENCE).len(), 1);
    assert!(held.is_empty());
    assert_eq!(held.without(due("Rejected"), start).len(), 1);
}

/// A definition that takes any route, for a cluster without the Gateway API.
fn route_definition() -> Value {
    let any = json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": {
            "name": "httproutes.gateway.networking.k8s.io",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for a test"},
        },
        "spec": {
            "group": "gateway.networking.k8s.io", "scope": "Namespaced",
            "names": {"kind": "HTTPRoute", "plural": "httproutes", "singular": "httproute"},
            "versions": [{
                "name": "v1", "served": true, "storage": true, "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {
                    "type": "object", "properties": {"spec": any, "status": any},
                }},
            }],
        },
    })
}

#[tokio::test]
#[ignore = "needs a Kubernetes API server that KUBECONFIG names"]
async fn a_status_is_written_to_an_api_server_with_an_event() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_default().await.unwrap();
    let crd = GroupVersionKind::gvk("apiextensions.k8s.io", "v1", "CustomResourceDefinition");
    let crds: Api<DynamicObject> = Api::all_with(client.clone(), &ApiResource::from_gvk(&crd));
    let definition = serde_json::from_value(route_definition()).unwrap();
    // One that is there already will do.
    let _ = crds.create(&PostParams::default(), &definition).await;
    let routes: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), "default", &resource(ObjectKind::HttpRoute));
    let name = format!("status-{:x}", fastrand::u64(..));
    let route = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
        "metadata": {"name": name},
        "spec": {"parentRefs": [reference("web")], "rules": [{}]},
    });
    let route: DynamicObject = serde_json::from_value(route).unwrap();
    let created = loop {
        match routes.create(&PostParams::default(), &route).await {
            Ok(created) => break created,
            // The definition is served a moment after it was made.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    };
    let generation = u64::try_from(created.metadata.generation.unwrap()).unwrap();
    let reference = ObjectRef {
        kind: ObjectKind::HttpRoute,
        namespace: "default".parse().unwrap(),
        name: name.parse().unwrap(),
    };
    let wanted = Wanted::Parents(vec![refused("web")]);
    let due = |generation| Due {
        reference: reference.clone(),
        generation,
        wanted: wanted.clone(),
        may_wait: false,
    };
    let writer = Writer::new(client.clone());
    assert_eq!(writer.write_all(vec![due(generation + 1)]).await, 0, "another generation");
    assert!(routes.get(&name).await.unwrap().data.get("status").is_none());
    assert_eq!(writer.write_all(vec![due(generation)]).await, 0);
    let written = routes.get(&name).await.unwrap();
    assert_eq!(written.data["status"]["parents"][0]["conditions"][0]["status"], "False");
    assert_eq!(writer.write_all(vec![due(generation)]).await, 0);
    let again = routes.get(&name).await.unwrap();
    assert_eq!(again.metadata.resource_version, written.metadata.resource_version, "not twice");
    let events: Api<k8s_openapi::api::events::v1::Event> = Api::namespaced(client, "default");
    let events = events.list(&Default::default()).await.unwrap();
    let about = |event: &&k8s_openapi::api::events::v1::Event| {
        event.regarding.as_ref().and_then(|it| it.name.as_ref()) == Some(&name)
    };
    let told: Vec<_> = events.iter().filter(about).collect();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].reason.as_deref(), Some("UnsupportedValue"));
    routes.delete(&name, &Default::default()).await.unwrap();
}
