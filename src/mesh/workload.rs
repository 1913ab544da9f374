//! Workloads: what registered, or on Kubernetes the pods behind the services.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::mesh::Labels;
use crate::names::sidecar::{WEIGHT_LABEL, ZONE_LABEL};
use crate::names::{Identity, Protocol, ProxyId, ServiceLabel, ServiceName};

/// The port of a service where neither a declaration nor a workload says another.
pub(super) const DEFAULT_SERVICE_PORT: u16 = 80;

/// One workload with its proxy.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Its proxy (and, on Kubernetes, its pod).
    pub proxy: ProxyId,
    /// The name under which it registered (local mode). `None`: a pod, which makes no service; it
    /// is an endpoint where an EndpointSlice says so.
    pub service: Option<ServiceLabel>,
    /// What telemetry calls it: the name it registered under, or of a pod what its labels say.
    pub canonical: ServiceLabel,
    /// The `version` label; empty where there is none.
    pub version: String,
    /// All labels, `app` and `version` among them.
    pub labels: Labels,
    /// Who it is.
    pub identity: Identity,
    /// Where callers reach it.
    pub addresses: Vec<IpAddr>,
    /// Whether these addresses lead to nobody else: so with pods, but for those in the network of
    /// their node; not so with workloads that share a machine.
    pub own_address: bool,
    /// What it listens on. Empty: it only calls.
    pub ports: Vec<WorkloadPort>,
    /// Whether callers encrypt to it: it has a sidecar of ours.
    pub sidecar: bool,
    /// Whether it takes requests now (local mode; of a pod its EndpointSlices tell).
    pub ready: bool,
    /// The node that it runs on (Kubernetes).
    pub node: Option<Arc<str>>,
    /// The services that it may stand behind, whatever its labels say: those that its identity has
    /// joined for from another machine. `None`: every one that it registers under or is selected by.
    pub bound: Option<Arc<[ServiceLabel]>>,
}

/// The largest weight of an endpoint.
const MAX_WEIGHT: u32 = 100_000;

/// A weight as a label writes it: a whole number from 1 to 100 000.
pub fn endpoint_weight(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|weight| digits && (1..=MAX_WEIGHT).contains(weight))
}

impl Workload {
    /// The service that it registered under.
    pub fn registered_service(&self) -> Option<ServiceName> {
        Some(ServiceName::new(self.proxy.namespace.clone(), self.service.clone()?))
    }

    /// The service of its version alone, `reviews-v1`; `None` where there is no version, one
    /// that makes no DNS label (`1.2.3`), or where it may not stand behind that service.
    pub fn versioned_service(&self) -> Option<ServiceName> {
        let service = self.service.as_ref().filter(|_| !self.version.is_empty())?;
        let name = format!("{service}-{}", self.version).parse().ok()?;
        let name = ServiceName::new(self.proxy.namespace.clone(), name);
        self.may_stand_behind(&name).then_some(name)
    }

    /// Whether it may be an endpoint of that service.
    pub fn may_stand_behind(&self, name: &ServiceName) -> bool {
        self.bound.as_ref().is_none_or(|bound| bound.contains(&name.name))
    }

    /// Its share of a service's calls against the others'; 1 where its label says none.
    pub fn weight(&self) -> u32 {
        self.labels.get(WEIGHT_LABEL).and_then(|text| endpoint_weight(text)).unwrap_or(1)
    }

    /// The zone that its own label says.
    pub fn labelled_zone(&self) -> Option<&Arc<str>> {
        self.labels.get(ZONE_LABEL).filter(|zone| !zone.is_empty())
    }

    /// Every service name that its registration makes.
    pub fn registered_names(&self) -> Vec<ServiceName> {
        let whole = self.registered_service().filter(|name| self.may_stand_behind(name));
        whole.into_iter().chain(self.versioned_service()).collect()
    }

    /// Every address and port at which callers mean its service; of a pod none, because who dials
    /// a pod means that pod.
    pub fn dialled(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().filter(|_| self.service.is_some()).flat_map(|&address| {
            self.ports.iter().map(move |port| SocketAddr::new(address, port.dial_port))
        })
    }

    /// The addresses at which callers mean this workload and nothing else.
    pub fn hosts(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().filter(|_| self.own_address).copied()
    }
}

/// One port of a workload.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadPort {
    /// The port's name; empty where it has none.
    pub name: String,
    /// The application's port, which services name as their target.
    pub app_port: u16,
    /// The port that callers dial: the sidecar's inbound (local mode), or the same as `app_port`.
    pub dial_port: u16,
    /// The service port that the workload asked for when it registered (`--port`). `None`: what
    /// the service's declaration says, and 80 where there is none.
    pub service_port: Option<u16>,
    /// What the application speaks.
    pub protocol: Protocol,
}
