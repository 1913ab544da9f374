//! Where requests to a service end: its workloads, or on Kubernetes what its slices tell.
//!
//! A service that has slices goes by them, any other by the workloads behind it. A slice's endpoint
//! that names a pod counts only while that pod is known to be at that address: else callers would
//! expect another identity there, or none. One that names none is whoever has the address for their
//! own, and where nobody is known to, something outside of the mesh.

use std::collections::{BTreeMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;

use crate::mesh::{Readiness, Service, Slice, SliceEndpoint, Snapshot, Workload};
use crate::names::{ObjectName, ServiceName};

/// One place where requests to a service end.
#[derive(Debug, Clone, PartialEq)]
pub struct Endpoint {
    /// The workload's name inside the service's namespace, or one made of its address.
    pub name: ObjectName,
    /// Where it is, any of them; never empty, ascending on Kubernetes.
    pub addresses: Vec<IpAddr>,
    /// Which port to dial for which port of the service, `(service, dialled)`; never empty.
    pub ports: Vec<(u16, u16)>,
    /// Who it is; `None` outside of the mesh.
    pub workload: Option<Arc<Workload>>,
    /// The zone that it runs in, where that is known.
    pub zone: Option<Arc<str>>,
}

/// How many endpoints a service has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Those that take requests now.
    pub ready: usize,
    /// All of them.
    pub total: usize,
}

impl Snapshot {
    /// The endpoints of a service that take requests now, by name.
    pub fn endpoints_of(&self, name: &ServiceName) -> Vec<Endpoint> {
        let Some(service) = self.service(name) else { return Vec::new() };
        if self.index.sliced.count(name) == 0 {
            return self.behind(&service, |it| it.ready && !it.addresses.is_empty());
        }
        let merged = self.merged(&service);
        let best = merged.values().map(|it| it.readiness).max().unwrap_or(Readiness::NotReady);
        if best == Readiness::NotReady {
            return Vec::new();
        }
        let taken = merged.into_iter().filter(|(_, merged)| merged.readiness == best);
        taken.map(|(name, merged)| merged.into_endpoint(self, name)).collect()
    }

    /// All endpoints of a service, each with whether it takes requests now, by name.
    pub fn every_endpoint_of(&self, name: &ServiceName) -> Vec<(Endpoint, bool)> {
        let Some(service) = self.service(name) else { return Vec::new() };
        let all: Vec<Endpoint> = match self.index.sliced.count(name) {
            0 => self.behind(&service, |workload| !workload.ports.is_empty()),
            _ => self
                .merged(&service)
                .into_iter()
                .map(|(name, it)| it.into_endpoint(self, name))
                .collect(),
        };
        let ready: HashSet<_> = self.endpoints_of(name).into_iter().map(|it| it.name).collect();
        all.into_iter()
            .map(|it| (ready.contains(&it.name), it))
            .map(|(ready, it)| (it, ready))
            .collect()
    }

    /// How many endpoints a service has.
    pub fn endpoint_counts(&self, name: &ServiceName) -> Counts {
        let ready = self.endpoints_of(name).len();
        let total = match self.service(name) {
            Some(service) if self.index.sliced.count(name) > 0 => self.merged(&service).len(),
            _ => {
                let workloads = self.workloads_of(name).into_iter();
                workloads.filter(|it| it.service.is_some() && !it.ports.is_empty()).count()
            }
        };
        Counts { ready, total }
    }

    /// The services whose slices hold one of `workload`'s addresses.
    pub fn sliced_with(&self, workload: &Workload) -> impl Iterator<Item = &ServiceName> {
        let slices = workload.addresses.iter().flat_map(|ip| self.index.located.get(ip));
        slices.filter_map(|name| self.slices.get(name)).map(|slice| &slice.service)
    }

    /// The workloads behind a service that `takes` takes, as endpoints.
    fn behind(&self, service: &Service, takes: fn(&Workload) -> bool) -> Vec<Endpoint> {
        let workloads = self.workloads_of(&service.name).into_iter();
        let taken = workloads.filter(|it| it.service.is_some() && takes(it));
        let endpoints = taken.map(|workload| {
            let ports = service
                .ports
                .iter()
                .filter_map(|port| Some((port.port, service.target(port, &workload)?.dial_port)));
            Endpoint {
                name: workload.proxy.name.clone(),
                addresses: workload.addresses.clone(),
                ports: ports.collect(),
                zone: self.zone_of(&workload),
                workload: Some(workload),
            }
        });
        endpoints.filter(|endpoint| !endpoint.ports.is_empty()).collect()
    }

