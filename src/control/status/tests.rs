//! Figures of services and edges, from what callers and called ends reported.

use std::sync::Arc;

use super::*;
use crate::control::intake::{Edges, Teller};
use crate::control::registration::{Registration, tests::hello};
use crate::mesh::Change;
use crate::xds::agent::{EdgeMetrics, RequestCount};

fn edge(destination: bool, mtls: bool) -> Edge {
    Edge {
        reporter_destination: destination,
        source: "default/web".to_owned(),
        destination: if destination { "default/reviews-v1" } else { "default/reviews" }.to_owned(),
        backend: "default/reviews-v1".to_owned(),
        destination_version: "v1".to_owned(),
        protocol: "http".to_owned(),
        mtls,
        ..Edge::default()
    }
}

fn add(edges: &mut Edges, edge: Edge, status: u32, count: u64) {
    let requests = vec![RequestCount { status, reason: String::new(), count, grpc: None }];
    let teller = Teller { proxy: "default/web-0".parse().expect("valid"), process: (1, 1) };
    edges.add(EdgeMetrics { edge: Some(edge), requests, ..EdgeMetrics::default() }, &teller, 1);
}

fn snapshot() -> Snapshot {
    let trust_domain: TrustDomain = "cluster.local".parse().expect("valid");
    let mut registration =
        Registration::from_hello(&hello("reviews-v1-0", "reviews")).expect("valid");
    registration.ready = true;
    let workload = Arc::new(registration.workload(&trust_domain, None));
    let change = Change::Workload(registration.proxy(), Some(workload));
    Snapshot::new(trust_domain, Arc::default()).apply(&[change])
}

#[test]
fn a_service_and_its_version_share_what_callers_saw() {
    let mut reported = Edges::default();
    add(&mut reported, edge(false, true), 200, 90);
    add(&mut reported, edge(false, true), 500, 10);
    add(&mut reported, edge(true, true), 200, 100);
    let services = services(&snapshot(), BTreeMap::new(), &reported.recent(1));
    let names: Vec<_> = services.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["reviews", "reviews-v1"]);
    for service in &services {
        assert_eq!((service.requests_per_second, service.success_rate), (10.0, Some(0.9)));
        assert_eq!((service.endpoints.ready, service.endpoints.total), (1, 1));
    }
}

#[test]
fn an_edge_that_both_ends_report_is_one_line_and_mtls_only_if_all_is() {
    let mut reported = Edges::default();
    add(&mut reported, edge(false, true), 200, 10);
    add(&mut reported, edge(true, true), 200, 10);
    let [line] = &edges(&reported.recent(1))[..] else { panic!("one line") };
    assert_eq!((line.from.as_str(), line.to.as_str(), line.mtls), ("web", "reviews", true));
    assert_eq!((line.backend.as_str(), line.version.as_str()), ("reviews-v1", "v1"));
    assert_eq!(line.requests_per_second, 1.0);
    add(&mut reported, edge(false, false), 200, 10);
    let [line] = &edges(&reported.recent(1))[..] else { panic!("one line") };
    assert!(!line.mtls);
}

#[test]
fn a_caller_whose_account_has_another_name_is_one_line_too() {
    let identity = "spiffe://cluster.local/ns/default/sa/shared".to_owned();
    let mut reported = Edges::default();
    let source_identity = identity.clone();
    add(&mut reported, Edge { source_identity, ..edge(false, true) }, 200, 10);
    let source = "default/shared".to_owned();
    let called = Edge { source, source_identity: identity, ..edge(true, true) };
    add(&mut reported, called.clone(), 200, 10);
    let [line] = &edges(&reported.recent(1))[..] else { panic!("one line") };
    assert_eq!(line.from, "web");
    let another = "spiffe://cluster.local/ns/default/sa/other".to_owned();
    add(&mut reported, Edge { source_identity: another, ..called }, 200, 10);
    assert_eq!(edges(&reported.recent(1)).len(), 2, "that is somebody else");
}

#[test]
fn without_a_caller_of_the_mesh_the_called_end_counts() {
    let mut reported = Edges::default();
    add(&mut reported, edge(true, false), 200, 10);
    assert_eq!(edges(&reported.recent(1)).len(), 1);
    assert_eq!(
        services(&snapshot(), BTreeMap::new(), &reported.recent(1))[1].requests_per_second,
        1.0
    );
}

#[test]
fn each_line_has_its_own_figures_and_a_service_those_of_all() {
    let mut reported = Edges::default();
    for index in 0..1_000 {
        let source = format!("default/web-{index}");
        add(&mut reported, Edge { source: source.clone(), ..edge(false, true) }, 200, 1);
        add(&mut reported, Edge { source, ..edge(true, true) }, 200, 1);
    }
    let recent = reported.recent(1);
    let lines = edges(&recent);
    assert_eq!(lines.len(), 1_000);
    assert!(lines.iter().all(|line| line.requests_per_second == 0.1));
    let services = services(&snapshot(), BTreeMap::new(), &recent);
    assert!(services.iter().all(|it| it.requests_per_second == 100.0));
}

#[test]
fn a_caller_without_an_identity_has_the_name_of_the_pod_whose_address_it_is() {
    let mut registration = Registration::from_hello(&hello("web-0", "web")).expect("valid");
    registration.ready = true;
    let mut pod = registration.workload(&"cluster.local".parse().expect("valid"), None);
    (pod.addresses, pod.own_address) = (vec!["10.0.0.7".parse().expect("an address")], true);
    let change = Change::Workload(registration.proxy(), Some(Arc::new(pod)));
    let snapshot = snapshot().apply(&[change]);
    for (told, shown) in [
        (edge(true, false), "default/web"),
        (Edge { source: "10.0.0.7".to_owned(), ..edge(true, false) }, "default/web"),
        (Edge { source: "10.0.0.8".to_owned(), ..edge(true, false) }, "10.0.0.8"),
        (Edge { source: String::new(), ..edge(true, false) }, ""),
    ] {
        let one = EdgeMetrics { edge: Some(told), ..EdgeMetrics::default() };
        let mut metrics = Metrics { edges: vec![one] };
        name_strangers(&mut metrics, &snapshot);
        assert_eq!(metrics.edges[0].edge.as_ref().expect("an edge").source, shown);
    }
}

#[test]
fn a_certificate_is_listed_once_its_proxy_told() {
    let mut proxies = Proxies::default();
    let registration = Registration::from_hello(&hello("reviews-v1-0", "reviews")).expect("valid");
    let (id, domain) = (registration.proxy(), "cluster.local".parse().expect("valid"));
    proxies.register(registration, Timestamp::UNIX_EPOCH);
    assert!(certificates(&proxies, &domain).is_empty());
    assert_eq!(self::proxies(&proxies, &domain)[0].certificate_expires, None);
    proxies.update(&id, Timestamp::UNIX_EPOCH, |proxy| {
        proxy.told = Some(crate::xds::agent::State {
            certificate_serial: "0a".to_owned(),
            certificate_not_before: 1,
            certificate_not_after: 2,
            ..Default::default()
        });
    });
    assert_eq!(certificates(&proxies, &domain)[0].serial, "0a");
    assert!(self::proxies(&proxies, &domain)[0].certificate_expires.is_some());
}
