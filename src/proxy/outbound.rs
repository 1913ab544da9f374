//! Outbound: what a call of our own application means, whatever protocol it came in.
//!
//! The authority names a service of the mesh or something outside; a service's table gives the
//! rule, the rule the backend. The first call of a service waits for the control plane.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use crate::names::{Namespace, Protocol, ServiceName};
use crate::proxy::cluster::Endpoint;
use crate::proxy::decide::{Decision, Endpoints, Refusal};
use crate::proxy::detect::{self, Kind};
use crate::proxy::directory::{Lookup, Miss, ServiceCell};
use crate::proxy::h2;
use crate::proxy::head::{Head, split_authority};
use crate::proxy::pool::MAX_AGE;
use crate::proxy::redirect;
use crate::proxy::serve::{self, Origin};
use crate::proxy::service::{PortTable, Rule, ServiceTable};
use crate::proxy::stream::Side;
use crate::proxy::worker::Worker;
use crate::resource::OutboundMode;
use crate::telemetry::reason::Reason;

/// How long a name outside of the mesh may take to resolve.
const RESOLVE: Duration = Duration::from_secs(5);

/// Addresses of one name that are kept.
const MAX_ADDRESSES: usize = 8;

/// What was called.
#[derive(Debug, Clone)]
pub enum Called {
    /// A port of a service of the mesh.
    Service(Arc<ServiceCell>, u16),
    /// Something else: host and port.
    Outside(String, u16),
}

impl Called {
    /// Where what is found out about a destination may be kept: under the table of its service,
    /// which another configuration replaces, and the port.
    pub fn place(&self) -> Option<(u64, u16)> {
        match self {
            Self::Service(cell, port) => Some((cell.table.load().id, *port)),
            Self::Outside(..) => None,
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service(cell, _) => write!(f, "{}", cell.table.load().name),
            Self::Outside(host, _) => f.write_str(host),
        }
    }
}

