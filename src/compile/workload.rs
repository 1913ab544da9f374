//! How one proxy receives: its application's ports, and what it demands of callers.
//!
//! What a port speaks is what the services declared over it say (`appProtocol`), where they agree;
//! else what the workload said when it registered. The ports of a pod are those that its containers
//! name and those that services lead to, because containers need not name theirs.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::compile::Compiled;
use crate::mesh::{self, ObjectRef, Snapshot};
use crate::names::{Protocol, ProxyId, ServiceName};
use crate::resource::{InboundPort, Resource, Workload};

pub(super) fn compile(snapshot: &Snapshot, proxy: &ProxyId) -> Option<Compiled> {
    let workload = snapshot.workloads.get(proxy)?;
    let inbound = inbound(snapshot, workload);
    let mtls = snapshot.config.mtls;
    let ports = inbound.ports.into_iter();
    let resource = Workload {
        proxy: proxy.clone(),
        identity: workload.identity.clone(),
        services: inbound.services,
        zone: snapshot.zone_of(workload).as_deref().unwrap_or_default().to_owned(),
        mtls,
        ports: ports.map(|(port, protocol)| InboundPort { port, protocol, mtls }).collect(),
    };
    Some(Compiled::new(Resource::Workload(resource), inbound.origins))
}

/// The receiving side of a workload.
pub(super) struct Inbound {
    /// Its application's ports and what they speak.
    pub(super) ports: BTreeMap<u16, Protocol>,
    /// The services that it stands behind.
    pub(super) services: Vec<ServiceName>,
    /// The declarations that were looked at.
    pub(super) origins: BTreeSet<(ObjectRef, u64)>,
}

pub(super) fn inbound(snapshot: &Snapshot, workload: &mesh::Workload) -> Inbound {
    let services = snapshot.services_of(workload);
    let declared: Vec<_> = services.iter().filter_map(|it| snapshot.declared.get(it)).collect();
    let mut ports: BTreeMap<u16, Protocol> = BTreeMap::new();
    for port in &workload.ports {
        ports.entry(port.app_port).or_insert(port.protocol);
    }
    for (port, said) in said(workload, &declared) {
        let own = ports.entry(port).or_default();
        match said.first() {
            Some(&protocol) if said.len() == 1 => *own = protocol,
            _ => {}
        }
    }
    let origins = declared.iter().map(|service| (service.reference(), service.generation));
    let origins = origins.collect();
    Inbound { ports, services, origins }
}

/// What the services declared over each port of the application say that it speaks.
fn said(
    workload: &mesh::Workload,
    declared: &[&Arc<mesh::Service>],
) -> BTreeMap<u16, BTreeSet<Protocol>> {
    let mut said: BTreeMap<u16, BTreeSet<Protocol>> = BTreeMap::new();
    for service in declared {
        for port in &service.ports {
            let Some(number) = service.app_port(port, workload) else { continue };
            let protocols = said.entry(number).or_default();
            protocols.extend((port.protocol != Protocol::Detect).then_some(port.protocol));
        }
    }
    said
}
