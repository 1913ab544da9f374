//! One worker: a thread with its own runtime, pools, counters and caches. Nothing in here is
//! shared with another worker except what [`Shared`] holds, which is read only or atomic.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::certs::tls::Tls;
use crate::names::{ProxyId, ServiceName};
use crate::net::allocator;
use crate::proxy::captured::{self, OwnPod};
use crate::proxy::circuit::Place;
use crate::proxy::cluster::Endpoint;
use crate::proxy::directory::{Directory, HostCell, ServiceCell};
use crate::proxy::h1::Buffer;
use crate::proxy::h2::Http2Pool;
use crate::proxy::overload::{Lane, Level, Overload, UnderWay};
use crate::proxy::pool::Pool;
use crate::proxy::resolve::Resolver;
use crate::proxy::slots::{SWEEP, Slots};
use crate::resource::Host;
use crate::telemetry::collector::Collector;
use crate::telemetry::limits::Limit;
use crate::telemetry::metrics::{Edge, EdgeKey, WorkerMetrics};
use crate::telemetry::span::SpanQueue;

/// Blocks kept for reuse.
const MAX_BLOCKS: usize = 64;

/// Rooms kept for reuse.
const MAX_ROOMS: usize = 128;

/// The largest room that is worth keeping, bytes.
const MAX_ROOM: usize = 32 * 1024;

/// Names of services kept with their cells; over it the cache starts anew.
const MAX_TARGETS: usize = Limit::CachedTargets.most();

/// Edges kept with their counters; over it the cache starts anew.
const MAX_EDGES: usize = 4_096;

/// Own addresses that are remembered; a pod has two or three.
const MAX_LOCAL: usize = 16;

/// What all workers of a proxy share.
#[derive(Debug)]
pub struct Shared {
    /// The configuration.
    pub directory: Arc<Directory>,
    /// Credentials and roots.
    pub tls: Arc<Tls>,
    /// Counters of all workers.
    pub metrics: Arc<Collector>,
    /// Sampled spans.
    pub spans: Arc<SpanQueue>,
    /// What is shed before memory or descriptors run out.
    pub overload: Arc<Overload>,
    /// Names outside of the mesh.
    pub resolver: Arc<Resolver>,
    /// This proxy.
    pub proxy: ProxyId,
    /// The service that its workload registered under.
    pub service: ServiceName,
    /// The `version` label; empty where there is none.
    pub version: String,
}

/// What a worker is told to do, beside [`Shared`].
#[derive(Debug, Clone)]
pub struct Duties {
    /// Where the application listens.
    pub app: Option<SocketAddr>,
    /// The proxy's own listeners, which it never calls.
    pub listeners: Vec<SocketAddr>,
    /// How calls of the own pod come in, where inbound is captured.
    pub own_pod: Option<Arc<OwnPod>>,
    /// How callers from the mesh are accepted.
    pub server: Arc<rustls::ServerConfig>,
}

/// A service, and the port of it that was called.
type Target = (Arc<ServiceCell>, u16);

/// See the head of this file.
#[derive(Debug)]
pub struct Worker {
    /// What all workers share.
    pub shared: Arc<Shared>,
    /// What to do.
    pub duties: Duties,
    /// Deadlines of waiting connections.
    pub slots: Rc<Slots>,
    /// Idle HTTP/1.1 connections.
    pub pool: RefCell<Pool>,
    /// Shared HTTP/2 connections.
    pub http2: RefCell<Http2Pool>,
    /// The application as an endpoint.
    pub app: Option<Arc<Endpoint>>,
    /// Services found by the authority that was called.
    pub targets: RefCell<HashMap<Box<str>, Target>>,
    connections: Arc<AtomicUsize>,
    lane: Option<Lane>,
    metrics: WorkerMetrics,
    edges: RefCell<HashMap<(u64, u64, u64), Arc<Edge>>>,
    blocks: RefCell<Vec<Vec<u8>>>,
    rooms: RefCell<Vec<Vec<u8>>>,
    /// Ports where the server speaks first, by the table of the service.
    server_first: RefCell<HashSet<(u64, u16)>>,
    plain: RefCell<HashMap<SocketAddr, Arc<Endpoint>>>,
    /// Addresses that are this machine's; they stay so.
    local: RefCell<Vec<IpAddr>>,
    /// Our own workload by its own addresses.
    own_hosts: RefCell<Vec<Arc<HostCell>>>,
    /// This proxy's service and identity as labels of metrics.
    pub labels: Labels,
}

/// This proxy in metrics.
#[derive(Debug, Clone)]
pub struct Labels {
    /// `namespace/service`.
    pub service: Arc<str>,
    /// The `version` label; empty where there is none.
    pub version: Arc<str>,
    /// SPIFFE identity.
    pub identity: Arc<str>,
}

