//! What every proxy must know of the mesh that it is in.

use crate::names::TrustDomain;

/// One million: [`Mesh::sampling_ppm`] of this traces every request.
pub const PARTS_PER_MILLION: u32 = 1_000_000;

/// Mesh-wide settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mesh {
    /// The trust domain, for good.
    pub trust_domain: TrustDomain,
    /// The root certificates to trust, X.509 DER; more than one during a rotation.
    pub roots: Vec<Vec<u8>>,
    /// What may be called outside of the mesh.
    pub outbound: OutboundMode,
    /// How many of a million new traces are sampled (0 to 1,000,000).
    pub sampling_ppm: u32,
}

/// What a proxy does with a destination that is no service of the mesh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutboundMode {
    /// Pass it on, in plaintext as it came.
    #[default]
    AllowAny,
    /// Refuse it.
    RegistryOnly,
}

impl OutboundMode {
    /// Every mode.
    pub const ALL: [Self; 2] = [Self::AllowAny, Self::RegistryOnly];

    /// The word that users write.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AllowAny => "AllowAny",
            Self::RegistryOnly => "RegistryOnly",
        }
    }
}
