//! Outbound: what a call of our own application means, whatever protocol it came in.
//!
//! The authority names a service of the mesh or something outside (`naming`); a service's table
//! gives the rule, the rule the backend (`route`). The first call of a service waits for the control
//! plane.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::names::Protocol;
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::{Decision, Endpoints, Refusal};
use crate::proxy::detect::{self, Kind};
use crate::proxy::directory::{Destination, HostCell, Lookup, Miss, ServiceCell};
use crate::proxy::h2;
use crate::proxy::head::Head;
use crate::proxy::pool::MAX_AGE;
use crate::proxy::serve::{Connection, Origin};
use crate::proxy::service::PortTable;
use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;
use crate::resource::OutboundMode;
use crate::telemetry::escape;
use crate::telemetry::reason::Reason;
use naming::Named;

pub mod naming;
pub mod route;

/// What was called.
#[derive(Debug, Clone)]
pub enum Called {
    /// A port of a service of the mesh.
    Service(Arc<ServiceCell>, u16),
    /// A workload, by one port of its own address.
    Host(Arc<HostCell>, Arc<Endpoint>),
    /// Something else: host and port.
    Outside(String, u16),
    /// Something else, by its address.
    Address(SocketAddr),
    /// An address that must not be called now.
    Refused(SocketAddr, Reason),
}

impl Called {
    /// Where what is found out about a destination may be kept: under the table of its service,
    /// which another configuration replaces, and the port.
    pub fn place(&self) -> Option<(u64, u16)> {
        match self {
            Self::Service(cell, port) => Some((cell.table.load().id, *port)),
            Self::Host(cell, endpoint) => Some((cell.id, endpoint.address.port())),
            Self::Outside(..) | Self::Address(_) | Self::Refused(..) => None,
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(cell, _) => write!(f, "{}", cell.table.load().name),
            Self::Host(cell, _) => f.write_str(&cell.label),
            Self::Outside(host, _) => f.write_str(host),
            Self::Address(address) | Self::Refused(address, _) => write!(f, "{}", address.ip()),
        }
    }
}

/// Takes in a connection of our application to the outbound listener: HTTP, as to a proxy or with
/// the service as `Host`. One of HTTP/1.1 is to be served then; HTTP/2 was served to its end.
pub async fn arrive(worker: Rc<Worker>, mut side: Side) -> Option<Box<Connection>> {
    match detect::detect(&worker, &mut side).await? {
        Kind::Http2 => {
            Box::pin(h2::serve(worker, side, Origin::Outbound, MAX_AGE)).await;
            None
        }
        // Whatever else it is, the codec says what is wrong with it.
        _ => Some(Connection::new(worker, side, Origin::Outbound, Duration::MAX / 2)),
    }
}

/// Finds out what `authority` names; `port` is meant where it names none.
///
/// # Errors
/// [`Reason::ConfigPending`] where the control plane does not answer in time.
pub async fn resolve(worker: &Rc<Worker>, authority: &str, port: u16) -> Result<Called, Reason> {
    if let Some(found) = remembered(worker, authority) {
        return Ok(found);
    }
    let own = &worker.shared.service.namespace;
    let (name, host, port) = match Named::read(authority, port, own)? {
        Named::Address(address) => return at_address(worker, address).await,
        Named::Outside(host, port) => return Ok(Called::Outside(host.to_owned(), port)),
        Named::Service { name, host, port } => (name, host, port),
    };
    let cell = match worker.shared.directory.service(&name) {
        Lookup::Ready(cell) => Ok(cell),
        Lookup::NotAService => Err(Miss::NotAService),
        Lookup::Unknown => Box::pin(worker.shared.directory.wait_service(&name)).await,
    };
    match cell {
        Ok(cell) => {
            worker.remember(authority, &cell, port);
            Ok(Called::Service(cell, port))
        }
        Err(Miss::NotAService) => Ok(Called::Outside(host.to_owned(), port)),
        Err(Miss::Pending) => Err(Reason::ConfigPending),
    }
}

