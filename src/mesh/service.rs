//! Services: declared by a `v1 Service`, or there because a workload registered under the name.

use std::net::{IpAddr, SocketAddr};

use crate::mesh::{Labels, ObjectKind, ObjectRef, Workload, WorkloadPort};
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
    /// The addresses of its own, at each of its ports (on Kubernetes, the cluster IPs); none for
    /// most local services.
    pub addresses: Vec<IpAddr>,
    /// Whether it was asked for without such an address: callers dial its workloads.
    pub headless: bool,
    /// Its ports, ascending.
    pub ports: Vec<ServicePort>,
}

impl Service {
    /// What its document is called.
    pub fn reference(&self) -> ObjectRef {
        let name = self.name.name.as_str().parse();
        ObjectRef {
            kind: ObjectKind::Service,
            namespace: self.name.namespace.clone(),
            name: name.expect("a DNS label is a DNS subdomain"),
        }
    }

    /// Every address and port of its own.
    pub fn own_addresses(&self) -> impl Iterator<Item = SocketAddr> {
        self.addresses.iter().flat_map(|&address| {
            self.ports.iter().map(move |port| SocketAddr::new(address, port.port))
        })
    }

    /// Whether it has a port of that number.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.iter().any(|own| own.port == port)
    }

    /// The port of `workload` that answers for `port`.
    ///
    /// [`TargetPort::Only`] is the port that the workload registered for this very service port;
    /// for a declared service also the one and only port that the workload has. The same goes for
    /// a declaration of one port that leaves its target out, where no application listens on that
    /// number and the workload named no service port.
    pub fn target<'w>(
        &self,
        port: &ServicePort,
        workload: &'w Workload,
    ) -> Option<&'w WorkloadPort> {
        let find = |wanted: &dyn Fn(&WorkloadPort) -> bool| {
            workload.ports.iter().find(|candidate| wanted(candidate))
        };
        let said = |candidate: &WorkloadPort| candidate.service_port == Some(port.port);
        let only = match &*workload.ports {
            [only] => Some(only),
            _ => None,
        };
        let unsaid = only.filter(|only| only.service_port.is_none());
        match &port.target {
            TargetPort::Number(number) => {
                let found = find(&|candidate| candidate.app_port == *number);
                // The same number is what a declaration means that leaves the target out; of a pod
                // it means the number.
                let left_out = *number == port.port && self.ports.len() == 1;
                let left_out = left_out && workload.service.is_some();
                found.or_else(|| find(&said).or(unsaid).filter(|_| left_out))
            }
            TargetPort::Named(name) => find(&|candidate| candidate.name == *name),
            TargetPort::Only => find(&said).or(only.filter(|_| self.declared)),
            TargetPort::Unsaid => find(&said).or_else(|| find(&|it| it.service_port.is_none())),
        }
    }

    /// The port of the application in `workload` that answers for `port`: of a pod also one that
    /// none of its containers names.
    pub fn app_port(&self, port: &ServicePort, workload: &Workload) -> Option<u16> {
        match port.target {
            TargetPort::Number(number) if workload.service.is_none() => Some(number),
            _ => self.target(port, workload).map(|target| target.app_port),
        }
    }
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
    /// As [`TargetPort::Only`], and that of workloads which named no service port.
    Unsaid,
    /// The port of that number of the application.
    Number(u16),
    /// The port of that name.
    Named(String),
}
