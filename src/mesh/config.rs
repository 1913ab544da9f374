//! Mesh-wide settings: the one `MeshConfig`, named `default`.

use std::time::Duration;

use crate::resource::{MtlsMode, OutboundMode};

/// Resolved mesh-wide settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshConfig {
    /// What is demanded of inbound connections.
    pub mtls: MtlsMode,
    /// How many of a million new traces are sampled.
    pub sampling_ppm: u32,
    /// The life of a leaf certificate, from issuance.
    pub certificate_lifetime: Duration,
    /// What may be called outside of the mesh.
    pub outbound: OutboundMode,
}

impl Default for MeshConfig {
    /// Strict, 1 % sampled, certificates of 24 hours, everything outside reachable.
    fn default() -> Self {
        Self {
            mtls: MtlsMode::Strict,
            sampling_ppm: 10_000,
            certificate_lifetime: Duration::from_secs(24 * 3600),
            outbound: OutboundMode::AllowAny,
        }
    }
}
