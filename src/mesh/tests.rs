//! Which services there are, who stands behind them, what is attached, and who may register.

use std::sync::Arc;
use std::time::Duration;

use crate::mesh::fixture::*;
use crate::mesh::{Change, Service, Snapshot, TargetPort};
use crate::names::Protocol;

mod precedence;

fn names(snapshot: &Snapshot) -> Vec<String> {
    snapshot.service_names().iter().map(ToString::to_string).collect()
}

fn endpoints(snapshot: &Snapshot, service: &str) -> Vec<String> {
    let endpoints = snapshot.endpoints_of(&name(service));
    endpoints.iter().map(|endpoint| endpoint.name.to_string()).collect()
}

#[test]
fn a_registration_makes_its_service_and_that_of_its_version() {
    let mesh = empty().apply(&[
        came(workload("default/r1", "reviews", "v1")),
        came(workload("default/r2", "reviews", "v2")),
        came(workload("default/r3", "reviews", "1.2.3")),
    ]);
    assert_eq!(names(&mesh), ["default/reviews", "default/reviews-v1", "default/reviews-v2"]);
    assert_eq!(endpoints(&mesh, "default/reviews"), ["r1", "r2", "r3"]);
    assert_eq!(endpoints(&mesh, "default/reviews-v1"), ["r1"]);

    let gone = mesh.apply(&[Change::Workload("default/r1".parse().expect("a proxy"), None)]);
    assert_eq!(names(&gone), ["default/reviews", "default/reviews-v2"]);
}

#[test]
fn advancing_copies_what_is_shared_once_and_leaves_the_other_as_it_was() {
    let before = empty().apply(&[came(workload("default/r1", "reviews", "v1"))]);
    let mut now = before.clone();
    now.advance(&[came(workload("default/r2", "reviews", "v2"))]);
    let copied = Arc::as_ptr(&now.workloads);
    assert_ne!(copied, Arc::as_ptr(&before.workloads));
    now.advance(&[came(workload("default/r3", "reviews", "v3"))]);
    assert_eq!(copied, Arc::as_ptr(&now.workloads), "nobody else had it");
    assert_eq!(endpoints(&before, "default/reviews"), ["r1"]);
    assert_eq!(endpoints(&now, "default/reviews"), ["r1", "r2", "r3"]);
}

#[test]
fn registered_ports_are_those_of_all_workloads_with_the_protocol_that_all_agree_on() {
    let mut second = workload("default/r2", "reviews", "");
    second.ports = vec![
        port(9080, 41010, 80, Protocol::Http),
        port(9090, 41011, 8080, Protocol::Grpc),
        port(9091, 41012, 9000, Protocol::Grpc),
    ];
    let mut third = workload("default/r3", "reviews", "");
    third.ports = vec![port(9091, 41013, 9000, Protocol::Http)];
    let mesh = empty().apply(&[
        came(workload("default/r1", "reviews", "")),
        came(second.clone()),
        came(third),
    ]);
    let service = mesh.service(&name("default/reviews")).expect("registered");
    let ports: Vec<_> = service.ports.iter().map(|port| (port.port, port.protocol)).collect();
    assert_eq!(
        ports,
        [(80, Protocol::Http), (8080, Protocol::Grpc), (9000, Protocol::Detect)],
        "9000 is said to be grpc by one and http by another"
    );
    let target = |index: usize| service.target(&service.ports[index], &second);
    assert_eq!(target(1).map(|port| port.dial_port), Some(41011));
}

/// Else compiling the addresses of a service's workloads takes time that grows with their square.
#[test]
fn a_service_is_found_once_at_each_revision() {
    let first = empty().apply(&[came(workload("default/r1", "reviews", "v1"))]);
    let find = |mesh: &Snapshot| mesh.service(&name("default/reviews"));
    let found = find(&first).expect("registered");
    assert!(Arc::ptr_eq(&found, &find(&first).expect("registered")));
    let mut second = workload("default/r2", "reviews", "v1");
    second.ports = vec![port(9090, 41011, 8080, Protocol::Grpc)];
    let mesh = first.apply(&[came(second)]);
    assert!(find(&mesh).expect("registered").has_port(8080), "it is looked for anew");
    assert_eq!(find(&first), Some(found), "what was before is as it was");
    let gone = Change::Workload("default/r1".parse().expect("a proxy"), None);
    assert_eq!(find(&first.apply(&[gone])), None);
}

