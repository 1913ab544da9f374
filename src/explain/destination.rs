//! What a request calls: found by its authority, in the directory of the caller's proxy.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::explain::call::Call;
use crate::explain::explanation::{Destination, DestinationKind};
use crate::explain::model::Model;
use crate::names::ServiceName;
use crate::proxy::connect;
use crate::proxy::directory::{Answering, HostCell, Lookup};
use crate::proxy::outbound::naming::Named;
use crate::proxy::outbound::route::may_leave;
use crate::proxy::service::ServiceTable;
use crate::resource::{Key, OutboundMode};
use crate::telemetry::reason::Reason;

/// What was found.
#[derive(Debug)]
pub(super) enum Found {
    /// A port of a service.
    Service {
        /// How it is called.
        table: Arc<ServiceTable>,
        /// The port called.
        port: u16,
        /// The same for people.
        destination: Destination,
    },
    /// What no rule can be about, and whether it may be called.
    Beyond(Result<(), Reason>, Destination),
}

impl Destination {
    /// Of a request that was not read so far.
    pub(super) fn unread(call: &Call) -> Self {
        Self::beyond(DestinationKind::Unknown, call.authority(), 0, "it was not looked for".into())
    }

    fn beyond(kind: DestinationKind, name: &str, port: u16, found: String) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            port,
            protocol: String::new(),
            found,
            consumer: None,
            origins: Vec::new(),
            identity: None,
        }
    }

    /// `name:port`
    pub(super) fn to(&self) -> String {
        format!("{}:{}", self.name, self.port)
    }
}

/// Looks up what `authority` names.
///
/// # Errors
/// The reason for which the request fails before anything was found.
pub(super) fn find(model: &Model, authority: &str) -> Result<Found, Reason> {
    let own = &model.proxy().namespace;
    match Named::read(authority, 80, own)? {
        Named::Service { name, host, port } => match model.directory.service(&name) {
            Lookup::Ready(cell) => {
                let found = match host.contains('.') {
                    true => format!("`{host}` names it"),
                    false => format!("`{host}` without a namespace is one of the caller's own"),
                };
                Ok(service(model, &name, cell.table.load_full(), (port, found)))
            }
            Lookup::NotAService => {
                let found = format!("there is no service `{name}`");
                Ok(outside(model, host, (port, found)))
            }
            Lookup::Unknown => Err(Reason::ConfigPending),
        },
        Named::Address(address) => at_address(model, address),
        Named::Outside(host, port) => {
            Ok(outside(model, host, (port, format!("`{host}` can be no service's name"))))
        }
    }
}

fn at_address(model: &Model, address: SocketAddr) -> Result<Found, Reason> {
    let ip = address.ip();
    match model.directory.address(address) {
        Answering::Service(name, port) => match model.directory.service(&name) {
            Lookup::Ready(cell) => {
                let found = format!("`{address}` is an address of it");
                Ok(service(model, &name, cell.table.load_full(), (port, found)))
            }
            _ => Err(Reason::ConfigPending),
        },
        Answering::Unknown => Err(Reason::ConfigPending),
        Answering::Outside => match model.directory.host(ip) {
            Some(cell) => Ok(workload(model, &cell, address)),
            None => {
                let found = format!("nobody in the mesh has the address `{address}`");
                Ok(outside(model, &ip.to_string(), (address.port(), found)))
            }
        },
    }
}

fn service(
    model: &Model,
    name: &ServiceName,
    table: Arc<ServiceTable>,
    (port, found): (u16, String),
) -> Found {
    let own = Key::service_for(name, &model.proxy().namespace);
    let consumer = model.resource(&own).is_some();
    let key = if consumer { own } else { Key::service(name) };
    let protocol = table.port(port).map(|table| table.protocol.to_string());
    let destination = Destination {
        protocol: protocol.unwrap_or_default(),
        consumer: consumer.then(|| model.proxy().namespace.to_string()),
        origins: model.origins(&key).to_vec(),
        ..Destination::beyond(DestinationKind::Service, &name.to_string(), port, found)
    };
    Found::Service { table, port, destination }
}

fn workload(model: &Model, cell: &HostCell, address: SocketAddr) -> Found {
    let endpoint = cell.endpoint(address.port());
    let allowed = match endpoint.identity {
        Some(_) => Ok(()),
        None => connect::may_be_plain(&endpoint, outbound(model)),
    };
    let host = &cell.host;
    let name = format!("{}/{}", host.service.namespace, host.workload);
    let found =
        format!("`{}` is its own address: no route and no policy is about it", address.ip());
    let destination = Destination {
        protocol: cell.protocol(address.port()).to_string(),
        identity: endpoint.identity.as_ref().map(ToString::to_string),
        ..Destination::beyond(DestinationKind::Workload, &name, address.port(), found)
    };
    Found::Beyond(allowed, destination)
}

fn outside(model: &Model, host: &str, (port, found): (u16, String)) -> Found {
    let mode = match outbound(model) {
        OutboundMode::AllowAny => {
            "passed on as it comes (`outbound: AllowAny`), if its name resolves"
        }
        OutboundMode::RegistryOnly => "refused (`outbound: RegistryOnly`)",
    };
    let found = format!("{found}; what is outside of the mesh is {mode}");
    let destination = Destination {
        origins: model.origins(&Key::mesh()).to_vec(),
        ..Destination::beyond(DestinationKind::Outside, host, port, found)
    };
    Found::Beyond(may_leave(outbound(model)), destination)
}

fn outbound(model: &Model) -> OutboundMode {
    model.directory.mesh().outbound
}
