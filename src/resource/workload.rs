//! How one proxy receives: its workload's ports, and what it demands of who calls.

use crate::names::{Identity, Protocol, ProxyId, ServiceName};

/// The inbound side of one proxy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workload {
    /// The proxy.
    pub proxy: ProxyId,
    /// The identity of the workload, which its certificate must carry.
    pub identity: Identity,
    /// The services that select the workload, most specific last; for reading, never for deciding.
    pub services: Vec<ServiceName>,
    /// The zone that it runs in; empty where that is not known.
    pub zone: String,
    /// What is demanded on ports that `ports` does not name.
    pub mtls: MtlsMode,
    /// The ports of the application, by port.
    pub ports: Vec<InboundPort>,
}

/// One port of the application.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboundPort {
    /// The application's port, as callers dial it (on Kubernetes) or as the proxy was told by
    /// `--app` (locally).
    pub port: u16,
    /// What the application speaks.
    pub protocol: Protocol,
    /// What is demanded of callers.
    pub mtls: MtlsMode,
}

/// What is demanded of an inbound connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MtlsMode {
    /// Nothing without a certificate of the mesh gets in.
    #[default]
    Strict,
    /// Plaintext is passed on too, without an identity.
    Permissive,
}

impl MtlsMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::Strict, Self::Permissive];

    /// The word that users write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Permissive => "Permissive",
        }
    }
}
