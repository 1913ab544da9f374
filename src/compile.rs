//! What the compiler makes of the mesh: one resource per key, pure, incremental.
//!
//! In goes a snapshot, out comes what proxies ask for, with the rules that it came from beside it.
//! No clock, no I/O, nothing remembered: equal snapshots give equal resources, and `affected` names
//! what a batch of changes may have altered, so that compiling those keys alone keeps a map equal
//! to compiling everything. It never sees who asks.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use crate::mesh::{MeshConfig, ObjectRef, Snapshot};
use crate::names::{Namespace, ServiceName};
use crate::resource::{self, Key, Kind, Resource};

mod address;
mod affected;
mod cluster;
mod describe;
mod fault;
mod host;
mod service;
mod settings;
#[cfg(test)]
mod tests;
mod workload;

pub use affected::affected;
pub use cluster::every_endpoint;
pub use describe::{
    PolicyValue, PolicyView, PortView, RouteView, RoutesInForce, ServiceView, describe,
};
pub use settings::settings;

/// A resource and the rules that shaped it.
#[derive(Debug, Clone, PartialEq)]
pub struct Compiled {
    /// What proxies get.
    pub resource: Resource,
    /// Which objects it came from, each with the generation used; ascending.
    pub origins: Vec<(ObjectRef, u64)>,
}

impl Compiled {
    fn new(resource: Resource, origins: BTreeSet<(ObjectRef, u64)>) -> Self {
        Self { resource, origins: origins.into_iter().collect() }
    }
}

/// The resource of that key; `None` where there is none (and proxies are told so).
pub fn compile(snapshot: &Snapshot, key: &Key) -> Option<Compiled> {
    match (key.kind, Subject::parse(key)?) {
        (Kind::Mesh, _) => Some(mesh(snapshot)),
        (Kind::Workload, Subject::Name(name)) => workload::compile(snapshot, &name.parse().ok()?),
        (Kind::Cluster, Subject::Service(name, None)) => cluster::compile(snapshot, &name),
        (Kind::Service, Subject::Service(name, consumer)) => {
            service::compile(snapshot, &name, consumer.as_ref())
        }
        (Kind::Address, Subject::Address(address)) => address::compile(snapshot, address),
        (Kind::Host, Subject::Host(ip)) => host::compile(snapshot, ip),
        _ => None,
    }
}

/// The key of every resource that there is.
pub fn keys(snapshot: &Snapshot) -> BTreeSet<Key> {
    let mut keys = BTreeSet::from([Key::mesh()]);
    for name in snapshot.service_names() {
        keys.insert(Key::cluster(&name));
        keys.extend(service_keys(snapshot, &name));
    }
    for workload in snapshot.workloads.values() {
        keys.insert(Key::workload(&workload.proxy));
        let known = workload.dialled().filter(|&it| address::compile(snapshot, it).is_some());
        keys.extend(known.map(Key::address));
        keys.extend(workload.hosts().map(Key::host));
    }
    for service in snapshot.declared.values() {
        keys.extend(service.own_addresses().map(Key::address));
    }
    keys
}

/// How a service is called: the key for all, and one for each consuming namespace.
fn service_keys(snapshot: &Snapshot, name: &ServiceName) -> impl Iterator<Item = Key> {
    let consumers = snapshot.consumers_of(name).into_iter();
    let own = consumers.map(|consumer| Key::service_for(name, &consumer)).collect::<Vec<_>>();
    std::iter::once(Key::service(name)).chain(own)
}

fn mesh(snapshot: &Snapshot) -> Compiled {
    let config = &snapshot.config;
    let written = (config.generation > 0).then(|| (MeshConfig::reference(), config.generation));
    let mesh = resource::Mesh {
        trust_domain: snapshot.trust_domain.clone(),
        roots: snapshot.roots.as_ref().clone(),
        outbound: config.outbound,
        sampling_ppm: config.sampling_ppm,
    };
    Compiled::new(Resource::Mesh(mesh), written.into_iter().collect())
}

/// What a key's name says, in the form of its kind.
enum Subject<'k> {
    Name(&'k str),
    Service(ServiceName, Option<Namespace>),
    Address(SocketAddr),
    Host(IpAddr),
}

impl<'k> Subject<'k> {
    /// Accepts only the form that [`Key`] itself writes: one resource has one name.
    fn parse(key: &'k Key) -> Option<Self> {
        match key.kind {
            Kind::Mesh => (*key == Key::mesh()).then_some(Self::Name(&key.name)),
            Kind::Workload => Some(Self::Name(&key.name)),
            Kind::Cluster => Some(Self::Service(key.name.parse().ok()?, None)),
            Kind::Service => match key.name.split_once('@') {
                None => Some(Self::Service(key.name.parse().ok()?, None)),
                Some((name, consumer)) => {
                    Some(Self::Service(name.parse().ok()?, Some(consumer.parse().ok()?)))
                }
            },
            Kind::Address => {
                let address = key.name.strip_prefix("address/")?.parse().ok()?;
                (*key == Key::address(address)).then_some(Self::Address(address))
            }
            Kind::Host => {
                let ip = key.name.strip_prefix("host/")?.parse().ok()?;
                (*key == Key::host(ip)).then_some(Self::Host(ip))
            }
        }
    }
}
