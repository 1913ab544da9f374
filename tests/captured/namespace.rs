//! Two pods on one wire, each with addresses of both families, and the kernel's rules that redirect
//! their connections.

pub(super) use crate::support::{Namespace, Who};

/// A port outside of the mesh.
pub(super) const OUTSIDE: u16 = 9000;

/// Another one, of a server that speaks first.
pub(super) const OUTSIDE_MAIL: u16 = 9025;

/// Two pods on one wire: `10.77.0.1` with `fd77::1`, and `10.77.0.2` with `fd77::2`. On the
/// second machine connections to two ports are not captured: the world outside.
pub(super) fn wired() -> (Namespace, Namespace) {
    let (one, other) = (Namespace::new(), Namespace::new());
    let peer = other.pid();
    one.shell(&format!("ip link add eth0 type veth peer name eth0 netns {peer}"));
    for (namespace, last) in [(&one, 1), (&other, 2)] {
        namespace.shell(&format!(
            "ip link set lo up
            ip addr add 10.77.0.{last}/24 dev eth0
            ip -6 addr add fd77::{last}/64 dev eth0 nodad
            ip link set eth0 up
            ip route add default dev eth0
            ip -6 route add default dev eth0
            {} proxy capture --exclude-inbound-ports {OUTSIDE},{OUTSIDE_MAIL}",
            env!("CARGO_BIN_EXE_meshctl"),
        ));
    }
    (one, other)
}
