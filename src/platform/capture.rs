//! Transparent capture: TCP connections of a pod, or of one user of this machine, handed to a
//! proxy by nftables. Programmed through netlink, without a program or a shell.
//!
//! [`Capture`] says what is taken and where it goes; `plan` makes rules of it, one structure from
//! which both the kernel's messages and the text for `nft -f` come. A transaction replaces what was
//! there, so it can be repeated; the proxy asks the kernel for the original destination. UDP,
//! loopback and TCP port 53 are never taken.

use std::fmt;

use ipnet::IpNet;

use crate::names::sidecar;

#[cfg(not(target_os = "linux"))]
mod elsewhere;
#[cfg(target_os = "linux")]
mod encode;
#[cfg(target_os = "linux")]
mod netlink;
mod plan;
#[cfg(test)]
mod tests;
mod text;

#[cfg(not(target_os = "linux"))]
pub use elsewhere::{Held, hold, load, unload};
#[cfg(target_os = "linux")]
pub use netlink::{Held, hold, load, unload};

/// The table of a pod, in the family `inet`; no one else's is touched.
pub const TABLE: &str = "meshctl";

/// What is taken and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    /// Connections that come in; `None` leaves them alone.
    pub inbound: Option<Inbound>,
    /// Connections that go out.
    pub outbound: Outbound,
}

/// Connections to any TCP port of this network namespace, loopback excepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inbound {
    /// The port that they are handed to.
    pub to: u16,
    /// Ports that are left alone.
    pub except_ports: Vec<u16>,
}

/// Connections to anywhere but loopback and port 53.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outbound {
    /// Whose.
    pub of: Users,
    /// The port on loopback that they are handed to, IPv4 and IPv6.
    pub to: u16,
    /// Ports that are left alone.
    pub except_ports: Vec<u16>,
    /// Networks that are left alone.
    pub except_networks: Vec<IpNet>,
}

/// Whose connections are taken on their way out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Users {
    /// Those of everybody but this user, which is the proxy's.
    AllBut(u32),
    /// Those of this user.
    Only(u32),
}

impl Capture {
    /// All of a pod, whose sidecar runs as `sidecar`; its probe port stays reachable.
    pub fn of_pod(sidecar: u32) -> Self {
        Self {
            inbound: Some(Inbound {
                to: sidecar::INBOUND_PORT,
                except_ports: vec![sidecar::PROBE_PORT],
            }),
            outbound: Outbound {
                of: Users::AllBut(sidecar),
                to: sidecar::OUTBOUND_PORT,
                except_ports: Vec::new(),
                except_networks: Vec::new(),
            },
        }
    }

    /// The outbound connections of one user of this machine, handed to `to` on loopback.
    pub fn of_user(user: u32, to: u16) -> Self {
        Self {
            inbound: None,
            outbound: Outbound {
                of: Users::Only(user),
                to,
                except_ports: Vec::new(),
                except_networks: Vec::new(),
            },
        }
    }

    /// The table that holds the rules: one for a pod, one for each captured user of a machine.
    pub fn table(&self) -> String {
        match self.outbound.of {
            Users::AllBut(_) => TABLE.to_owned(),
            Users::Only(user) => format!("{TABLE}-user-{user}"),
        }
    }
}

/// The rules as text for `nft -f`, which does the same as [`load`], as often as it is run.
impl fmt::Display for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::write(f, &self.table(), &plan::plan(self))
    }
}

/// Why the kernel could not be programmed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The right is missing.
    #[error("changing nftables needs the capability `NET_ADMIN`, which this process does not have")]
    NotPermitted,
    /// There is no nf_tables.
    #[error("this kernel has no nftables (`CONFIG_NF_TABLES`)")]
    NoNfTables,
    /// There are nf_tables, but a part that is needed is not there.
    #[error(
        "this kernel's nftables cannot {0} (needs `CONFIG_NFT_NAT`, `CONFIG_NFT_REDIR` and `CONFIG_NF_TABLES_INET`)"
    )]
    Unsupported(String),
    /// Another process holds the table.
    #[error("the table `{0}` belongs to another process: a proxy that captures the same user")]
    Taken(String),
    /// Something else went wrong.
    #[error("cannot {0}")]
    System(String, #[source] std::io::Error),
    /// This is no Linux.
    #[error("transparent capture needs Linux")]
    Platform,
}