/// What is called by its address alone: the service that answers there, or what is outside. It is
/// not remembered by its text, because another workload may have the address tomorrow.
async fn at_address(worker: &Rc<Worker>, address: SocketAddr) -> Result<Called, Reason> {
    if is_own(worker, address) {
        return Err(Reason::Loop);
    }
    match worker.shared.directory.wait_service_at(address).await {
        Ok((cell, port)) => Ok(Called::Service(cell, port)),
        Err(Miss::NotAService) => Ok(Called::Outside(address.ip().to_string(), address.port())),
        Err(Miss::Pending) => Err(Reason::ConfigPending),
    }
}

/// What a captured connection to `address` calls: the service that answers there, else the workload
/// whose own address it is, else something outside.
pub async fn called_at(worker: &Rc<Worker>, address: SocketAddr) -> Called {
    let ip = address.ip();
    if worker.duties.own_pod.is_some() && worker.is_local(ip) {
        let own = worker.own_host(ip);
        let endpoint = own.endpoint(address.port());
        return Called::Host(own, endpoint);
    }
    match worker.shared.directory.wait_destination(address).await {
        Ok(Destination::Service(cell, port)) => Called::Service(cell, port),
        Ok(Destination::Host(cell)) => {
            cell.touch(&worker.shared.directory);
            let endpoint = cell.endpoint(address.port());
            Called::Host(cell, endpoint)
        }
        Err(Miss::NotAService) => Called::Address(address),
        Err(Miss::Pending) => Called::Refused(address, Reason::ConfigPending),
    }
}

fn remembered(worker: &Worker, authority: &str) -> Option<Called> {
    let targets = worker.targets.borrow();
    let (cell, port) = targets.get(authority)?;
    if cell.is_retired() {
        return None;
    }
    cell.touch(&worker.shared.directory);
    Some(Called::Service(Arc::clone(cell), *port))
}

/// Decides about a request to what was called.
///
/// # Errors
/// [`Refusal`], with the rule where one decided.
pub async fn decide(
    worker: &Rc<Worker>,
    called: &Called,
    head: &impl Head,
) -> Result<Decision, Refusal> {
    match called {
        Called::Service(cell, port) => {
            let renewed = renewed(worker, cell).await?;
            let table = renewed.as_ref().unwrap_or(cell).table.load();
            let faults = &worker.shared.metrics.faults;
            route::decide(&table, *port, head, (&worker.shared.proxy, faults))
        }
        other => without_rules(worker, other).await,
    }
}

/// Decides about a connection of which nothing is read.
///
/// # Errors
/// As [`decide`].
pub async fn decide_opaque(worker: &Rc<Worker>, called: &Called) -> Result<Decision, Refusal> {
    match called {
        Called::Service(cell, port) => {
            let renewed = renewed(worker, cell).await?;
            let table = renewed.as_ref().unwrap_or(cell).table.load();
            route::decide_opaque(&table, *port, &worker.shared.proxy)
        }
        other => without_rules(worker, other).await,
    }
}

/// What a service is called by instead of `cell`, which a connection may have kept since it came:
/// `None` where that is still in use, which is said; where it was let go, the service is asked for
/// again.
///
/// # Errors
/// The service is gone, or the control plane does not answer in time.
async fn renewed(
    worker: &Rc<Worker>,
    cell: &Arc<ServiceCell>,
) -> Result<Option<Arc<ServiceCell>>, Reason> {
    if !cell.is_retired() {
        cell.touch(&worker.shared.directory);
        return Ok(None);
    }
    let name = cell.table.load().name.clone();
    match Box::pin(worker.shared.directory.wait_service(&name)).await {
        Ok(found) => Ok(Some(found)),
        Err(Miss::NotAService) => Err(Reason::NoService),
        Err(Miss::Pending) => Err(Reason::ConfigPending),
    }
}

/// Decides about what no rule can be about.
async fn without_rules(worker: &Rc<Worker>, called: &Called) -> Result<Decision, Refusal> {
    match called {
        Called::Host(cell, endpoint) => host(worker, cell, endpoint),
        Called::Outside(host, port) => Box::pin(outside(worker, host, *port)).await,
        Called::Address(address) => {
            route::may_leave(worker.shared.directory.mesh().outbound)?;
            let endpoints = [worker.outside_endpoint(*address)].into();
            Ok(beyond(worker, &address.ip().to_string(), endpoints))
        }
        Called::Refused(_, reason) => Err((*reason).into()),
        Called::Service(..) => Err(Reason::Internal.into()),
    }
}