#[test]
fn a_declaration_wins_and_leaves_open_protocols_to_the_workloads() {
    let mut declared_service = service("default/reviews", &[8000, 9000]);
    declared_service.ports[1].protocol = Protocol::Tcp;
    let mesh =
        empty().apply(&[came(workload("default/r1", "reviews", "v1")), declared(declared_service)]);
    let service = mesh.service(&name("default/reviews")).expect("declared");
    let ports: Vec<_> = service.ports.iter().map(|port| (port.port, port.protocol)).collect();
    assert_eq!(ports, [(8000, Protocol::Http), (9000, Protocol::Tcp)]);
    assert_eq!(endpoints(&mesh, "default/reviews"), ["r1"], "its only port answers");
}

#[test]
fn a_workload_that_named_no_service_port_answers_where_its_service_is_declared() {
    let unsaid = |proxy, version| {
        let mut workload = workload(proxy, "reviews", version);
        workload.ports = vec![port(43000, 41000, 0, Protocol::Http)];
        came(workload)
    };
    let mesh = empty().apply(&[unsaid("default/r1", "v1")]);
    let ports = |mesh: &Snapshot, service: &str| -> Vec<(u16, Option<u16>)> {
        let service = mesh.service(&name(service)).expect("it is there");
        let workload = mesh.workloads.values().next().expect("a workload");
        let dialled = |port| service.target(port, workload).map(|target| target.dial_port);
        service.ports.iter().map(|port| (port.port, dialled(port))).collect()
    };
    for service in ["default/reviews", "default/reviews-v1"] {
        assert_eq!(ports(&mesh, service), [(80, Some(41000))], "{service}: nobody says otherwise");
    }
    let mut declaration = service("default/reviews", &[9080]);
    declaration.ports[0].target = TargetPort::Number(9080);
    let mesh = mesh.apply(&[declared(declaration.clone())]);
    for service in ["default/reviews", "default/reviews-v1"] {
        assert_eq!(ports(&mesh, service), [(9080, Some(41000))], "{service}: as declared");
    }
    declaration.ports[0].target = TargetPort::Number(9999);
    let mesh = mesh.apply(&[declared(declaration.clone())]);
    assert_eq!(ports(&mesh, "default/reviews"), [(9080, None)], "a target that it does not have");
    declaration.selector = Some(labels(&[("app", "others")]));
    let mesh = mesh.apply(&[declared(declaration)]);
    assert_eq!(ports(&mesh, "default/reviews-v1"), [(80, Some(41000))], "not about this workload");
}

#[test]
fn who_named_a_service_port_and_who_did_not_share_it_where_it_is_the_default() {
    let mut said = workload("default/r1", "reviews", "");
    said.ports = vec![port(9080, 41000, 9090, Protocol::Http)];
    let mut unsaid = workload("default/r2", "reviews", "");
    unsaid.ports = vec![port(9080, 42000, 0, Protocol::Http)];
    let mut default = workload("default/r3", "reviews", "");
    default.ports = vec![port(9080, 43000, 80, Protocol::Http)];
    let mesh = empty().apply(&[came(said), came(unsaid), came(default)]);
    let service = mesh.service(&name("default/reviews")).expect("registered");
    let dialled = |number: u16| -> Vec<u16> {
        let port = service.ports.iter().find(|port| port.port == number).expect("a port");
        let targets = mesh.workloads.values().filter_map(|it| service.target(port, it));
        targets.map(|target| target.dial_port).collect()
    };
    assert_eq!((dialled(80), dialled(9090)), (vec![42000, 43000], vec![41000]));
}

