//! Clusters and retries at random: every limit, check and way to balance that a policy may have.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use proptest::collection::{btree_map, btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

use super::{duration, identity, object_name, port, protocol, service_name};
use crate::resource::*;

const TOKEN: &str = "[a-z0-9_.-]{1,8}";

/// A number that is not zero.
fn some() -> impl Strategy<Value = u32> {
    1..=u32::MAX
}

/// A time that is not zero.
fn period() -> impl Strategy<Value = Duration> {
    (1..=u64::MAX).prop_map(Duration::from_micros)
}

fn ppm() -> impl Strategy<Value = u32> {
    0..=PARTS_PER_MILLION
}

fn load_balancer() -> impl Strategy<Value = LoadBalancer> {
    let cookie = (TOKEN, "(/[a-z]{0,5}){0,2}", option::of(duration()))
        .prop_map(|(name, path, ttl)| HashOn::Cookie(HashCookie { name, path, ttl }));
    let hash_on =
        prop_oneof!["[a-z][a-z0-9-]{0,8}".prop_map(HashOn::Header), cookie, Just(HashOn::SourceIp)];
    let algorithm = select(Algorithm::ALL.to_vec());
    let locality = select(vec![Locality::Off, Locality::Prefer]);
    (algorithm, option::of(hash_on), option::of(period()), locality).prop_map(
        |(algorithm, hash_on, slow_start, locality)| LoadBalancer {
            algorithm,
            hash_on,
            slow_start,
            locality,
        },
    )
}

fn circuit_breaker() -> impl Strategy<Value = CircuitBreaker> {
    let adaptive = (some(), some())
        .prop_map(|(one, two)| AdaptiveConcurrency { min: one.min(two), max: one.max(two) });
    let waiting = option::of(any::<u32>());
    let connections = (option::of(some()), option::of(some()));
    let requests = (option::of(some()), option::of(any::<u32>()));
    (connections, waiting, requests, option::of(adaptive)).prop_map(
        |(connections, max_pending_requests, (max_requests, max_retries), adaptive)| {
            CircuitBreaker {
                max_connections: connections.0,
                max_pending_requests,
                max_requests,
                max_retries,
                max_requests_per_connection: connections.1,
                adaptive,
            }
        },
    )
}

fn outlier_detection() -> impl Strategy<Value = OutlierDetection> {
    let rows = (option::of(some()), option::of(some()), option::of(some()));
    let success =
        (some(), some(), some()).prop_map(|(minimum_hosts, request_volume, stdev_factor_milli)| {
            SuccessRate { minimum_hosts, request_volume, stdev_factor_milli }
        });
    let failure = (1..=PARTS_PER_MILLION, some(), some()).prop_map(
        |(threshold_ppm, minimum_hosts, request_volume)| FailurePercent {
            threshold_ppm,
            minimum_hosts,
            request_volume,
        },
    );
    let times = (period(), period(), period());
    (rows, option::of(success), option::of(failure), times, ppm()).prop_map(
        |(rows, success_rate, failure_percent, times, max_ejection_ppm)| OutlierDetection {
            consecutive_errors: rows.0,
            consecutive_gateway_errors: rows.1,
            consecutive_local_errors: rows.2,
            success_rate,
            failure_percent,
            interval: times.0,
            base_ejection: times.1,
            max_ejection: times.2,
            max_ejection_ppm,
        },
    )
}

fn health_check() -> impl Strategy<Value = HealthCheck> {
    let probe = prop_oneof![
        ("/[!-~]{0,10}", "[a-z0-9.]{0,8}")
            .prop_map(|(path, host)| HealthProbe::Http { path, host }),
        "[A-Za-z.]{0,8}".prop_map(|service| HealthProbe::Grpc { service }),
        Just(HealthProbe::Tcp),
    ];
    (probe, period(), period(), some(), some()).prop_map(
        |(probe, interval, timeout, unhealthy_after, healthy_after)| HealthCheck {
            probe,
            interval,
            timeout,
            unhealthy_after,
            healthy_after,
        },
    )
}

fn cluster_policy() -> impl Strategy<Value = ClusterPolicy> {
    let times = (duration(), duration(), duration());
    let health = (option::of(outlier_detection()), option::of(health_check()));
    let panic = prop_oneof![Just(DEFAULT_PANIC_PPM), ppm()];
    (times, load_balancer(), circuit_breaker(), health, panic, any::<bool>()).prop_map(
        |(times, load_balancer, circuit_breaker, health, panic_ppm, shadow)| ClusterPolicy {
            connect_timeout: times.0,
            http_idle: times.1,
            tcp_idle: times.2,
            load_balancer,
            circuit_breaker,
            outlier_detection: health.0,
            health_check: health.1,
            panic_ppm,
            shadow,
        },
    )
}

pub(super) fn cluster() -> impl Strategy<Value = Cluster> {
    let ports = btree_map(port(), protocol(), 0..4).prop_map(|ports| {
        ports.into_iter().map(|(port, protocol)| ClusterPort { port, protocol }).collect()
    });
    let endpoints = btree_map(object_name(), endpoint(), 0..4).prop_map(|endpoints| {
        let named = |(workload, endpoint)| Arc::new(Endpoint { workload, ..endpoint });
        endpoints.into_iter().map(named).collect()
    });
    (service_name(), ports, cluster_policy(), endpoints)
        .prop_map(|(name, ports, policy, endpoints)| Cluster { name, ports, policy, endpoints })
}

fn endpoint() -> impl Strategy<Value = Endpoint> {
    let mapping = (port(), port())
        .prop_map(|(service_port, target_port)| PortMapping { service_port, target_port });
    let place = (vec(any::<IpAddr>(), 0..3), "[a-z0-9]{0,4}");
    let share = prop_oneof![Just(1), some()];
    let identity = option::of(identity());
    (object_name(), place, vec(mapping, 0..3), identity, "[a-z0-9]{0,4}", share).prop_map(
        |(workload, (addresses, zone), ports, identity, version, weight)| Endpoint {
            workload,
            addresses,
            ports,
            identity,
            version,
            weight,
            zone,
        },
    )
}

fn retry_on() -> impl Strategy<Value = RetryOn> {
    any::<[bool; 5]>().prop_map(
        |[connect_failure, refused_stream, gateway_error, server_error, reset]| RetryOn {
            connect_failure,
            refused_stream,
            gateway_error,
            server_error,
            reset,
        },
    )
}

pub(super) fn retry() -> impl Strategy<Value = Retry> {
    let codes = (btree_set(200..=599_u16, 0..4), btree_set(1..=16_u32, 0..4));
    let backoff = (duration(), duration(), duration())
        .prop_map(|(base, max, floor)| (RetryBackoff { base, max }, floor));
    let budget =
        (ppm(), any::<u32>()).prop_map(|(ppm, min_per_second)| RetryBudget { ppm, min_per_second });
    let bounds = (option::of(budget), 0..=1_u32 << 20, option::of(period()));
    let retry = (0..=100_u32, retry_on(), codes, any::<bool>(), backoff, bounds).prop_map(
        |(
            attempts,
            on,
            codes,
            any_method,
            (backoff, backoff_floor),
            (budget, max_body, hedge_after),
        )| Retry {
            attempts,
            on,
            status_codes: codes.0.into_iter().collect(),
            grpc_codes: codes.1.into_iter().collect(),
            any_method,
            backoff,
            backoff_floor,
            budget,
            max_body,
            hedge_after,
        },
    );
    prop_oneof![Just(Retry::default()), retry]
}
