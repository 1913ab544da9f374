//! What the rules and registrations mean, mesh-wide: one immutable snapshot.
//!
//! Made by `rules` (from documents) and by discovery (from workloads), read by `compile` and by
//! everything that explains. Past this border no `Option` means "default": defaults are resolved.
//! It knows nothing of YAML, of the wire or of proxies.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::names::{Namespace, ObjectName, ServiceName};

mod attachment;
mod config;
mod endpoint;
mod fault;
#[cfg(test)]
pub(crate) mod fixture;
mod index;
mod policy;
mod precedence;
mod registration;
mod resolve;
mod retry;
mod route;
mod selection;
mod service;
mod slice;
mod snapshot;
#[cfg(test)]
mod tests;
mod workload;

pub use config::MeshConfig;
pub use endpoint::{Counts, Endpoint};
pub use fault::FaultPolicy;
pub use policy::{PolicyTarget, TrafficPolicy};
pub use precedence::{Candidate, in_precedence};
pub use registration::RegistrationConflict;
pub use retry::{RouteRetry, asked_retry, longest_backoff};
pub use route::{BackendRef, HttpRoute, Parent, RouteMatch, RouteRule};
pub use service::{Service, ServicePort, TargetPort};
pub use slice::{Readiness, Slice, SliceEndpoint, SlicePort};
pub use snapshot::{Change, Snapshot};
pub use workload::{Workload, WorkloadPort, endpoint_weight};

/// The labels of a workload, or what a service selects by.
pub type Labels = BTreeMap<Arc<str>, Arc<str>>;

/// The kinds of objects that users write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ObjectKind {
    /// `v1 Service`.
    Service,
    /// `gateway.networking.k8s.io/v1 HTTPRoute`.
    HttpRoute,
    /// `meshctl.dev/v1alpha1 TrafficPolicy`.
    TrafficPolicy,
    /// `meshctl.dev/v1alpha1 FaultPolicy`.
    FaultPolicy,
    /// `meshctl.dev/v1alpha1 MeshConfig`.
    MeshConfig,
}

impl ObjectKind {
    /// Every kind, in the order in which they are applied.
    pub const ALL: [Self; 5] =
        [Self::MeshConfig, Self::Service, Self::HttpRoute, Self::TrafficPolicy, Self::FaultPolicy];

    /// The kind as users write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Service => "Service",
            Self::HttpRoute => "HTTPRoute",
            Self::TrafficPolicy => "TrafficPolicy",
            Self::FaultPolicy => "FaultPolicy",
            Self::MeshConfig => "MeshConfig",
        }
    }

    /// The `apiVersion` as users write it.
    pub fn api_version(self) -> &'static str {
        match self {
            Self::Service => "v1",
            Self::HttpRoute => "gateway.networking.k8s.io/v1",
            Self::TrafficPolicy | Self::FaultPolicy | Self::MeshConfig => "meshctl.dev/v1alpha1",
        }
    }
}

/// Which object: kind, namespace and name. `MeshConfig` is cluster-scoped and is held in the root
/// namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectRef {
    /// The kind.
    pub kind: ObjectKind,
    /// The namespace.
    pub namespace: Namespace,
    /// The name.
    pub name: ObjectName,
}

impl std::fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.kind.as_str(), self.namespace, self.name)
    }
}

/// One object that users wrote, as it is meant.
#[derive(Debug, Clone, PartialEq)]
pub enum Object {
    /// A declared service.
    Service(Arc<Service>),
    /// A route.
    HttpRoute(Arc<HttpRoute>),
    /// How callers treat a service.
    TrafficPolicy(Arc<TrafficPolicy>),
    /// Faults that are put in.
    FaultPolicy(Arc<FaultPolicy>),
    /// Mesh-wide settings.
    MeshConfig(Arc<MeshConfig>),
}

/// The namespaces' view of a service name: `name` in `namespace`.
pub fn service_name(namespace: &Namespace, name: &ObjectName) -> Option<ServiceName> {
    Some(ServiceName::new(namespace.clone(), name.as_str().parse().ok()?))
}
