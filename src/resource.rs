//! The named things that proxies ask for, as plain structs: what `compile` makes and `xds` carries.
//!
//! Resources are independent of who asks: the same bytes go to every subscriber, so a change is
//! encoded once. They hold resolved values only; `None` never means "default" here, it means that
//! there is no such limit. Nothing in here is optional to understand: a proxy that cannot honour a
//! resource refuses it (NACK).

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::names::{ProxyId, ServiceName};

mod balance;
mod cluster;
mod fault;
mod host;
mod mesh;
pub mod path;
mod pool;
mod retry;
mod service;
mod url;
pub mod words;
mod workload;

pub use balance::{Algorithm, HashCookie, HashOn, LoadBalancer, Locality};
pub use cluster::{Cluster, ClusterPolicy, ClusterPort, Endpoint, PortMapping};
pub use fault::{AbortHow, Fault, FaultAbort, FaultDelay, FaultSource, MAX_FAULT_DELAY};
pub use host::Host;
pub use mesh::{Mesh, OutboundMode, PARTS_PER_MILLION};
pub use pool::{
    AdaptiveConcurrency, CircuitBreaker, DEFAULT_PANIC_PPM, FailurePercent, HealthCheck,
    HealthProbe, OutlierDetection, SuccessRate,
};
pub use retry::{DEFAULT_MAX_BODY, Retry, RetryBackoff, RetryBudget, RetryOn};
pub use service::{
    Backend, Field, FieldMatch, HeaderEdit, PathMatch, RouteMatch, Rule, Service, ServicePort,
    Timeouts, ValueMatch,
};
pub use url::{PathEdit, Redirect, Rewrite, Scheme};
pub use workload::{InboundPort, MtlsMode, Workload};

/// The kinds of resources; each has a type URL of its own (`type.googleapis.com/meshctl.v1.KIND`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// What every proxy must know; one, named `mesh`.
    Mesh,
    /// How one proxy receives; named `namespace/proxy`, and only for that proxy.
    Workload,
    /// How a service is called: `namespace/service`, or `namespace/service@consumer`.
    Service,
    /// Where a service's requests end: policy of the pool and its endpoints; `namespace/service`.
    Cluster,
    /// Which service an address belongs to: `address/ip:port`.
    Address,
    /// Which workload has an address of its own: `host/ip`.
    Host,
}

impl Kind {
    /// Every kind, in the order in which a proxy wants them (make before break: clusters before
    /// the services that point to them).
    pub const ALL: [Self; 6] =
        [Self::Mesh, Self::Workload, Self::Cluster, Self::Service, Self::Address, Self::Host];

    /// The type URL on the wire.
    pub fn type_url(self) -> &'static str {
        match self {
            Self::Mesh => "type.googleapis.com/meshctl.v1.Mesh",
            Self::Workload => "type.googleapis.com/meshctl.v1.Workload",
            Self::Service => "type.googleapis.com/meshctl.v1.Service",
            Self::Cluster => "type.googleapis.com/meshctl.v1.Cluster",
            Self::Address => "type.googleapis.com/meshctl.v1.Address",
            Self::Host => "type.googleapis.com/meshctl.v1.Host",
        }
    }

    /// The kind of a type URL, if it is one of ours.
    pub fn from_type_url(url: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.type_url() == url)
    }
}

/// Kind and name: what a proxy subscribes to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// The kind.
    pub kind: Kind,
    /// The name, in the form that the kind documents.
    pub name: Arc<str>,
}

impl Key {
    /// The one [`Kind::Mesh`] resource.
    pub fn mesh() -> Self {
        Self { kind: Kind::Mesh, name: "mesh".into() }
    }

    /// How `proxy` receives.
    pub fn workload(proxy: &ProxyId) -> Self {
        Self { kind: Kind::Workload, name: proxy.to_string().into() }
    }

    /// How `service` is called by everyone whose namespace has no rules of its own for it.
    pub fn service(service: &ServiceName) -> Self {
        Self { kind: Kind::Service, name: service.to_string().into() }
    }

    /// How `service` is called from `consumer`, a namespace with rules of its own for it.
    pub fn service_for(service: &ServiceName, consumer: &crate::names::Namespace) -> Self {
        Self { kind: Kind::Service, name: format!("{service}@{consumer}").into() }
    }

    /// Where requests to `service` end.
    pub fn cluster(service: &ServiceName) -> Self {
        Self { kind: Kind::Cluster, name: service.to_string().into() }
    }

    /// The service behind `address`.
    pub fn address(address: SocketAddr) -> Self {
        Self { kind: Kind::Address, name: format!("address/{address}").into() }
    }

    /// The workload whose own address `ip` is.
    pub fn host(ip: IpAddr) -> Self {
        Self { kind: Kind::Host, name: format!("host/{ip}").into() }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {}", self.kind, self.name)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One resource of any kind.
#[expect(clippy::large_enum_variant, reason = "few are on their way at once")]
#[derive(Debug, Clone, PartialEq)]
pub enum Resource {
    /// See [`Kind::Mesh`].
    Mesh(Mesh),
    /// See [`Kind::Workload`].
    Workload(Workload),
    /// See [`Kind::Service`].
    Service(Service),
    /// See [`Kind::Cluster`].
    Cluster(Cluster),
    /// See [`Kind::Address`].
    Address(Address),
    /// See [`Kind::Host`].
    Host(Host),
}

impl Resource {
    /// The key under which it is asked for.
    pub fn key(&self) -> Key {
        match self {
            Self::Mesh(_) => Key::mesh(),
            Self::Workload(workload) => Key::workload(&workload.proxy),
            Self::Service(service) => match &service.consumer {
                Some(consumer) => Key::service_for(&service.name, consumer),
                None => Key::service(&service.name),
            },
            Self::Cluster(cluster) => Key::cluster(&cluster.name),
            Self::Address(address) => Key::address(address.address),
            Self::Host(host) => Key::host(host.ip),
        }
    }
}

/// The service that answers at an address, for a caller that has nothing but the address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// The address called.
    pub address: SocketAddr,
    /// The service behind it.
    pub service: ServiceName,
    /// The service's port (not the endpoint's).
    pub port: u16,
}