/// The protocol that a destination is declared for.
pub fn protocol(worker: &Worker, called: &Called) -> Protocol {
    match called {
        Called::Outside(..) | Called::Refused(..) => Protocol::Detect,
        // What is none of our business passes as it comes; where nothing does, whoever speaks HTTP
        // is told so.
        Called::Address(_) => match worker.shared.directory.mesh().outbound {
            OutboundMode::AllowAny => Protocol::Tcp,
            OutboundMode::RegistryOnly => Protocol::Detect,
        },
        Called::Host(cell, endpoint) => cell.protocol(endpoint.address.port()),
        Called::Service(cell, port) => {
            let protocol = |table: &PortTable| table.protocol;
            cell.table.load().port(*port).map(protocol).unwrap_or_default()
        }
    }
}

async fn outside(worker: &Rc<Worker>, host: &str, port: u16) -> Result<Decision, Refusal> {
    route::may_leave(worker.shared.directory.mesh().outbound)?;
    let addresses: Vec<SocketAddr> = match host.parse::<IpAddr>() {
        Ok(ip) => vec![SocketAddr::new(ip, port)],
        Err(_) => {
            let found = worker.shared.resolver.resolve(host).await;
            let found = found.map_err(|_| Reason::NoService)?;
            if let Some(ip) = found.iter().find(|ip| is_inside(**ip) && !is_localhost(host)) {
                let host = escape(host.as_bytes());
                tracing::warn!(%host, %ip, "a name outside of the mesh leads to this machine");
                return Err(Reason::Loop.into());
            }
            found.iter().map(|ip| SocketAddr::new(*ip, port)).collect()
        }
    };
    if let Some(address) = addresses.iter().find(|address| is_own(worker, **address)) {
        tracing::warn!(host = %escape(host.as_bytes()), %address, "it leads to the proxy itself");
        return Err(Reason::Loop.into());
    }
    let endpoints = addresses.into_iter().map(|address| worker.outside_endpoint(address)).collect();
    Ok(beyond(worker, host, endpoints))
}

/// Whether an address is only of use on this machine: no name that somebody else gives out is to
/// lead there.
fn is_inside(ip: IpAddr) -> bool {
    let ip = ip.to_canonical();
    ip.is_loopback() || ip.is_unspecified()
}

/// Names that mean this machine by themselves, whoever is asked (RFC 6761 §6.3).
fn is_localhost(host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

/// Outside of the mesh.
fn beyond(worker: &Worker, destination: &str, endpoints: Arc<[Arc<Endpoint>]>) -> Decision {
    Decision {
        destination: destination.into(),
        destination_id: 0,
        service: worker.shared.service.clone(),
        rule: None,
        backend: 0,
        pool: Endpoints::Outside(endpoints),
        affinity: None,
        fault: None,
    }
}

/// A workload by its own address, while it is the one that was called.
fn host(worker: &Worker, cell: &HostCell, endpoint: &Arc<Endpoint>) -> Result<Decision, Refusal> {
    if cell.is_retired() {
        return Err(Reason::NoEndpoints.into());
    }
    cell.touch(&worker.shared.directory);
    Ok(Decision {
        destination: Arc::clone(&cell.label),
        destination_id: cell.id,
        service: cell.host.service.clone(),
        rule: None,
        backend: 0,
        pool: Endpoints::Host(Arc::clone(endpoint)),
        affinity: None,
        fault: None,
    })
}

/// Whether an address leads to one of the proxy's own listeners, however it is written.
pub(super) fn is_own(worker: &Worker, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    worker.duties.listeners.iter().any(|own| {
        let listens = own.ip().to_canonical();
        own.port() == address.port()
            && (listens == ip
                || ip.is_unspecified()
                || listens.is_unspecified() && worker.is_local(ip))
    })
}

#[cfg(test)]
mod tests;
