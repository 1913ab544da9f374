//! Compiling what changed equals compiling everything, after any sequence of changes.
//!
//! A small universe on purpose (two namespaces, three service names, few ports), so that random
//! changes collide: names registered and declared at once, routes to services that come and go,
//! consumers, conflicting policies.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use meshctl::compile::{Compiled, affected, compile, keys};
use meshctl::mesh::{
    BackendRef, Change, FaultPolicy, HttpRoute, MeshConfig, Object, ObjectKind, ObjectRef, Parent,
    PolicyTarget, Readiness, RouteMatch, RouteRule, Service, ServicePort, Slice, SliceEndpoint,
    SlicePort, Snapshot, TargetPort, TrafficPolicy, Workload, WorkloadPort,
};
use meshctl::names::{Protocol, ProxyId, RuleId, ServiceName, SliceName};
use meshctl::resource::{
    AbortHow, ClusterPolicy, FaultAbort, HeaderEdit, Key, MtlsMode, PathMatch, Rewrite,
};
use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

/// Where workloads of one machine are.
const SHARED: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

proptest! {
    #![proptest_config(config())]

    #[test]
    fn incremental_compilation_equals_full(batches in vec(vec(change(), 1..4), 1..12)) {
        let mut snapshot = empty();
        let mut kept = everything(&snapshot);
        for (number, batch) in batches.iter().enumerate() {
            let batch: Vec<_> = batch.iter().cloned().map(|it| stamped(it, number)).collect();
            let next = snapshot.apply(&batch);
            let keys = affected(&snapshot, &next, &batch);
            for key in keys {
                match compile(&next, &key) {
                    Some(compiled) => kept.insert(key, compiled),
                    None => kept.remove(&key),
                };
            }
            prop_assert_eq!(&kept, &everything(&next));
            snapshot = next;
        }
    }

    #[test]
    fn a_resource_has_the_key_it_was_compiled_for(changes in vec(change(), 1..20)) {
        for (key, compiled) in everything(&empty().apply(&changes)) {
            prop_assert_eq!(key, compiled.resource.key());
        }
    }

    #[test]
    fn the_order_in_which_the_mesh_came_to_be_leaves_no_trace(changes in vec(change(), 1..20)) {
        let grown = empty().apply(&changes);
        let objects = grown.declared.values().map(|it| (it.reference(), Object::Service(it.clone())))
            .chain(grown.routes.values().map(|it| (it.reference(), Object::HttpRoute(it.clone()))))
            .chain(grown.policies.values().map(|it| (it.reference(), Object::TrafficPolicy(it.clone()))))
            .chain(grown.faults.values().map(|it| (it.reference(), Object::FaultPolicy(it.clone()))))
            .chain([(MeshConfig::reference(), Object::MeshConfig(grown.config.clone()))])
            .map(|(reference, object)| Change::Object(reference, Some(object)));
        let workloads = grown.workloads.iter()
            .map(|(proxy, it)| Change::Workload(proxy.clone(), Some(it.clone())));
        let slices = grown.slices.iter()
            .map(|(name, it)| Change::Slice(name.clone(), Some(it.clone())));
        let nodes = grown.nodes.iter()
            .map(|(name, zone)| Change::Node(name.clone(), Some(zone.clone())));
        let roots = [Change::Roots(grown.roots.clone())];
        let mut again: Vec<_> = objects.chain(workloads).chain(slices).chain(nodes).chain(roots).collect();
        again.reverse();
        prop_assert_eq!(everything(&grown), everything(&empty().apply(&again)));
    }
}

/// As many cases as `PROPTEST_CASES` says; failures are told, not written into the source tree.
fn config() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

fn empty() -> Snapshot {
    Snapshot::new("cluster.local".parse().expect("a trust domain"), Arc::default())
}

fn everything(snapshot: &Snapshot) -> BTreeMap<Key, Compiled> {
    let compiled = |key: Key| {
        let compiled = compile(snapshot, &key);
        (key.clone(), compiled.unwrap_or_else(|| panic!("{key} is listed and does not compile")))
    };
    keys(snapshot).into_iter().map(compiled).collect()
}

/// Gives an object the generation of its batch, as the store counts up with every change.
fn stamped(change: Change, batch: usize) -> Change {
    let generation = batch as u64 + 1;
    let Change::Object(reference, Some(object)) = change else { return change };
    let object = match object {
        Object::Service(it) => Object::Service(Arc::new(Service { generation, ..(*it).clone() })),
        Object::HttpRoute(it) => {
            Object::HttpRoute(Arc::new(HttpRoute { generation, ..(*it).clone() }))
        }
        Object::TrafficPolicy(it) => {
            Object::TrafficPolicy(Arc::new(TrafficPolicy { generation, ..(*it).clone() }))
        }
        Object::FaultPolicy(it) => {
            Object::FaultPolicy(Arc::new(FaultPolicy { generation, ..(*it).clone() }))
        }
        Object::MeshConfig(it) => {
            Object::MeshConfig(Arc::new(MeshConfig { generation, ..(*it).clone() }))
        }
    };
    Change::Object(reference, Some(object))
}

