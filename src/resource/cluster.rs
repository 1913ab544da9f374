//! Where a service's requests end: the policy of its pool, and its endpoints.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::names::{Identity, ObjectName, Protocol, ServiceName};
use crate::resource::{
    CircuitBreaker, DEFAULT_PANIC_PPM, HealthCheck, LoadBalancer, OutlierDetection,
};

/// The endpoints of a service and how a caller treats them.
#[derive(Debug, Clone, PartialEq)]
pub struct Cluster {
    /// The service.
    pub name: ServiceName,
    /// The service's ports, ascending.
    pub ports: Vec<ClusterPort>,
    /// How the pool is treated.
    pub policy: ClusterPolicy,
    /// The ready endpoints, ordered by workload name; those that are the same as before are shared
    /// with the resource before.
    pub endpoints: Vec<Arc<Endpoint>>,
}

/// One port of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPort {
    /// The service's port.
    pub port: u16,
    /// What its endpoints speak.
    pub protocol: Protocol,
}

/// The policy of the pool: what concerns connections and the choice of an endpoint. The default is
/// what holds without any policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterPolicy {
    /// TCP connect and TLS handshake together.
    pub connect_timeout: Duration,
    /// How long an idle HTTP connection is kept, on either side.
    pub http_idle: Duration,
    /// How long an opaque connection may be silent in both directions.
    pub tcp_idle: Duration,
    /// How an endpoint is chosen.
    pub load_balancer: LoadBalancer,
    /// How much may be going on at once.
    pub circuit_breaker: CircuitBreaker,
    /// When an endpoint is taken out for what it answers.
    pub outlier_detection: Option<OutlierDetection>,
    /// Whether endpoints are asked how they are.
    pub health_check: Option<HealthCheck>,
    /// Where fewer endpoints are left than this share, all are used; parts per million, 0 for never.
    pub panic_ppm: u32,
    /// Breaker and ejection are evaluated and counted, not enforced.
    pub shadow: bool,
}

impl Default for ClusterPolicy {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(1),
            http_idle: Duration::from_secs(300),
            tcp_idle: Duration::from_secs(3600),
            load_balancer: LoadBalancer::default(),
            circuit_breaker: CircuitBreaker::default(),
            outlier_detection: None,
            health_check: None,
            panic_ppm: DEFAULT_PANIC_PPM,
            shadow: false,
        }
    }
}

/// One workload behind the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// The workload's name inside the service's namespace; stable over restarts.
    pub workload: ObjectName,
    /// Where it is, any of them.
    pub addresses: Vec<IpAddr>,
    /// Which port of it answers for which port of the service.
    pub ports: Vec<PortMapping>,
    /// Who must answer there; `None` for an endpoint that has no sidecar, which is called in
    /// plaintext where `outbound: AllowAny` permits it.
    pub identity: Option<Identity>,
    /// The `version` label, for telemetry.
    pub version: String,
    /// Its share against the others', at least 1; 1 where nobody said.
    pub weight: u32,
    /// The zone that it runs in; empty where that is not known.
    pub zone: String,
}

/// One port of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PortMapping {
    /// The service's port.
    pub service_port: u16,
    /// The port to dial at the endpoint.
    pub target_port: u16,
}
