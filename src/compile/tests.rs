//! Each resource from small meshes; the order of matches and what is affected in files of their own.

use std::time::Duration;

use crate::compile::{Compiled, compile, keys};
use crate::mesh::fixture::*;
use crate::mesh::{RouteRule, Service, Snapshot};
use crate::names::Protocol;
use crate::resource::{Backend, Key, Kind, PortMapping, Resource};

mod affected;
mod describe;
mod faults;
mod kubernetes;
mod retry;
mod zones;

const REVIEWS: &str = "default/reviews";

fn reviews() -> Snapshot {
    empty().apply(&[came(workload("default/r1", "reviews", "v1"))])
}

fn service_of(snapshot: &Snapshot, key: &Key) -> crate::resource::Service {
    match compile(snapshot, key).map(|compiled| compiled.resource) {
        Some(Resource::Service(service)) => service,
        other => panic!("{key}: {other:?}"),
    }
}

fn called(snapshot: &Snapshot) -> crate::resource::Service {
    service_of(snapshot, &Key::service(&name(REVIEWS)))
}

fn origins(compiled: &Compiled) -> Vec<String> {
    let text =
        |(object, generation): &(crate::mesh::ObjectRef, u64)| format!("{object} {generation}");
    compiled.origins.iter().map(text).collect()
}

#[test]
fn a_port_without_routes_has_one_rule_to_the_service_itself() {
    let ports = called(&reviews()).ports;
    let [port] = &ports[..] else { panic!("{ports:?}") };
    assert_eq!((port.matches.len(), port.rules.len()), (1, 1));
    assert_eq!(port.rules[0].id.to_string(), "default/default/reviews");
    let backends: Vec<_> =
        port.rules[0].backends.iter().map(|it| (it.service.to_string(), it.port)).collect();
    assert_eq!(backends, [(REVIEWS.to_owned(), 80)]);
}

#[test]
fn a_port_with_routes_has_nothing_else() {
    let attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/a")]]);
    let port = called(&reviews().apply(&[routed(attached)])).ports.remove(0);
    assert_eq!(port.matches.len(), 1, "no implicit rule behind: the rest is 404");
    assert_eq!(port.rules[0].id.to_string(), "HTTPRoute/default/r/0");

    let empty_route = route("default/r", REVIEWS, REVIEWS, vec![]);
    let port = called(&reviews().apply(&[routed(empty_route)])).ports.remove(0);
    assert_eq!((port.matches.len(), port.rules.len()), (0, 0));

    let mut elsewhere = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/a")]]);
    elsewhere.parents[0].port = Some(8080);
    let port = called(&reviews().apply(&[routed(elsewhere)])).ports.remove(0);
    assert_eq!(port.rules[0].id.to_string(), "default/default/reviews");
}

#[test]
fn an_opaque_port_keeps_the_implicit_rule() {
    let mut opaque = workload("default/r1", "reviews", "");
    opaque.ports[0].protocol = Protocol::Tcp;
    let attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/a")]]);
    let port = called(&empty().apply(&[came(opaque), routed(attached)])).ports.remove(0);
    assert_eq!(port.rules[0].id.to_string(), "default/default/reviews");
}

#[test]
fn a_backend_resolves_when_the_service_and_its_port_exist() {
    let mut attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    attached.rules[0].backends = vec![
        backend_ref(REVIEWS, 80),
        backend_ref("default/reviews-v1", 80),
        backend_ref(REVIEWS, 81),
        backend_ref("default/ratings", 80),
    ];
    let service = called(&reviews().apply(&[routed(attached)]));
    let resolved = |backend: &Backend| backend.resolved;
    let found: Vec<_> = service.ports[0].rules[0].backends.iter().map(resolved).collect();
    assert_eq!(found, [true, true, false, false]);
}

#[test]
fn the_request_timeout_is_the_routes_else_the_services() {
    let second = Duration::from_secs(1);
    let cases = [
        (None, None, None),
        (None, Some(second), Some(second)),
        (Some(Some(2 * second)), Some(second), Some(2 * second)),
        (Some(None), Some(second), None),
    ];
    for (of_route, of_policy, expected) in cases {
        let mut attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
        attached.rules[0] = RouteRule { request_timeout: of_route, ..attached.rules[0].clone() };
        let mut mesh = reviews().apply(&[routed(attached)]);
        if let Some(timeout) = of_policy {
            mesh = mesh.apply(&[treated(policy("default/p", REVIEWS, timeout))]);
        }
        let found = called(&mesh).ports[0].rules[0].timeouts.request;
        assert_eq!(found, expected, "route {of_route:?}, policy {of_policy:?}");
    }
}

