//! Mesh-wide settings: the one `MeshConfig`, named `default`.

use std::time::Duration;

use crate::mesh::{ObjectKind, ObjectRef};
use crate::names::Namespace;
use crate::resource::{MtlsMode, OutboundMode};

/// Resolved mesh-wide settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshConfig {
    /// Goes up with each change; 1 when new; 0 while nobody has written one.
    pub generation: u64,
    /// What is demanded of inbound connections.
    pub mtls: MtlsMode,
    /// How many of a million new traces are sampled.
    pub sampling_ppm: u32,
    /// The life of a leaf certificate, from issuance.
    pub certificate_lifetime: Duration,
    /// What may be called outside of the mesh.
    pub outbound: OutboundMode,
}

impl MeshConfig {
    /// What the one of them is called, `MeshConfig/meshctl-system/default`.
    pub fn reference() -> ObjectRef {
        ObjectRef {
            kind: ObjectKind::MeshConfig,
            namespace: Namespace::root(),
            name: "default".parse().expect("`default` is a DNS label"),
        }
    }
}

impl Default for MeshConfig {
    /// Strict, 1 % sampled, certificates of 24 hours, everything outside reachable.
    fn default() -> Self {
        Self {
            generation: 0,
            mtls: MtlsMode::Strict,
            sampling_ppm: 10_000,
            certificate_lifetime: Duration::from_secs(24 * 3600),
            outbound: OutboundMode::AllowAny,
        }
    }
}
