//! Pods, cluster IPs and slices: what proxies are told of them.

use crate::compile::{affected, compile};
use crate::mesh::fixture::*;
use crate::mesh::{Change, Readiness, Service, Snapshot};
use crate::names::Protocol;
use crate::resource::{Cluster, Host, Key, Resource, Workload};

use Readiness::{Draining, NotReady, Ready};

const WEB: &str = "default/web";

/// `web` of two pods at 10.96.0.1:80, with the endpoints that `slices` tell.
fn mesh(slices: &[Change]) -> Snapshot {
    let fixed = [
        declared(cluster_service(WEB, 1, &[80])),
        came(pod("default/web-1", "web", 1)),
        came(pod("default/web-2", "web", 2)),
    ];
    empty().apply(&fixed).apply(slices)
}

fn cluster(mesh: &Snapshot) -> Cluster {
    match compile(mesh, &Key::cluster(&name(WEB))).map(|it| it.resource) {
        Some(Resource::Cluster(cluster)) => cluster,
        other => panic!("{other:?}"),
    }
}

fn endpoints(mesh: &Snapshot) -> Vec<(String, bool)> {
    let each = cluster(mesh).endpoints.into_iter();
    each.map(|it| (it.workload.to_string(), it.identity.is_some())).collect()
}

fn host(mesh: &Snapshot, ip: &str) -> Option<Host> {
    match compile(mesh, &Key::host(ip.parse().expect("an address")))?.resource {
        Resource::Host(host) => Some(host),
        other => panic!("{other:?}"),
    }
}

fn inbound(mesh: &Snapshot, pod: &str) -> Workload {
    match compile(mesh, &Key::workload(&pod.parse().expect("a pod"))).map(|it| it.resource) {
        Some(Resource::Workload(workload)) => workload,
        other => panic!("{other:?}"),
    }
}

#[test]
fn pods_are_endpoints_only_where_slices_say_so() {
    assert_eq!(endpoints(&mesh(&[])), [], "selected, and in no slice");
    let told = vec![endpoint(Some("default/web-1"), 1, Ready), endpoint(None, 9, Ready)];
    let mesh = mesh(&[sliced(slice("default/web-a", WEB, &[80], told))]);
    assert_eq!(endpoints(&mesh), [("ip-10.1.0.9".to_owned(), false), ("web-1".to_owned(), true)]);
    let mapped: Vec<_> = cluster(&mesh).endpoints[1].ports.clone();
    assert_eq!((mapped[0].service_port, mapped[0].target_port), (80, 8080));
}

#[test]
fn an_endpoint_without_a_pod_is_whoever_has_its_address() {
    let told = vec![endpoint(None, 2, Ready)];
    let mesh = mesh(&[sliced(slice("default/web-a", WEB, &[80], told))]);
    assert_eq!(endpoints(&mesh), [("web-2".to_owned(), true)], "never plaintext to a sidecar");
}

#[test]
fn a_pod_counts_only_while_it_is_known_to_be_at_that_address() {
    let told = vec![
        endpoint(Some("default/web-1"), 7, Ready),
        endpoint(Some("default/unknown"), 8, Ready),
    ];
    let mesh = mesh(&[sliced(slice("default/web-a", WEB, &[80], told))]);
    assert_eq!(endpoints(&mesh), []);
    let mesh = mesh.apply(&[came(pod("default/web-1", "web", 7))]);
    assert_eq!(endpoints(&mesh), [("web-1".to_owned(), true)]);
}

#[test]
fn those_that_drain_are_taken_where_nobody_is_ready() {
    let told = |second| {
        let told = vec![
            endpoint(Some("default/web-1"), 1, Draining),
            endpoint(Some("default/web-2"), 2, second),
        ];
        endpoints(&mesh(&[sliced(slice("default/web-a", WEB, &[80], told))]))
    };
    assert_eq!(told(Ready), [("web-2".to_owned(), true)]);
    assert_eq!(told(NotReady), [("web-1".to_owned(), true)]);
}

#[test]
fn slices_of_one_service_are_taken_together() {
    let mut both = pod("default/web-1", "web", 1);
    both.addresses.push("fd00::1".parse().expect("an address"));
    let mut v6 = endpoint(Some("default/web-1"), 1, NotReady);
    v6.addresses = vec!["fd00::1".parse().expect("an address")];
    let v4 = endpoint(Some("default/web-1"), 1, Ready);
    let mesh = mesh(&[
        came(both),
        sliced(slice("default/web-a", WEB, &[80], vec![v4])),
        sliced(slice("default/web-b", WEB, &[80], vec![v6])),
        sliced(slice("default/web-c", WEB, &[81], vec![endpoint(None, 5, Ready)])),
    ]);
    let cluster = cluster(&mesh);
    let [only] = &cluster.endpoints[..] else { panic!("{cluster:?}") };
    let addresses: Vec<_> = only.addresses.iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["10.1.0.1", "fd00::1"], "the third slice has no port of the service");
    let counts = mesh.endpoint_counts(&name(WEB));
    assert_eq!((counts.ready, counts.total), (1, 1));
}

