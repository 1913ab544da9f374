//! Why an address cannot be listened on, in words that say what to do: who holds the port, that it is
//! reserved, that the address is another machine's.
//!
//! Who holds a port is looked up as `ss` does it: `/proc/net/tcp` names the socket, the descriptors
//! of a process lead to it. Of processes of other users only root sees them; then no name is given.

use std::fs;
use std::io;
use std::net::SocketAddr;

use super::listening;

#[cfg(test)]
mod tests;

/// Ports below this are the system's, where nothing else is set.
const PRIVILEGED: u16 = 1_024;

/// Why `address` cannot be bound, as the end of a sentence.
pub fn why_not(address: SocketAddr, error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => match holder(address) {
            Some(holder) => format!("the port is in use by {holder}"),
            None => "the port is in use".to_owned(),
        },
        io::ErrorKind::AddrNotAvailable => {
            format!("`{}` is not an address of this machine", address.ip())
        }
        io::ErrorKind::PermissionDenied if address.port() < PRIVILEGED => {
            format!("ports below {PRIVILEGED} are the system's; choose a higher one")
        }
        _ if is_no_family(error) => match address.is_ipv6() {
            true => "this machine has no IPv6".to_owned(),
            false => "this machine has no IPv4".to_owned(),
        },
        _ => error.to_string(),
    }
}

fn is_no_family(error: &io::Error) -> bool {
    rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::AFNOSUPPORT)
}

/// The process that listens there, `` `name` (pid 42) ``; `None` where it cannot be seen.
pub fn holder(address: SocketAddr) -> Option<String> {
    let there = listening::all().into_iter().filter(|it| in_the_way(it.address, address));
    let inodes: Vec<String> = there.map(|it| format!("socket:[{}]", it.inode)).collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let links = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let mut links = links.filter_map(|fd| fs::read_link(fd.path()).ok());
        links.find(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some(format!("`{}` (pid {pid})", name.trim().escape_debug()))
    })
}

/// Whether a socket that listens there is in the way of `address`.
fn in_the_way(there: SocketAddr, address: SocketAddr) -> bool {
    let any = there.ip().is_unspecified() || address.ip().is_unspecified();
    there.port() == address.port() && (any || there.ip() == address.ip())
}
