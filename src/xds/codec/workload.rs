//! The message `meshctl.v1.Workload`: how one proxy receives, to bytes and back.

use prost::Message;

use super::{DecodeError, field};
use crate::resource::{InboundPort, Workload};

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(string, tag = "1")]
    proxy: String,
    #[prost(string, tag = "2")]
    identity: String,
    #[prost(string, repeated, tag = "3")]
    services: Vec<String>,
    #[prost(uint32, tag = "4")]
    mtls: u32,
    #[prost(message, repeated, tag = "5")]
    ports: Vec<WirePort>,
    /// Old proxies treat all zones alike, which is less and not wrong.
    #[prost(string, tag = "6")]
    zone: String,
    #[prost(uint32, tag = "15")]
    requires: u32,
}

#[derive(Clone, PartialEq, Message)]
struct WirePort {
    #[prost(uint32, tag = "1")]
    port: u32,
    #[prost(uint32, tag = "2")]
    protocol: u32,
    #[prost(uint32, tag = "3")]
    mtls: u32,
}

pub(super) fn encode(workload: &Workload) -> Vec<u8> {
    let ports = workload.ports.iter().map(|port| WirePort {
        port: port.port.into(),
        protocol: field::protocol::encode(port.protocol),
        mtls: field::mtls::encode(port.mtls),
    });
    let wire = Wire {
        proxy: workload.proxy.to_string(),
        identity: workload.identity.to_string(),
        services: workload.services.iter().map(ToString::to_string).collect(),
        mtls: field::mtls::encode(workload.mtls),
        ports: ports.collect(),
        zone: workload.zone.clone(),
        requires: 0,
    };
    wire.encode_to_vec()
}

pub(super) fn decode(body: &[u8]) -> Result<Workload, DecodeError> {
    let wire: Wire = field::message(body)?;
    field::understood(wire.requires)?;
    let ports = field::each("ports", wire.ports, |port| {
        Ok(InboundPort {
            port: field::port("port", port.port)?,
            protocol: field::protocol::decode("protocol", port.protocol)?,
            mtls: field::mtls::decode("mtls", port.mtls)?,
        })
    })?;
    field::ascending("ports", &ports, |port| port.port)?;
    Ok(Workload {
        proxy: field::parse("proxy", &wire.proxy)?,
        identity: field::parse("identity", &wire.identity)?,
        services: field::each("services", wire.services, |name| field::parse("", &name))?,
        mtls: field::mtls::decode("mtls", wire.mtls)?,
        zone: field::text("zone", wire.zone)?,
        ports,
    })
}