#[test]
fn a_services_own_address_is_that_service_and_a_headless_one_has_none() {
    let key = Key::address("10.96.0.1:80".parse().expect("an address"));
    let Some(Resource::Address(found)) = compile(&mesh(&[]), &key).map(|it| it.resource) else {
        panic!("an address")
    };
    assert_eq!((found.service.to_string().as_str(), found.port), (WEB, 80));
    let other = Key::address("10.96.0.1:81".parse().expect("an address"));
    assert_eq!(compile(&mesh(&[]), &other), None, "not one of its ports");
    let pod = Key::address("10.1.0.1:8080".parse().expect("an address"));
    assert_eq!(compile(&mesh(&[]), &pod), None, "who dials a pod means that pod");
    let headless =
        Service { addresses: Vec::new(), headless: true, ..cluster_service(WEB, 1, &[80]) };
    assert_eq!(compile(&mesh(&[declared(headless)]), &key), None);
}

#[test]
fn a_pods_address_is_the_pod_with_what_services_say_of_its_ports() {
    let mut opaque = cluster_service(WEB, 1, &[80]);
    opaque.ports[0].protocol = Protocol::Tcp;
    let mut bare = pod("default/web-2", "web", 2);
    bare.sidecar = false;
    let mesh = mesh(&[declared(opaque), came(bare)]);
    let meshed = host(&mesh, "10.1.0.1").expect("a host");
    assert_eq!((meshed.service.to_string().as_str(), meshed.workload.as_str()), (WEB, "web-1"));
    assert_eq!(meshed.ports, [(8080, Protocol::Tcp)]);
    assert!(meshed.identity.is_some());
    assert_eq!(host(&mesh, "10.1.0.2").map(|host| host.identity), Some(None));
    assert_eq!(host(&mesh, "10.1.0.3"), None);
    let mut shared = pod("default/web-1", "web", 1);
    shared.own_address = false;
    assert_eq!(host(&mesh.apply(&[came(shared)]), "10.1.0.1"), None, "in its node's network");
}

#[test]
fn of_two_that_claim_an_address_the_one_with_a_sidecar_counts() {
    let mut bare = pod("default/a-gone", "web", 1);
    bare.sidecar = false;
    let found = host(&mesh(&[came(bare)]), "10.1.0.1").expect("a host");
    assert_eq!(found.workload.as_str(), "web-1", "failing is better than plaintext to a stranger");
}

#[test]
fn a_pod_receives_on_what_its_containers_name_and_on_what_services_lead_to() {
    let mut web = cluster_service(WEB, 1, &[80, 81, 82]);
    web.ports[0].target = crate::mesh::TargetPort::Number(9000);
    web.ports[0].protocol = Protocol::Http2;
    web.ports[1].target = crate::mesh::TargetPort::Named("p8080".to_owned());
    web.ports[1].protocol = Protocol::Grpc;
    web.ports[2].target = crate::mesh::TargetPort::Named("nobody".to_owned());
    let found = inbound(&mesh(&[declared(web)]), "default/web-1");
    let ports: Vec<_> = found.ports.iter().map(|port| (port.port, port.protocol)).collect();
    assert_eq!(ports, [(8080, Protocol::Grpc), (9000, Protocol::Http2)]);
}

#[test]
fn a_slice_touches_its_cluster_and_nothing_else() {
    let told = vec![endpoint(Some("default/web-1"), 1, Ready)];
    let (old, changes) = (mesh(&[]), [sliced(slice("default/web-a", WEB, &[80], told))]);
    let new = old.apply(&changes);
    let keys: Vec<_> = affected(&old, &new, &changes).iter().map(ToString::to_string).collect();
    assert_eq!(keys, ["Cluster default/web"]);
}

#[test]
fn a_pod_touches_itself_its_address_and_the_clusters_that_it_is_in() {
    let told = vec![endpoint(Some("default/web-1"), 1, Ready)];
    let old = mesh(&[sliced(slice("default/x", "default/other", &[80], told))]);
    let bare = crate::mesh::Workload { sidecar: false, ..pod("default/web-1", "web", 1) };
    let changes = [came(bare)];
    let new = old.apply(&changes);
    let keys: Vec<_> = affected(&old, &new, &changes).iter().map(ToString::to_string).collect();
    let expected = [
        "Workload default/web-1",
        "Cluster default/other",
        "Cluster default/web",
        "Host host/10.1.0.1",
    ];
    assert_eq!(keys, expected);
}
