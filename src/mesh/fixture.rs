//! Objects for tests, from short texts: `"default/reviews"`, `"v1"`. Panics on a wrong one.

use std::sync::Arc;
use std::time::Duration;

use crate::mesh::{
    BackendRef, Change, FaultPolicy, HttpRoute, Labels, Object, Parent, PolicyTarget, Readiness,
    RouteMatch, RouteRule, Service, ServicePort, Slice, SliceEndpoint, SlicePort, Snapshot,
    TargetPort, TrafficPolicy, Workload, WorkloadPort,
};
use crate::names::{Identity, Protocol, RuleId, ServiceName};
use crate::resource::{
    AbortHow, ClusterPolicy, FaultAbort, HeaderEdit, PARTS_PER_MILLION, PathMatch, Rewrite,
};

pub(crate) fn empty() -> Snapshot {
    Snapshot::new("cluster.local".parse().expect("a trust domain"), Arc::default())
}

pub(crate) fn name(text: &str) -> ServiceName {
    text.parse().expect("a service name")
}

pub(crate) fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|&(key, value)| (key.into(), value.into())).collect()
}

/// Ready, with a sidecar, at 127.0.0.1; one port: application 9080, dialled 41000, service port 80.
pub(crate) fn workload(proxy: &str, service: &str, version: &str) -> Workload {
    let (namespace, _) = proxy.split_once('/').expect("namespace/name");
    let identity: Identity =
        format!("spiffe://cluster.local/ns/{namespace}/sa/{service}").parse().expect("identity");
    let mut labels = labels(&[("app", service)]);
    if !version.is_empty() {
        labels.insert("version".into(), version.into());
    }
    Workload {
        proxy: proxy.parse().expect("a proxy"),
        service: Some(service.parse().expect("a service label")),
        canonical: service.parse().expect("a service label"),
        version: version.to_owned(),
        labels,
        identity,
        addresses: vec![[127, 0, 0, 1].into()],
        own_address: false,
        ports: vec![port(9080, 41000, 80, Protocol::Http)],
        sidecar: true,
        ready: true,
        node: None,
        bound: None,
    }
}

/// `service` 0: it was not said.
pub(crate) fn port(app: u16, dial: u16, service: u16, protocol: Protocol) -> WorkloadPort {
    WorkloadPort {
        name: format!("p{app}"),
        app_port: app,
        dial_port: dial,
        service_port: (service > 0).then_some(service),
        protocol,
    }
}

/// Declared, without a selector; each port leads to the workload's only one.
pub(crate) fn service(text: &str, ports: &[u16]) -> Service {
    let port = |&port: &u16| ServicePort {
        name: String::new(),
        port,
        target: TargetPort::Only,
        protocol: Protocol::Detect,
    };
    Service {
        name: name(text),
        generation: 1,
        declared: true,
        selector: None,
        addresses: Vec::new(),
        headless: false,
        ports: ports.iter().map(port).collect(),
    }
}

/// A route of one rule per list of matches, all to `backend` port 80.
pub(crate) fn route(
    text: &str,
    parent: &str,
    backend: &str,
    rules: Vec<Vec<RouteMatch>>,
) -> HttpRoute {
    let (namespace, own) = text.split_once('/').expect("namespace/name");
    let rule = |(index, matches): (usize, Vec<RouteMatch>)| RouteRule {
        id: RuleId(format!("HTTPRoute/{text}/{index}").into()),
        matches,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        backends: vec![backend_ref(backend, 80)],
        request_timeout: None,
        backend_request_timeout: None,
        retry: None,
    };
    HttpRoute {
        namespace: namespace.parse().expect("a namespace"),
        name: own.parse().expect("a name"),
        generation: 1,
        created_ms: 1,
        parents: vec![Parent { service: name(parent), port: None, section: None }],
        rules: rules.into_iter().enumerate().map(rule).collect(),
    }
}

pub(crate) fn backend_ref(service: &str, port: u16) -> BackendRef {
    BackendRef {
        service: name(service),
        port,
        weight: 1,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        rewrite: Rewrite::default(),
    }
}

pub(crate) fn on(path: PathMatch) -> RouteMatch {
    RouteMatch { path, method: None, headers: Vec::new(), query: Vec::new() }
}

