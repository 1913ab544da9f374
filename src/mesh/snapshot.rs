//! The snapshot: everything that is known at one revision, indexed for `compile`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::mesh::{HttpRoute, MeshConfig, Object, ObjectRef, Service, TrafficPolicy, Workload};
use crate::names::{ProxyId, ServiceName, TrustDomain};

/// An immutable picture of the mesh; cheap to clone, every part is shared.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// Goes up with every change.
    pub revision: u64,
    /// The trust domain.
    pub trust_domain: TrustDomain,
    /// The root certificates that proxies trust, X.509 DER.
    pub roots: Arc<Vec<Vec<u8>>>,
    /// Mesh-wide settings.
    pub config: Arc<MeshConfig>,
    /// Declared services.
    pub declared: BTreeMap<ServiceName, Arc<Service>>,
    /// Routes by what they are.
    pub routes: BTreeMap<ObjectRef, Arc<HttpRoute>>,
    /// Traffic policies by what they are.
    pub policies: BTreeMap<ObjectRef, Arc<TrafficPolicy>>,
    /// Workloads by proxy.
    pub workloads: BTreeMap<ProxyId, Arc<Workload>>,
}

/// One change of what is known.
#[derive(Debug, Clone)]
pub enum Change {
    /// An object was applied (`Some`) or deleted (`None`).
    Object(ObjectRef, Option<Object>),
    /// A workload came, changed, or went.
    Workload(ProxyId, Option<Arc<Workload>>),
    /// Other roots are trusted.
    Roots(Arc<Vec<Vec<u8>>>),
}
