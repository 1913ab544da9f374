//! How one proxy receives: its application's ports, and what it demands of callers.
//!
//! What a port speaks is what the services declared over it say (`appProtocol`), where they agree;
//! else what the workload said when it registered.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::Compiled;
use crate::mesh::{self, Snapshot, WorkloadPort};
use crate::names::{Protocol, ProxyId};
use crate::resource::{InboundPort, Resource, Workload};

pub(super) fn compile(snapshot: &Snapshot, proxy: &ProxyId) -> Option<Compiled> {
    let workload = snapshot.workloads.get(proxy)?;
    let services = snapshot.services_of(workload);
    let declared: Vec<_> = services.iter().filter_map(|it| snapshot.declared.get(it)).collect();
    let origins: BTreeSet<_> =
        declared.iter().map(|service| (service.reference(), service.generation)).collect();
    let mtls = snapshot.config.mtls;
    let mut ports: Vec<_> = workload
        .ports
        .iter()
        .map(|port| InboundPort {
            port: port.app_port,
            protocol: spoken(workload, port, &declared),
            mtls,
        })
        .collect();
    ports.sort_by_key(|port| port.port);
    ports.dedup_by_key(|port| port.port);
    let identity = workload.identity.clone();
    let inbound = Workload { proxy: proxy.clone(), identity, services, mtls, ports };
    Some(Compiled::new(Resource::Workload(inbound), origins))
}

fn spoken(
    workload: &mesh::Workload,
    port: &WorkloadPort,
    declared: &[&Arc<mesh::Service>],
) -> Protocol {
    let over = declared.iter().flat_map(|service| {
        let leads_here = |candidate: &&mesh::ServicePort| {
            let target = service.target(candidate, workload);
            target.is_some_and(|target| target.app_port == port.app_port)
        };
        service.ports.iter().filter(leads_here)
    });
    let said: BTreeSet<_> =
        over.map(|port| port.protocol).filter(|it| *it != Protocol::Detect).collect();
    match said.first() {
        Some(&protocol) if said.len() == 1 => protocol,
        _ => port.protocol,
    }
}
