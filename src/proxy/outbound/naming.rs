//! What the authority of a request names, by its text alone: a service, an address, or a host that
//! can be no service. Pure; whether there is such a service is the directory's to say.

use std::net::{IpAddr, SocketAddr};

use crate::names::{Namespace, ServiceName};
use crate::proxy::head::split_authority;
use crate::telemetry::reason::Reason;

#[cfg(test)]
mod tests;

/// What is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named<'a> {
    /// A service, if there is one of that name; else the host at that port, outside of the mesh.
    Service {
        /// The service.
        name: ServiceName,
        /// As written.
        host: &'a str,
        /// The port called.
        port: u16,
    },
    /// An address.
    Address(SocketAddr),
    /// A host that can be no service, and its port.
    Outside(&'a str, u16),
}

impl<'a> Named<'a> {
    /// Reads `authority` as a caller in the namespace `own` means it; `port` where it names none.
    ///
    /// # Errors
    /// [`Reason::BadRequest`] for what is no authority.
    pub fn read(authority: &'a str, port: u16, own: &Namespace) -> Result<Self, Reason> {
        let (host, named) = split_authority(authority).ok_or(Reason::BadRequest)?;
        let port = named.unwrap_or(port);
        if let Ok(ip) = host.parse::<IpAddr>() {
            return Ok(Self::Address(SocketAddr::new(ip.to_canonical(), port)));
        }
        Ok(match service_name(host, own) {
            Some(name) => Self::Service { name, host, port },
            None => Self::Outside(host, port),
        })
    }
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
