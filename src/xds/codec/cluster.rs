//! The message `meshctl.v1.Cluster`: a service's endpoints and the policy of its pool, to bytes and back.

use std::time::Duration;

use prost::Message;

use super::balance::{self, WireBalancing};
use super::pool::{self, WireBreaker, WireHealth, WireOutliers};
use super::{DecodeError, field};
use crate::names::Identity;
use crate::resource::{
    CircuitBreaker, Cluster, ClusterPolicy, ClusterPort, DEFAULT_PANIC_PPM, Endpoint, LoadBalancer,
    PARTS_PER_MILLION, PortMapping,
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
    #[prost(message, optional, tag = "5")]
    balancing: Option<WireBalancing>,
    #[prost(message, optional, tag = "6")]
    circuit_breaker: Option<WireBreaker>,
    #[prost(message, optional, tag = "7")]
    outlier_detection: Option<WireOutliers>,
    #[prost(message, optional, tag = "8")]
    health_check: Option<WireHealth>,
    /// Left out: the half.
    #[prost(uint32, optional, tag = "9")]
    panic_ppm: Option<u32>,
    #[prost(bool, tag = "10")]
    shadow: bool,
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

pub(super) fn encode(cluster: &Cluster) -> Vec<u8> {
    let ports = cluster.ports.iter().map(|port| WirePort {
        port: port.port.into(),
        protocol: field::protocol::encode(port.protocol),
    });
    let wire = Wire {
        name: cluster.name.to_string(),
        ports: ports.collect(),
        policy: Some(encode_policy(&cluster.policy)),
        endpoints: cluster.endpoints.iter().map(encode_endpoint).collect(),
        requires: if is_resilient(&cluster.policy) { field::RESILIENCE } else { 0 },
    };
    wire.encode_to_vec()
}

fn encode_policy(policy: &ClusterPolicy) -> WirePolicy {
    WirePolicy {
        connect_timeout_us: field::micros(policy.connect_timeout),
        http_idle_us: field::micros(policy.http_idle),
        tcp_idle_us: field::micros(policy.tcp_idle),
        load_balancer: balance::algorithm::encode(policy.load_balancer.algorithm),
        balancing: balance::encode(&policy.load_balancer),
        circuit_breaker: pool::encode_breaker(&policy.circuit_breaker),
        outlier_detection: policy.outlier_detection.as_ref().map(pool::encode_outliers),
        health_check: policy.health_check.as_ref().map(pool::encode_health),
        panic_ppm: (policy.panic_ppm != DEFAULT_PANIC_PPM).then_some(policy.panic_ppm),
        shadow: policy.shadow,
    }
}

/// Whether a proxy that knows times and an algorithm only would do something else. Weights and
/// zones of endpoints do not count: such a proxy serves all alike, as it did before, while one that
/// refused the endpoints would go on calling those that are gone.
fn is_resilient(policy: &ClusterPolicy) -> bool {
    let LoadBalancer { algorithm, .. } = policy.load_balancer;
    policy.load_balancer != LoadBalancer { algorithm, ..LoadBalancer::default() }
        || policy.circuit_breaker != CircuitBreaker::default()
        || policy.outlier_detection.is_some()
        || policy.health_check.is_some()
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
    let policy = decode_policy(field::required("policy", wire.policy)?)
        .map_err(|error| error.inside("policy"))?;
    let mut last = Last::default();
    let endpoints =
        field::each("endpoints", wire.endpoints, |endpoint| decode_endpoint(endpoint, &mut last))?;
    field::ordered("endpoints", &endpoints, |one, next| one.workload < next.workload)?;
    Ok(Cluster { name: field::parse("name", &wire.name)?, ports, policy, endpoints })
}

fn decode_policy(wire: WirePolicy) -> Result<ClusterPolicy, DecodeError> {
    Ok(ClusterPolicy {
        connect_timeout: Duration::from_micros(wire.connect_timeout_us),
        http_idle: Duration::from_micros(wire.http_idle_us),
        tcp_idle: Duration::from_micros(wire.tcp_idle_us),
        load_balancer: balance::decode(wire.load_balancer, wire.balancing)?,
        circuit_breaker: pool::decode_breaker(wire.circuit_breaker)?,
        outlier_detection: wire.outlier_detection.map(pool::decode_outliers).transpose()?,
        health_check: wire.health_check.map(pool::decode_health).transpose()?,
        panic_ppm: match wire.panic_ppm {
            None => DEFAULT_PANIC_PPM,
            Some(ppm) => field::within("panic_ppm", ppm, 0, PARTS_PER_MILLION)?,
        },
        shadow: wire.shadow,
    })
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

fn decode_endpoint(wire: WireEndpoint, last: &mut Last) -> Result<Endpoint, DecodeError> {
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
