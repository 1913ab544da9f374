//! Which workloads stand behind a service, and which services a workload stands behind.
//!
//! The two directions answer alike: `workloads_of(s)` holds `w` exactly when `services_of(w)`
//! holds `s`. A selector looks at the labels of workloads in the service's own namespace; an
//! empty one selects nothing, as in Kubernetes. A workload says its labels itself, so that one which
//! has joined from another machine stands behind no other services than it has joined for.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::mesh::{Labels, Service, Snapshot, Workload};
use crate::names::{ProxyId, ServiceName};

impl Snapshot {
    /// The workloads behind a service, ready or not, by name.
    pub fn workloads_of(&self, name: &ServiceName) -> Vec<Arc<Workload>> {
        match self.declared.get(name) {
            Some(declared) => self.selected_by(declared),
            None => self.registered_as(name),
        }
    }

    /// The services that a workload stands behind, most specific last: by how many labels select
    /// it (a registered name counts one, one with its version two), then by name.
    pub fn services_of(&self, workload: &Workload) -> Vec<ServiceName> {
        let mut found: Vec<(usize, ServiceName)> = Vec::new();
        for (labels, name) in (1..).zip(workload.registered_names()) {
            if self.declared.get(&name).is_none_or(|declared| declared.selector.is_none()) {
                found.push((labels, name));
            }
        }
        for declared in self.perhaps_selecting(workload) {
            let Some(selector) = &declared.selector else { continue };
            if matches(selector, &workload.labels) && workload.may_stand_behind(&declared.name) {
                found.push((selector.len(), declared.name.clone()));
            }
        }
        found.sort_unstable();
        found.into_iter().map(|(_, name)| name).collect()
    }

    /// The workloads that callers reach at `address`, by name; more than one only while an old
    /// registration has not been taken back yet.
    pub fn workloads_at(&self, address: SocketAddr) -> Vec<Arc<Workload>> {
        self.resolve(self.index.dialled.get(&address))
    }

    /// The workloads that have `address` for their own, by name; more than one only while one that
    /// is gone has not been taken back yet.
    pub fn hosts_at(&self, address: IpAddr) -> Vec<Arc<Workload>> {
        self.resolve(self.index.hosts.get(&address))
    }

    /// The workloads on a node, by name.
    pub fn workloads_on(&self, node: &Arc<str>) -> Vec<Arc<Workload>> {
        self.resolve(self.index.on_node.get(node))
    }

    /// The zone that a workload runs in: as its label says, else as its node's does.
    pub fn zone_of(&self, workload: &Workload) -> Option<Arc<str>> {
        let of_node = || workload.node.as_ref().and_then(|node| self.nodes.get(node));
        workload.labelled_zone().or_else(of_node).cloned()
    }

    /// The declared services that have `address` for their own, by name.
    pub fn services_at(&self, address: IpAddr) -> impl Iterator<Item = &Arc<Service>> {
        let names = self.index.addressed.get(&address);
        names.filter_map(|name| self.declared.get(name))
    }

    /// The declared services whose first label the workload has; what else they select by is open.
    fn perhaps_selecting(&self, workload: &Workload) -> impl Iterator<Item = &Arc<Service>> {
        let namespace = &workload.proxy.namespace;
        let labels = workload.labels.iter();
        let names = labels.flat_map(|(key, value)| {
            self.index.selecting.get(&(namespace.clone(), key.clone(), value.clone()))
        });
        names.filter_map(|name| self.declared.get(name))
    }

    /// The workloads that a declaration selects.
    pub(super) fn selected_by(&self, declared: &Service) -> Vec<Arc<Workload>> {
        let Some(selector) = &declared.selector else { return self.registered_as(&declared.name) };
        let namespace = &declared.name.namespace;
        let labels = selector.iter().map(|(k, v)| (namespace.clone(), k.clone(), v.clone()));
        let Some(rarest) = labels.min_by_key(|label| self.index.labelled.count(label)) else {
            return Vec::new();
        };
        let mut workloads = self.resolve(self.index.labelled.get(&rarest));
        workloads.retain(|workload| {
            matches(selector, &workload.labels) && workload.may_stand_behind(&declared.name)
        });
        workloads
    }

    /// The workloads whose registration makes the name.
    pub(super) fn registered_as(&self, name: &ServiceName) -> Vec<Arc<Workload>> {
        self.resolve(self.index.registered.get(name))
    }

    fn resolve<'p>(&self, proxies: impl Iterator<Item = &'p ProxyId>) -> Vec<Arc<Workload>> {
        proxies.filter_map(|proxy| self.workloads.get(proxy).cloned()).collect()
    }
}

/// Whether `selector` selects `labels`.
pub(super) fn matches(selector: &Labels, labels: &Labels) -> bool {
    !selector.is_empty() && selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
