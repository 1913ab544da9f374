//! The message `meshctl.v1.Host`: which workload has an address, to bytes and back.

use prost::Message;

use super::{DecodeError, field};
use crate::resource::Host;

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(bytes = "vec", tag = "1")]
    ip: Vec<u8>,
    #[prost(string, tag = "2")]
    service: String,
    #[prost(string, tag = "3")]
    workload: String,
    #[prost(string, tag = "4")]
    identity: String,
    #[prost(string, tag = "5")]
    version: String,
    #[prost(message, repeated, tag = "6")]
    ports: Vec<WirePort>,
    #[prost(uint32, tag = "15")]
    requires: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WirePort {
    #[prost(uint32, tag = "1")]
    port: u32,
    #[prost(uint32, tag = "2")]
    protocol: u32,
}

/// A scope id is not carried: it means something on one machine only.
pub(super) fn encode(host: &Host) -> Vec<u8> {
    let ports = host.ports.iter().map(|&(port, protocol)| WirePort {
        port: port.into(),
        protocol: field::protocol::encode(protocol),
    });
    let wire = Wire {
        ip: field::address_bytes(host.ip),
        service: host.service.to_string(),
        workload: host.workload.to_string(),
        identity: host.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
        version: host.version.clone(),
        ports: ports.collect(),
        requires: 0,
    };
    wire.encode_to_vec()
}

pub(super) fn decode(body: &[u8]) -> Result<Host, DecodeError> {
    let wire: Wire = field::message(body)?;
    field::understood(wire.requires)?;
    let ports = field::each("ports", wire.ports, |port| {
        let number = field::port("port", port.port)?;
        Ok((number, field::protocol::decode("protocol", port.protocol)?))
    })?;
    field::ascending("ports", &ports, |port| port.0)?;
    Ok(Host {
        ip: field::address("ip", &wire.ip)?,
        service: field::parse("service", &wire.service)?,
        workload: field::parse("workload", &wire.workload)?,
        identity: field::optional("identity", &wire.identity)?,
        version: field::text("version", wire.version)?,
        ports,
    })
}