#[test]
fn target_ports_are_found_by_number_by_name_or_as_the_only_one() {
    let mut two = workload("default/w", "w", "");
    two.ports = vec![port(1000, 41000, 80, Protocol::Http), port(2000, 42000, 81, Protocol::Http)];
    let cases = [
        (TargetPort::Number(2000), 80, Some(42000)),
        (TargetPort::Number(41000), 80, None),
        (TargetPort::Named("p1000".to_owned()), 80, Some(41000)),
        (TargetPort::Named("http".to_owned()), 80, None),
        (TargetPort::Only, 81, Some(42000)),
        (TargetPort::Only, 7, None),
    ];
    for (target, number, expected) in cases {
        let mut service = service("default/w", &[number]);
        service.ports[0].target = target.clone();
        let found = service.target(&service.ports[0], &two).map(|port| port.dial_port);
        assert_eq!(found, expected, "{target:?} of port {number}");
    }
}

#[test]
fn a_selector_selects_by_labels_in_its_own_namespace_and_an_empty_one_nothing() {
    let mesh = empty().apply(&[
        came(workload("default/r1", "reviews", "v1")),
        came(workload("default/r2", "reviews", "v2")),
        came(workload("other/r3", "reviews", "v2")),
    ]);
    let cases = [
        (labels(&[("app", "reviews")]), vec!["r1", "r2"]),
        (labels(&[("app", "reviews"), ("version", "v2")]), vec!["r2"]),
        (labels(&[("app", "ratings")]), vec![]),
        (labels(&[]), vec![]),
    ];
    for (selector, expected) in cases {
        let chosen =
            Service { selector: Some(selector.clone()), ..service("default/chosen", &[80]) };
        let mesh = mesh.apply(&[declared(chosen)]);
        assert_eq!(endpoints(&mesh, "default/chosen"), expected, "{selector:?}");
        for workload in mesh.workloads.values() {
            let behind = mesh.services_of(workload).contains(&name("default/chosen"));
            let listed = mesh.workloads_of(&name("default/chosen")).contains(workload);
            assert_eq!(behind, listed, "both directions, {}", workload.proxy);
        }
    }
}

#[test]
fn only_workloads_that_are_ready_and_reachable_are_endpoints() {
    let not_ready = crate::mesh::Workload { ready: false, ..workload("default/a", "web", "") };
    let nowhere =
        crate::mesh::Workload { addresses: Vec::new(), ..workload("default/b", "web", "") };
    let calls_only =
        crate::mesh::Workload { ports: Vec::new(), ..workload("default/c", "web", "") };
    let good = workload("default/d", "web", "");
    let mesh = empty().apply(&[came(not_ready), came(nowhere), came(calls_only), came(good)]);
    assert_eq!(endpoints(&mesh, "default/web"), ["d"]);
    assert_eq!(mesh.workloads_of(&name("default/web")).len(), 4);
}

#[test]
fn the_services_of_a_workload_end_with_the_most_specific() {
    let by_label =
        Service { selector: Some(labels(&[("app", "reviews")])), ..service("default/all", &[80]) };
    let reviews = workload("default/r1", "reviews", "v1");
    let mesh = empty().apply(&[came(reviews.clone()), declared(by_label)]);
    let services: Vec<_> = mesh.services_of(&reviews).iter().map(ToString::to_string).collect();
    assert_eq!(services, ["default/all", "default/reviews", "default/reviews-v1"]);
}

