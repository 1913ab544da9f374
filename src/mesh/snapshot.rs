//! The snapshot: everything that is known at one moment, indexed for `compile`.
//!
//! `apply` makes the next one from this one and a batch of changes; both stay valid, which is how
//! `compile::affected` can compare them. The maps are shared until they are written, and always
//! agree with the index.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mesh::index::{Index, Presence};
use crate::mesh::resolve::Resolved;
use crate::mesh::{
    FaultPolicy, HttpRoute, MeshConfig, Object, ObjectKind, ObjectRef, Service, Slice,
    TrafficPolicy, Workload, service_name,
};
use crate::names::{ProxyId, ServiceName, SliceName, TrustDomain};

/// An immutable picture of the mesh; cheap to clone, every part is shared.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// The root certificates that proxies trust, X.509 DER.
    pub roots: Arc<Vec<Vec<u8>>>,
    /// Mesh-wide settings.
    pub config: Arc<MeshConfig>,
    /// Declared services, as they were written; see [`Snapshot::service`] for what holds.
    pub declared: Arc<BTreeMap<ServiceName, Arc<Service>>>,
    /// Routes by what they are.
    pub routes: Arc<BTreeMap<ObjectRef, Arc<HttpRoute>>>,
    /// Traffic policies by what they are.
    pub policies: Arc<BTreeMap<ObjectRef, Arc<TrafficPolicy>>>,
    /// Fault policies by what they are.
    pub faults: Arc<BTreeMap<ObjectRef, Arc<FaultPolicy>>>,
    /// Workloads by proxy.
    pub workloads: Arc<BTreeMap<ProxyId, Arc<Workload>>>,
    /// Slices of endpoints (Kubernetes).
    pub slices: Arc<BTreeMap<SliceName, Arc<Slice>>>,
    /// The zones of nodes by their names (Kubernetes); nodes without one are not here.
    pub nodes: Arc<BTreeMap<Arc<str>, Arc<str>>>,
    pub(super) index: Index,
    pub(super) resolved: Resolved,
}

/// One change of what is known.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object was applied (`Some`) or deleted (`None`).
    Object(ObjectRef, Option<Object>),
    /// A workload came, changed, or went.
    Workload(ProxyId, Option<Arc<Workload>>),
    /// A slice of a service's endpoints came, changed, or went.
    Slice(SliceName, Option<Arc<Slice>>),
    /// A node came, changed its zone, or went.
    Node(Arc<str>, Option<Arc<str>>),
    /// Other roots are trusted.
    Roots(Arc<Vec<Vec<u8>>>),
}

impl Snapshot {
    /// An empty mesh.
    pub fn new(trust_domain: TrustDomain, roots: Arc<Vec<Vec<u8>>>) -> Self {
        Self {
            trust_domain,
            roots,
            config: Arc::default(),
            declared: Arc::default(),
            routes: Arc::default(),
            policies: Arc::default(),
            faults: Arc::default(),
            workloads: Arc::default(),
            slices: Arc::default(),
            nodes: Arc::default(),
            index: Index::default(),
            resolved: Resolved::default(),
        }
    }

    /// This mesh after `changes`, in their order.
    pub fn apply(&self, changes: &[Change]) -> Self {
        let mut next = self.clone();
        next.advance(changes);
        next
    }

    /// [`apply`](Self::apply) in place: a map that nobody else has is not copied, so that of many
    /// calls only the first copies what it changes.
    pub fn advance(&mut self, changes: &[Change]) {
        self.resolved = Resolved::default();
        for change in changes {
            match change {
                Change::Object(_, Some(object)) => self.put(object),
                Change::Object(reference, None) => self.delete(reference),
                Change::Workload(proxy, workload) => self.set_workload(proxy, workload.clone()),
                Change::Slice(name, slice) => self.set_slice(name, slice.clone()),
                Change::Node(name, zone) => set(&mut self.nodes, name, zone.clone()),
                Change::Roots(roots) => self.roots = roots.clone(),
            }
        }
    }

    fn put(&mut self, object: &Object) {
        match object {
            Object::Service(service) => {
                self.set_service(&service.name, Some(service.clone()));
            }
            Object::HttpRoute(route) => self.set_route(&route.reference(), Some(route.clone())),
            Object::TrafficPolicy(policy) => {
                self.set_policy(&policy.reference(), Some(policy.clone()));
            }
            Object::FaultPolicy(policy) => {
                self.set_fault(&policy.reference(), Some(policy.clone()));
            }
            Object::MeshConfig(config) => self.config = config.clone(),
        }
    }

    fn delete(&mut self, reference: &ObjectRef) {
        match reference.kind {
            ObjectKind::Service => {
                if let Some(name) = service_name(&reference.namespace, &reference.name) {
                    self.set_service(&name, None);
                }
            }
            ObjectKind::HttpRoute => self.set_route(reference, None),
            ObjectKind::TrafficPolicy => self.set_policy(reference, None),
            ObjectKind::FaultPolicy => self.set_fault(reference, None),
            ObjectKind::MeshConfig => self.config = Arc::default(),
        }
    }

    fn set_service(&mut self, name: &ServiceName, service: Option<Arc<Service>>) {
        if let Some(old) = self.declared.get(name) {
            self.index.service(Presence::Remove, old);
        }
        if let Some(new) = &service {
            self.index.service(Presence::Add, new);
        }
        set(&mut self.declared, name, service);
    }

    fn set_route(&mut self, reference: &ObjectRef, route: Option<Arc<HttpRoute>>) {
        if let Some(old) = self.routes.get(reference) {
            self.index.route(Presence::Remove, old);
        }
        if let Some(new) = &route {
            self.index.route(Presence::Add, new);
        }
        set(&mut self.routes, reference, route);
    }

    fn set_policy(&mut self, reference: &ObjectRef, policy: Option<Arc<TrafficPolicy>>) {
        if let Some(old) = self.policies.get(reference) {
            self.index.policy(Presence::Remove, old);
        }
        if let Some(new) = &policy {
            self.index.policy(Presence::Add, new);
        }
        set(&mut self.policies, reference, policy);
    }

    fn set_fault(&mut self, reference: &ObjectRef, policy: Option<Arc<FaultPolicy>>) {
        if let Some(old) = self.faults.get(reference) {
            self.index.fault(Presence::Remove, old);
        }
        if let Some(new) = &policy {
            self.index.fault(Presence::Add, new);
        }
        set(&mut self.faults, reference, policy);
    }

    fn set_workload(&mut self, proxy: &ProxyId, workload: Option<Arc<Workload>>) {
        if let Some(old) = self.workloads.get(proxy) {
            self.index.workload(Presence::Remove, old);
        }
        if let Some(new) = &workload {
            self.index.workload(Presence::Add, new);
        }
        set(&mut self.workloads, proxy, workload);
    }

    fn set_slice(&mut self, name: &SliceName, slice: Option<Arc<Slice>>) {
        if let Some(old) = self.slices.get(name) {
            self.index.slice(Presence::Remove, old);
        }
        if let Some(new) = &slice {
            self.index.slice(Presence::Add, new);
        }
        set(&mut self.slices, name, slice);
    }
}

/// Puts `value` under `key`, or takes away what is there.
fn set<K: Ord + Clone, V: Clone>(map: &mut Arc<BTreeMap<K, V>>, key: &K, value: Option<V>) {
    let map = Arc::make_mut(map);
    match value {
        Some(value) => map.insert(key.clone(), value),
        None => map.remove(key),
    };
}
