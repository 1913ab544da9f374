//! Which resources a batch of changes may alter.
//!
//! Looks at both snapshots, before and after: what a changed thing leads to in either is affected.
//! Too much costs a compilation that finds nothing new; too little would leave proxies with stale
//! rules, so a property test holds this against compiling everything. Two services are one step
//! apart at most, since routes never chain.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::compile::service_keys;
use crate::mesh::{
    Change, HttpRoute, ObjectKind, ObjectRef, Service, Snapshot, Workload, service_name,
};
use crate::names::{Namespace, ProxyId, ServiceName, SliceName};
use crate::resource::Key;

/// The keys whose resource, or whose origins, may differ between `old` and `new`, where `new` is
/// `old` after `changes`.
pub fn affected(old: &Snapshot, new: &Snapshot, changes: &[Change]) -> BTreeSet<Key> {
    let mut scope = Scope { old, new, keys: BTreeSet::new() };
    for change in changes {
        match change {
            Change::Object(reference, _) => scope.object(reference),
            Change::Workload(proxy, _) => scope.workload(proxy),
            Change::Slice(name, _) => scope.slice(name),
            Change::Node(name, _) => scope.node(name),
            Change::Roots(_) => scope.add(Key::mesh()),
        }
    }
    scope.keys
}

struct Scope<'s> {
    old: &'s Snapshot,
    new: &'s Snapshot,
    keys: BTreeSet<Key>,
}

impl<'s> Scope<'s> {
    fn add(&mut self, key: Key) {
        self.keys.insert(key);
    }

    fn both(&self) -> [&'s Snapshot; 2] {
        [self.old, self.new]
    }

    fn object(&mut self, reference: &ObjectRef) {
        match reference.kind {
            ObjectKind::Service => {
                if let Some(name) = service_name(&reference.namespace, &reference.name) {
                    self.declaration(&name);
                }
            }
            ObjectKind::HttpRoute => self.route(reference),
            ObjectKind::TrafficPolicy => self.policy(reference),
            ObjectKind::FaultPolicy => self.fault(reference),
            ObjectKind::MeshConfig => self.config(),
        }
    }

    /// A declaration came, changed or went.
    fn declaration(&mut self, name: &ServiceName) {
        self.add(Key::cluster(name));
        self.calling_side(name);
        self.callers_by_route(name);
        for snapshot in self.both() {
            for workload in snapshot.workloads_of(name) {
                self.receiving_side(&workload);
                self.version(&workload, name);
            }
            if let Some(service) = snapshot.declared.get(name) {
                self.keys.extend(service.own_addresses().map(Key::address));
            }
        }
    }

    /// The service of a workload's version listens where the service that it registered under does.
    fn version(&mut self, workload: &Workload, declared: &ServiceName) {
        let Some(name) = workload.versioned_service() else { return };
        if workload.registered_service().as_ref() == Some(declared)
            && self.old.service(&name) != self.new.service(&name)
        {
            self.add(Key::cluster(&name));
            self.calling_side(&name);
            self.callers_by_route(&name);
        }
    }

    /// A route came, changed or went. A producer's holds for consumers too, on the ports that
    /// their own routes are not about.
    fn route(&mut self, reference: &ObjectRef) {
        let found = self.both().map(|snapshot| snapshot.routes.get(reference));
        for parent in found.into_iter().flatten().flat_map(|route| parents(route)) {
            if parent.namespace == reference.namespace {
                self.calling_side(parent);
            } else {
                self.consumer(parent, &reference.namespace);
            }
        }
    }

    /// A consumer's rules for a service: its own resource, and in the one for all who has one.
    fn consumer(&mut self, service: &ServiceName, consumer: &Namespace) {
        self.add(Key::service_for(service, consumer));
        if self.old.consumers_of(service) != self.new.consumers_of(service) {
            self.add(Key::service(service));
        }
    }

    fn policy(&mut self, reference: &ObjectRef) {
        let found = self.both().map(|snapshot| snapshot.policies.get(reference));
        for target in found.into_iter().flatten().flat_map(|policy| &policy.targets) {
            self.add(Key::cluster(&target.service));
            self.calling_side(&target.service);
        }
    }

    fn fault(&mut self, reference: &ObjectRef) {
        let found = self.both().map(|snapshot| snapshot.faults.get(reference));
        for target in found.into_iter().flatten().flat_map(|policy| &policy.targets) {
            self.calling_side(&target.service);
        }
    }

    fn config(&mut self) {
        self.add(Key::mesh());
        if self.old.config.mtls != self.new.config.mtls {
            let proxies = self.both().into_iter().flat_map(|snapshot| snapshot.workloads.keys());
            self.keys.extend(proxies.map(Key::workload));
        }
    }

    /// A workload came, changed or went: its own side, every cluster that it is in, and where its
    /// ports make a service's ports, whoever calls that service.
    fn workload(&mut self, proxy: &ProxyId) {
        self.add(Key::workload(proxy));
        for snapshot in self.both() {
            let Some(workload) = snapshot.workloads.get(proxy) else { continue };
            self.receiving_side(workload);
            self.keys.extend(snapshot.sliced_with(workload).map(Key::cluster));
            for name in snapshot.services_of(workload) {
                self.add(Key::cluster(&name));
                if self.old.service(&name) != self.new.service(&name) {
                    self.calling_side(&name);
                    self.callers_by_route(&name);
                }
            }
        }
    }

    /// Endpoints came, changed or went: where requests to their service end.
    fn slice(&mut self, name: &SliceName) {
        let found = self.both().map(|snapshot| snapshot.slices.get(name));
        let services = found.into_iter().flatten().map(|slice| &slice.service);
        self.keys.extend(services.map(Key::cluster));
    }

    /// A node's zone came, changed or went: that of the workloads on it.
    fn node(&mut self, name: &Arc<str>) {
        for snapshot in self.both() {
            for workload in snapshot.workloads_on(name) {
                self.add(Key::workload(&workload.proxy));
                self.keys.extend(snapshot.sliced_with(&workload).map(Key::cluster));
                self.keys.extend(snapshot.services_of(&workload).iter().map(Key::cluster));
            }
        }
    }

    fn calling_side(&mut self, name: &ServiceName) {
        for snapshot in self.both() {
            self.keys.extend(service_keys(snapshot, name));
        }
    }

    /// Services with a route to `name`, where its existence or ports changed: the reference may
    /// have begun or ceased to resolve.
    fn callers_by_route(&mut self, name: &ServiceName) {
        let before = self.old.service(name);
        let after = self.new.service(name);
        if ports(before.as_ref()) != ports(after.as_ref()) {
            for caller in self.new.routed_to(name) {
                self.calling_side(&caller);
            }
        }
    }

    fn receiving_side(&mut self, workload: &Workload) {
        self.add(Key::workload(&workload.proxy));
        self.keys.extend(workload.dialled().map(Key::address));
        self.keys.extend(workload.hosts().map(Key::host));
    }
}

fn parents(route: &HttpRoute) -> impl Iterator<Item = &ServiceName> {
    route.parents.iter().map(|parent| &parent.service)
}

/// The ports of a service that there is.
fn ports(service: Option<&Arc<Service>>) -> Option<BTreeSet<u16>> {
    service.map(|service| service.ports.iter().map(|port| port.port).collect())
}
