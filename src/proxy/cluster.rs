//! Where a service's requests end: its endpoints as this proxy sees them, shared by all workers.
//!
//! A cell lives as long as anybody points to it; its content is swapped when configuration
//! arrives. Endpoints are diffed by name and address, so that counters (and in each worker the
//! pooled connections, which are keyed by [`Endpoint::id`]) survive.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;

use crate::names::{Identity, ObjectName, Protocol, ProxyId, ServiceName};
use crate::proxy::bell::Bell;
use crate::proxy::circuit::Circuit;
use crate::proxy::flight::Verdict;
use crate::proxy::service::BuildError;
use crate::proxy::vitals::Vitals;
use crate::resource::{self, Algorithm, ClusterPolicy};
use crate::xds;

/// The place of one cluster; empty until its first resource arrives.
#[derive(Debug)]
pub struct ClusterCell {
    /// The service.
    pub name: ServiceName,
    circuit: Arc<Circuit>,
    state: ArcSwapOption<Cluster>,
}

/// One state of a cluster.
#[derive(Debug)]
pub struct Cluster {
    /// How the pool is treated.
    pub policy: ClusterPolicy,
    /// How much is going on.
    pub circuit: Arc<Circuit>,
    ports: Vec<Port>,
}

/// The endpoints that answer for one port of the service.
#[derive(Debug)]
pub struct Port {
    /// The service's port.
    pub port: u16,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// In order of workload names.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// For round robin.
    pub(super) next: AtomicUsize,
}

/// One endpoint at one address.
#[derive(Debug)]
pub struct Endpoint {
    /// Unique in this process and never reused: the key of pools.
    pub id: u64,
    /// The workload.
    pub workload: ObjectName,
    /// Where to dial.
    pub address: SocketAddr,
    /// Who must answer; `None`: plaintext.
    pub identity: Option<Identity>,
    /// The control plane named it: without an identity it is called only under
    /// `outbound: AllowAny`.
    pub registered: bool,
    /// The `version` label.
    pub version: String,
    /// Its share against the others', at least 1.
    pub weight: u32,
    /// The zone that it runs in; empty where that is not known.
    pub zone: String,
    /// What this proxy has seen of it.
    pub vitals: Vitals,
    /// Requests (or opaque connections) of this proxy in flight.
    pub in_flight: AtomicU32,
}

impl ClusterCell {
    /// An empty cell.
    pub fn new(name: ServiceName) -> Self {
        Self::with_bell(name, Arc::default())
    }

    /// An empty cell that calls other threads by `bell`.
    pub fn with_bell(name: ServiceName, bell: Arc<Bell>) -> Self {
        let circuit = Arc::new(Circuit::new(bell));
        Self { name, circuit, state: ArcSwapOption::empty() }
    }

    /// What is known now; `None` before the first resource.
    pub fn load(&self) -> Option<Arc<Cluster>> {
        self.state.load_full()
    }

    /// Whether a resource has arrived.
    pub fn is_loaded(&self) -> bool {
        self.state.load().is_some()
    }

    /// Takes over a resource; endpoints that stay keep their counters.
    ///
    /// # Errors
    /// [`BuildError`]; the state before stays in force.
    pub fn apply(&self, cluster: &resource::Cluster) -> Result<(), BuildError> {
        let before = self.state.load_full();
        let ports = cluster.ports.iter().map(|port| {
            let known = before.as_deref().and_then(|cluster| cluster.port(port.port));
            let endpoints =
                cluster.endpoints.iter().flat_map(|endpoint| at_port(endpoint, port.port, known));
            Port {
                port: port.port,
                protocol: port.protocol,
                endpoints: endpoints.collect(),
                next: AtomicUsize::new(known.map_or(0, |port| port.next.load(Ordering::Relaxed))),
            }
        });
        let ports = ports.collect();
        let (policy, circuit) = (cluster.policy.clone(), Arc::clone(&self.circuit));
        circuit.limit(&policy.circuit_breaker, policy.shadow);
        self.state.store(Some(Arc::new(Cluster { policy, circuit, ports })));
        Ok(())
    }

