//! The message `meshctl.v1.Cluster`: a service's endpoints and the policy of its pool, to bytes and back.

use std::time::Duration;

use prost::Message;

use super::{DecodeError, field};
use crate::resource::{
    Algorithm, Cluster, ClusterPolicy, ClusterPort, Endpoint, LoadBalancer, PortMapping,
};

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    ports: Vec<WirePort>,
    #[prost(message, optional, tag = "3")]
    policy: Option<WirePolicy>,
    #[prost(message, repeated, tag = "4")]
    endpoints: Vec<WireEndpoint>,
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

#[derive(Clone, PartialEq, Message)]
struct WirePolicy {
    #[prost(uint64, tag = "1")]
    connect_timeout_us: u64,
    #[prost(uint64, tag = "2")]
    http_idle_us: u64,
    #[prost(uint64, tag = "3")]
    tcp_idle_us: u64,
    #[prost(uint32, tag = "4")]
    load_balancer: u32,
}

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
}

#[derive(Clone, PartialEq, Message)]
struct WireMapping {
    #[prost(uint32, tag = "1")]
    service_port: u32,
    #[prost(uint32, tag = "2")]
    target_port: u32,
}

field::numbered!(algorithm: Algorithm {
    1 => Algorithm::LeastRequest,
    2 => Algorithm::RoundRobin,
    3 => Algorithm::Random,
    4 => Algorithm::Ewma,
    5 => Algorithm::RingHash,
    6 => Algorithm::Maglev,
});

pub(super) fn encode(cluster: &Cluster) -> Vec<u8> {
    let ports = cluster.ports.iter().map(|port| WirePort {
        port: port.port.into(),
        protocol: field::protocol::encode(port.protocol),
    });
    let policy = WirePolicy {
        connect_timeout_us: field::micros(cluster.policy.connect_timeout),
        http_idle_us: field::micros(cluster.policy.http_idle),
        tcp_idle_us: field::micros(cluster.policy.tcp_idle),
        load_balancer: algorithm::encode(cluster.policy.load_balancer.algorithm),
    };
    let wire = Wire {
        name: cluster.name.to_string(),
        ports: ports.collect(),
        policy: Some(policy),
        endpoints: cluster.endpoints.iter().map(encode_endpoint).collect(),
        requires: 0,
    };
    wire.encode_to_vec()
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
    }
}

pub(super) fn decode(body: &[u8]) -> Result<Cluster, DecodeError> {
    let wire: Wire = field::message(body)?;
    field::understood(wire.requires)?;
    let ports = field::each("ports", wire.ports, |port| {
        Ok(ClusterPort {
            port: field::port("port", port.port)?,
            protocol: field::protocol::decode("protocol", port.protocol)?,
        })
    })?;
    field::ascending("ports", &ports, |port| port.port)?;
    let policy = decode_policy(&field::required("policy", wire.policy)?)
        .map_err(|error| error.inside("policy"))?;
    let endpoints = field::each("endpoints", wire.endpoints, decode_endpoint)?;
    field::ascending("endpoints", &endpoints, |endpoint| endpoint.workload.clone())?;
    Ok(Cluster { name: field::parse("name", &wire.name)?, ports, policy, endpoints })
}

fn decode_policy(wire: &WirePolicy) -> Result<ClusterPolicy, DecodeError> {
    Ok(ClusterPolicy {
        connect_timeout: Duration::from_micros(wire.connect_timeout_us),
        http_idle: Duration::from_micros(wire.http_idle_us),
        tcp_idle: Duration::from_micros(wire.tcp_idle_us),
        load_balancer: LoadBalancer {
            algorithm: algorithm::decode("load_balancer", wire.load_balancer)?,
            ..LoadBalancer::default()
        },
        ..ClusterPolicy::default()
    })
}

fn decode_endpoint(wire: WireEndpoint) -> Result<Endpoint, DecodeError> {
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
        identity: field::optional("identity", &wire.identity)?,
        version: field::text("version", wire.version)?,
        weight: 1,
        zone: String::new(),
    })
}
