//! Why an address cannot be listened on, in words that say what to do: who holds the port, that it is
//! reserved, that the address is another machine's.
//!
//! Who holds a port is looked up as `ss` does it: `/proc/net/tcp` names the socket, the descriptors
//! of a process lead to it. Of processes of other users only root sees them; then no name is given.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[cfg(test)]
mod tests;

/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

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
    let inodes: Vec<String> = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .flat_map(|table| listening(&table, address))
        .map(|inode| format!("socket:[{inode}]"))
        .collect();
    fs::read_dir("/proc").ok()?.flatten().find_map(|process| {
        let pid: u32 = process.file_name().to_str()?.parse().ok()?;
        let links = fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let mut links = links.filter_map(|fd| fs::read_link(fd.path()).ok());
        links.find(|link| inodes.iter().any(|inode| link.as_os_str() == inode.as_str()))?;
        let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        Some(format!("`{}` (pid {pid})", name.trim().escape_debug()))
    })
}

/// The sockets of a table of the kernel that are in the way of `address`.
fn listening(table: &str, address: SocketAddr) -> Vec<String> {
    let in_the_way = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let (ip, port) = fields.nth(1)?.split_once(':')?;
        let (state, inode) = (fields.nth(1)?, fields.nth(5)?);
        let (ip, port) = (ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
        let any = ip.is_unspecified() || address.ip().is_unspecified();
        let hit = state == LISTEN && port == address.port() && (any || ip == address.ip());
        hit.then(|| inode.to_owned())
    };
    table.lines().filter_map(in_the_way).collect()
}

/// An address as the kernel prints it: words of four bytes in the machine's own order.
fn ip_of(text: &str) -> Option<IpAddr> {
    let mut bytes = Vec::with_capacity(16);
    for at in (0..text.len()).step_by(8) {
        let word = u32::from_str_radix(text.get(at..at + 8)?, 16).ok()?;
        bytes.extend(word.to_ne_bytes());
    }
    match bytes.len() {
        4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).into()),
        16 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_canonical()),
        _ => None,
    }
}