#[test]
fn a_consumer_has_a_resource_of_its_own_only_where_it_has_routes() {
    let own = route("shop/c", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    let mesh = reviews().apply(&[routed(own)]);
    let shop = "shop".parse().expect("a namespace");
    assert_eq!(called(&mesh).overridden_in, [shop]);
    assert_eq!(called(&mesh).ports[0].rules[0].id.to_string(), "default/default/reviews");

    let theirs =
        service_of(&mesh, &Key::service_for(&name(REVIEWS), &called(&mesh).overridden_in[0]));
    assert_eq!(theirs.ports[0].rules[0].id.to_string(), "HTTPRoute/shop/c/0");
    assert!(theirs.overridden_in.is_empty());

    let nobody = Key::service_for(&name(REVIEWS), &"other".parse().expect("a namespace"));
    assert_eq!(compile(&mesh, &nobody), None);
}

#[test]
fn a_cluster_has_the_policy_of_its_service_and_an_endpoint_per_ready_workload() {
    let mut plain = workload("default/r2", "reviews", "v2");
    plain.sidecar = false;
    let mut treatment = policy("default/p", REVIEWS, Duration::from_secs(9));
    treatment.pool.connect_timeout = Duration::from_millis(250);
    let mesh = reviews().apply(&[came(plain), treated(treatment)]);
    let compiled = compile(&mesh, &Key::cluster(&name(REVIEWS))).expect("a cluster");
    assert_eq!(origins(&compiled), ["TrafficPolicy/default/p 1"]);
    let Resource::Cluster(cluster) = compiled.resource else { panic!("a cluster") };
    assert_eq!(cluster.policy.connect_timeout, Duration::from_millis(250));
    let identities: Vec<_> = cluster.endpoints.iter().map(|it| it.identity.is_some()).collect();
    assert_eq!(identities, [true, false], "none without a sidecar");
    let mapping = PortMapping { service_port: 80, target_port: 41000 };
    assert_eq!(cluster.endpoints[0].ports, [mapping]);
}

#[test]
fn a_declared_protocol_wins_over_what_the_workload_said_inbound_too() {
    let mut http2 = service(REVIEWS, &[80]);
    http2.ports[0].protocol = Protocol::Http2;
    let mesh = reviews().apply(&[declared(http2)]);
    let key = Key::workload(&"default/r1".parse().expect("a proxy"));
    let compiled = compile(&mesh, &key).expect("a workload");
    assert_eq!(origins(&compiled), ["Service/default/reviews 1"]);
    let Resource::Workload(inbound) = compiled.resource else { panic!("a workload") };
    assert_eq!(inbound.ports[0].protocol, Protocol::Http2);
    assert_eq!(inbound.ports[0].port, 9080);
}

#[test]
fn an_address_is_its_workloads_service_ready_or_not() {
    let mut resting = workload("default/r1", "reviews", "v1");
    resting.ready = false;
    let selecting =
        Service { selector: Some(labels(&[("app", "reviews")])), ..service("default/all", &[1]) };
    let mesh = empty().apply(&[came(resting), declared(selecting)]);
    let key = Key::address("127.0.0.1:41000".parse().expect("an address"));
    let Some(Resource::Address(address)) = compile(&mesh, &key).map(|it| it.resource) else {
        panic!("an address")
    };
    assert_eq!((address.service.to_string().as_str(), address.port), (REVIEWS, 80));
    assert_eq!(compile(&mesh, &Key::address("127.0.0.1:1".parse().expect("an address"))), None);
}

#[test]
fn a_name_in_another_form_than_ours_is_no_resource() {
    let mesh = reviews();
    let wrong = [
        (Kind::Mesh, "other"),
        (Kind::Service, "reviews"),
        (Kind::Service, "default/reviews@"),
        (Kind::Service, "default/reviews@default"),
        (Kind::Cluster, "default/reviews@shop"),
        (Kind::Cluster, "default/nobody"),
        (Kind::Workload, "../r1"),
        (Kind::Address, "127.0.0.1:41000"),
        (Kind::Address, "address/[::ffff:7f00:1]:41000"),
        (Kind::Address, "address/127.0.0.1:041000"),
    ];
    for (kind, name) in wrong {
        let key = Key { kind, name: name.into() };
        assert_eq!(compile(&mesh, &key), None, "{key}");
    }
    assert_eq!(keys(&mesh).len(), 7, "mesh, workload, address, two services with a cluster each");
}
