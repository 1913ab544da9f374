//! Which routes, policies and faults are attached to a service.
//!
//! A route in the service's own namespace is a producer's and holds for everyone; one elsewhere is
//! a consumer's and holds for callers of its own namespace, where it replaces the producer's on
//! the ports that it is about (GEP-1294). Conflicts go to the oldest, then by name (GEP-713).

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::mesh::{FaultPolicy, HttpRoute, ServicePort, Snapshot, TrafficPolicy};
use crate::names::{Namespace, ServiceName};

impl Snapshot {
    /// Every route about a service, producers' and consumers', by age, then by namespace and name.
    pub fn routes_of(&self, service: &ServiceName) -> Vec<Arc<HttpRoute>> {
        let references = self.index.parents.get(service);
        let mut routes: Vec<_> =
            references.filter_map(|reference| self.routes.get(reference).cloned()).collect();
        routes.sort_by_key(|route| (route.created_ms, route.reference()));
        routes
    }

    /// The routes that hold on one port of a service, in the order of [`Snapshot::routes_of`]: for
    /// callers of `consumer` those of that namespace where it has any, else the producer's.
    pub fn routes_on(
        &self,
        service: &ServiceName,
        port: &ServicePort,
        consumer: Option<&Namespace>,
    ) -> Vec<Arc<HttpRoute>> {
        // What has no address of its own is not called through one (GEP-1294).
        if self.declared.get(service).is_some_and(|declared| declared.headless) {
            return Vec::new();
        }
        let mut attached = self.routes_of(service);
        attached.retain(|route| route.is_attached_to(service, port));
        let written_by = |route: &Arc<HttpRoute>| Some(&route.namespace) == consumer;
        if attached.iter().any(written_by) {
            attached.retain(written_by);
        } else {
            attached.retain(|route| route.namespace == service.namespace);
        }
        attached
    }

    /// The namespaces other than the service's own that have routes about it.
    pub fn consumers_of(&self, service: &ServiceName) -> BTreeSet<Namespace> {
        let references = self.index.parents.get(service);
        references
            .map(|reference| &reference.namespace)
            .filter(|namespace| **namespace != service.namespace)
            .cloned()
            .collect()
    }

    /// The services whose routes send to `backend`.
    pub fn routed_to(&self, backend: &ServiceName) -> BTreeSet<ServiceName> {
        let references = self.index.backends.get(backend);
        let routes = references.filter_map(|reference| self.routes.get(reference));
        routes.flat_map(|route| &route.parents).map(|parent| parent.service.clone()).collect()
    }

    /// The traffic policy in force for a service: the oldest about it, then by name.
    pub fn policy_of(&self, service: &ServiceName) -> Option<Arc<TrafficPolicy>> {
        self.policies_of(service).into_iter().next()
    }

    /// Every traffic policy about a service; the first is in force, the others wait.
    pub fn policies_of(&self, service: &ServiceName) -> Vec<Arc<TrafficPolicy>> {
        let references = self.index.targets.get(service);
        let mut policies: Vec<_> =
            references.filter_map(|reference| self.policies.get(reference).cloned()).collect();
        policies.sort_by_key(|policy| (policy.created_ms, policy.reference()));
        policies
    }

    /// Every fault policy about a service, in the order in which the first that fits is taken: by
    /// age, then by name.
    pub fn faults_of(&self, service: &ServiceName) -> Vec<Arc<FaultPolicy>> {
        let references = self.index.faulty.get(service);
        let mut policies: Vec<_> =
            references.filter_map(|reference| self.faults.get(reference).cloned()).collect();
        policies.sort_by_key(|policy| (policy.created_ms, policy.reference()));
        policies
    }
}
