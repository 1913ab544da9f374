//! Where a service's requests end: the policy of its pool, and its ready endpoints.
//!
//! The policy is the service's own, also where a route of another service leads here.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::Compiled;
use crate::mesh::{self, Snapshot, TrafficPolicy};
use crate::names::ServiceName;
use crate::resource::{Cluster, ClusterPolicy, ClusterPort, Endpoint, PortMapping, Resource};

pub(super) fn compile(snapshot: &Snapshot, name: &ServiceName) -> Option<Compiled> {
    let service = snapshot.service(name)?;
    let policy = snapshot.policy_of(name);
    let mut origins = BTreeSet::new();
    origins.extend(service.declared.then(|| (service.reference(), service.generation)));
    origins.extend(policy.iter().map(|policy| (policy.reference(), policy.generation)));
    let ports = service.ports.iter();
    let cluster = Cluster {
        name: name.clone(),
        ports: ports.map(|it| ClusterPort { port: it.port, protocol: it.protocol }).collect(),
        policy: pool_policy(policy.as_deref()),
        endpoints: endpoints(snapshot, name).into_iter().map(Arc::new).collect(),
    };
    Some(Compiled::new(Resource::Cluster(cluster), origins))
}

/// How a pool is treated by that policy, or where there is none.
pub(super) fn pool_policy(policy: Option<&TrafficPolicy>) -> ClusterPolicy {
    policy.map(|policy| policy.pool.clone()).unwrap_or_default()
}

/// The endpoints of a service that take requests, by name.
pub(super) fn endpoints(snapshot: &Snapshot, name: &ServiceName) -> Vec<Endpoint> {
    snapshot.endpoints_of(name).into_iter().map(endpoint).collect()
}

/// All endpoints of a service, each with whether it takes requests, by name.
pub fn every_endpoint(snapshot: &Snapshot, name: &ServiceName) -> Vec<(Endpoint, bool)> {
    let all = snapshot.every_endpoint_of(name).into_iter();
    all.map(|(it, ready)| (endpoint(it), ready)).collect()
}

fn endpoint(endpoint: mesh::Endpoint) -> Endpoint {
    let ports = endpoint.ports.into_iter();
    let workload = endpoint.workload.as_deref();
    Endpoint {
        workload: endpoint.name,
        addresses: endpoint.addresses,
        ports: ports
            .map(|(service_port, target_port)| PortMapping { service_port, target_port })
            .collect(),
        identity: workload.filter(|it| it.sidecar).map(|it| it.identity.clone()),
        version: workload.map_or_else(String::new, |it| it.version.clone()),
        weight: workload.map_or(1, mesh::Workload::weight),
        zone: endpoint.zone.as_deref().unwrap_or_default().to_owned(),
    }
}
