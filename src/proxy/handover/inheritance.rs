//! What a newer process has of the older one: its sockets, by what they are for, the lock of the
//! directory, and what the redirecting rules of the kernel live by.

use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::SystemTime;

use rustix::net::sockopt::socket_acceptconn;

use super::Older;
use crate::names::ProxyId;
use crate::net::listen::listen;

/// What was taken over.
#[derive(Debug)]
pub struct Inherited {
    /// Whose place it is.
    pub proxy: ProxyId,
    /// Since when this process runs, as the older one was told.
    pub started: SystemTime,
    /// The lock of its directory.
    pub lock: OwnedFd,
    /// Its sockets.
    pub listeners: Listeners,
    /// What redirects connections to it.
    pub rules: Option<Rules>,
    /// The process that still takes the connections.
    pub older: Older,
}

/// Rules of the kernel that redirect the connections of one user to a port, for as long as a descriptor
/// of them is open anywhere.
#[derive(Debug)]
pub struct Rules {
    /// The user.
    pub user: u32,
    /// The port.
    pub port: u16,
    /// What they live by.
    pub descriptor: OwnedFd,
}

/// Listening sockets of another process, by what they are for. Those that nobody takes close with this.
#[derive(Debug, Default)]
pub struct Listeners(pub(super) BTreeMap<String, OwnedFd>);

impl Listeners {
    /// The socket for `role`, where there is one that listens at `wanted`; port 0 stands for any.
    pub fn take(&mut self, role: &str, wanted: SocketAddr) -> Option<TcpListener> {
        let (role, socket) = self.0.remove_entry(role)?;
        let socket = TcpListener::from(socket);
        let fits = socket.local_addr().is_ok_and(|at| {
            let same_ip = at.ip() == wanted.ip()
                || (at.ip().is_unspecified() && wanted.ip().is_unspecified());
            same_ip && (wanted.port() == 0 || wanted.port() == at.port())
        });
        if fits && is_usable(&socket) && socket.set_nonblocking(true).is_ok() {
            return Some(socket);
        }
        self.0.insert(role, socket.into());
        None
    }

    /// The same, or a socket of its own.
    ///
    /// # Errors
    /// As [`listen`].
    pub fn take_or_listen(&mut self, role: &str, wanted: SocketAddr) -> io::Result<TcpListener> {
        self.take(role, wanted).map_or_else(|| listen(wanted), Ok)
    }

    /// The Unix socket for `role`, where there is one that listens at `wanted`.
    pub fn take_unix(&mut self, role: &str, wanted: &Path) -> Option<UnixListener> {
        let (role, socket) = self.0.remove_entry(role)?;
        let socket = UnixListener::from(socket);
        let fits = socket.local_addr().is_ok_and(|at| at.as_pathname() == Some(wanted));
        if fits && is_usable(&socket) && socket.set_nonblocking(true).is_ok() {
            return Some(socket);
        }
        self.0.insert(role, socket.into());
        None
    }
}

/// Whether it is a socket that listens.
fn is_usable(socket: &impl std::os::fd::AsFd) -> bool {
    socket_acceptconn(socket).unwrap_or(false)
}
