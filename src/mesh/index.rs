//! The reverse lookups of a snapshot: from a name to whatever names it.
//!
//! Kept in step by `Snapshot::apply`, one object at a time, so that compiling one resource costs
//! what that resource is made of and not the size of the mesh. Holds keys only; what they mean
//! stands in the snapshot's own maps. As large as the snapshot, which is what bounds it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::mesh::{FaultPolicy, HttpRoute, ObjectRef, Service, Slice, TrafficPolicy, Workload};
use crate::names::{Namespace, ProxyId, ServiceName, SliceName};

/// A label of a workload in a namespace.
pub(super) type Labelled = (Namespace, Arc<str>, Arc<str>);

/// A map from one key to several values, copied only where it is written.
#[derive(Debug, Clone)]
pub(super) struct Multi<K, V>(Arc<BTreeMap<K, Arc<BTreeSet<V>>>>);

impl<K, V> Default for Multi<K, V> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Ord + Clone, V: Ord + Clone> Multi<K, V> {
    /// The values of `key`, ascending.
    pub(super) fn get<'m>(&'m self, key: &K) -> impl Iterator<Item = &'m V> + use<'m, K, V> {
        self.0.get(key).into_iter().flat_map(|values| values.iter())
    }

    /// How many values `key` has.
    pub(super) fn count(&self, key: &K) -> usize {
        self.0.get(key).map_or(0, |values| values.len())
    }

    /// The keys that have a value, ascending.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }

    fn insert(&mut self, key: K, value: V) {
        let values = Arc::make_mut(&mut self.0).entry(key).or_default();
        Arc::make_mut(values).insert(value);
    }

    fn remove(&mut self, key: &K, value: &V) {
        let map = Arc::make_mut(&mut self.0);
        let Some(values) = map.get_mut(key) else { return };
        Arc::make_mut(values).remove(value);
        if values.is_empty() {
            map.remove(key);
        }
    }

    fn change(&mut self, presence: Presence, key: K, value: V) {
        match presence {
            Presence::Add => self.insert(key, value),
            Presence::Remove => self.remove(&key, &value),
        }
    }
}

/// Whether entries come or go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Presence {
    Add,
    Remove,
}

/// All reverse lookups.
#[derive(Debug, Clone, Default)]
pub(super) struct Index {
    /// The names that registrations make (`reviews`, `reviews-v1`), and by which workloads.
    pub(super) registered: Multi<ServiceName, ProxyId>,
    /// Workloads by each of their labels.
    pub(super) labelled: Multi<Labelled, ProxyId>,
    /// Declared services by the first label that they select by.
    pub(super) selecting: Multi<Labelled, ServiceName>,
    /// Workloads by each address and port that callers dial.
    pub(super) dialled: Multi<SocketAddr, ProxyId>,
    /// Workloads by each address that is theirs alone.
    pub(super) hosts: Multi<IpAddr, ProxyId>,
    /// Workloads by the node that they run on.
    pub(super) on_node: Multi<Arc<str>, ProxyId>,
    /// Declared services by each address of their own.
    pub(super) addressed: Multi<IpAddr, ServiceName>,
    /// Slices by the service that they are of.
    pub(super) sliced: Multi<ServiceName, SliceName>,
    /// Slices by each address in them.
    pub(super) located: Multi<IpAddr, SliceName>,
    /// Routes by the services that they are about.
    pub(super) parents: Multi<ServiceName, ObjectRef>,
    /// Routes by the services that they send to.
    pub(super) backends: Multi<ServiceName, ObjectRef>,
    /// Traffic policies by the services that they are about.
    pub(super) targets: Multi<ServiceName, ObjectRef>,
    /// Fault policies by the services that they are about.
    pub(super) faulty: Multi<ServiceName, ObjectRef>,
}

impl Index {
    /// Adds or removes what leads to `workload`.
    pub(super) fn workload(&mut self, presence: Presence, workload: &Workload) {
        let proxy = &workload.proxy;
        for name in workload.registered_names() {
            self.registered.change(presence, name, proxy.clone());
        }
        for (key, value) in &workload.labels {
            let label = (proxy.namespace.clone(), key.clone(), value.clone());
            self.labelled.change(presence, label, proxy.clone());
        }
        if let Some(node) = &workload.node {
            self.on_node.change(presence, node.clone(), proxy.clone());
        }
        for address in workload.dialled() {
            self.dialled.change(presence, address, proxy.clone());
        }
        for address in workload.hosts() {
            self.hosts.change(presence, address, proxy.clone());
        }
    }

    /// Adds or removes what leads to a declared service.
    pub(super) fn service(&mut self, presence: Presence, service: &Service) {
        let first = service.selector.iter().flatten().next();
        if let Some((key, value)) = first {
            let label = (service.name.namespace.clone(), key.clone(), value.clone());
            self.selecting.change(presence, label, service.name.clone());
        }
        for &address in &service.addresses {
            self.addressed.change(presence, address, service.name.clone());
        }
    }

    /// Adds or removes what leads to `slice`.
    pub(super) fn slice(&mut self, presence: Presence, slice: &Slice) {
        self.sliced.change(presence, slice.service.clone(), slice.name.clone());
        for &address in slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses) {
            self.located.change(presence, address, slice.name.clone());
        }
    }

    /// Adds or removes what leads to `route`.
    pub(super) fn route(&mut self, presence: Presence, route: &HttpRoute) {
        let reference = route.reference();
        for parent in &route.parents {
            self.parents.change(presence, parent.service.clone(), reference.clone());
        }
        for backend in route.rules.iter().flat_map(|rule| &rule.backends) {
            self.backends.change(presence, backend.service.clone(), reference.clone());
        }
    }

    /// Adds or removes what leads to `policy`.
    pub(super) fn policy(&mut self, presence: Presence, policy: &TrafficPolicy) {
        for target in &policy.targets {
            self.targets.change(presence, target.service.clone(), policy.reference());
        }
    }

    /// Adds or removes what leads to a fault policy.
    pub(super) fn fault(&mut self, presence: Presence, policy: &FaultPolicy) {
        for target in &policy.targets {
            self.faulty.change(presence, target.service.clone(), policy.reference());
        }
    }
}