pub(crate) fn prefix(path: &str) -> RouteMatch {
    on(PathMatch::Prefix(path.to_owned()))
}

/// On the service of that name in its namespace, with a request timeout and defaults.
pub(crate) fn policy(text: &str, target: &str, request_timeout: Duration) -> TrafficPolicy {
    let (namespace, own) = text.split_once('/').expect("namespace/name");
    TrafficPolicy {
        namespace: namespace.parse().expect("a namespace"),
        name: own.parse().expect("a name"),
        generation: 1,
        created_ms: 1,
        targets: vec![PolicyTarget { service: name(target) }],
        pool: ClusterPolicy::default(),
        request_timeout: Some(request_timeout),
        try_timeout: None,
        retry: None,
    }
}

/// On the service of that name in its namespace: every call fails with 503, for ever.
pub(crate) fn fault_policy(text: &str, target: &str) -> FaultPolicy {
    let (namespace, own) = text.split_once('/').expect("namespace/name");
    FaultPolicy {
        namespace: namespace.parse().expect("a namespace"),
        name: own.parse().expect("a name"),
        generation: 1,
        created_ms: 1,
        targets: vec![PolicyTarget { service: name(target) }],
        from: Vec::new(),
        matches: Vec::new(),
        delay: None,
        abort: Some(FaultAbort { how: AbortHow::Status(503), ppm: PARTS_PER_MILLION }),
        expires: None,
        shadow: false,
    }
}

/// A pod of that application with a sidecar, alone at `10.1.0.LAST`, that names port 8080.
pub(crate) fn pod(proxy: &str, app: &str, last: u8) -> Workload {
    Workload {
        service: None,
        addresses: vec![[10, 1, 0, last].into()],
        own_address: true,
        ports: vec![port(8080, 8080, 0, Protocol::Detect)],
        ready: false,
        ..workload(proxy, app, "")
    }
}

/// Selects pods of its own name; at `10.96.0.LAST`; each port, named `pNUMBER`, leads to 8080.
pub(crate) fn cluster_service(text: &str, last: u8, ports: &[u16]) -> Service {
    let plain = service(text, ports);
    let port = |port: ServicePort| ServicePort {
        name: format!("p{}", port.port),
        target: TargetPort::Number(8080),
        ..port
    };
    Service {
        selector: Some(labels(&[("app", plain.name.name.as_str())])),
        addresses: vec![[10, 96, 0, last].into()],
        ports: plain.ports.clone().into_iter().map(port).collect(),
        ..plain
    }
}

/// A slice of `service` with those endpoints, `pNUMBER` at 8080 for each of `ports`.
pub(crate) fn slice(
    text: &str,
    service: &str,
    ports: &[u16],
    endpoints: Vec<SliceEndpoint>,
) -> Slice {
    let port = |port: &u16| SlicePort { name: format!("p{port}"), port: 8080 };
    Slice {
        name: text.parse().expect("a slice"),
        service: name(service),
        ports: ports.iter().map(port).collect(),
        endpoints,
    }
}

/// An endpoint at `10.1.0.LAST`.
pub(crate) fn endpoint(pod: Option<&str>, last: u8, readiness: Readiness) -> SliceEndpoint {
    SliceEndpoint {
        addresses: vec![[10, 1, 0, last].into()],
        readiness,
        pod: pod.map(|pod| pod.parse().expect("a pod")),
        zone: None,
    }
}

pub(crate) fn sliced(slice: Slice) -> Change {
    Change::Slice(slice.name.clone(), Some(Arc::new(slice)))
}

pub(crate) fn came(workload: Workload) -> Change {
    Change::Workload(workload.proxy.clone(), Some(Arc::new(workload)))
}

pub(crate) fn declared(service: Service) -> Change {
    Change::Object(service.reference(), Some(Object::Service(Arc::new(service))))
}

pub(crate) fn routed(route: HttpRoute) -> Change {
    Change::Object(route.reference(), Some(Object::HttpRoute(Arc::new(route))))
}

pub(crate) fn treated(policy: TrafficPolicy) -> Change {
    Change::Object(policy.reference(), Some(Object::TrafficPolicy(Arc::new(policy))))
}

pub(crate) fn made_faulty(policy: FaultPolicy) -> Change {
    Change::Object(policy.reference(), Some(Object::FaultPolicy(Arc::new(policy))))
}
