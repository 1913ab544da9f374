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
    let (one, other) = Namespace::wired("10.77.0.1/24", "10.77.0.2/24");
    for (namespace, last) in [(&one, 1), (&other, 2)] {
        namespace.shell(&format!(
            "ip -6 addr add fd77::{last}/64 dev eth0 nodad
            ip route add default dev eth0
            ip -6 route add default dev eth0
            {} proxy capture --yes --exclude-inbound-ports {OUTSIDE},{OUTSIDE_MAIL}",
            env!("CARGO_BIN_EXE_meshctl"),
        ));
    }
    (one, other)
}
