//! How callers treat a service: `TrafficPolicy`, resolved.

use std::time::Duration;

use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::{Namespace, ObjectName, ServiceName};
use crate::resource::LoadBalancer;

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
    /// TCP connect and TLS handshake together; default 1 s.
    pub connect_timeout: Duration,
    /// Of a whole request, where no route says otherwise; default none.
    pub request_timeout: Option<Duration>,
    /// Idle HTTP connections; default 5 min.
    pub http_idle: Duration,
    /// Silent opaque connections; default 1 h.
    pub tcp_idle: Duration,
    /// Default least-request.
    pub load_balancer: LoadBalancer,
}

impl TrafficPolicy {
    /// Default connect timeout, 1 s.
    pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
    /// Default idle time of an HTTP connection, 5 min.
    pub const HTTP_IDLE: Duration = Duration::from_secs(300);
    /// Default idle time of an opaque connection, 1 h.
    pub const TCP_IDLE: Duration = Duration::from_secs(3600);

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
