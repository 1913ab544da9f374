//! Which services there are: those declared, and those that registrations make.
//!
//! A declaration wins over registrations of the same name. Where it leaves a port's protocol open,
//! and for every port of a service that nobody declared, what all its workloads agree on holds;
//! where they do not agree, the protocol is detected.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use crate::mesh::selection::matches;
use crate::mesh::workload::DEFAULT_SERVICE_PORT;
use crate::mesh::{Service, ServicePort, Snapshot, TargetPort, Workload, WorkloadPort};
use crate::names::{Protocol, ServiceName};

/// The services that were asked for at one revision. Each of a service's thousand workloads asks for
/// it when its address is compiled, and it takes a look at all of them to find what they agree on.
#[derive(Debug, Clone, Default)]
pub(super) struct Resolved(Arc<RwLock<BTreeMap<ServiceName, Arc<Service>>>>);

impl Resolved {
    /// The service of that name, by `find` where nobody asked for it yet.
    fn get_or(
        &self,
        name: &ServiceName,
        find: impl FnOnce() -> Option<Arc<Service>>,
    ) -> Option<Arc<Service>> {
        // Whole at any time, so a panic elsewhere spoils nothing.
        if let Some(known) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Some(known.clone());
        }
        let found = find()?;
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.insert(name.clone(), found.clone());
        Some(found)
    }
}

impl Snapshot {
    /// The service of that name as it holds: declared, or made by registrations.
    pub fn service(&self, name: &ServiceName) -> Option<Arc<Service>> {
        self.resolved.get_or(name, || self.settle(name))
    }

    /// What the declaration and the registrations come to.
    fn settle(&self, name: &ServiceName) -> Option<Arc<Service>> {
        if let Some(declared) = self.declared.get(name) {
            return Some(self.with_protocols(declared));
        }
        let workloads = self.registered_as(name);
        if workloads.is_empty() {
            return None;
        }
        Some(Arc::new(self.registered(name, &workloads)))
    }

    /// The name of every service, ascending.
    pub fn service_names(&self) -> BTreeSet<ServiceName> {
        self.declared.keys().chain(self.index.registered.keys()).cloned().collect()
    }

    /// The service that workloads make by registering under its name.
    fn registered(&self, name: &ServiceName, workloads: &[Arc<Workload>]) -> Service {
        let mut by_port: BTreeMap<u16, Vec<&WorkloadPort>> = BTreeMap::new();
        for workload in workloads {
            for port in &workload.ports {
                for number in self.numbers(workload, port) {
                    by_port.entry(number).or_default().push(port);
                }
            }
        }
        let ports = by_port.into_iter().map(|(port, targets)| ServicePort {
            name: same(targets.iter().map(|target| target.name.as_str())).unwrap_or("").to_owned(),
            port,
            target: match targets.iter().all(|target| target.service_port.is_some()) {
                true => TargetPort::Only,
                false => TargetPort::Unsaid,
            },
            protocol: agreed(targets.iter().map(|target| target.protocol)),
        });
        Service {
            name: name.clone(),
            generation: 0,
            declared: false,
            selector: None,
            addresses: Vec::new(),
            headless: false,
            ports: ports.collect(),
        }
    }

    /// The service ports that `port` of `workload` answers for where nobody declared the service:
    /// the one it named, else those that the declaration of the service it registered under leads
    /// to it (`reviews-v1` listens where `reviews` does), else the default.
    fn numbers(&self, workload: &Workload, port: &WorkloadPort) -> Vec<u16> {
        if let Some(said) = port.service_port {
            return vec![said];
        }
        let whole = workload.registered_service();
        let declared = whole.and_then(|whole| self.declared.get(&whole)).filter(|declared| {
            let selector = declared.selector.as_ref();
            selector.is_none_or(|selector| matches(selector, &workload.labels))
        });
        let numbers: Vec<u16> = match declared {
            Some(declared) if workload.ports.len() == 1 => {
                let leads_here =
                    |it: &&ServicePort| declared.target(it, workload).is_some_and(|to| to == port);
                declared.ports.iter().filter(leads_here).map(|it| it.port).collect()
            }
            _ => Vec::new(),
        };
        if numbers.is_empty() { vec![DEFAULT_SERVICE_PORT] } else { numbers }
    }

    /// Fills in the protocols that a declaration leaves open.
    fn with_protocols(&self, declared: &Arc<Service>) -> Arc<Service> {
        if declared.ports.iter().all(|port| port.protocol != Protocol::Detect) {
            return declared.clone();
        }
        let workloads = self.selected_by(declared);
        let mut service = Service::clone(declared);
        for port in &mut service.ports {
            if port.protocol == Protocol::Detect {
                let targets = workloads.iter().filter_map(|it| declared.target(port, it));
                port.protocol = agreed(targets.map(|target| target.protocol));
            }
        }
        Arc::new(service)
    }
}

/// The protocol that all say, else detection.
fn agreed(protocols: impl Iterator<Item = Protocol>) -> Protocol {
    same(protocols).unwrap_or(Protocol::Detect)
}

/// The value that all have; `None` where they differ or there is none.
fn same<T: PartialEq>(mut values: impl Iterator<Item = T>) -> Option<T> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}
