//! Which service answers at an address that callers dial.
//!
//! A service's own address is that service, at each of its ports. Where a registered workload is
//! dialled, the service that it registered under comes first, then the others that select it, the
//! most general first. Readiness does not matter, because a caller that was told "not a
//! service" would pass its request on in plaintext; only where two registrations name one address
//! does the ready one win.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::compile::Compiled;
use crate::mesh::{Service, Snapshot, Workload};
use crate::resource::{Address, Resource};

pub(super) fn compile(snapshot: &Snapshot, address: SocketAddr) -> Option<Compiled> {
    let (service, port) = match owner(snapshot, address) {
        Some(service) => (service, address.port()),
        None => {
            let mut workloads = snapshot.workloads_at(address);
            workloads.sort_by_key(|workload| !workload.ready);
            workloads.iter().find_map(|workload| answering(snapshot, workload, address.port()))?
        }
    };
    let origins: BTreeSet<_> =
        service.declared.then(|| (service.reference(), service.generation)).into_iter().collect();
    let address = Address { address, service: service.name.clone(), port };
    Some(Compiled::new(Resource::Address(address), origins))
}

/// The service that has the address for its own.
fn owner(snapshot: &Snapshot, address: SocketAddr) -> Option<Arc<Service>> {
    let mut services = snapshot.services_at(address.ip());
    services.find(|service| service.has_port(address.port())).cloned()
}

/// The service, and its port, that lead to the port dialled.
fn answering(
    snapshot: &Snapshot,
    workload: &Workload,
    dial_port: u16,
) -> Option<(Arc<Service>, u16)> {
    let registered = workload.registered_service();
    let mut names = snapshot.services_of(workload);
    names.sort_by_key(|name| Some(name) != registered.as_ref());
    names.iter().find_map(|name| {
        let service = snapshot.service(name)?;
        let port = service.ports.iter().find(|port| {
            let target = service.target(port, workload);
            target.is_some_and(|target| target.dial_port == dial_port)
        })?;
        let port = port.port;
        Some((service, port))
    })
}