    /// What the slices of a service say of each endpoint, taken together, by name.
    fn merged(&self, service: &Service) -> BTreeMap<ObjectName, Merged> {
        let mut merged: BTreeMap<ObjectName, Merged> = BTreeMap::new();
        let names = self.index.sliced.get(&service.name);
        for slice in names.filter_map(|name| self.slices.get(name)) {
            let ports = ports(service, slice);
            if ports.is_empty() {
                continue;
            }
            for endpoint in &slice.endpoints {
                for &address in &endpoint.addresses {
                    let Some(workload) = self.workload_of(endpoint, address) else { continue };
                    let name = endpoint_name(service, workload.as_deref(), address);
                    let entry = merged.entry(name).or_insert_with(|| Merged::new(workload));
                    entry.add(address, &ports, endpoint);
                }
            }
        }
        merged
    }

    /// Who is at an endpoint's address: `None` where the pod named is not known to be there,
    /// `Some(None)` for something outside of the mesh.
    fn workload_of(
        &self,
        endpoint: &SliceEndpoint,
        address: IpAddr,
    ) -> Option<Option<Arc<Workload>>> {
        let Some(pod) = &endpoint.pod else { return Some(self.host_at(address)) };
        let workload = self.workloads.get(pod)?;
        workload.addresses.contains(&address).then(|| Some(workload.clone()))
    }

    /// The workload that has `address` for its own. Where two claim it, because one that is gone
    /// has not been taken back yet, one with a sidecar: callers then fail rather than tell anybody
    /// in plaintext.
    pub fn host_at(&self, address: IpAddr) -> Option<Arc<Workload>> {
        self.hosts_at(address).into_iter().min_by_key(|workload| !workload.sidecar)
    }
}

/// What slices say of one endpoint.
struct Merged {
    workload: Option<Arc<Workload>>,
    addresses: Vec<IpAddr>,
    ports: BTreeMap<u16, u16>,
    readiness: Readiness,
    zone: Option<Arc<str>>,
}

impl Merged {
    fn new(workload: Option<Arc<Workload>>) -> Self {
        Self {
            workload,
            addresses: Vec::new(),
            ports: BTreeMap::new(),
            readiness: Readiness::NotReady,
            zone: None,
        }
    }

    fn add(&mut self, address: IpAddr, ports: &[(u16, u16)], endpoint: &SliceEndpoint) {
        if let Err(place) = self.addresses.binary_search(&address) {
            self.addresses.insert(place, address);
        }
        for &(service, dialled) in ports {
            self.ports.entry(service).or_insert(dialled);
        }
        self.readiness = self.readiness.max(endpoint.readiness);
        if self.zone.is_none() {
            self.zone.clone_from(&endpoint.zone);
        }
    }

    /// What its own label says goes before what the slices do, and that before its node's.
    fn into_endpoint(self, snapshot: &Snapshot, name: ObjectName) -> Endpoint {
        let workload = self.workload.as_deref();
        let labelled = workload.and_then(Workload::labelled_zone).cloned();
        let of_node = || snapshot.zone_of(workload?);
        Endpoint {
            name,
            zone: labelled.or(self.zone).or_else(of_node),
            addresses: self.addresses,
            ports: self.ports.into_iter().collect(),
            workload: self.workload,
        }
    }
}

/// Which port of the slice answers for which of the service: the one of the same name.
fn ports(service: &Service, slice: &Slice) -> Vec<(u16, u16)> {
    let mapped = service.ports.iter().filter_map(|port| {
        let target = slice.ports.iter().find(|candidate| candidate.name == port.name)?;
        Some((port.port, target.port))
    });
    mapped.collect()
}

/// A pod of the service's namespace by its name; anything else by its address.
fn endpoint_name(service: &Service, workload: Option<&Workload>, address: IpAddr) -> ObjectName {
    let namespace = &service.name.namespace;
    if let Some(workload) = workload.filter(|it| it.proxy.namespace == *namespace) {
        return workload.proxy.name.clone();
    }
    let text = match address {
        IpAddr::V4(v4) => format!("ip-{v4}"),
        IpAddr::V6(v6) => {
            let segments = v6.segments().map(|segment| format!("{segment:x}"));
            format!("ip-{}", segments.join("-"))
        }
    };
    text.parse().expect("letters, digits, dots and dashes make a DNS-1123 subdomain")
}