    /// What there is to say of breaker and endpoints; `None` while all is as it should be.
    pub fn report(&self) -> Option<xds::agent::Pool> {
        None
    }

    /// Takes a workload's endpoints out by hand, for a while or until further notice; whether there
    /// are any.
    pub fn eject(&self, _workload: &ObjectName, _time: Option<Duration>) -> bool {
        false
    }

    /// Puts a workload's endpoints back, whatever took them out; whether there are any.
    pub fn restore(&self, _workload: &ObjectName) -> bool {
        false
    }

    /// Forgets what was known: the control plane says that there is no such service any more.
    pub fn clear(&self) {
        self.state.store(None);
    }
}

impl Cluster {
    /// The endpoints of one port.
    pub fn port(&self, port: u16) -> Option<&Port> {
        self.ports.iter().find(|candidate| candidate.port == port)
    }

    /// Whether anything learns from what tries come to.
    pub fn learns(&self) -> bool {
        self.policy.outlier_detection.is_some()
            || self.policy.load_balancer.algorithm == Algorithm::Ewma
            || self.policy.circuit_breaker.adaptive.is_some()
    }

    /// A try at `endpoint`, begun at `began`, came to an end.
    pub fn learn(&self, _endpoint: &Endpoint, _verdict: Verdict, _began: Instant) {}

    /// The standing of an endpoint has changed, or time has passed while some warm up: what is
    /// chosen from is made anew.
    pub fn refresh(&self, _now_ms: u64) {}

    /// All ports.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }
}

/// The endpoint's addresses for a service port, those known before reused.
fn at_port<'a>(
    endpoint: &'a resource::Endpoint,
    port: u16,
    known: Option<&'a Port>,
) -> impl Iterator<Item = Arc<Endpoint>> + 'a {
    let mapping = endpoint.ports.iter().find(move |mapping| mapping.service_port == port);
    mapping.into_iter().flat_map(move |mapping| {
        endpoint.addresses.iter().map(move |&ip| {
            let address = SocketAddr::new(ip, mapping.target_port);
            let same = |candidate: &&Arc<Endpoint>| {
                candidate.address == address
                    && candidate.workload == endpoint.workload
                    && candidate.identity == endpoint.identity
                    && candidate.version == endpoint.version
                    && candidate.weight == endpoint.weight
                    && candidate.zone == endpoint.zone
            };
            let before = known.and_then(|port| port.endpoints.iter().find(same));
            before.cloned().unwrap_or_else(|| Arc::new(Endpoint::new(endpoint, address)))
        })
    })
}

impl Endpoint {
    /// The application beside `proxy`.
    pub fn app(proxy: &ProxyId, address: SocketAddr) -> Self {
        Self::plain(proxy.name.clone(), address)
    }

    /// An endpoint without a sidecar that the control plane did not name.
    pub fn plain(workload: ObjectName, address: SocketAddr) -> Self {
        Self {
            id: next_id(),
            workload,
            address,
            identity: None,
            registered: false,
            version: String::new(),
            weight: 1,
            zone: String::new(),
            vitals: Vitals::default(),
            in_flight: AtomicU32::new(0),
        }
    }

    /// One port of a workload that is called by its own address.
    pub fn of_host(host: &resource::Host, port: u16) -> Self {
        Self {
            identity: host.identity.clone(),
            registered: true,
            version: host.version.clone(),
            ..Self::plain(host.workload.clone(), SocketAddr::new(host.ip, port))
        }
    }

    fn new(endpoint: &resource::Endpoint, address: SocketAddr) -> Self {
        Self {
            id: next_id(),
            workload: endpoint.workload.clone(),
            address,
            identity: endpoint.identity.clone(),
            registered: true,
            version: endpoint.version.clone(),
            weight: endpoint.weight.max(1),
            zone: endpoint.zone.clone(),
            vitals: Vitals::default(),
            in_flight: AtomicU32::new(0),
        }
    }
}

/// An id for a pool's key.
pub fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
