//! The message `meshctl.v1.Address`: which service an address belongs to, to bytes and back.

use std::net::SocketAddr;

use prost::Message;

use super::{DecodeError, field};
use crate::resource::Address;

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(bytes = "vec", tag = "1")]
    ip: Vec<u8>,
    #[prost(uint32, tag = "2")]
    address_port: u32,
    #[prost(string, tag = "3")]
    service: String,
    #[prost(uint32, tag = "4")]
    port: u32,
    #[prost(uint32, tag = "15")]
    requires: u32,
}

/// A scope id is not carried: it means something on one machine only.
pub(super) fn encode(address: &Address) -> Vec<u8> {
    let wire = Wire {
        ip: field::address_bytes(address.address.ip()),
        address_port: address.address.port().into(),
        service: address.service.to_string(),
        port: address.port.into(),
        requires: 0,
    };
    wire.encode_to_vec()
}

pub(super) fn decode(body: &[u8]) -> Result<Address, DecodeError> {
    let wire: Wire = field::message(body)?;
    field::understood(wire.requires)?;
    let ip = field::address("ip", &wire.ip)?;
    Ok(Address {
        address: SocketAddr::new(ip, field::port("address_port", wire.address_port)?),
        service: field::parse("service", &wire.service)?,
        port: field::port("port", wire.port)?,
    })
}