#[test]
fn a_consumers_routes_replace_the_producers_on_the_ports_that_they_are_about() {
    let mut consumer = route("shop/c", "default/reviews", "default/reviews", vec![]);
    consumer.parents[0].port = Some(80);
    let mesh = empty().apply(&[
        routed(route("default/p", "default/reviews", "default/reviews", vec![])),
        routed(consumer),
    ]);
    let reviews = name("default/reviews");
    let (shop, default, other) = (
        "shop".parse().expect("a namespace"),
        "default".parse().expect("a namespace"),
        "other".parse().expect("a namespace"),
    );
    let cases = [
        (80, None, "p"),
        (80, Some(&shop), "c"),
        (8080, Some(&shop), "p"),
        (80, Some(&other), "p"),
        (80, Some(&default), "p"),
    ];
    for (port, consumer, expected) in cases {
        let declared = service("default/reviews", &[port]);
        let routes = mesh.routes_on(&reviews, &declared.ports[0], consumer);
        let found: Vec<_> = routes.iter().map(|route| route.name.as_str()).collect();
        assert_eq!(found, [expected], "port {port}, called from {consumer:?}");
    }
    assert_eq!(mesh.consumers_of(&reviews).into_iter().collect::<Vec<_>>(), [shop]);
}

#[test]
fn of_several_policies_the_oldest_holds_then_the_first_by_name() {
    let second = Duration::from_secs(1);
    let mut young = policy("default/a", "default/reviews", second);
    young.created_ms = 2;
    let mesh = empty().apply(&[
        treated(young),
        treated(policy("default/c", "default/reviews", second)),
        treated(policy("default/b", "default/reviews", second)),
    ]);
    let policies = mesh.policies_of(&name("default/reviews"));
    let order: Vec<_> = policies.iter().map(|policy| policy.name.as_str()).collect();
    assert_eq!(order, ["b", "c", "a"]);
    assert_eq!(mesh.policy_of(&name("default/reviews")).as_ref(), policies.first());
}

#[test]
fn a_name_that_means_something_else_already_is_refused() {
    let selecting =
        Service { selector: Some(labels(&[("app", "x")])), ..service("default/web-v9", &[80]) };
    let mesh = empty().apply(&[
        came(workload("default/r1", "reviews", "v1")),
        came(workload("default/s", "shop-front", "")),
        came(workload("default/d", "a", "b-c")),
        declared(selecting),
        declared(service("default/web-v8", &[80])),
    ]);
    let cases = [
        ("default/new", "reviews", "v1", None),
        ("default/new", "reviews", "v2", None),
        ("other/new", "reviews-v1", "", None),
        ("default/r1", "reviews-v1", "", None),
        ("default/web", "web", "v8", None),
        (
            "default/new",
            "reviews-v1",
            "",
            Some("`default/reviews-v1` is taken: proxy `default/r1`"),
        ),
        ("default/new", "shop", "front", Some("`default/shop-front` is taken: proxy `default/s`")),
        ("default/new", "a-b", "c", Some("`default/a-b-c` is taken: proxy `default/d`")),
        ("default/web", "web", "v9", Some("`default/web-v9` is declared")),
    ];
    for (proxy, service, version, expected) in cases {
        let result = mesh.check_registration(&workload(proxy, service, version));
        let text = result.err().map(|conflict| conflict.to_string());
        match (expected, &text) {
            (None, None) => {}
            (Some(part), Some(text)) if text.contains(part) => {}
            _ => panic!("{proxy} as {service} {version}: expected {expected:?}, found {text:?}"),
        }
    }
}

#[test]
fn a_declaration_that_leaves_out_the_version_of_its_name_is_refused() {
    let mesh = empty().apply(&[came(workload("default/r1", "reviews", "v1"))]);
    let cases = [
        ("default/reviews-v1", Some(labels(&[("app", "reviews"), ("version", "v1")])), true),
        ("default/reviews-v1", Some(labels(&[("app", "other")])), false),
        ("default/reviews-v1", None, true),
        ("default/reviews", Some(labels(&[("app", "other")])), true),
        ("other/reviews-v1", Some(labels(&[("app", "other")])), true),
    ];
    for (name, selector, allowed) in cases {
        let service = Service { selector: selector.clone(), ..service(name, &[80]) };
        let result = mesh.check_declaration(&service);
        assert_eq!(result.is_ok(), allowed, "{name} {selector:?}: {result:?}");
    }
}
