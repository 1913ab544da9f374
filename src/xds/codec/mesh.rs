//! The message `meshctl.v1.Mesh`: what every proxy must know, to bytes and back.

use prost::Message;

use super::{DecodeError, field};
use crate::resource::{Mesh, OutboundMode, PARTS_PER_MILLION};

/// More roots than any rotation has at once.
const ROOTS: usize = 16;

/// The longest root certificate.
const ROOT_BYTES: usize = 64 * 1024;

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(string, tag = "1")]
    trust_domain: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    roots: Vec<Vec<u8>>,
    #[prost(uint32, tag = "3")]
    outbound: u32,
    #[prost(uint32, tag = "4")]
    sampling_ppm: u32,
    #[prost(uint32, tag = "15")]
    requires: u32,
}

field::numbered!(outbound: OutboundMode {
    1 => OutboundMode::AllowAny,
    2 => OutboundMode::RegistryOnly,
});

pub(super) fn encode(mesh: &Mesh) -> Vec<u8> {
    let wire = Wire {
        trust_domain: mesh.trust_domain.to_string(),
        roots: mesh.roots.clone(),
        outbound: outbound::encode(mesh.outbound),
        sampling_ppm: mesh.sampling_ppm,
        requires: 0,
    };
    wire.encode_to_vec()
}

pub(super) fn decode(body: &[u8]) -> Result<Mesh, DecodeError> {
    let wire: Wire = field::message(body)?;
    field::understood(wire.requires)?;
    if !(1..=ROOTS).contains(&wire.roots.len()) {
        return Err(DecodeError::new("roots", format!("are not 1 to {ROOTS} certificates")));
    }
    let roots = field::each("roots", wire.roots, |root| match root.len() {
        1..=ROOT_BYTES => Ok(root),
        _ => Err(DecodeError::new("", format!("is not 1 to {ROOT_BYTES} bytes"))),
    })?;
    if wire.sampling_ppm > PARTS_PER_MILLION {
        return Err(DecodeError::new("sampling_ppm", "is more than 1,000,000"));
    }
    Ok(Mesh {
        trust_domain: field::parse("trust_domain", &wire.trust_domain)?,
        roots,
        outbound: outbound::decode("outbound", wire.outbound)?,
        sampling_ppm: wire.sampling_ppm,
    })
}
