//! The endpoints of `meshctl.v1.Cluster`, to bytes and back.
//!
//! A cluster comes whole, and mostly with one endpoint changed. So what was decoded is kept with its
//! bytes: an endpoint whose bytes are the same as before costs a comparison, and whoever gets it
//! sees by the pointer that nothing is new. What comes of bytes does not depend on what was before.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::{DecodeError, field};
use crate::names::Identity;
use crate::resource::{Endpoint, PortMapping};

#[derive(Clone, PartialEq, Message)]
struct WireEndpoint {
    #[prost(string, tag = "1")]
    workload: String,
    #[prost(bytes = "vec", repeated, tag = "2")]
    addresses: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "3")]
    ports: Vec<WireMapping>,
    #[prost(string, tag = "4")]
    identity: String,
    #[prost(string, tag = "5")]
    version: String,
    /// Left out: 1.
    #[prost(uint32, optional, tag = "6")]
    weight: Option<u32>,
    #[prost(string, tag = "7")]
    zone: String,
}

#[derive(Clone, PartialEq, Message)]
struct WireMapping {
    #[prost(uint32, tag = "1")]
    service_port: u32,
    #[prost(uint32, tag = "2")]
    target_port: u32,
}

/// The endpoints of the body that was decoded last.
#[derive(Debug, Default)]
pub(super) struct Seen {
    endpoints: Vec<(Bytes, Arc<Endpoint>)>,
}

impl Seen {
    /// Reads endpoints, which must be in order of workload names.
    pub(super) fn decode(&mut self, wire: Vec<Bytes>) -> Result<Vec<Arc<Endpoint>>, DecodeError> {
        let mut before = std::mem::take(&mut self.endpoints).into_iter().peekable();
        let mut now: Vec<(Bytes, Arc<Endpoint>)> = Vec::with_capacity(wire.len());
        let mut last = Last::default();
        // Of those of before the order is known.
        let (mut ordered, mut was_new) = (true, false);
        let endpoints = field::each("endpoints", wire, |body| {
            let (endpoint, is_new) = match before.next_if(|(known, _)| *known == body) {
                Some((_, endpoint)) => (endpoint, false),
                None => {
                    let endpoint = decode_endpoint(body.clone(), &mut last)?;
                    // Both lists ascend: who is passed by here does not come any more.
                    while before.next_if(|(_, it)| it.workload < endpoint.workload).is_some() {}
                    let same = before.next_if(|(_, it)| it.workload == endpoint.workload);
                    match same.filter(|(known, _)| *known == body) {
                        Some((_, endpoint)) => (endpoint, false),
                        None => (Arc::new(endpoint), true),
                    }
                }
            };
            if (is_new || was_new)
                && let Some((_, previous)) = now.last()
            {
                ordered &= previous.workload < endpoint.workload;
            }
            was_new = is_new;
            now.push((body, Arc::clone(&endpoint)));
            Ok(endpoint)
        })?;
        if !ordered {
            return Err(field::out_of_order("endpoints"));
        }
        self.endpoints = now;
        Ok(endpoints)
    }
}

/// One message behind the other, and where each is.
pub(super) fn encode(endpoints: &[Arc<Endpoint>]) -> Vec<Bytes> {
    let mut all = Vec::new();
    let mut ends = Vec::with_capacity(endpoints.len());
    for endpoint in endpoints {
        encode_endpoint(endpoint).encode(&mut all).expect("a vector has room");
        ends.push(all.len());
    }
    let mut rest = Bytes::from(all);
    let mut begin = 0;
    let each = ends.into_iter().map(|end| rest.split_to(end - std::mem::replace(&mut begin, end)));
    each.collect()
}

fn encode_endpoint(endpoint: &Endpoint) -> WireEndpoint {
    let ports = endpoint.ports.iter().map(|mapping| WireMapping {
        service_port: mapping.service_port.into(),
        target_port: mapping.target_port.into(),
    });
    WireEndpoint {
        workload: endpoint.workload.to_string(),
        addresses: endpoint.addresses.iter().copied().map(field::address_bytes).collect(),
        ports: ports.collect(),
        identity: endpoint.identity.as_ref().map(ToString::to_string).unwrap_or_default(),
        version: endpoint.version.clone(),
        weight: (endpoint.weight != 1).then_some(endpoint.weight),
        zone: endpoint.zone.clone(),
    }
}

/// The identity that was read last: endpoints of one service mostly have the same.
#[derive(Default)]
struct Last {
    text: String,
    identity: Option<Identity>,
}

impl Last {
    fn read(&mut self, text: String) -> Result<Option<Identity>, DecodeError> {
        if text != self.text {
            self.identity = field::optional("identity", &text)?;
            self.text = text;
        }
        Ok(self.identity.clone())
    }
}

fn decode_endpoint(body: Bytes, last: &mut Last) -> Result<Endpoint, DecodeError> {
    let wire: WireEndpoint = field::message(body)?;
    let ports = field::each("ports", wire.ports, |mapping| {
        Ok(PortMapping {
            service_port: field::port("service_port", mapping.service_port)?,
            target_port: field::port("target_port", mapping.target_port)?,
        })
    })?;
    Ok(Endpoint {
        workload: field::parse("workload", &wire.workload)?,
        addresses: field::each("addresses", wire.addresses, |ip| field::address("", &ip))?,
        ports,
        identity: last.read(wire.identity)?,
        version: field::text("version", wire.version)?,
        weight: match wire.weight {
            None => 1,
            Some(weight) => field::within("weight", weight, 1, u32::MAX)?,
        },
        zone: field::text("zone", wire.zone)?,
    })
}