impl Worker {
    /// A worker that has done nothing yet; `connections` is how the acceptor sees its load.
    pub fn new(shared: Arc<Shared>, duties: Duties, connections: Arc<AtomicUsize>) -> Rc<Self> {
        let labels = Labels {
            service: shared.service.to_string().into(),
            version: shared.version.as_str().into(),
            identity: shared.tls.credentials().identity().to_string().into(),
        };
        Rc::new(Self {
            metrics: shared.metrics.worker(),
            lane: shared.overload.lane(),
            app: duties.app.map(|address| Arc::new(Endpoint::app(&shared.proxy, address))),
            shared,
            duties,
            slots: Slots::new(),
            pool: RefCell::default(),
            http2: RefCell::default(),
            targets: RefCell::default(),
            connections,
            edges: RefCell::default(),
            blocks: RefCell::default(),
            rooms: RefCell::default(),
            server_first: RefCell::default(),
            plain: RefCell::default(),
            local: RefCell::default(),
            own_hosts: RefCell::default(),
            labels,
        })
    }

    /// Where connections of this worker to an endpoint lie.
    pub fn place(self: &Rc<Self>, endpoint: u64) -> Place {
        Place { worker: Rc::as_ptr(self) as usize, endpoint }
    }

    /// Looks after deadlines and pools until the runtime ends.
    pub async fn housekeep(self: Rc<Self>) {
        tokio::join!(self.keep_time(), self.heed());
    }