/// Serves a connection of our application to the outbound listener: HTTP, as to a proxy or with
/// the service as `Host`.
pub async fn serve(worker: Rc<Worker>, mut side: Side) {
    // Boxed: what is rare or over soon must not make every idle connection larger.
    match Box::pin(detect::detect(&worker, &mut side)).await {
        Some(Kind::Http2) => Box::pin(h2::serve(worker, side, Origin::Outbound, MAX_AGE)).await,
        // Whatever else it is, the codec says what is wrong with it.
        Some(_) => serve::serve(worker, side, Origin::Outbound, Duration::MAX / 2).await,
        None => {}
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
    let (host, named) = split_authority(authority).ok_or(Reason::BadRequest)?;
    let port = named.unwrap_or(port);
    if let Ok(ip) = host.parse::<IpAddr>() {
        return at_address(worker, SocketAddr::new(ip.to_canonical(), port)).await;
    }
    let own = &worker.shared.service.namespace;
    let Some(name) = service_name(host, own) else {
        return Ok(Called::Outside(host.to_owned(), port));
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

fn remembered(worker: &Worker, authority: &str) -> Option<Called> {
    let targets = worker.targets.borrow();
    let (cell, port) = targets.get(authority)?;
    if cell.is_retired() {
        return None;
    }
    cell.touch(&worker.shared.directory);
    Some(Called::Service(Arc::clone(cell), *port))
}

/// `name`, `name.namespace`, `name.namespace.svc` and `name.namespace.svc.cluster.local`, in any
/// case and with or without the final dot.
fn service_name(host: &str, own: &Namespace) -> Option<ServiceName> {
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if host.parse::<IpAddr>().is_ok() {
        return None;
    }
    let host = host.strip_suffix(".cluster.local").unwrap_or(&host);
    let mut parts = host.split('.');
    let (name, namespace) = (parts.next()?, parts.next());
    let ending = (parts.next(), parts.next());
    let namespace = match (namespace, ending) {
        (None, _) => own.clone(),
        (Some(namespace), (None | Some("svc"), None)) => namespace.parse().ok()?,
        _ => return None,
    };
    Some(ServiceName::new(namespace, name.parse().ok()?))
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
        Called::Outside(host, port) => Box::pin(outside(worker, host, *port)).await,
        Called::Service(cell, port) => {
            let table = cell.table.load();
            let found = table.port(*port).ok_or(Reason::NoRoute)?;
            let rule = found.route(head).ok_or(Reason::NoRoute)?;
            match &rule.redirect {
                Some(to) => Err(redirect::refusal(&table, rule, to, head, *port)),
                None => in_mesh(&table, rule),
            }
        }
    }
}

/// Decides about a connection of which nothing is read.
///
/// # Errors
/// As [`decide`].
pub async fn decide_opaque(worker: &Rc<Worker>, called: &Called) -> Result<Decision, Refusal> {
    match called {
        Called::Outside(host, port) => Box::pin(outside(worker, host, *port)).await,
        Called::Service(cell, port) => {
            let table = cell.table.load();
            let found = table.port(*port).ok_or(Reason::NoRoute)?;
            let rule = found.route_opaque().ok_or(Reason::NoRoute)?;
            in_mesh(&table, rule)
        }
    }
}

/// The protocol that a port is declared for.
pub fn protocol(called: &Called) -> Protocol {
    match called {
        Called::Outside(..) => Protocol::Detect,
        Called::Service(cell, port) => {
            let protocol = |table: &PortTable| table.protocol;
            cell.table.load().port(*port).map(protocol).unwrap_or_default()
        }
    }
}

fn in_mesh(table: &ServiceTable, rule: &Arc<Rule>) -> Result<Decision, Refusal> {
    let refuse = |reason: Reason| Refusal { rule: Some(rule.id.clone()), ..reason.into() };
    let backend = rule.choose(fastrand::u64(..)).ok_or_else(|| refuse(Reason::NoBackend))?;
    let cell = backend.cluster.as_ref().ok_or_else(|| refuse(Reason::MissingBackend))?;
    let cluster = cell.load().ok_or_else(|| refuse(Reason::NoEndpoints))?;
    let index = rule.backends.iter().position(|candidate| std::ptr::eq(candidate, backend));
    Ok(Decision {
        destination: Arc::clone(&table.label),
        destination_id: table.id,
        service: table.name.clone(),
        backend: index.unwrap_or_default(),
        pool: Endpoints::Mesh(cluster, backend.port),
        rule: Some(Arc::clone(rule)),
    })
}

async fn outside(worker: &Rc<Worker>, host: &str, port: u16) -> Result<Decision, Refusal> {
    if worker.shared.directory.mesh().outbound == OutboundMode::RegistryOnly {
        return Err(Reason::NotRegistered.into());
    }
    let resolved = tokio::time::timeout(RESOLVE, tokio::net::lookup_host((host, port))).await;
    let Ok(Ok(addresses)) = resolved else { return Err(Reason::NoService.into()) };
    let addresses: Vec<SocketAddr> = addresses.take(MAX_ADDRESSES).collect();
    if addresses.is_empty() {
        return Err(Reason::NoService.into());
    }
    if addresses.iter().any(|address| is_own(worker, *address)) {
        return Err(Reason::Loop.into());
    }
    let endpoints: Vec<Arc<Endpoint>> =
        addresses.into_iter().map(|address| worker.outside_endpoint(address)).collect();
    Ok(Decision {
        destination: host.into(),
        destination_id: 0,
        service: worker.shared.service.clone(),
        rule: None,
        backend: 0,
        pool: Endpoints::Outside(endpoints.into()),
    })
}

/// Whether an address leads to one of the proxy's own listeners, however it is written.
fn is_own(worker: &Worker, address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    worker.duties.listeners.iter().any(|own| {
        let listens = own.ip().to_canonical();
        own.port() == address.port()
            && (listens == ip || ip.is_unspecified() || listens.is_unspecified() && is_local(ip))
    })
}

/// Whether an address is this machine's: only to those can a socket be bound.
fn is_local(ip: IpAddr) -> bool {
    std::net::UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests;
