//! What of a policy and what of a route holds for repetitions and tries.

use std::time::Duration;

use crate::compile::compile;
use crate::mesh::fixture::*;
use crate::mesh::{RouteRetry, RouteRule, Snapshot, TrafficPolicy, asked_retry};
use crate::resource::{
    CircuitBreaker, Key, OutlierDetection, Resource, Retry, RetryBackoff, RetryOn, Rule,
};

use super::{REVIEWS, called};

const NOTHING: RouteRetry = RouteRetry { codes: None, attempts: None, backoff: None };

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// The policy's repetitions are as far from every default as they can be.
fn strict() -> TrafficPolicy {
    let asked = asked_retry();
    TrafficPolicy {
        request_timeout: Some(millis(9_000)),
        try_timeout: Some(millis(700)),
        retry: Some(Retry {
            attempts: 7,
            on: RetryOn { server_error: true, reset: true, ..RetryOn::default() },
            status_codes: vec![429],
            grpc_codes: vec![14],
            any_method: true,
            backoff: RetryBackoff { base: millis(1), max: millis(2) },
            max_body: 9,
            hedge_after: Some(millis(50)),
            ..asked
        }),
        ..policy("default/p", REVIEWS, millis(9_000))
    }
}

fn mesh(policy: Option<TrafficPolicy>, rule: Option<RouteRule>) -> Snapshot {
    let mut attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    let routed_rule = rule.map(|rule| {
        attached.rules = vec![rule];
        routed(attached)
    });
    let changes = [came(workload("default/r1", "reviews", ""))].into_iter();
    let changes: Vec<_> = changes.chain(policy.map(treated)).chain(routed_rule).collect();
    empty().apply(&changes)
}

fn compiled(policy: Option<TrafficPolicy>, rule: Option<RouteRule>) -> Rule {
    called(&mesh(policy, rule)).ports.remove(0).rules.remove(0)
}

fn rule(retry: Option<RouteRetry>) -> RouteRule {
    let mut attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    RouteRule { retry, ..attached.rules.remove(0) }
}

#[test]
fn without_a_word_the_default_holds() {
    for rule in [None, Some(rule(None))] {
        let found = compiled(None, rule);
        assert_eq!(found.retry, Retry::default());
        assert_eq!(found.timeouts.backend_request, None);
    }
}

#[test]
fn the_called_services_policy_holds_where_the_route_says_nothing() {
    for rule in [None, Some(rule(None)), Some(rule(Some(NOTHING)))] {
        let found = compiled(Some(strict()), rule);
        assert_eq!(Some(found.retry), strict().retry);
        assert_eq!(found.timeouts.request, Some(millis(9_000)));
        assert_eq!(found.timeouts.backend_request, Some(millis(700)));
    }
}

#[test]
fn a_route_wins_field_by_field() {
    let policys = strict().retry.expect("said");
    let attempts = RouteRetry { attempts: Some(1), ..NOTHING };
    let found = compiled(Some(strict()), Some(rule(Some(attempts)))).retry;
    assert_eq!(found, Retry { attempts: 1, ..policys.clone() });

    let codes = RouteRetry { codes: Some(vec![500, 503]), ..NOTHING };
    let found = compiled(Some(strict()), Some(rule(Some(codes)))).retry;
    let on = RetryOn { reset: true, ..RetryOn::default() };
    let other = Retry { status_codes: vec![500, 503], on, ..policys.clone() };
    assert_eq!(found, other, "no status but these; gRPC codes and broken connections as they were");

    let backoff = RouteRetry { backoff: Some(millis(100)), ..NOTHING };
    let found = compiled(Some(strict()), Some(rule(Some(backoff)))).retry;
    let backoff = RetryBackoff { base: millis(100), max: millis(1_000) };
    assert_eq!(found, Retry { backoff, backoff_floor: millis(100), ..policys });

    let own = RouteRule { backend_request_timeout: Some(Some(millis(5))), ..rule(None) };
    let timeouts = compiled(Some(strict()), Some(own)).timeouts;
    assert_eq!(timeouts.backend_request, Some(millis(5)));
    let unlimited = RouteRule { backend_request_timeout: Some(None), ..rule(None) };
    let timeouts = compiled(Some(strict()), Some(unlimited)).timeouts;
    assert_eq!(timeouts.backend_request, None, "`0s` is no limit");
}

#[test]
fn a_route_alone_stands_on_the_blocks_defaults_and_broken_connections() {
    let found = compiled(None, Some(rule(Some(NOTHING)))).retry;
    let asked = asked_retry();
    assert_eq!(found, Retry { on: RetryOn { reset: true, ..asked.on }, ..asked });
    assert!(found.budget.is_some(), "no route escapes the budget");

    let none = RouteRetry { attempts: Some(0), backoff: Some(Duration::ZERO), ..NOTHING };
    let found = compiled(None, Some(rule(Some(none)))).retry;
    assert_eq!((found.attempts, found.backoff), (0, RetryBackoff::default()));
}

#[test]
fn the_pool_is_treated_as_its_own_policy_says() {
    let mut policy = strict();
    policy.pool.circuit_breaker = CircuitBreaker { max_requests: Some(3), ..Default::default() };
    policy.pool.outlier_detection = Some(OutlierDetection {
        consecutive_errors: Some(5),
        consecutive_gateway_errors: None,
        consecutive_local_errors: None,
        success_rate: None,
        failure_percent: None,
        interval: millis(10_000),
        base_ejection: millis(30_000),
        max_ejection: millis(300_000),
        max_ejection_ppm: 100_000,
    });
    policy.pool.shadow = true;
    let pool = policy.pool.clone();
    let mesh = mesh(Some(policy), None);
    let found = compile(&mesh, &Key::cluster(&name(REVIEWS))).expect("there").resource;
    let Resource::Cluster(cluster) = found else { panic!("{found:?}") };
    assert_eq!(cluster.policy, pool);
}
