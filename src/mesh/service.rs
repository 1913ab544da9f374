//! Services: declared by a `v1 Service`, or there because a workload registered under the name.

use crate::mesh::Labels;
use crate::names::{Protocol, ServiceName};

/// One service.
#[derive(Debug, Clone, PartialEq)]
pub struct Service {
    /// Its name.
    pub name: ServiceName,
    /// Goes up with each change; 1 when new; 0 for one that nobody declared.
    pub generation: u64,
    /// Whether a document declares it (rather than registrations alone).
    pub declared: bool,
    /// What it selects, by labels of workloads in its namespace. `None`: the workloads that
    /// registered under its name (and, for `NAME-VERSION`, under that name and version).
    pub selector: Option<Labels>,
    /// Its ports, ascending.
    pub ports: Vec<ServicePort>,
}

/// One port of a service.
#[derive(Debug, Clone, PartialEq)]
pub struct ServicePort {
    /// The port's name; empty where it has none.
    pub name: String,
    /// The port that callers name.
    pub port: u16,
    /// The workload's port that answers for it.
    pub target: TargetPort,
    /// `appProtocol`, or what the registered workloads said.
    pub protocol: Protocol,
}

/// Which port of a workload a service's port leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetPort {
    /// The workload's only port, whatever its number (registered services).
    Only,
    /// The port of that number of the application.
    Number(u16),
    /// The port of that name.
    Named(String),
}
