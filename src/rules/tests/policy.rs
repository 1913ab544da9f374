//! What a `TrafficPolicy` means: the defaults inside of its blocks, and which of them give way.

use std::time::Duration;

use super::read;
use crate::mesh::{Object, TrafficPolicy};
use crate::resource::{
    AdaptiveConcurrency, Algorithm, CircuitBreaker, DEFAULT_MAX_BODY, FailurePercent, HashCookie,
    HashOn, HealthCheck, HealthProbe, Locality, OutlierDetection, Retry, RetryBackoff, RetryBudget,
    RetryOn, SuccessRate,
};

fn policy(spec: &str) -> TrafficPolicy {
    let text = format!(
        "apiVersion: meshctl.dev/v1alpha1\nkind: TrafficPolicy\nmetadata: {{name: a}}\n\
         spec: {{targetRefs: [{{kind: Service, name: a}}], {spec}}}\n"
    );
    let parsed = read(&text);
    let Object::TrafficPolicy(policy) = &parsed.objects[0].object else { panic!("a policy") };
    (**policy).clone()
}

fn detection(spec: &str) -> OutlierDetection {
    let spec = format!("outlierDetection: {{{spec}}}");
    policy(&spec).pool.outlier_detection.expect("there")
}

fn retry(spec: &str) -> Retry {
    policy(&format!("retry: {{{spec}}}")).retry.expect("there")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn an_empty_block_has_the_documented_numbers() {
    let expected = OutlierDetection {
        consecutive_errors: Some(5),
        consecutive_gateway_errors: None,
        consecutive_local_errors: None,
        success_rate: None,
        failure_percent: None,
        interval: seconds(10),
        base_ejection: seconds(30),
        max_ejection: seconds(300),
        max_ejection_ppm: 100_000,
    };
    assert_eq!(detection(""), expected);
    assert_eq!(policy("outlierDetection: {}").pool.panic_ppm, 500_000);
    let expected = Retry {
        attempts: 2,
        on: RetryOn {
            connect_failure: true,
            refused_stream: true,
            gateway_error: true,
            ..RetryOn::default()
        },
        status_codes: vec![],
        grpc_codes: vec![],
        any_method: false,
        backoff: RetryBackoff { base: Duration::from_millis(25), max: Duration::from_millis(250) },
        backoff_floor: Duration::ZERO,
        budget: Some(RetryBudget { ppm: 200_000, min_per_second: 3 }),
        max_body: DEFAULT_MAX_BODY,
        hedge_after: None,
    };
    assert_eq!(retry(""), expected);
    let shares = detection("successRate: {}, failurePercent: {}");
    let rate = SuccessRate { minimum_hosts: 5, request_volume: 100, stdev_factor_milli: 1_900 };
    assert_eq!(shares.success_rate, Some(rate));
    let failures = FailurePercent { threshold_ppm: 850_000, minimum_hosts: 5, request_volume: 50 };
    assert_eq!(shares.failure_percent, Some(failures));
    let breaker = policy("circuitBreaker: {adaptiveConcurrency: {}}").pool.circuit_breaker;
    let adaptive = Some(AdaptiveConcurrency { min: 3, max: 1_000 });
    assert_eq!(breaker, CircuitBreaker { adaptive, ..CircuitBreaker::default() });
    let check = HealthCheck {
        probe: HealthProbe::Http { path: "/".to_owned(), host: String::new() },
        interval: seconds(5),
        timeout: seconds(1),
        unhealthy_after: 3,
        healthy_after: 2,
    };
    assert_eq!(policy("healthCheck: {http: {}}").pool.health_check, Some(check));
}

#[test]
fn a_policy_without_blocks_changes_nothing() {
    let plain = policy("mode: Enforce");
    assert_eq!(plain.pool, crate::resource::ClusterPolicy::default());
    assert_eq!((plain.retry, plain.try_timeout), (None, None));
}

#[test]
fn a_default_gives_way_to_what_is_written() {
    let long = detection("baseEjectionTime: 1h");
    assert_eq!((long.base_ejection, long.max_ejection), (seconds(3_600), seconds(3_600)));
    let short = detection("maxEjectionTime: 10s");
    assert_eq!((short.base_ejection, short.max_ejection), (seconds(10), seconds(10)));
    let slow = retry("backoff: {base: 1s}").backoff;
    assert_eq!((slow.base, slow.max), (seconds(1), seconds(10)));
    let fast = retry("backoff: {max: 10ms}").backoff;
    assert_eq!(fast.base, Duration::from_millis(10));
    let check = |spec: &str| {
        let spec = format!("healthCheck: {{tcp: {{}}, {spec}}}");
        policy(&spec).pool.health_check.expect("there")
    };
    assert_eq!(check("timeout: 10s").interval, seconds(10));
    assert_eq!(check("interval: 100ms").timeout, Duration::from_millis(100));
    let wide = policy("circuitBreaker: {adaptiveConcurrency: {minConcurrency: 5000}}");
    let wide = wide.pool.circuit_breaker.adaptive.expect("there");
    assert_eq!((wide.min, wide.max), (5_000, 5_000));
}

#[test]
fn conditions_and_codes_are_sorted_into_their_places() {
    let found =
        retry("on: [unavailable, 5xx, retriable-status-codes, cancelled], statusCodes: [503, 425]");
    assert_eq!(found.on, RetryOn { server_error: true, ..RetryOn::default() });
    assert_eq!((found.status_codes, found.grpc_codes), (vec![425, 503], vec![1, 14]));
    let implied = retry("statusCodes: [429]");
    assert!(implied.on.gateway_error, "codes come on top of the default conditions");
    assert_eq!(implied.status_codes, [429]);
}

#[test]
fn zero_is_taken_where_it_means_something() {
    let none = policy("circuitBreaker: {maxPendingRequests: 0, maxRetries: 0}");
    let none = none.pool.circuit_breaker;
    assert_eq!((none.max_pending_requests, none.max_retries), (Some(0), Some(0)));
    let off = detection("consecutiveErrors: 0, failurePercent: {}");
    assert_eq!(off.consecutive_errors, None);
    assert_eq!(policy("outlierDetection: {panicThreshold: 0%}").pool.panic_ppm, 0);
    assert_eq!(retry("attempts: 0").attempts, 0);
    assert_eq!(retry("maxBody: 0KiB").max_body, 0);
    let floor = retry("budget: {percent: 0}").budget;
    assert_eq!(floor, Some(RetryBudget { ppm: 0, min_per_second: 3 }));
}

#[test]
fn consistent_algorithms_hash_the_caller_unless_told_otherwise() {
    let balancer = |spec: &str| policy(&format!("loadBalancer: {{{spec}}}")).pool.load_balancer;
    assert_eq!(balancer("algorithm: maglev").hash_on, Some(HashOn::SourceIp));
    assert_eq!(balancer("algorithm: ewma").hash_on, None);
    let header = balancer("algorithm: ring-hash, hashOn: {header: X-User}, locality: prefer");
    assert_eq!(header.hash_on, Some(HashOn::Header("x-user".to_owned())));
    assert_eq!((header.algorithm, header.locality), (Algorithm::RingHash, Locality::Prefer));
    let cookie = balancer("algorithm: maglev, hashOn: {cookie: {name: Who}}").hash_on;
    let expected = HashCookie { name: "Who".to_owned(), path: "/".to_owned(), ttl: None };
    assert_eq!(cookie, Some(HashOn::Cookie(expected)));
}
