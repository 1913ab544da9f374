//! Whether an application is reached past its proxy: listens beyond loopback on this machine.
//!
//! Locally the application's own port stays what it was, so this is worth a warning. In go the
//! application's address and the kernel's lists of listening sockets (`/proc/net/tcp` and `tcp6`),
//! out comes the address that is too wide. Elsewhere than on Linux nothing is found.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The state of a listening socket in the kernel's list.
const LISTEN: &str = "0A";

/// A socket beyond loopback that listens on the application's port.
pub(super) fn beyond_loopback(app: SocketAddr) -> Option<SocketAddr> {
    let lists = ["/proc/net/tcp", "/proc/net/tcp6"].map(std::fs::read_to_string);
    lists.iter().flatten().find_map(|list| beyond(list, app.port()))
}

/// The first socket of a list that listens on this port beyond loopback.
pub(super) fn beyond(list: &str, port: u16) -> Option<SocketAddr> {
    listening(list).find(|it| it.port() == port && wide(it.ip()))
}

fn wide(ip: IpAddr) -> bool {
    !ip.to_canonical().is_loopback()
}

/// The listening sockets of one list: in each line the second field is the local address, the
/// fourth the state, both hexadecimal; addresses are words of 32 bits in the machine's order.
pub(super) fn listening(list: &str) -> impl Iterator<Item = SocketAddr> {
    list.lines().skip(1).filter_map(socket)
}

fn socket(line: &str) -> Option<SocketAddr> {
    let mut fields = line.split_whitespace().skip(1);
    let local = fields.next()?;
    if fields.nth(1)? != LISTEN {
        return None;
    }
    let (address, port) = local.split_once(':')?;
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok();
    let ip = match address.len() {
        8 => Ipv4Addr::from(word(0)?.to_ne_bytes()).into(),
        32 => {
            let mut bytes = [0; 16];
            for (chunk, at) in bytes.chunks_exact_mut(4).zip([0, 8, 16, 24]) {
                chunk.copy_from_slice(&word(at)?.to_ne_bytes());
            }
            Ipv6Addr::from(bytes).into()
        }
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_str_radix(port, 16).ok()?))
}
