//! One endpoint at one address.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::names::{Identity, ObjectName, ProxyId};
use crate::proxy::balance::{Latency, hash_of};
use crate::proxy::vitals::Vitals;
use crate::resource;

/// See the head of this file.
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
    /// The zone that it runs in; empty where that is not known.
    pub zone: String,
    /// What this proxy has seen of it.
    pub vitals: Vitals,
    /// How fast it answers, where the choice depends on that.
    pub latency: Latency,
    /// Requests (or opaque connections) of this proxy in flight.
    pub in_flight: AtomicU32,
    /// The same in every proxy and after every restart: by it the consistent algorithms place it.
    pub key: u64,
    /// As [`Self::weight`]; may change while the endpoint stays.
    pub(in crate::proxy) weight: AtomicU32,
}

impl Endpoint {
    /// The application beside `proxy`.
    pub fn app(proxy: &ProxyId, address: SocketAddr) -> Self {
        Self::plain(proxy.name.clone(), address)
    }

    /// Something outside of the mesh, of which nothing but the address is known.
    pub fn outside(address: SocketAddr) -> Self {
        Self::plain("outside".parse().expect("it is the name of an object"), address)
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
            zone: String::new(),
            vitals: Vitals::default(),
            latency: Latency::default(),
            in_flight: AtomicU32::new(0),
            key: 0,
            weight: AtomicU32::new(1),
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

    /// The `number`th address of one endpoint of a service.
    pub(super) fn of_service(
        endpoint: &resource::Endpoint,
        address: SocketAddr,
        number: usize,
    ) -> Self {
        Self {
            identity: endpoint.identity.clone(),
            registered: true,
            version: endpoint.version.clone(),
            zone: endpoint.zone.clone(),
            // Not by the address, which is another one after a restart.
            key: hash_of(endpoint.workload.as_str().as_bytes()).wrapping_add(number as u64),
            weight: AtomicU32::new(endpoint.weight.max(1)),
            ..Self::plain(endpoint.workload.clone(), address)
        }
    }

    /// Whether it is the one that a resource describes now; its weight may be another one.
    pub(super) fn is_still(&self, endpoint: &resource::Endpoint, address: SocketAddr) -> bool {
        self.is_at(endpoint, address)
            && self.identity == endpoint.identity
            && self.version == endpoint.version
            && self.zone == endpoint.zone
    }

    /// Whether it is that workload at that address.
    pub(super) fn is_at(&self, endpoint: &resource::Endpoint, address: SocketAddr) -> bool {
        self.address == address && self.workload == endpoint.workload
    }

    /// Its share against the others', at least 1.
    pub fn weight(&self) -> u64 {
        self.weight.load(Ordering::Relaxed).into()
    }

    /// It weighs `weight` from the next choice on.
    pub(super) fn weigh(&self, weight: u32) {
        self.weight.store(weight.max(1), Ordering::Relaxed);
    }
}

/// An id for a pool's key.
pub fn next_id() -> u64 {
    static NEXT_ID: AtomicU64 = AtomicU64::new(1);
    NEXT_ID.fetch_add(1, Ordering::Relaxed)
}
