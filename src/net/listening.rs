//! The TCP sockets of this machine that listen, as the kernel lists them in `/proc/net/tcp` and
//! `tcp6`. Elsewhere than on Linux nothing is found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

#[cfg(test)]
mod tests;

/// The state of a socket that listens (include/net/tcp_states.h).
const LISTEN: &str = "0A";

/// A socket that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Socket {
    /// Where; of an IPv4 address in IPv6 form the IPv4 address.
    pub address: SocketAddr,
    /// By which a process's descriptor names it: `socket:[INODE]`.
    pub inode: String,
}

/// All that listen now, those of every user.
pub fn all() -> Vec<Socket> {
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    lists.iter().flatten().flat_map(|list| listening(list)).collect()
}

/// Those of one list: of each line the second field is the local address, the fourth the state, the
/// tenth the inode.
pub fn listening(list: &str) -> impl Iterator<Item = Socket> {
    list.lines().filter_map(|line| {
        let mut fields = line.split_ascii_whitespace();
        let (ip, port) = fields.nth(1)?.split_once(':')?;
        let (state, inode) = (fields.nth(1)?, fields.nth(5)?);
        let address = SocketAddr::new(ip_of(ip)?, u16::from_str_radix(port, 16).ok()?);
        (state == LISTEN).then(|| Socket { address, inode: inode.to_owned() })
    })
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