    /// Ends what is over, as time passes.
    async fn keep_time(&self) {
        let mut ticks = tokio::time::interval(SWEEP);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.slots.sweep();
            self.pool.borrow_mut().sweep(self.slots.now());
            self.http2.borrow_mut().sweep(self.slots.now());
            self.targets.borrow_mut().retain(|_, (cell, _)| !cell.is_retired());
            allocator::give_back(false);
        }
    }

    /// Makes room whenever the bell is rung for a shortage.
    pub(super) async fn heed(&self) {
        let mut shortages = self.shared.directory.bell().shortages();
        let mut dry = self.shared.overload.dry();
        while shortages.changed().await.is_ok() {
            self.pool.borrow_mut().make_way();
            self.http2.borrow_mut().make_way();
            if std::mem::replace(&mut dry, self.shared.overload.dry()) != dry {
                self.close_unused();
            }
            self.relieve();
        }
    }

    /// Closes connections to endpoints that nobody uses.
    pub fn close_unused(&self) {
        self.pool.borrow_mut().clear();
        self.http2.borrow_mut().clear_idle();
    }

    /// Gives back what it can, as far as memory is short.
    fn relieve(&self) {
        let level = self.shared.overload.level();
        if level == Level::Calm {
            return;
        }
        self.close_unused();
        self.blocks.take();
        self.rooms.take();
        if level == Level::Cut {
            self.shared.metrics.limits.add(Limit::Memory, self.slots.cut());
        }
        allocator::give_back(true);
    }

    /// Whether a request may go on, as far as memory goes, whose connection came at level `then`;
    /// counted where it may not.
    pub fn admits(&self, then: Level) -> bool {
        let admitted = self.shared.overload.admits(then);
        if !admitted {
            self.hit(Limit::Memory);
        }
        admitted
    }

    /// As [`Worker::admits`], of a connection that comes now.
    pub fn admits_new(&self) -> bool {
        self.admits(self.shared.overload.level())
    }

    /// A request, or an opaque connection, begins that was admitted; it is under way as long as the value.
    pub fn begin(&self) -> Option<UnderWay> {
        self.lane.as_ref().map(Lane::begin)
    }

    /// A limit was reached.
    pub fn hit(&self, limit: Limit) {
        self.shared.metrics.limits.hit(limit);
    }

    /// How many of a million new traces are sampled.
    pub fn sampling_ppm(&self) -> u32 {
        self.shared.directory.mesh().sampling_ppm
    }

    /// A room to read or write into; holds nothing of before.
    pub fn take_block(&self) -> Buffer {
        self.blocks.borrow_mut().pop().map_or_else(Buffer::empty, Buffer::from_block)
    }

    /// Takes back a room, once nothing in it is needed.
    pub fn give_block(&self, buffer: Buffer) {
        let mut blocks = self.blocks.borrow_mut();
        if buffer.has_standard_block() && blocks.len() < MAX_BLOCKS {
            blocks.push(buffer.into_block());
        }
    }

    /// A room to write a message into.
    pub fn take_room(&self) -> Vec<u8> {
        self.rooms.borrow_mut().pop().unwrap_or_default()
    }

    /// Takes back a room, once what was in it is written.
    pub fn give_room(&self, mut room: Vec<u8>) {
        let mut rooms = self.rooms.borrow_mut();
        if (1..=MAX_ROOM).contains(&room.capacity()) && rooms.len() < MAX_ROOMS {
            room.clear();
            rooms.push(room);
        }
    }

    /// The counters of an edge; `key` is asked only where the cache does not know it. The cache is
    /// keyed by what was called, the endpoint that answers, and the protocol.
    pub fn edge(&self, ids: (u64, u64, u64), key: impl FnOnce() -> EdgeKey) -> Arc<Edge> {
        let mut edges = self.edges.borrow_mut();
        if let Some(edge) = edges.get(&ids) {
            return Arc::clone(edge);
        }
        if edges.len() >= MAX_EDGES {
            edges.clear();
        }
        let edge = self.metrics.edge(&key());
        edges.insert(ids, Arc::clone(&edge));
        edge
    }

    /// The counters of an edge that is not worth caching.
    pub fn cold_edge(&self, key: &EdgeKey) -> Arc<Edge> {
        self.metrics.edge(key)
    }

    /// An address of an application of ours as an endpoint, so that connections to it are reused.
    pub fn app_endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        self.plain_endpoint(address, || Endpoint::app(&self.shared.proxy, address))
    }

    /// An address outside of the mesh as an endpoint, as [`Worker::app_endpoint`].
    pub fn outside_endpoint(&self, address: SocketAddr) -> Arc<Endpoint> {
        self.plain_endpoint(address, || Endpoint::outside(address))
    }

    fn plain_endpoint(
        &self,
        address: SocketAddr,
        fresh: impl FnOnce() -> Endpoint,
    ) -> Arc<Endpoint> {
        let mut plain = self.plain.borrow_mut();
        if plain.len() >= MAX_TARGETS {
            self.hit(Limit::CachedTargets);
            plain.clear();
        }
        Arc::clone(plain.entry(address).or_insert_with(|| Arc::new(fresh())))
    }

    /// Whether an address is this machine's: only to those can a socket be bound.
    pub fn is_local(&self, ip: IpAddr) -> bool {
        if self.local.borrow().contains(&ip) {
            return true;
        }
        let found = captured::is_local(ip);
        let mut local = self.local.borrow_mut();
        if found && local.len() < MAX_LOCAL {
            local.push(ip);
        }
        found
    }

    /// Our own workload, as one that is called by its address `ip`.
    pub fn own_host(&self, ip: IpAddr) -> Arc<HostCell> {
        let workload = self.shared.directory.workload();
        let ports = workload.ports.iter().map(|port| (port.port, port.protocol)).collect();
        let host = Host {
            ip,
            service: self.shared.service.clone(),
            workload: workload.proxy.name.clone(),
            identity: Some(workload.identity.clone()),
            version: self.shared.version.clone(),
            ports,
        };
        let mut own_hosts = self.own_hosts.borrow_mut();
        if let Some(known) = own_hosts.iter().find(|known| known.host == host) {
            return Arc::clone(known);
        }
        own_hosts.retain(|known| known.host.ip != ip);
        own_hosts.truncate(MAX_LOCAL);
        let own = Arc::new(HostCell::new(host));
        own_hosts.push(Arc::clone(&own));
        own
    }

    /// Whether the server was heard first at a port of a service.
    pub fn speaks_first(&self, place: (u64, u16)) -> bool {
        self.server_first.borrow().contains(&place)
    }

    /// Remembers that the server was heard first: such a port is opaque.
    pub fn remember_speaks_first(&self, place: (u64, u16)) {
        let mut places = self.server_first.borrow_mut();
        if places.len() >= MAX_TARGETS {
            self.hit(Limit::CachedTargets);
            places.clear();
        }
        places.insert(place);
    }

    /// Remembers the service that an authority names.
    pub fn remember(&self, authority: &str, cell: &Arc<ServiceCell>, port: u16) {
        let mut targets = self.targets.borrow_mut();
        if targets.len() >= MAX_TARGETS {
            self.hit(Limit::CachedTargets);
            targets.clear();
        }
        targets.insert(authority.into(), (Arc::clone(cell), port));
    }

    /// Counts a connection for as long as the guard lives.
    pub fn enter(self: &Rc<Self>) -> Presence {
        Presence(Arc::clone(&self.connections))
    }
}

/// One connection in a worker's count; the acceptor has counted it already.
#[derive(Debug)]
pub struct Presence(Arc<AtomicUsize>);

impl Drop for Presence {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
