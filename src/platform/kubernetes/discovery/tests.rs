//! Objects as an API server writes them, and what the mesh makes of them.

use serde_json::{Value, json};

use super::node::Node;
use super::object::{self, Seen};
use super::pod::Pod;
use super::slice::EndpointSlice;
use crate::mesh::{Object, ObjectKind, Readiness, Service, Slice, TargetPort, Workload};
use crate::names::Protocol;
use crate::rules;

fn pod(document: Value) -> Option<Workload> {
    let pod: Pod = serde_json::from_value(document).expect("a pod");
    pod.read(&"cluster.local".parse().expect("a trust domain")).expect("a name").1
}

fn web(change: impl FnOnce(&mut Value)) -> Option<Workload> {
    let mut document = json!({
        "metadata": {
            "name": "web-5d4f8-x2", "namespace": "shop", "uid": "1", "resourceVersion": "7",
            "labels": {"app": "web", "version": "v2", "pod-template-hash": "5d4f8"},
            "managedFields": [{"manager": "x", "fieldsV1": {"f:a": {}}}],
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-5d4f8", "uid": "2",
            }],
        },
        "spec": {
            "serviceAccountName": "buyer",
            "nodeName": "n1",
            "initContainers": [
                {"name": "meshctl-capture", "image": "m"},
                {"name": "meshctl-proxy", "image": "m", "ports": [{"containerPort": 14706}]},
            ],
            "containers": [{"name": "web", "image": "w", "ports": [
                {"name": "http", "containerPort": 8080, "protocol": "TCP"},
                {"name": "dns", "containerPort": 53, "protocol": "UDP"},
            ]}],
        },
        "status": {
            "phase": "Running", "podIP": "10.1.0.4",
            "podIPs": [{"ip": "10.1.0.4"}, {"ip": "fd00::4"}],
        },
    });
    change(&mut document);
    pod(document)
}

#[test]
fn a_pod_is_a_workload() {
    let web = web(|_| {}).expect("a workload");
    assert_eq!(web.proxy.to_string(), "shop/web-5d4f8-x2");
    assert_eq!(web.identity.to_string(), "spiffe://cluster.local/ns/shop/sa/buyer");
    assert_eq!((web.canonical.as_str(), web.version.as_str()), ("web", "v2"));
    let addresses: Vec<_> = web.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.0.4", "fd00::4"]);
    let ports: Vec<_> = web.ports.iter().map(|it| (it.name.as_str(), it.app_port)).collect();
    assert_eq!(ports, [("http", 8080)], "TCP, and not the sidecar's own");
    assert!(web.sidecar && web.own_address && web.service.is_none());
    assert_eq!((web.node.as_deref(), web.weight()), (Some("n1"), 1));
}

#[test]
fn an_annotation_says_what_is_spoken_also_on_ports_that_no_container_names() {
    let web = web(|pod| {
        pod["metadata"]["annotations"] = json!({"meshctl.dev/protocol": "8080=http2, 3306=tcp"});
    });
    let ports = web.expect("a workload").ports;
    let spoken: Vec<_> = ports.iter().map(|it| (it.app_port, it.protocol)).collect();
    assert_eq!(spoken, [(3306, Protocol::Tcp), (8080, Protocol::Http2)]);
}

#[test]
fn a_pod_without_our_container_has_no_sidecar_whatever_its_labels_say() {
    let bare = web(|pod| {
        pod["spec"]["initContainers"] = json!([]);
        pod["metadata"]["labels"]["meshctl.dev/inject"] = json!("enabled");
    });
    assert!(!bare.expect("a workload").sidecar);
}

#[test]
fn a_pod_that_has_ended_is_no_workload_and_one_of_the_node_has_no_address_of_its_own() {
    for phase in ["Succeeded", "Failed"] {
        assert_eq!(web(|pod| pod["status"]["phase"] = json!(phase)), None, "{phase}");
    }
    let node = web(|pod| pod["spec"]["hostNetwork"] = json!(true)).expect("a workload");
    assert_eq!((node.own_address, node.addresses.len()), (false, 2));
    let pending = web(|pod| pod["status"] = json!({"phase": "Pending"})).expect("a workload");
    assert!(pending.addresses.is_empty());
}

