//! A sidecar's data plane in a namespace, fed by the test instead of a control plane: what the mesh
//! knows is a table of resources, and what is not in it is not there.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use meshctl::certs::tls::Tls;
use meshctl::certs::{Authority, PendingKey};
use meshctl::names::sidecar::{INBOUND_PORT, OUTBOUND_PORT};
use meshctl::names::{Identity, Protocol, RuleId, ServiceName};
use meshctl::proxy::dataplane::{Captured, Config, DataPlane, Running, Shared};
use meshctl::proxy::directory::{Directory, Effect, Limits, Loader};
use meshctl::proxy::handover::Listeners;
use meshctl::resource::{
    Address, Backend, Cluster, ClusterPolicy, ClusterPort, Endpoint, HeaderEdit, Host, InboundPort,
    Key, Mesh, MtlsMode, OutboundMode, PathMatch, PortMapping, Resource, Retry, Rewrite,
    RouteMatch, Rule, Service, ServicePort, Timeouts, Workload,
};
use meshctl::telemetry::collector::Collector;
use meshctl::telemetry::span::SpanQueue;
use tokio::runtime::Runtime;

use super::namespace::{Namespace, Who};

/// What everybody is told.
pub(super) struct World {
    authority: Authority,
    resources: Arc<Mutex<BTreeMap<Key, Resource>>>,
}

/// A pod's proxy; it ends with the value.
pub(super) struct Pod {
    pub(super) namespace: Namespace,
    running: Option<Running>,
    runtime: Runtime,
}

impl World {
    /// Nothing is in the mesh, and everything outside may be called.
    pub(super) fn new() -> Self {
        let domain = identity("x").trust_domain;
        let authority = Authority::create(&domain, SystemTime::now()).expect("an authority");
        let world = Self { authority, resources: Arc::default() };
        world.outbound(OutboundMode::AllowAny);
        world
    }

    /// What may be called outside of the mesh.
    pub(super) fn outbound(&self, outbound: OutboundMode) {
        let trust_domain = identity("x").trust_domain;
        self.add(Resource::Mesh(Mesh {
            trust_domain,
            roots: Vec::new(),
            outbound,
            sampling_ppm: 0,
        }));
    }

    /// The workload that has `ip`, with a sidecar where `account` says who that is.
    pub(super) fn host(&self, ip: &str, account: Option<&str>) {
        self.add(Resource::Host(Host {
            ip: ip.parse().expect("an address"),
            service: named("web"),
            workload: "web-0".parse().expect("a name"),
            identity: account.map(identity),
            version: String::new(),
            ports: Vec::new(),
        }));
    }

    /// The service `web`, called at `address:80`, whose endpoint is `target` of the account `web`.
    pub(super) fn service(&self, address: &str, target: &str, port: u16) {
        self.pool(address, &[target], port, Duration::from_secs(5), None);
    }

    /// As [`Self::service`], with several endpoints and limits on time.
    pub(super) fn pool(
        &self,
        address: &str,
        targets: &[&str],
        port: u16,
        connect_timeout: Duration,
        request: Option<Duration>,
    ) {
        let (name, ip) = (named("web"), address.parse::<IpAddr>().expect("an address"));
        let service = name.clone();
        self.add(Resource::Address(Address { address: (ip, 80).into(), service, port: 80 }));
        self.add(Resource::Service(Service {
            name: name.clone(),
            consumer: None,
            overridden_in: Vec::new(),
            ports: vec![ServicePort {
                port: 80,
                protocol: Protocol::Detect,
                matches: vec![everything()],
                rules: vec![rule(&name, request)],
                faults: Vec::new(),
            }],
        }));
        let endpoints = targets.iter().enumerate();
        self.add(Resource::Cluster(Cluster {
            name,
            ports: vec![ClusterPort { port: 80, protocol: Protocol::Detect }],
            policy: ClusterPolicy { connect_timeout, ..ClusterPolicy::default() },
            endpoints: endpoints
                .map(|(number, target)| endpoint(number, target, port).into())
                .collect(),
        }));
    }

    fn add(&self, resource: Resource) {
        self.resources.lock().expect("no panic while held").insert(resource.key(), resource);
    }

