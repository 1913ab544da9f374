//! Every setting of a pool and of calls in the words of its fields, as users write them: what
//! `describe` and `explain` tell people.
//!
//! A list has the same fields in the same order whatever they say, so that two can be held against
//! one another.

use std::time::Duration;

use crate::resource::{
    CircuitBreaker, ClusterPolicy, HashOn, HealthCheck, HealthProbe, LoadBalancer, Locality,
    OutlierDetection, Retry, Timeouts,
};

mod route;

pub use route::{edits, fault, matched, redirect, rewrite};

/// A field, as users write it, and its value.
pub type Setting = (&'static str, String);

/// What holds of calls to a pool.
pub fn settings(pool: &ClusterPolicy, timeouts: &Timeouts, retry: &Retry) -> Vec<Setting> {
    let mut settings = breaker(&pool.circuit_breaker);
    settings.extend(outliers(pool.outlier_detection.as_ref()));
    settings.push(("outlierDetection.panicThreshold", percent(pool.panic_ppm)));
    settings.push(("mode", if pool.shadow { "Shadow" } else { "Enforce" }.to_owned()));
    settings.extend(retries(retry));
    settings.extend([
        ("retry.perTryTimeout", or_none(timeouts.backend_request, written)),
        ("timeouts.connect", written(pool.connect_timeout)),
        ("timeouts.request", or_none(timeouts.request, written)),
        ("timeouts.idle", written(pool.http_idle)),
        ("timeouts.idle (tcp)", written(pool.tcp_idle)),
    ]);
    settings.extend(balancer(&pool.load_balancer));
    settings.push(("healthCheck", or_none(pool.health_check.as_ref(), health)));
    settings
}

/// Whether a setting is of calls, which a route's rule may say otherwise, and not of a pool.
pub fn is_of_calls(field: &str) -> bool {
    field.starts_with("retry.") || field == "timeouts.request"
}

fn breaker(breaker: &CircuitBreaker) -> Vec<Setting> {
    let limit = |limit| or_none(limit, |limit: u32| format!("{limit} per calling proxy"));
    let adaptive = or_none(breaker.adaptive, |adaptive| {
        format!("{} to {} requests per calling proxy, by latency", adaptive.min, adaptive.max)
    });
    let per_connection = or_none(breaker.max_requests_per_connection, |limit| limit.to_string());
    vec![
        ("circuitBreaker.maxConnections", limit(breaker.max_connections)),
        ("circuitBreaker.maxPendingRequests", limit(breaker.max_pending_requests)),
        ("circuitBreaker.maxRequests", limit(breaker.max_requests)),
        ("circuitBreaker.maxRetries", limit(breaker.max_retries)),
        ("circuitBreaker.maxRequestsPerConnection", per_connection),
        ("circuitBreaker.adaptiveConcurrency", adaptive),
    ]
}

fn outliers(detection: Option<&OutlierDetection>) -> Vec<Setting> {
    let row = |row: fn(&OutlierDetection) -> Option<u32>| {
        or_none(detection.and_then(row), |errors| format!("{errors} in a row"))
    };
    let success = detection.and_then(|it| it.success_rate).map(|it| {
        let factor = f64::from(it.stdev_factor_milli) / 1_000.0;
        let of = judged(it.minimum_hosts, it.request_volume);
        format!("below mean - {factor} x standard deviation, {of}")
    });
    let failures = detection.and_then(|it| it.failure_percent).map(|it| {
        let of = judged(it.minimum_hosts, it.request_volume);
        format!("from {} on, {of}", percent(it.threshold_ppm))
    });
    let time = |time: fn(&OutlierDetection) -> Duration| {
        or_none(detection, |detection| written(time(detection)))
    };
    let share = or_none(detection, |detection| percent(detection.max_ejection_ppm));
    vec![
        ("outlierDetection.consecutiveErrors", row(|it| it.consecutive_errors)),
        ("outlierDetection.consecutiveGatewayErrors", row(|it| it.consecutive_gateway_errors)),
        ("outlierDetection.consecutiveLocalErrors", row(|it| it.consecutive_local_errors)),
        ("outlierDetection.successRate", or_none(success, |text| text)),
        ("outlierDetection.failurePercent", or_none(failures, |text| text)),
        ("outlierDetection.interval", time(|it| it.interval)),
        ("outlierDetection.baseEjectionTime", time(|it| it.base_ejection)),
        ("outlierDetection.maxEjectionTime", time(|it| it.max_ejection)),
        ("outlierDetection.maxEjectionPercent", share),
    ]
}

fn judged(hosts: u32, requests: u32) -> String {
    format!("with {hosts} endpoints of {requests} requests in an interval or more")
}

fn retries(retry: &Retry) -> Vec<Setting> {
    let budget = or_none(retry.budget, |budget| {
        format!(
            "{} of the requests, {} per second at least, per calling proxy",
            percent(budget.ppm),
            budget.min_per_second
        )
    });
    let methods = if retry.any_method { "all" } else { "idempotent" };
    vec![
        ("retry.attempts", retry.attempts.to_string()),
        ("retry.on", conditions(retry)),
        ("retry.methods", methods.to_owned()),
        ("retry.backoff", backoff(retry)),
        ("retry.budget", budget),
        ("retry.maxBody", format!("{}KiB", retry.max_body >> 10)),
        ("retry.hedge", or_none(retry.hedge_after, |after| format!("after {}", written(after)))),
    ]
}

/// `connect-failure, refused-stream, 503, gRPC 14`
fn conditions(retry: &Retry) -> String {
    let on = retry.on;
    let words = [
        ("connect-failure", on.connect_failure),
        ("refused-stream", on.refused_stream),
        ("gateway-error", on.gateway_error),
        ("5xx", on.server_error),
        ("reset", on.reset),
    ];
    let words = words.into_iter().filter(|(_, holds)| *holds).map(|(word, _)| word.to_owned());
    let statuses = retry.status_codes.iter().map(ToString::to_string);
    let codes = retry.grpc_codes.iter().map(|code| format!("gRPC {code}"));
    match words.chain(statuses).chain(codes).collect::<Vec<_>>().join(", ") {
        none if none.is_empty() => "nothing".to_owned(),
        all => all,
    }
}

/// `25ms to 250ms`, `100ms and up to 1s more`
fn backoff(retry: &Retry) -> String {
    let (floor, max) = (retry.backoff_floor, retry.backoff.max);
    match (floor.is_zero(), max.is_zero()) {
        (_, true) => "none".to_owned(),
        (true, false) => {
            format!("up to {}, growing to {}", written(retry.backoff.base), written(max))
        }
        (false, false) => format!("{} and up to {} more", written(floor), written(max)),
    }
}

fn balancer(balancer: &LoadBalancer) -> Vec<Setting> {
    let hash_on = or_none(balancer.hash_on.as_ref(), |hash_on| match hash_on {
        HashOn::Header(name) => format!("header {name}"),
        HashOn::Cookie(cookie) => {
            let life = cookie.ttl.map_or("the session".to_owned(), written);
            format!("cookie {} at {} for {life}", cookie.name, cookie.path)
        }
        HashOn::SourceIp => "the calling workload".to_owned(),
    });
    let locality = match balancer.locality {
        Locality::Off => "off",
        Locality::Prefer => "prefer",
    };
    vec![
        ("loadBalancer.algorithm", balancer.algorithm.as_str().to_owned()),
        ("loadBalancer.hashOn", hash_on),
        ("loadBalancer.slowStart", or_none(balancer.slow_start, written)),
        ("loadBalancer.locality", locality.to_owned()),
    ]
}

fn health(check: &HealthCheck) -> String {
    let probe = match &check.probe {
        HealthProbe::Http { path, host } if host.is_empty() => format!("HTTP {path}"),
        HealthProbe::Http { path, host } => format!("HTTP {path} at {host}"),
        HealthProbe::Grpc { service } if service.is_empty() => "gRPC".to_owned(),
        HealthProbe::Grpc { service } => format!("gRPC {service}"),
        HealthProbe::Tcp => "TCP".to_owned(),
    };
    format!(
        "{probe} every {} within {}, out after {}, back after {}",
        written(check.interval),
        written(check.timeout),
        check.unhealthy_after,
        check.healthy_after
    )
}

fn or_none<T>(value: Option<T>, show: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "none".to_owned(), show)
}

/// Parts per million as a percentage.
pub fn percent(ppm: u32) -> String {
    format!("{}%", f64::from(ppm) / 10_000.0)
}

/// A duration in its largest whole unit.
pub fn written(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
    let whole =
        units.iter().find(|(_, size)| milliseconds > 0 && milliseconds.is_multiple_of(*size));
    match whole {
        Some((unit, size)) => format!("{}{unit}", milliseconds / size),
        None => format!("{milliseconds}ms"),
    }
}
