//! Whether what a rule names is there: for its status (`Accepted`, `ResolvedRefs`) and `describe`.
//!
//! The compiler asks the same function of each backend, so that a status never says otherwise than
//! what proxies do.

use crate::mesh::{HttpRoute, Parent, Service, Snapshot};
use crate::names::{Protocol, RuleId, ServiceName};

/// Whether a service and a port of it are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reference {
    /// Both are.
    Resolved,
    /// No such service.
    NoService,
    /// The service has no such port.
    NoPort,
}

/// One parent of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParentView {
    /// As written.
    pub parent: Parent,
    /// Whether it is there.
    pub reference: Reference,
    /// The ports on which the route has no effect, because they are opaque; ascending.
    pub opaque: Vec<u16>,
}

/// One backend of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackendView {
    /// The rule that sends to it.
    pub rule: RuleId,
    /// The service.
    pub service: ServiceName,
    /// Its port.
    pub port: u16,
    /// Its share.
    pub weight: u32,
    /// Whether it is there.
    pub reference: Reference,
}

/// What a route names, in the order written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct References {
    /// The services that it is about.
    pub parents: Vec<ParentView>,
    /// Where it sends.
    pub backends: Vec<BackendView>,
}

/// Looks up everything that a route names.
pub fn references(snapshot: &Snapshot, route: &HttpRoute) -> References {
    let backends = route.rules.iter().flat_map(|rule| {
        rule.backends.iter().map(|backend| BackendView {
            rule: rule.id.clone(),
            service: backend.service.clone(),
            port: backend.port,
            weight: backend.weight,
            reference: reference(snapshot, &backend.service, backend.port),
        })
    });
    References {
        parents: route.parents.iter().map(|parent| parent_view(snapshot, parent)).collect(),
        backends: backends.collect(),
    }
}

fn parent_view(snapshot: &Snapshot, parent: &Parent) -> ParentView {
    let service = snapshot.service(&parent.service);
    let ports = service.iter().flat_map(|service| &service.ports);
    let opaque = ports
        .filter(|port| parent.selects(port))
        .filter(|port| port.protocol == Protocol::Tcp)
        .map(|port| port.port);
    ParentView {
        parent: parent.clone(),
        reference: parent_reference(service.as_deref(), parent),
        opaque: opaque.collect(),
    }
}

/// Whether a parent is there: its service, and a port that it selects where it selects any.
fn parent_reference(service: Option<&Service>, parent: &Parent) -> Reference {
    match service {
        None => Reference::NoService,
        Some(_) if parent.is_whole() => Reference::Resolved,
        Some(service) if service.ports.iter().any(|port| parent.selects(port)) => {
            Reference::Resolved
        }
        Some(_) => Reference::NoPort,
    }
}

/// Whether `port` of `service` is there.
pub(super) fn reference(snapshot: &Snapshot, service: &ServiceName, port: u16) -> Reference {
    match snapshot.service(service) {
        None => Reference::NoService,
        Some(service) if !service.has_port(port) => Reference::NoPort,
        Some(_) => Reference::Resolved,
    }
}
