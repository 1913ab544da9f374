//! The `spec` of a `TrafficPolicy`, every block that is there with all its fields.

use serde_json::{Map, Value as Json, json};

use super::{put, target_refs};
use crate::mesh::TrafficPolicy;
use crate::resource::{
    CircuitBreaker, ClusterPolicy, HashCookie, HashOn, HealthCheck, HealthProbe, LoadBalancer,
    Locality, OutlierDetection, Retry,
};
use crate::rules::policy::retry::conditions;
use crate::rules::values::{show, show_percent, show_size};

pub(super) fn spec(policy: &TrafficPolicy) -> Map<String, Json> {
    let pool = &policy.pool;
    let mut spec = Map::new();
    put(&mut spec, "targetRefs", target_refs(&policy.targets));
    if pool.circuit_breaker != CircuitBreaker::default() {
        put(&mut spec, "circuitBreaker", breaker(&pool.circuit_breaker));
    }
    if let Some(detection) = &pool.outlier_detection {
        put(&mut spec, "outlierDetection", outliers(detection, pool.panic_ppm));
    }
    if let Some(retry) = &policy.retry {
        let mut fields = self::retry(retry);
        if let Some(limit) = policy.try_timeout {
            put(&mut fields, "perTryTimeout", show(limit));
        }
        put(&mut spec, "retry", fields);
    }
    put(&mut spec, "timeouts", timeouts(policy, pool));
    put(&mut spec, "loadBalancer", balancer(&pool.load_balancer));
    if let Some(check) = &pool.health_check {
        put(&mut spec, "healthCheck", health(check));
    }
    put(&mut spec, "mode", if pool.shadow { "Shadow" } else { "Enforce" });
    spec
}

fn breaker(breaker: &CircuitBreaker) -> Map<String, Json> {
    let mut fields = Map::new();
    let limits = [
        ("maxConnections", breaker.max_connections),
        ("maxPendingRequests", breaker.max_pending_requests),
        ("maxRequests", breaker.max_requests),
        ("maxRetries", breaker.max_retries),
        ("maxRequestsPerConnection", breaker.max_requests_per_connection),
    ];
    for (key, limit) in limits {
        if let Some(limit) = limit {
            put(&mut fields, key, limit);
        }
    }
    if let Some(adaptive) = breaker.adaptive {
        let bounds = json!({"minConcurrency": adaptive.min, "maxConcurrency": adaptive.max});
        put(&mut fields, "adaptiveConcurrency", bounds);
    }
    fields
}

fn outliers(detection: &OutlierDetection, panic_ppm: u32) -> Map<String, Json> {
    let mut fields = Map::new();
    // Zero is off, of this row alone: it is on where nothing is said.
    put(&mut fields, "consecutiveErrors", detection.consecutive_errors.unwrap_or_default());
    let rows = [
        ("consecutiveGatewayErrors", detection.consecutive_gateway_errors),
        ("consecutiveLocalErrors", detection.consecutive_local_errors),
    ];
    for (key, row) in rows {
        if let Some(row) = row {
            put(&mut fields, key, row);
        }
    }
    if let Some(rate) = detection.success_rate {
        let shares = json!({
            "minimumHosts": rate.minimum_hosts,
            "requestVolume": rate.request_volume,
            "stdevFactor": f64::from(rate.stdev_factor_milli) / 1_000.0,
        });
        put(&mut fields, "successRate", shares);
    }
    if let Some(failures) = detection.failure_percent {
        let shares = json!({
            "threshold": show_percent(failures.threshold_ppm),
            "minimumHosts": failures.minimum_hosts,
            "requestVolume": failures.request_volume,
        });
        put(&mut fields, "failurePercent", shares);
    }
    put(&mut fields, "interval", show(detection.interval));
    put(&mut fields, "baseEjectionTime", show(detection.base_ejection));
    put(&mut fields, "maxEjectionTime", show(detection.max_ejection));
    put(&mut fields, "maxEjectionPercent", detection.max_ejection_ppm / 10_000);
    put(&mut fields, "panicThreshold", show_percent(panic_ppm));
    fields
}

fn retry(retry: &Retry) -> Map<String, Json> {
    let mut fields = Map::new();
    put(&mut fields, "attempts", retry.attempts);
    put(&mut fields, "on", conditions(retry));
    put(&mut fields, "statusCodes", retry.status_codes.clone());
    put(&mut fields, "methods", if retry.any_method { "all" } else { "idempotent" });
    let backoff = json!({"base": show(retry.backoff.base), "max": show(retry.backoff.max)});
    put(&mut fields, "backoff", backoff);
    if let Some(budget) = retry.budget {
        let parts = json!({"percent": budget.ppm / 10_000, "minPerSecond": budget.min_per_second});
        put(&mut fields, "budget", parts);
    }
    put(&mut fields, "maxBody", show_size(retry.max_body));
    if let Some(after) = retry.hedge_after {
        put(&mut fields, "hedge", json!({"after": show(after)}));
    }
    fields
}

fn timeouts(policy: &TrafficPolicy, pool: &ClusterPolicy) -> Map<String, Json> {
    let mut fields = Map::new();
    put(&mut fields, "connect", show(pool.connect_timeout));
    if let Some(request) = policy.request_timeout {
        put(&mut fields, "request", show(request));
    }
    // One field stands for both; the two defaults differ.
    if pool.http_idle == pool.tcp_idle {
        put(&mut fields, "idle", show(pool.http_idle));
    }
    fields
}

fn balancer(balancer: &LoadBalancer) -> Map<String, Json> {
    let mut fields = Map::new();
    put(&mut fields, "algorithm", balancer.algorithm.as_str());
    let hash_on = balancer.hash_on.as_ref().map(|hash_on| match hash_on {
        HashOn::Header(name) => json!({"header": name}),
        HashOn::Cookie(HashCookie { name, path, ttl }) => {
            let mut cookie = json!({"name": name, "path": path});
            if let Some(ttl) = ttl {
                cookie["ttl"] = show(*ttl).into();
            }
            json!({"cookie": cookie})
        }
        HashOn::SourceIp => json!({"sourceIp": true}),
    });
    if let Some(hash_on) = hash_on {
        put(&mut fields, "hashOn", hash_on);
    }
    if let Some(slow_start) = balancer.slow_start {
        put(&mut fields, "slowStart", show(slow_start));
    }
    let locality = match balancer.locality {
        Locality::Off => "off",
        Locality::Prefer => "prefer",
    };
    put(&mut fields, "locality", locality);
    fields
}

fn health(check: &HealthCheck) -> Map<String, Json> {
    let mut fields = Map::new();
    match &check.probe {
        HealthProbe::Http { path, host } if host.is_empty() => {
            put(&mut fields, "http", json!({"path": path}));
        }
        HealthProbe::Http { path, host } => {
            put(&mut fields, "http", json!({"path": path, "host": host}));
        }
        HealthProbe::Grpc { service } if service.is_empty() => put(&mut fields, "grpc", json!({})),
        HealthProbe::Grpc { service } => put(&mut fields, "grpc", json!({"service": service})),
        HealthProbe::Tcp => put(&mut fields, "tcp", json!({})),
    }
    put(&mut fields, "interval", show(check.interval));
    put(&mut fields, "timeout", show(check.timeout));
    put(&mut fields, "unhealthyAfter", check.unhealthy_after);
    put(&mut fields, "healthyAfter", check.healthy_after);
    fields
}
