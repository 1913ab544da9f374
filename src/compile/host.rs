//! Who is at an address of its own: on Kubernetes, the pod that callers dial without its service.

use std::net::IpAddr;

use crate::compile::{Compiled, workload};
use crate::mesh::Snapshot;
use crate::names::{Protocol, ServiceName};
use crate::resource::{Host, Resource};

pub(super) fn compile(snapshot: &Snapshot, ip: IpAddr) -> Option<Compiled> {
    let found = snapshot.host_at(ip)?;
    let inbound = workload::inbound(snapshot, &found);
    let declared = inbound.ports.into_iter().filter(|(_, it)| *it != Protocol::Detect);
    let host = Host {
        ip,
        service: ServiceName::new(found.proxy.namespace.clone(), found.canonical.clone()),
        workload: found.proxy.name.clone(),
        identity: found.sidecar.then(|| found.identity.clone()),
        version: found.version.clone(),
        ports: declared.collect(),
    };
    Some(Compiled::new(Resource::Host(host), inbound.origins))
}
