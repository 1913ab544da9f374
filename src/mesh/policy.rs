//! How callers treat a service: `TrafficPolicy`, resolved.

use std::time::Duration;

use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::{Namespace, ObjectName, ServiceName};
use crate::resource::{ClusterPolicy, Retry};

/// One traffic policy. Fields left out by the user hold RULES.md's defaults already.
#[derive(Debug, Clone, PartialEq)]
pub struct TrafficPolicy {
    /// Its namespace.
    pub namespace: Namespace,
    /// Its name.
    pub name: ObjectName,
    /// Goes up with each change, as Kubernetes counts it; 1 when new.
    pub generation: u64,
    /// When it was first applied, milliseconds since the Unix epoch: of several policies on one
    /// service the oldest holds (GEP-713).
    pub created_ms: u64,
    /// What it is about.
    pub targets: Vec<PolicyTarget>,
    /// How the pool is treated, by callers of every route that leads to the target.
    pub pool: ClusterPolicy,
    /// Of a whole request, where no route says otherwise; default none.
    pub request_timeout: Option<Duration>,
    /// Of one try (`retry.perTryTimeout`), where no route says otherwise; default none.
    pub try_timeout: Option<Duration>,
    /// What is tried again, where no route says otherwise; `None` where the policy does not speak of
    /// it.
    pub retry: Option<Retry>,
}

impl TrafficPolicy {
    /// What it is called.
    pub fn reference(&self) -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::TrafficPolicy,
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

/// What a policy is attached to (GEP-713).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyTarget {
    /// The service, in the policy's own namespace.
    pub service: ServiceName,
}
