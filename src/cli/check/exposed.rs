//! Whether an application is reached past its proxy: listens beyond loopback on this machine.
//!
//! Locally the application's own port stays what it was, so this is worth a warning. In go the
//! application's address and the sockets that listen, out comes the address that is too wide.

use std::net::{IpAddr, SocketAddr};

use crate::net::listening;

/// A socket beyond loopback that listens on the application's port.
pub(super) fn beyond_loopback(app: SocketAddr) -> Option<SocketAddr> {
    beyond(listening::all().into_iter().map(|it| it.address), app.port())
}

/// The first of these that is on this port beyond loopback.
pub(super) fn beyond(
    mut sockets: impl Iterator<Item = SocketAddr>,
    port: u16,
) -> Option<SocketAddr> {
    sockets.find(|it| it.port() == port && wide(it.ip()))
}

fn wide(ip: IpAddr) -> bool {
    !ip.to_canonical().is_loopback()
}