fn namespace() -> impl Strategy<Value = &'static str> {
    select(vec!["a", "b"])
}

fn service_name() -> impl Strategy<Value = ServiceName> {
    (namespace(), select(vec!["x", "y", "x-v1"]))
        .prop_map(|(namespace, name)| format!("{namespace}/{name}").parse().expect("a service"))
}

fn number() -> impl Strategy<Value = u16> {
    select(vec![80, 8080])
}

fn protocol() -> impl Strategy<Value = Protocol> {
    select(vec![Protocol::Detect, Protocol::Http, Protocol::Tcp])
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        3 => workload().prop_map(|it| Change::Workload(it.proxy.clone(), Some(Arc::new(it)))),
        3 => slice().prop_map(|it| Change::Slice(it.name.clone(), Some(Arc::new(it)))),
        1 => slice_name().prop_map(|name| Change::Slice(name, None)),
        1 => proxy().prop_map(|proxy| Change::Workload(proxy, None)),
        2 => service().prop_map(|it| Change::Object(it.reference(), Some(Object::Service(Arc::new(it))))),
        3 => route().prop_map(|it| Change::Object(it.reference(), Some(Object::HttpRoute(Arc::new(it))))),
        1 => (node(), option::of(select(vec!["one", "two"])))
            .prop_map(|(name, zone)| Change::Node(name.into(), zone.map(Arc::from))),
        1 => fault().prop_map(|it| Change::Object(it.reference(), Some(Object::FaultPolicy(Arc::new(it))))),
        2 => policy().prop_map(|it| Change::Object(it.reference(), Some(Object::TrafficPolicy(Arc::new(it))))),
        1 => mtls().prop_map(|it| Change::Object(MeshConfig::reference(), it.map(|mtls| {
            Object::MeshConfig(Arc::new(MeshConfig { mtls, ..MeshConfig::default() }))
        }))),
        2 => deletion(),
        1 => (0..3_u8).prop_map(|root| Change::Roots(Arc::new(vec![vec![root]]))),
    ]
}

fn mtls() -> impl Strategy<Value = Option<MtlsMode>> {
    option::of(select(vec![MtlsMode::Strict, MtlsMode::Permissive]))
}

fn deletion() -> impl Strategy<Value = Change> {
    let kinds = vec![
        ObjectKind::Service,
        ObjectKind::HttpRoute,
        ObjectKind::TrafficPolicy,
        ObjectKind::FaultPolicy,
    ];
    (select(kinds), namespace(), select(vec!["x", "y", "x-v1"])).prop_map(
        |(kind, namespace, name)| {
            let namespace = namespace.parse().expect("a namespace");
            let name = name.parse().expect("a name");
            Change::Object(ObjectRef { kind, namespace, name }, None)
        },
    )
}

fn proxy() -> impl Strategy<Value = ProxyId> {
    (namespace(), 0..4_u8)
        .prop_map(|(namespace, n)| format!("{namespace}/p{n}").parse().expect("a proxy"))
}

fn workload() -> impl Strategy<Value = Workload> {
    let version = select(vec!["", "v1", "v2"]);
    let ports = btree_map(
        select(vec![9080, 9090_u16]),
        (41000..41003_u16, option::of(number()), protocol()),
        0..3,
    );
    let place = (prop_oneof![Just(vec![]), Just(vec![SHARED]), addresses()], any::<bool>());
    let kind = (any::<bool>(), any::<bool>(), place);
    let named = (proxy(), node());
    (named, service_name(), version, ports, any::<bool>(), kind).prop_map(
        |(
            (proxy, node),
            service,
            version,
            ports,
            ready,
            (pod, sidecar, (addresses, own_address)),
        )| {
            let identity =
                format!("spiffe://cluster.local/ns/{}/sa/{}", proxy.namespace, service.name);
            let port = |(app_port, (dial_port, service_port, protocol))| WorkloadPort {
                name: format!("p{app_port}"),
                app_port,
                dial_port,
                service_port,
                protocol,
            };
            Workload {
                service: (!pod).then(|| service.name.clone()),
                canonical: service.name.clone(),
                version: version.to_owned(),
                labels: [("app", service.name.as_str()), ("version", version)]
                    .map(|(key, value)| (key.into(), value.into()))
                    .into(),
                identity: identity.parse().expect("an identity"),
                own_address,
                addresses,
                ports: ports.into_iter().map(port).collect(),
                sidecar,
                ready,
                node: pod.then(|| node.into()),
                bound: None,
                proxy,
            }
        },
    )
}

