//! The message `meshctl.v1.Cluster`: a service's endpoints and the policy of its pool, to bytes and back.

use std::time::Duration;

use bytes::Bytes;
use prost::Message;

use super::balance::{self, WireBalancing};
use super::endpoints::{self, Seen};
use super::pool::{self, WireBreaker, WireHealth, WireOutliers};
use super::{DecodeError, field};
use crate::resource::{
    CircuitBreaker, Cluster, ClusterPolicy, ClusterPort, DEFAULT_PANIC_PPM, LoadBalancer,
    PARTS_PER_MILLION,
};

#[derive(Clone, PartialEq, Message)]
struct Wire {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, repeated, tag = "2")]
    ports: Vec<WirePort>,
    #[prost(message, optional, tag = "3")]
    policy: Option<WirePolicy>,
    /// Each a `WireEndpoint`, apart so that those known already need not be read.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    endpoints: Vec<Bytes>,
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

pub(super) fn encode(cluster: &Cluster) -> Vec<u8> {
    let ports = cluster.ports.iter().map(|port| WirePort {
        port: port.port.into(),
        protocol: field::protocol::encode(port.protocol),
    });
    let wire = Wire {
        name: cluster.name.to_string(),
        ports: ports.collect(),
        policy: Some(encode_policy(&cluster.policy)),
        endpoints: endpoints::encode(&cluster.endpoints),
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

/// Reads a body; endpoints are taken from `seen` where they are the same.
pub(super) fn decode(body: Bytes, seen: &mut Seen) -> Result<Cluster, DecodeError> {
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
    let endpoints = seen.decode(wire.endpoints)?;
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
