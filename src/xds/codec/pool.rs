//! Limits and health of a pool, inside of a `meshctl.v1.Cluster`, to bytes and back.
//!
//! Each part is a message that is left out where the user asked for nothing. A proxy divides by
//! these numbers and waits for these times, so zero is refused wherever it would mean nothing.

use prost::Message;

use super::{DecodeError, field};
use crate::resource::{
    AdaptiveConcurrency, CircuitBreaker, FailurePercent, HealthCheck, HealthProbe,
    OutlierDetection, PARTS_PER_MILLION, SuccessRate,
};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireBreaker {
    #[prost(uint32, optional, tag = "1")]
    max_connections: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    max_pending_requests: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    max_requests: Option<u32>,
    #[prost(uint32, optional, tag = "4")]
    max_retries: Option<u32>,
    #[prost(uint32, optional, tag = "5")]
    max_requests_per_connection: Option<u32>,
    #[prost(message, optional, tag = "6")]
    adaptive: Option<WireAdaptive>,
}

#[derive(Clone, PartialEq, Message)]
struct WireAdaptive {
    #[prost(uint32, tag = "1")]
    min: u32,
    #[prost(uint32, tag = "2")]
    max: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireOutliers {
    #[prost(uint32, optional, tag = "1")]
    consecutive_errors: Option<u32>,
    #[prost(uint32, optional, tag = "2")]
    consecutive_gateway_errors: Option<u32>,
    #[prost(uint32, optional, tag = "3")]
    consecutive_local_errors: Option<u32>,
    #[prost(message, optional, tag = "4")]
    success_rate: Option<WireShare>,
    #[prost(message, optional, tag = "5")]
    failure_percent: Option<WireShare>,
    #[prost(uint64, tag = "6")]
    interval_us: u64,
    #[prost(uint64, tag = "7")]
    base_ejection_us: u64,
    #[prost(uint64, tag = "8")]
    max_ejection_us: u64,
    #[prost(uint32, tag = "9")]
    max_ejection_ppm: u32,
}

/// `bound`: of success the factor in thousandths, of failures the threshold in parts per million.
#[derive(Clone, PartialEq, Message)]
struct WireShare {
    #[prost(uint32, tag = "1")]
    minimum_hosts: u32,
    #[prost(uint32, tag = "2")]
    request_volume: u32,
    #[prost(uint32, tag = "3")]
    bound: u32,
}

/// `how`: 1 HTTP, 2 gRPC, 3 TCP. `what`: the path, or the gRPC service.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WireHealth {
    #[prost(uint32, tag = "1")]
    how: u32,
    #[prost(string, tag = "2")]
    what: String,
    #[prost(string, tag = "3")]
    host: String,
    #[prost(uint64, tag = "4")]
    interval_us: u64,
    #[prost(uint64, tag = "5")]
    timeout_us: u64,
    #[prost(uint32, tag = "6")]
    unhealthy_after: u32,
    #[prost(uint32, tag = "7")]
    healthy_after: u32,
}

/// `None` for no limits at all.
pub(super) fn encode_breaker(breaker: &CircuitBreaker) -> Option<WireBreaker> {
    (*breaker != CircuitBreaker::default()).then(|| WireBreaker {
        max_connections: breaker.max_connections,
        max_pending_requests: breaker.max_pending_requests,
        max_requests: breaker.max_requests,
        max_retries: breaker.max_retries,
        max_requests_per_connection: breaker.max_requests_per_connection,
        adaptive: breaker.adaptive.map(|it| WireAdaptive { min: it.min, max: it.max }),
    })
}

pub(super) fn encode_outliers(outliers: &OutlierDetection) -> WireOutliers {
    WireOutliers {
        consecutive_errors: outliers.consecutive_errors,
        consecutive_gateway_errors: outliers.consecutive_gateway_errors,
        consecutive_local_errors: outliers.consecutive_local_errors,
        success_rate: outliers.success_rate.map(|it| WireShare {
            minimum_hosts: it.minimum_hosts,
            request_volume: it.request_volume,
            bound: it.stdev_factor_milli,
        }),
        failure_percent: outliers.failure_percent.map(|it| WireShare {
            minimum_hosts: it.minimum_hosts,
            request_volume: it.request_volume,
            bound: it.threshold_ppm,
        }),
        interval_us: field::micros(outliers.interval),
        base_ejection_us: field::micros(outliers.base_ejection),
        max_ejection_us: field::micros(outliers.max_ejection),
        max_ejection_ppm: outliers.max_ejection_ppm,
    }
}

pub(super) fn encode_health(health: &HealthCheck) -> WireHealth {
    let (how, what, host) = match &health.probe {
        HealthProbe::Http { path, host } => (1, path.clone(), host.clone()),
        HealthProbe::Grpc { service } => (2, service.clone(), String::new()),
        HealthProbe::Tcp => (3, String::new(), String::new()),
    };
    WireHealth {
        how,
        what,
        host,
        interval_us: field::micros(health.interval),
        timeout_us: field::micros(health.timeout),
        unhealthy_after: health.unhealthy_after,
        healthy_after: health.healthy_after,
    }
}