    /// Starts the sidecar of a pod of `account`, whose application's ports demand what is said, and
    /// all others mutual TLS.
    pub(super) fn start(
        &self,
        namespace: Namespace,
        account: &str,
        ports: &[(u16, MtlsMode)],
    ) -> Pod {
        let identity = identity(account);
        let workload = Workload {
            proxy: format!("shop/{account}-0").parse().expect("a name"),
            identity,
            services: Vec::new(),
            zone: String::new(),
            mtls: MtlsMode::Strict,
            ports: ports.iter().map(inbound_port).collect(),
        };
        let shared = self.shared(workload);
        let captured = Captured { inbound: Some(INBOUND_PORT), outbound: Some(OUTBOUND_PORT) };
        let config = Config {
            inbound: ([127, 0, 0, 1], 0).into(),
            outbound: ([127, 0, 0, 1], 0).into(),
            upstreams: Vec::new(),
            captured,
            own: Vec::new(),
            app: None,
            workers: NonZeroUsize::MIN,
        };
        let resources = Arc::clone(&self.resources);
        let directory = Arc::clone(&shared.directory);
        let start = || {
            DataPlane::bind(config, &mut Listeners::default())
                .and_then(|bound| bound.start(&shared, false))
        };
        let running = namespace.act(Who::Sidecar, start).expect("its ports are free");
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("a runtime");
        runtime.spawn(answer(directory, resources));
        Pod { namespace, running: Some(running), runtime }
    }

    fn shared(&self, workload: Workload) -> Arc<Shared> {
        let (now, identity) = (SystemTime::now(), workload.identity.clone());
        let key = PendingKey::generate().expect("a key");
        let csr = key.anonymous_csr().expect("a request");
        let signed = self.authority.sign(&csr, &identity, Duration::from_secs(3600), now);
        let roots = self.authority.roots();
        let chain = signed.expect("signed").chain;
        let credentials = key.finish(chain, roots, &identity).expect("matching");
        let proxy = workload.proxy.clone();
        let limits = Limits { patience: Duration::from_secs(5), ..Limits::STANDARD };
        Arc::new(Shared {
            directory: Arc::new(Directory::new(identity.namespace.clone(), workload, limits)),
            tls: Tls::new(credentials, roots.clone()).expect("usable"),
            metrics: Collector::new(),
            overload: Arc::default(),
            resolver: meshctl::proxy::resolve::Resolver::system(Arc::default()),
            spans: Arc::new(SpanQueue::new(16)),
            proxy,
            service: named(identity.service_account.as_str()),
            version: String::new(),
        })
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            self.runtime.block_on(running.drain(Duration::ZERO, Duration::ZERO));
        }
    }
}

/// What a control plane does: answers what is asked for from what there is.
async fn answer(directory: Arc<Directory>, resources: Arc<Mutex<BTreeMap<Key, Resource>>>) {
    let mut loader = Loader::new(Arc::clone(&directory), Instant::now());
    loop {
        let now = Instant::now();
        for effect in loader.take_effects() {
            let Effect::Subscribe(key) = effect else { continue };
            let found = resources.lock().expect("no panic while held").get(&key).cloned();
            match found {
                Some(resource) => loader.offer(resource, None, now),
                None => loader.gone(&key, now),
            }
        }
        let effects = directory.wanted();
        let wait = tokio::time::timeout(Duration::from_millis(5), effects);
        // Answers may have led to more questions.
        let _ = wait.await;
        directory.take_wanted().iter().for_each(|name| loader.want(name, now));
        directory.take_wanted_addresses().iter().for_each(|at| loader.want_address(*at, now));
        directory.take_wanted_hosts().iter().for_each(|ip| loader.want_host(*ip, now));
    }
}

fn inbound_port(&(port, mtls): &(u16, MtlsMode)) -> InboundPort {
    InboundPort { port, protocol: Protocol::Detect, mtls }
}

fn everything() -> RouteMatch {
    RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".to_owned()),
        method: None,
        headers: Vec::new(),
        query: Vec::new(),
    }
}

fn endpoint(number: usize, target: &str, port: u16) -> Endpoint {
    Endpoint {
        workload: format!("web-{number}").parse().expect("a name"),
        addresses: vec![target.parse().expect("an address")],
        ports: vec![PortMapping { service_port: 80, target_port: port }],
        identity: Some(identity("web")),
        version: String::new(),
        weight: 1,
        zone: String::new(),
    }
}

fn rule(service: &ServiceName, request: Option<Duration>) -> Rule {
    let backend = Backend {
        service: service.clone(),
        port: 80,
        weight: 1,
        resolved: true,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        rewrite: Rewrite::default(),
    };
    Rule {
        id: RuleId("default".into()),
        backends: vec![backend],
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts: Timeouts { request, backend_request: None },
        retry: Retry::default(),
    }
}

fn named(name: &str) -> ServiceName {
    format!("shop/{name}").parse().expect("a service")
}

fn identity(account: &str) -> Identity {
    format!("spiffe://cluster.local/ns/shop/sa/{account}").parse().expect("an identity")
}