fn service() -> impl Strategy<Value = Service> {
    let target = prop_oneof![
        Just(TargetPort::Only),
        Just(TargetPort::Number(9080)),
        Just(TargetPort::Named("p9090".to_owned())),
    ];
    let selector = btree_map(select(vec!["app", "version"]), select(vec!["x", "y", "v1"]), 0..3);
    let own = option::of(addresses()).prop_map(Option::unwrap_or_default);
    (service_name(), option::of(selector), btree_map(number(), (target, protocol()), 0..3), own)
        .prop_map(|(name, selector, ports, addresses)| Service {
            name,
            generation: 1,
            declared: true,
            headless: addresses.is_empty(),
            addresses,
            selector: selector
                .map(|it| it.into_iter().map(|(k, v)| (k.into(), v.into())).collect()),
            ports: ports
                .into_iter()
                .map(|(port, (target, protocol))| ServicePort {
                    name: format!("p{port}"),
                    port,
                    target,
                    protocol,
                })
                .collect(),
        })
}

/// Few enough that pods, services and slices claim the same ones.
fn addresses() -> impl Strategy<Value = Vec<IpAddr>> {
    let known = vec!["10.1.0.1", "10.1.0.2", "fd00::1"];
    btree_set(select(known), 1..3)
        .prop_map(|set| set.into_iter().map(|it| it.parse().expect("an address")).collect())
}

fn slice_name() -> impl Strategy<Value = SliceName> {
    (namespace(), select(vec!["s", "t"]))
        .prop_map(|(namespace, name)| format!("{namespace}/{name}").parse().expect("a slice"))
}

fn node() -> impl Strategy<Value = &'static str> {
    select(vec!["n1", "n2"])
}

fn slice() -> impl Strategy<Value = Slice> {
    let readiness = select(vec![Readiness::Ready, Readiness::Draining, Readiness::NotReady]);
    let zone = option::of(select(vec!["one", "two"])).prop_map(|zone| zone.map(Arc::from));
    let endpoint = (addresses(), readiness, option::of(proxy()), zone).prop_map(
        |(addresses, readiness, pod, zone)| SliceEndpoint { addresses, readiness, pod, zone },
    );
    let ports = btree_map(number(), select(vec![9080, 9090_u16]), 0..3);
    (slice_name(), service_name(), ports, vec(endpoint, 0..4)).prop_map(
        |(name, service, ports, endpoints)| {
            let port = |(of, port)| SlicePort { name: format!("p{of}"), port };
            Slice {
                service: ServiceName::new(name.namespace.clone(), service.name),
                name,
                ports: ports.into_iter().map(port).collect(),
                endpoints,
            }
        },
    )
}

fn route() -> impl Strategy<Value = HttpRoute> {
    let section = number().prop_map(|port| format!("p{port}"));
    let parents = vec((service_name(), option::of(number()), option::of(section)), 1..3);
    let rules = vec(vec((service_name(), number()), 0..3), 0..3);
    (service_name(), 0..3_u64, parents, rules).prop_map(|(name, created_ms, parents, rules)| {
        HttpRoute {
            namespace: name.namespace,
            name: name.name.as_str().parse().expect("a name"),
            generation: 1,
            created_ms,
            parents: parents
                .into_iter()
                .map(|(service, port, section)| Parent { service, port, section })
                .collect(),
            rules: rules.into_iter().map(rule).collect(),
        }
    })
}

fn rule(backends: Vec<(ServiceName, u16)>) -> RouteRule {
    let everything = RouteMatch {
        path: PathMatch::Prefix("/".to_owned()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    };
    let backend = |(service, port)| BackendRef {
        service,
        port,
        weight: 1,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        rewrite: Rewrite::default(),
    };
    RouteRule {
        id: RuleId("HTTPRoute/a/x/0".into()),
        matches: vec![everything],
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        backends: backends.into_iter().map(backend).collect(),
        request_timeout: None,
        backend_request_timeout: None,
        retry: None,
    }
}

fn fault() -> impl Strategy<Value = FaultPolicy> {
    (service_name(), 0..3_u64, service_name(), 1..4_u32).prop_map(
        |(name, created_ms, target, ppm)| FaultPolicy {
            targets: vec![PolicyTarget {
                service: ServiceName::new(name.namespace.clone(), target.name),
            }],
            namespace: name.namespace,
            name: name.name.as_str().parse().expect("a name"),
            generation: 1,
            created_ms,
            from: Vec::new(),
            matches: Vec::new(),
            delay: None,
            abort: Some(FaultAbort { how: AbortHow::Reset, ppm }),
            expires: None,
            shadow: false,
        },
    )
}

fn policy() -> impl Strategy<Value = TrafficPolicy> {
    (service_name(), 0..3_u64, service_name(), 1..4_u64).prop_map(
        |(name, created_ms, target, seconds)| TrafficPolicy {
            targets: vec![PolicyTarget {
                service: ServiceName::new(name.namespace.clone(), target.name),
            }],
            namespace: name.namespace,
            name: name.name.as_str().parse().expect("a name"),
            generation: 1,
            created_ms,
            pool: ClusterPolicy {
                connect_timeout: Duration::from_secs(seconds),
                ..ClusterPolicy::default()
            },
            request_timeout: Some(Duration::from_secs(seconds)),
            try_timeout: None,
            retry: None,
        },
    )
}