pub(super) fn decode_breaker(wire: Option<WireBreaker>) -> Result<CircuitBreaker, DecodeError> {
    let Some(wire) = wire else { return Ok(CircuitBreaker::default()) };
    let decode = || {
        let adaptive = wire.adaptive.map(|it| {
            let min = field::within("adaptive.min", it.min, 1, u32::MAX)?;
            Ok(AdaptiveConcurrency {
                min,
                max: field::within("adaptive.max", it.max, min, u32::MAX)?,
            })
        });
        Ok(CircuitBreaker {
            max_connections: some("max_connections", wire.max_connections)?,
            max_pending_requests: wire.max_pending_requests,
            max_requests: some("max_requests", wire.max_requests)?,
            max_retries: wire.max_retries,
            max_requests_per_connection: some(
                "max_requests_per_connection",
                wire.max_requests_per_connection,
            )?,
            adaptive: adaptive.transpose()?,
        })
    };
    decode().map_err(|error: DecodeError| error.inside("circuit_breaker"))
}

pub(super) fn decode_outliers(wire: WireOutliers) -> Result<OutlierDetection, DecodeError> {
    let decode = || {
        let share = |field: &str, wire: &WireShare, most| {
            let check = || {
                field::within("minimum_hosts", wire.minimum_hosts, 1, u32::MAX)?;
                field::within("request_volume", wire.request_volume, 1, u32::MAX)?;
                field::within("bound", wire.bound, 1, most)
            };
            check().map_err(|error: DecodeError| error.inside(field))
        };
        let success_rate = wire.success_rate.map(|it| {
            let stdev_factor_milli = share("success_rate", &it, u32::MAX)?;
            let WireShare { minimum_hosts, request_volume, .. } = it;
            Ok(SuccessRate { minimum_hosts, request_volume, stdev_factor_milli })
        });
        let failure_percent = wire.failure_percent.map(|it| {
            let threshold_ppm = share("failure_percent", &it, PARTS_PER_MILLION)?;
            let WireShare { minimum_hosts, request_volume, .. } = it;
            Ok(FailurePercent { threshold_ppm, minimum_hosts, request_volume })
        });
        let most = wire.max_ejection_ppm;
        Ok(OutlierDetection {
            consecutive_errors: some("consecutive_errors", wire.consecutive_errors)?,
            consecutive_gateway_errors: some(
                "consecutive_gateway_errors",
                wire.consecutive_gateway_errors,
            )?,
            consecutive_local_errors: some(
                "consecutive_local_errors",
                wire.consecutive_local_errors,
            )?,
            success_rate: success_rate.transpose()?,
            failure_percent: failure_percent.transpose()?,
            interval: field::period("interval", wire.interval_us)?,
            base_ejection: field::period("base_ejection", wire.base_ejection_us)?,
            max_ejection: field::period("max_ejection", wire.max_ejection_us)?,
            max_ejection_ppm: field::within("max_ejection_ppm", most, 0, PARTS_PER_MILLION)?,
        })
    };
    decode().map_err(|error: DecodeError| error.inside("outlier_detection"))
}

pub(super) fn decode_health(wire: WireHealth) -> Result<HealthCheck, DecodeError> {
    let decode = || {
        // Both go into the head of a request as they are.
        let visible = |field: &str, text: String| {
            let text = field::text(field, text)?;
            match text.bytes().all(|byte| byte.is_ascii_graphic()) {
                true => Ok(text),
                false => Err(DecodeError::new(field, "is not visible ASCII")),
            }
        };
        let probe = match wire.how {
            1 if wire.what.starts_with('/') => HealthProbe::Http {
                path: visible("path", wire.what)?,
                host: visible("host", wire.host)?,
            },
            1 => return Err(DecodeError::new("path", "does not begin with `/`")),
            2 => HealthProbe::Grpc { service: field::text("service", wire.what)? },
            3 => HealthProbe::Tcp,
            other => return Err(field::unknown("how", other)),
        };
        Ok(HealthCheck {
            probe,
            interval: field::period("interval", wire.interval_us)?,
            timeout: field::period("timeout", wire.timeout_us)?,
            unhealthy_after: field::within("unhealthy_after", wire.unhealthy_after, 1, u32::MAX)?,
            healthy_after: field::within("healthy_after", wire.healthy_after, 1, u32::MAX)?,
        })
    };
    decode().map_err(|error: DecodeError| error.inside("health_check"))
}

/// A number that is left out or at least one.
fn some(field: &str, number: Option<u32>) -> Result<Option<u32>, DecodeError> {
    number.map(|number| field::within(field, number, 1, u32::MAX)).transpose()
}
