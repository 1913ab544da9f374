//! The policy of a pool and the repetitions of a rule as JSON, for people and scripts that look into
//! one proxy. Times are milliseconds, shares parts per million; what is off is null.

use std::time::Duration;

use serde_json::{Value, json};

use crate::resource::{
    CircuitBreaker, ClusterPolicy, HashOn, HealthCheck, HealthProbe, LoadBalancer, Locality,
    OutlierDetection, Retry,
};

/// All of a pool's policy but its timeouts.
pub(super) fn of_pool(policy: &ClusterPolicy) -> Value {
    json!({
        "loadBalancer": of_balancer(&policy.load_balancer),
        "circuitBreaker": of_breaker(&policy.circuit_breaker),
        "outlierDetection": policy.outlier_detection.as_ref().map(of_outliers),
        "healthCheck": policy.health_check.as_ref().map(of_health),
        "panicPerMillion": policy.panic_ppm,
        "mode": if policy.shadow { "Shadow" } else { "Enforce" },
    })
}

fn of_balancer(balancer: &LoadBalancer) -> Value {
    let hash_on = balancer.hash_on.as_ref().map(|hash_on| match hash_on {
        HashOn::Header(name) => json!({"header": name}),
        HashOn::Cookie(it) => {
            json!({"cookie": {"name": it.name, "path": it.path, "ttlMs": it.ttl.map(millis)}})
        }
        HashOn::SourceIp => json!({"sourceIp": true}),
    });
    json!({
        "algorithm": balancer.algorithm.as_str(),
        "hashOn": hash_on,
        "slowStartMs": balancer.slow_start.map(millis),
        "locality": match balancer.locality {
            Locality::Off => "off",
            Locality::Prefer => "prefer",
        },
    })
}

fn of_breaker(breaker: &CircuitBreaker) -> Value {
    let adaptive = breaker.adaptive;
    json!({
        "maxConnections": breaker.max_connections,
        "maxPendingRequests": breaker.max_pending_requests,
        "maxRequests": breaker.max_requests,
        "maxRetries": breaker.max_retries,
        "maxRequestsPerConnection": breaker.max_requests_per_connection,
        "adaptiveConcurrency": adaptive.map(|it| json!({
            "minConcurrency": it.min, "maxConcurrency": it.max,
        })),
    })
}

fn of_outliers(outliers: &OutlierDetection) -> Value {
    json!({
        "consecutiveErrors": outliers.consecutive_errors,
        "consecutiveGatewayErrors": outliers.consecutive_gateway_errors,
        "consecutiveLocalErrors": outliers.consecutive_local_errors,
        "successRate": outliers.success_rate.map(|it| json!({
            "minimumHosts": it.minimum_hosts,
            "requestVolume": it.request_volume,
            "stdevFactor": f64::from(it.stdev_factor_milli) / 1e3,
        })),
        "failurePercent": outliers.failure_percent.map(|it| json!({
            "thresholdPerMillion": it.threshold_ppm,
            "minimumHosts": it.minimum_hosts,
            "requestVolume": it.request_volume,
        })),
        "intervalMs": millis(outliers.interval),
        "baseEjectionTimeMs": millis(outliers.base_ejection),
        "maxEjectionTimeMs": millis(outliers.max_ejection),
        "maxEjectionPerMillion": outliers.max_ejection_ppm,
    })
}

fn of_health(check: &HealthCheck) -> Value {
    let (kind, probe) = match &check.probe {
        HealthProbe::Http { path, host } => ("http", json!({"path": path, "host": host})),
        HealthProbe::Grpc { service } => ("grpc", json!({"service": service})),
        HealthProbe::Tcp => ("tcp", json!({})),
    };
    json!({
        kind: probe,
        "intervalMs": millis(check.interval),
        "timeoutMs": millis(check.timeout),
        "unhealthyAfter": check.unhealthy_after,
        "healthyAfter": check.healthy_after,
    })
}

/// What of a rule's requests is tried again.
pub(super) fn of_retry(retry: &Retry) -> Value {
    let on = retry.on;
    let conditions = [
        ("connect-failure", on.connect_failure),
        ("refused-stream", on.refused_stream),
        ("gateway-error", on.gateway_error),
        ("5xx", on.server_error),
        ("reset", on.reset),
    ];
    let conditions = conditions.into_iter().filter(|(_, holds)| *holds).map(|(word, _)| word);
    json!({
        "attempts": retry.attempts,
        "on": conditions.collect::<Vec<_>>(),
        "statusCodes": retry.status_codes,
        "grpcCodes": retry.grpc_codes,
        "methods": if retry.any_method { "all" } else { "idempotent" },
        "backoffMs": {
            "least": millis(retry.backoff_floor),
            "base": millis(retry.backoff.base),
            "max": millis(retry.backoff.max),
        },
        "budget": retry.budget.map(|it| json!({
            "perMillion": it.ppm, "minPerSecond": it.min_per_second,
        })),
        "maxBodyBytes": retry.max_body,
        "hedgeAfterMs": retry.hedge_after.map(millis),
    })
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
