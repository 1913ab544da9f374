//! Who is at an IP address: one workload, called without its service.

use std::net::IpAddr;

use crate::names::{Identity, ObjectName, Protocol, ServiceName};

/// The workload that has an address of its own (on Kubernetes: the pod), for callers that dial it
/// and not one of its services. No route and no balancing; mutual TLS where it has a sidecar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Its address.
    pub ip: IpAddr,
    /// What it is counted under; for telemetry, never for deciding.
    pub service: ServiceName,
    /// The workload's name inside its namespace.
    pub workload: ObjectName,
    /// Who must answer there; `None` for a workload that has no sidecar.
    pub identity: Option<Identity>,
    /// The `version` label, for telemetry.
    pub version: String,
    /// What its ports are declared to speak, by port, ascending; ports that are not named here
    /// are found out.
    pub ports: Vec<(u16, Protocol)>,
}
