//! Every socket of a proxy, bound before anything runs, or taken from the process before it; and the ports
//! that are kept for the next start.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::place::{Place, Ports, recall};
use super::{AdminAddress, Config, RunError};
use crate::net::holder;
use crate::proxy::admin::Admin;
use crate::proxy::dataplane::{self, Addresses, DataPlane};
use crate::proxy::handover::Listeners;
use crate::proxy::probes::Probes;

/// What is bound, before anything runs.
pub(super) struct Bound {
    pub(super) data_plane: DataPlane,
    pub(super) admin: Admin,
    pub(super) ready_admin: String,
    pub(super) probes: Option<Probes>,
}

impl Bound {
    /// All of them once more, by what they are for.
    pub(super) fn share(&self) -> std::io::Result<Vec<(String, OwnedFd)>> {
        let mut all = self.data_plane.share()?;
        all.push(self.admin.share()?);
        if let Some(probes) = &self.probes {
            all.push(probes.share()?);
        }
        Ok(all)
    }
}

pub(super) fn bind(
    config: &Config,
    place: &Place,
    inherited: &mut Listeners,
) -> Result<Bound, RunError> {
    let before = place.ports();
    let (admin, admin_address, ready_admin) = bind_admin(config, &before, inherited)?;
    let (probes, probing) = bind_probes(config, inherited)?;
    let upstreams: Vec<_> = config
        .upstreams
        .iter()
        .map(|upstream| {
            let wanted = SocketAddr::new(config.outbound.ip(), upstream.local_port);
            let key = format!("{}:{}", upstream.service, upstream.port);
            let port = before.upstreams.get(&key).copied().unwrap_or_default();
            (upstream.service.clone(), upstream.port, recall(wanted, port))
        })
        .collect();
    let plan = dataplane::Config {
        inbound: recall(config.inbound, before.inbound),
        outbound: recall(config.outbound, before.outbound),
        upstreams,
        captured: config.captured,
        own: probing.into_iter().chain(admin_address).collect(),
        app: config.app,
        workers: config.workers,
    };
    let what = format!("inbound {}, outbound {}", plan.inbound, plan.outbound);
    let what = plan.upstreams.iter().fold(what, |what, (name, port, address)| {
        format!("{what}, upstream {name}:{port} {address}")
    });
    let data_plane =
        DataPlane::bind(plan, inherited).map_err(|error| RunError::Listen { what, error })?;
    keep_ports(config, place, &before, data_plane.addresses(), admin_address);
    Ok(Bound { data_plane, admin, ready_admin, probes })
}

/// Binds the admin server; where it listens, where that is an address, and as text.
fn bind_admin(
    config: &Config,
    before: &Ports,
    inherited: &mut Listeners,
) -> Result<(Admin, Option<SocketAddr>, String), RunError> {
    let wanted = match &config.admin {
        AdminAddress::Tcp(wanted) => AdminAddress::Tcp(recall(*wanted, before.admin)),
        unix @ AdminAddress::Unix(_) => unix.clone(),
    };
    let failed = |error: std::io::Error| {
        let error = match &wanted {
            AdminAddress::Tcp(at) => {
                std::io::Error::new(error.kind(), holder::why_not(*at, &error))
            }
            AdminAddress::Unix(_) => error,
        };
        RunError::Listen { what: format!("admin {wanted}"), error }
    };
    let admin = Admin::bind(&wanted, inherited).map_err(failed)?;
    let address = admin.address().map_err(failed)?;
    let text = address.map_or_else(|| wanted.to_string(), |address| address.to_string());
    Ok((admin, address, text))
}

/// Binds the server that the kubelet asks, where there is to be one; also where it listens.
fn bind_probes(
    config: &Config,
    inherited: &mut Listeners,
) -> Result<(Option<Probes>, Option<SocketAddr>), RunError> {
    let Some(probes) = config.probes.clone() else { return Ok((None, None)) };
    let what = format!("probes {}", probes.listen);
    let bound = Probes::bind(probes, inherited).and_then(|probes| Ok((probes.address()?, probes)));
    let (address, probes) = bound.map_err(|error| RunError::Listen { what, error })?;
    Ok((Some(probes), Some(address)))
}

/// Keeps the ports for the next start; that they cannot be kept is no reason not to run.
fn keep_ports(
    config: &Config,
    place: &Place,
    before: &Ports,
    addresses: &Addresses,
    admin: Option<SocketAddr>,
) {
    let keys = config.upstreams.iter().map(|one| format!("{}:{}", one.service, one.port));
    let ports = addresses.upstreams.iter().map(SocketAddr::port);
    let ports = Ports {
        inbound: addresses.inbound.port(),
        outbound: addresses.outbound.port(),
        admin: admin.map_or(before.admin, |admin| admin.port()),
        upstreams: keys.zip(ports).collect(),
    };
    if ports != *before
        && let Err(error) = place.keep(&ports)
    {
        tracing::warn!(%error, "the chosen ports could not be kept for the next start");
    }
}
