//! Whether a name may be taken, by a registration or a declaration: one meaning for each service.
//!
//! A workload `reviews` of version `v1` makes the services `reviews` and `reviews-v1`. Another that
//! registers as `reviews-v1`, or a declaration of `reviews-v1` that selects other workloads, would
//! mix two services under one name without a word; so the later one is refused. So is a workload of
//! another machine at an address that is somebody else's.

use std::net::SocketAddr;

use crate::mesh::selection::matches;
use crate::mesh::{Service, Snapshot, Workload};
use crate::names::{ProxyId, ServiceName};

/// Why a workload may not register, or a service not be declared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationConflict {
    /// The name means something else to a workload that is there already.
    #[error(
        "service `{name}` is taken: proxy `{by}` registered as {theirs}, this one as {ours}; choose another service name or version"
    )]
    Taken {
        /// The service name that both make.
        name: ServiceName,
        /// Who has it.
        by: ProxyId,
        /// Their service and version, in words.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// A declared service of that name selects other workloads.
    #[error(
        "service `{name}` is declared and its selector does not select {ours}; change the Service's selector, or the workload's service name, version or labels"
    )]
    Declared {
        /// The service name of the version.
        name: ServiceName,
        /// Our service and version, in words.
        ours: String,
    },
    /// A registration makes the service that is to be declared, and the selector leaves it out.
    #[error(
        "service `{name}` is taken: proxy `{by}` registered as {theirs}, which the selector does not select; choose another name or selector"
    )]
    Registered {
        /// The service to be declared.
        name: ServiceName,
        /// Who has it.
        by: ProxyId,
        /// Their service and version, in words.
        theirs: String,
    },
    /// A workload that has joined from another machine names an address that is somebody else's: calls
    /// to it would go to that workload.
    #[error(
        "address `{address}` is that of {owner}; say with `--advertise` and `--inbound` where this workload is reached"
    )]
    Address {
        /// The address.
        address: SocketAddr,
        /// Whose it is, in words.
        owner: String,
    },
}

impl Snapshot {
    /// Whether `workload` may register (again) beside those that are there.
    ///
    /// # Errors
    /// [`RegistrationConflict`] names the service and who has it.
    pub fn check_registration(&self, workload: &Workload) -> Result<(), RegistrationConflict> {
        for name in workload.registered_names() {
            let meaning = Meaning::of(workload, &name);
            for other in self.registered_as(&name) {
                if other.proxy != workload.proxy && Meaning::of(&other, &name) != meaning {
                    return Err(RegistrationConflict::Taken {
                        name,
                        by: other.proxy.clone(),
                        theirs: words(&other),
                        ours: words(workload),
                    });
                }
            }
        }
        self.check_addresses(workload)?;
        self.check_declared(workload)
    }

    /// Several workloads share a machine, and one registers again: what is somebody else's is an address
    /// with its port, under another identity. Nobody is held against what came later.
    fn check_addresses(&self, workload: &Workload) -> Result<(), RegistrationConflict> {
        let known = self.workloads.get(&workload.proxy);
        let same = known.is_some_and(|known| known.dialled().eq(workload.dialled()));
        if workload.bound.is_none() || same {
            return Ok(());
        }
        for address in workload.dialled() {
            let workloads = self.workloads_at(address);
            let other = workloads.iter().find(|other| other.identity != workload.identity);
            let mut services = self.services_at(address.ip());
            let service = services.find(|service| service.has_port(address.port()));
            let owner = match (other, service) {
                (Some(other), _) => format!("proxy `{}`", other.proxy),
                (None, Some(service)) => format!("service `{}`", service.name),
                (None, None) => continue,
            };
            return Err(RegistrationConflict::Address { address, owner });
        }
        Ok(())
    }

    /// Whether `service` may be declared beside the workloads that are there: a declaration of
    /// `reviews-v1` has to select what registered as `reviews` of version `v1`. The name that a
    /// workload registered under is free to be declared otherwise.
    ///
    /// # Errors
    /// [`RegistrationConflict`] names the service and who has it.
    pub fn check_declaration(&self, service: &Service) -> Result<(), RegistrationConflict> {
        let Some(selector) = &service.selector else { return Ok(()) };
        let registered = self.registered_as(&service.name);
        let left_out = registered.iter().find(|workload| {
            workload.versioned_service().as_ref() == Some(&service.name)
                && !matches(selector, &workload.labels)
        });
        left_out.map_or(Ok(()), |workload| {
            Err(RegistrationConflict::Registered {
                name: service.name.clone(),
                by: workload.proxy.clone(),
                theirs: words(workload),
            })
        })
    }

    fn check_declared(&self, workload: &Workload) -> Result<(), RegistrationConflict> {
        let Some(name) = workload.versioned_service() else { return Ok(()) };
        let selector = self.declared.get(&name).and_then(|declared| declared.selector.as_ref());
        match selector {
            Some(selector) if !matches(selector, &workload.labels) => {
                Err(RegistrationConflict::Declared { name, ours: words(workload) })
            }
            _ => Ok(()),
        }
    }
}

/// What a service name stands for in one registration.
#[derive(Debug, PartialEq, Eq)]
enum Meaning<'w> {
    /// The name that was registered under, of any version.
    Whole,
    /// One version of what was registered under a shorter name.
    Version { service: &'w str },
}

impl<'w> Meaning<'w> {
    fn of(workload: &'w Workload, name: &ServiceName) -> Self {
        match workload.service.as_ref() {
            Some(service) if *service != name.name => Self::Version { service: service.as_str() },
            _ => Self::Whole,
        }
    }
}

fn words(workload: &Workload) -> String {
    match workload.version.as_str() {
        "" => format!("`{}`", workload.canonical),
        version => format!("`{}` version `{version}`", workload.canonical),
    }
}
