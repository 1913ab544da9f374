//! What people are told of a service agrees with what proxies get.

use std::time::Duration;

use crate::compile::{RoutesInForce, describe};
use crate::mesh::fixture::*;
use crate::names::Protocol;

const REVIEWS: &str = "default/reviews";

#[test]
fn routes_stand_in_order_of_precedence_with_their_origin() {
    let attached =
        route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/")], vec![prefix("/a")]]);
    let mesh = empty().apply(&[came(workload("default/r1", "reviews", "")), routed(attached)]);
    let view = describe(&mesh, &name(REVIEWS), None).expect("a service");
    let RoutesInForce::Routes(routes) = &view.ports[0].routes else { panic!("{view:?}") };
    let found: Vec<_> = routes.iter().map(|it| format!("{} of {}", it.rule, it.origin)).collect();
    let rule = |n| format!("HTTPRoute/default/r/{n} of HTTPRoute/default/r");
    assert_eq!(found, [rule(1), rule(0)]);
    assert_eq!((view.endpoints.len(), view.workloads), (1, 1));
    assert_eq!(describe(&mesh, &name("default/nobody"), None), None);
}

#[test]
fn routes_without_effect_on_an_opaque_port_are_named() {
    let mut opaque = workload("default/r1", "reviews", "");
    opaque.ports[0].protocol = Protocol::Tcp;
    let attached = route("default/r", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    let reference = attached.reference();
    let mesh = empty().apply(&[came(opaque), routed(attached)]);
    let view = describe(&mesh, &name(REVIEWS), None).expect("a service");
    let RoutesInForce::Opaque(_, without_effect) = &view.ports[0].routes else {
        panic!("{view:?}")
    };
    assert_eq!(*without_effect, [reference]);
}

#[test]
fn each_setting_says_which_policy_made_it() {
    let second = Duration::from_secs(90);
    let mut young = policy("default/a", REVIEWS, second);
    young.created_ms = 2;
    let mesh = empty().apply(&[
        came(workload("default/r1", "reviews", "")),
        treated(policy("default/b", REVIEWS, second)),
        treated(young),
    ]);
    let view = describe(&mesh, &name(REVIEWS), None).expect("a service").policy;
    assert_eq!(view.in_force.map(|it| it.to_string()).as_deref(), Some("TrafficPolicy/default/b"));
    assert_eq!(view.waiting.len(), 1);
    let made: Vec<_> = view.values.iter().filter(|it| it.source.is_some()).collect();
    let [request] = made.as_slice() else { panic!("{made:?}") };
    assert_eq!((request.field, request.value.as_str()), ("timeouts.request", "90s"));
    let value = |field| {
        let value = view.values.iter().find(|it| it.field == field);
        value.map(|it| it.value.as_str())
    };
    let defaults = [
        ("circuitBreaker.maxRequests", "none"),
        ("outlierDetection.consecutiveErrors", "none"),
        ("outlierDetection.panicThreshold", "50%"),
        ("mode", "Enforce"),
        ("retry.attempts", "1"),
        ("retry.on", "connect-failure, refused-stream"),
        ("retry.budget", "none"),
        ("timeouts.connect", "1s"),
        ("timeouts.idle", "5m"),
        ("timeouts.idle (tcp)", "1h"),
        ("loadBalancer.algorithm", "least-request"),
        ("healthCheck", "none"),
    ];
    for (field, default) in defaults {
        assert_eq!(value(field), Some(default), "{field}");
    }
}
