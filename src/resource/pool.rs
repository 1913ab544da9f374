//! Limits and health of a service's pool, as one calling proxy keeps them.

use std::time::Duration;

use crate::resource::PARTS_PER_MILLION;

/// The most that one calling proxy does at once at one service, over all its workers; `None` is no
/// limit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CircuitBreaker {
    /// Connections.
    pub max_connections: Option<u32>,
    /// Requests that wait for a connection.
    pub max_pending_requests: Option<u32>,
    /// Requests in flight; of opaque traffic connections.
    pub max_requests: Option<u32>,
    /// Repetitions in flight.
    pub max_retries: Option<u32>,
    /// Requests that one connection carries before it is closed.
    pub max_requests_per_connection: Option<u32>,
    /// A limit on requests in flight that is found by measuring.
    pub adaptive: Option<AdaptiveConcurrency>,
}

/// A limit on requests in flight that follows the latency (gradient algorithm: Netflix
/// concurrency-limits, 2018; after TCP Vegas, Brakmo and Peterson 1995).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdaptiveConcurrency {
    /// It never falls below this.
    pub min: u32,
    /// It never rises above this.
    pub max: u32,
}

/// When an endpoint is taken out for what it answers (Envoy's outlier detection).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutlierDetection {
    /// So many errors of any kind in a row: 5xx (and the gRPC codes that mean the same), a failed
    /// connect, a timeout, a reset.
    pub consecutive_errors: Option<u32>,
    /// So many 502, 503 or 504, failed connects or timeouts in a row.
    pub consecutive_gateway_errors: Option<u32>,
    /// So many failed connects, resets or timeouts in a row.
    pub consecutive_local_errors: Option<u32>,
    /// Success far below that of the others.
    pub success_rate: Option<SuccessRate>,
    /// Failures above a share.
    pub failure_percent: Option<FailurePercent>,
    /// How often shares are judged and ejections ended.
    pub interval: Duration,
    /// The first ejection takes so long; each further one in a row so much longer.
    pub base_ejection: Duration,
    /// No ejection takes longer.
    pub max_ejection: Duration,
    /// No more than this share of the endpoints is out at once, parts per million; one always may.
    pub max_ejection_ppm: u32,
}

/// Success rate against the others: out if below mean − factor × standard deviation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SuccessRate {
    /// With fewer endpoints that had enough requests nobody is judged.
    pub minimum_hosts: u32,
    /// Requests in an interval that an endpoint must have had.
    pub request_volume: u32,
    /// The factor, in thousandths (1.9 is 1 900).
    pub stdev_factor_milli: u32,
}

/// Share of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailurePercent {
    /// Out at or above this share, parts per million.
    pub threshold_ppm: u32,
    /// As [`SuccessRate::minimum_hosts`].
    pub minimum_hosts: u32,
    /// As [`SuccessRate::request_volume`].
    pub request_volume: u32,
}

/// Endpoints are asked whether they work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthCheck {
    /// How.
    pub probe: HealthProbe,
    /// From one question to the next, give or take a tenth.
    pub interval: Duration,
    /// An answer that takes longer is none.
    pub timeout: Duration,
    /// So many failures in a row take it out.
    pub unhealthy_after: u32,
    /// So many successes in a row bring it back.
    pub healthy_after: u32,
}

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HealthProbe {
    /// `GET`; any status of 200 to 299 is well.
    Http {
        /// Path and query.
        path: String,
        /// The `Host`; empty for the service's name.
        host: String,
    },
    /// `grpc.health.v1.Health/Check` (gRPC Health Checking Protocol).
    Grpc {
        /// The service asked about; empty for the server as a whole.
        service: String,
    },
    /// A connection, with TLS between sidecars.
    Tcp,
}

/// Where fewer endpoints are left than this share, all of them are used; parts per million.
pub const DEFAULT_PANIC_PPM: u32 = PARTS_PER_MILLION / 2;