#[test]
fn a_pod_is_called_by_its_labels_else_its_owner_else_its_name() {
    let called = |change: fn(&mut Value)| web(change).expect("a workload").canonical.to_string();
    let labels = |labels: Value| move |pod: &mut Value| pod["metadata"]["labels"] = labels;
    assert_eq!(
        web(labels(json!({"app": "web", "app.kubernetes.io/name": "shop-web"})))
            .expect("a workload")
            .canonical
            .as_str(),
        "shop-web"
    );
    assert_eq!(called(|pod| pod["metadata"]["labels"]["app"] = json!("My_App")), "web");
    assert_eq!(called(|pod| pod["metadata"]["labels"] = json!({})), "web-5d4f8");
    let alone = |pod: &mut Value| {
        pod["metadata"]["labels"] = Value::Null;
        pod["metadata"]["ownerReferences"] = Value::Null;
    };
    assert_eq!(called(alone), "web-5d4f8-x2");
}

fn slice(document: Value) -> Option<Slice> {
    let slice: EndpointSlice = serde_json::from_value(document).expect("a slice");
    slice.read().expect("a name").1
}

#[test]
fn a_slice_tells_where_each_endpoint_is_and_whether_it_takes_requests() {
    let endpoint = |last: u8, conditions: Value| {
        json!({
            "addresses": [format!("10.1.0.{last}")],
            "conditions": conditions,
            "targetRef": {"kind": "Pod", "name": format!("web-{last}"), "namespace": "shop"},
        })
    };
    let mut elsewhere = endpoint(6, json!({"ready": true}));
    elsewhere["targetRef"]["namespace"] = json!("other");
    let slice = slice(json!({
        "metadata": {
            "name": "web-abc", "namespace": "shop",
            "labels": {"kubernetes.io/service-name": "web"},
        },
        "addressType": "IPv4",
        "ports": [
            {"name": "http", "port": 8080, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP"},
            {"name": "any"},
        ],
        "endpoints": [
            endpoint(1, json!({"ready": true, "serving": true, "terminating": false})),
            endpoint(2, json!({"ready": false, "serving": true, "terminating": true})),
            endpoint(3, json!({"ready": false, "serving": false, "terminating": true})),
            endpoint(4, json!({})),
            {
                "addresses": ["10.1.0.5"], "zone": "west",
                "conditions": {"ready": true, "terminating": true},
            },
            elsewhere,
        ],
    }));
    let slice = slice.expect("of a service");
    assert_eq!(slice.service.to_string(), "shop/web");
    assert_eq!(slice.ports.iter().map(|it| it.port).collect::<Vec<_>>(), [8080]);
    let told: Vec<_> = slice
        .endpoints
        .iter()
        .map(|it| (it.readiness, it.pod.as_ref().map(ToString::to_string)))
        .collect();
    let named = |last: u8| Some(format!("shop/web-{last}"));
    let expected = [
        (Readiness::Ready, named(1)),
        (Readiness::Draining, named(2)),
        (Readiness::NotReady, named(3)),
        (Readiness::Ready, named(4)),
        (Readiness::Ready, None),
        (Readiness::Ready, None),
    ];
    assert_eq!(told, expected);
    let zones: Vec<_> = slice.endpoints.iter().filter_map(|it| it.zone.as_deref()).collect();
    assert_eq!(zones, ["west"]);
}

#[test]
fn a_node_is_its_zone() {
    let node = |labels: Value| {
        let document = json!({
            "metadata": {"name": "n1", "labels": labels},
            "spec": {"podCIDR": "10.1.0.0/24"}, "status": {"images": [{"names": ["a"]}]},
        });
        let node: Node = serde_json::from_value(document).expect("a node");
        node.read().expect("a name")
    };
    let zone = node(json!({"topology.kubernetes.io/zone": "west", "a": "b"}));
    assert_eq!(zone, ("n1".into(), Some("west".to_owned())));
    assert_eq!(node(json!({"a": "b"})).1, None);
    assert_eq!(node(json!({"topology.kubernetes.io/zone": ""})).1, None);
}

#[test]
fn a_slice_of_no_service_or_of_names_is_none_of_a_mesh() {
    let metadata = json!({"name": "a", "namespace": "shop"});
    assert_eq!(
        slice(json!({"metadata": metadata, "addressType": "IPv4", "endpoints": null})),
        None
    );
    let labels = json!({"kubernetes.io/service-name": "a"});
    let metadata = json!({"name": "a", "namespace": "shop", "labels": labels});
    assert_eq!(slice(json!({"metadata": metadata, "addressType": "FQDN", "endpoints": []})), None);
}

fn seen(kind: ObjectKind, document: Value) -> Option<Seen> {
    let object = serde_json::from_value(document).expect("an object");
    object::read(kind, object).expect("a name").1
}

/// What the mesh makes of a Service with that spec.
fn service(spec: &Value) -> Option<Service> {
    let metadata = json!({
        "name": "web", "namespace": "shop", "resourceVersion": "4711",
        "creationTimestamp": "2026-01-01T00:00:00Z", "generateName": "w",
        "managedFields": [{"manager": "x"}], "finalizers": ["a/b"],
    });
    let seen = seen(
        ObjectKind::Service,
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": spec,
            "status": {"loadBalancer": {}}}),
    )?;
    assert_eq!((seen.generation, seen.created_ms), (4711, 1_767_225_600_000));
    match rules::from_value(&seen.document, seen.generation, seen.created_ms) {
        Ok(Object::Service(service)) => Some((*service).clone()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn whatever_a_cluster_accepts_as_a_service_is_read() {
    let service = service(&json!({
        "type": "LoadBalancer", "externalTrafficPolicy": "Local", "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 1}},
        "allocateLoadBalancerNodePorts": true, "internalTrafficPolicy": "Local",
        "publishNotReadyAddresses": true, "trafficDistribution": "PreferClose",
        "ipFamilies": ["IPv6", "IPv4"], "ipFamilyPolicy": "PreferDualStack",
        "clusterIP": "fd00::10", "clusterIPs": ["fd00::10", "10.96.0.10"],
        "selector": {"app": "web"},
        "ports": [
            {"name": "http", "port": 80, "targetPort": "web", "nodePort": 30000, "protocol": "TCP"},
            {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53},
            {"name": "db", "port": 3306, "targetPort": 3306, "appProtocol": "mysql"},
            {"name": "own", "port": 99, "targetPort": 99, "appProtocol": "example.com/own"},
        ],
    }));
    let service = service.expect("of the mesh");
    let addresses: Vec<_> = service.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.96.0.10", "fd00::10"]);
    let ports: Vec<_> = service.ports.iter().map(|it| (it.port, it.protocol)).collect();
    let expected = [(80, Protocol::Detect), (99, Protocol::Detect), (3306, Protocol::Tcp)];
    assert_eq!(ports, expected);
    assert_eq!(service.ports[0].target, TargetPort::Named("web".to_owned()));
}

#[test]
fn headless_services_have_no_address_and_some_services_are_none_of_a_mesh() {
    let headless = service(&json!({"clusterIP": "None", "clusterIPs": ["None"],
        "ports": [{"port": 80, "targetPort": 80}]}));
    let headless = headless.expect("of the mesh");
    assert!(headless.headless && headless.addresses.is_empty());
    for spec in [
        json!({"type": "ExternalName", "externalName": "example.com"}),
        json!({"clusterIP": "None", "selector": {"app": "a"}}),
        json!({"clusterIP": "10.0.0.1", "ports": [{"port": 53, "protocol": "UDP"}]}),
    ] {
        assert_eq!(service(&spec), None, "{spec}");
    }
}

#[test]
fn a_route_of_gateways_is_none_of_a_mesh_and_one_of_both_is_read_for_its_services() {
    let route = |parents: Value| {
        json!({
            "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute",
            "metadata": {"name": "r", "namespace": "shop", "generation": 3,
                "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}"}},
            "spec": {"parentRefs": parents, "rules": [{"backendRefs": [{"name": "web", "port": 80}]}]},
            "status": {"parents": []},
        })
    };
    let gateway = json!({"name": "edge"});
    assert_eq!(seen(ObjectKind::HttpRoute, route(json!([gateway]))), None);
    let web = json!({"group": "", "kind": "Service", "name": "web"});
    let both = seen(ObjectKind::HttpRoute, route(json!([gateway, web]))).expect("of the mesh");
    assert_eq!(both.generation, 3);
    assert_eq!(both.document.pointer("/metadata/annotations"), None);
    assert_eq!(both.document.pointer("/status/parents"), Some(&json!([])));
    match rules::from_value(&both.document, 3, 0) {
        Ok(Object::HttpRoute(route)) => {
            assert_eq!(route.parents[0].service.to_string(), "shop/web");
        }
        other => panic!("{other:?}"),
    }
}
