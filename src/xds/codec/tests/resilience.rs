//! Limits, health and repetitions on the wire: what costs nothing where nobody asked for it, what an
//! older proxy may not overlook, and which values no proxy takes.

use std::time::Duration;

use prost::Message;

use super::*;
use crate::resource::{
    Cluster, ClusterPolicy, Endpoint, HashCookie, HashOn, HealthCheck, HealthProbe, LoadBalancer,
    OutlierDetection, Retry, Rule, Service, ServicePort,
};

/// What every resource says of who may read it.
#[derive(Clone, PartialEq, Message)]
struct Requires {
    #[prost(uint32, tag = "15")]
    requires: u32,
}

fn requires(resource: &Resource) -> u32 {
    Requires::decode(encode(resource).body).unwrap().requires
}

fn cluster(policy: ClusterPolicy) -> Cluster {
    let name = "shop/web".parse().unwrap();
    Cluster { name, ports: Vec::new(), policy, endpoints: Vec::new() }
}

fn endpoint(weight: u32, zone: &str) -> Endpoint {
    Endpoint {
        workload: "web-1".parse().unwrap(),
        addresses: Vec::new(),
        ports: Vec::new(),
        identity: None,
        version: String::new(),
        weight,
        zone: zone.into(),
    }
}

fn service(retry: Retry) -> Resource {
    let rule = Rule {
        id: crate::names::RuleId("default/shop/web".into()),
        backends: Vec::new(),
        request_headers: crate::resource::HeaderEdit::default(),
        response_headers: crate::resource::HeaderEdit::default(),
        redirect: None,
        rewrite: crate::resource::Rewrite::default(),
        timeouts: crate::resource::Timeouts::default(),
        retry,
    };
    let port = ServicePort {
        port: 80,
        protocol: crate::names::Protocol::Http,
        matches: Vec::new(),
        rules: vec![rule],
        faults: Vec::new(),
    };
    let name = "shop/web".parse().unwrap();
    Resource::Service(Service {
        name,
        consumer: None,
        overridden_in: Vec::new(),
        ports: vec![port],
    })
}

fn refused(resource: &Resource) -> String {
    let Encoded { key, body, .. } = encode(resource);
    decode(key.kind, &key.name, &body).unwrap_err().to_string()
}

fn detection() -> OutlierDetection {
    OutlierDetection {
        consecutive_errors: Some(5),
        consecutive_gateway_errors: None,
        consecutive_local_errors: None,
        success_rate: None,
        failure_percent: None,
        interval: Duration::from_secs(10),
        base_ejection: Duration::from_secs(30),
        max_ejection: Duration::from_secs(300),
        max_ejection_ppm: 100_000,
    }
}

fn check() -> HealthCheck {
    HealthCheck {
        probe: HealthProbe::Tcp,
        interval: Duration::from_secs(5),
        timeout: Duration::from_secs(1),
        unhealthy_after: 3,
        healthy_after: 2,
    }
}

#[test]
fn what_nobody_asked_for_is_not_sent() {
    let plain = encode(&Resource::Cluster(cluster(ClusterPolicy::default()))).body;
    let policy =
        b"\x1a\x12\x08\xc0\x84\x3d\x10\x80\xc6\x86\x8f\x01\x18\x80\xc8\xce\xb4\x0d\x20\x01";
    assert_eq!(plain, [b"\x0a\x08shop/web".as_slice(), policy].concat());
    let with = |endpoint: Endpoint| {
        let endpoints = vec![endpoint.into()];
        Resource::Cluster(Cluster { endpoints, ..cluster(ClusterPolicy::default()) })
    };
    let one = encode(&with(endpoint(1, "")));
    assert_eq!(&one.body[plain.len()..], b"\x22\x07\x0a\x05web-1");
    assert_eq!(requires(&with(endpoint(7, "north"))), 0, "an older proxy may overlook it");
}

#[test]
fn an_older_proxy_must_not_overlook_a_policy() {
    let usual = ClusterPolicy::default;
    let hash_on = Some(HashOn::SourceIp);
    let policies = [
        ClusterPolicy { outlier_detection: Some(detection()), ..usual() },
        ClusterPolicy { health_check: Some(check()), ..usual() },
        ClusterPolicy {
            load_balancer: LoadBalancer { hash_on, ..LoadBalancer::default() },
            ..usual()
        },
        ClusterPolicy {
            circuit_breaker: crate::resource::CircuitBreaker {
                max_requests: Some(1),
                ..Default::default()
            },
            ..usual()
        },
    ];
    for policy in policies {
        let resource = Resource::Cluster(cluster(policy));
        assert_eq!(requires(&resource), field::RESILIENCE, "{resource:?}");
    }
    let once = Duration::from_secs(2);
    let timeouts = ClusterPolicy { connect_timeout: once, ..usual() };
    assert_eq!(requires(&Resource::Cluster(cluster(timeouts))), 0);
    assert_eq!(requires(&service(Retry::default())), 0);
    let never = Retry { attempts: 0, ..Retry::default() };
    assert_eq!(requires(&service(never)), field::RESILIENCE);
}

#[test]
fn a_time_or_number_that_means_nothing_is_refused() {
    let of = |policy| refused(&Resource::Cluster(cluster(policy)));
    let usual = ClusterPolicy::default;
    let zero = OutlierDetection { interval: Duration::ZERO, ..detection() };
    let error = of(ClusterPolicy { outlier_detection: Some(zero), ..usual() });
    assert_eq!(error, "policy.outlier_detection.interval: is no time at all");
    let none = OutlierDetection { consecutive_errors: Some(0), ..detection() };
    let error = of(ClusterPolicy { outlier_detection: Some(none), ..usual() });
    assert_eq!(
        error,
        "policy.outlier_detection.consecutive_errors: 0 is not within 1 to 4294967295"
    );
    let zero = HealthCheck { interval: Duration::ZERO, ..check() };
    let error = of(ClusterPolicy { health_check: Some(zero), ..usual() });
    assert_eq!(error, "policy.health_check.interval: is no time at all");
    let all = ClusterPolicy { panic_ppm: 1_000_001, ..usual() };
    assert_eq!(of(all), "policy.panic_ppm: 1000001 is not within 0 to 1000000");
    let nothing = Cluster { endpoints: vec![endpoint(0, "").into()], ..cluster(usual()) };
    let error = refused(&Resource::Cluster(nothing));
    assert_eq!(error, "endpoints[0].weight: 0 is not within 1 to 4294967295");
    let twice = Retry { status_codes: vec![503, 503], ..Retry::default() };
    let error = refused(&service(twice));
    assert_eq!(error, "ports[0].rules[0].retry.status_codes: is out of order or has duplicates");
    let huge = Retry { max_body: 2 << 20, ..Retry::default() };
    let error = refused(&service(huge));
    assert_eq!(error, "ports[0].rules[0].retry.max_body: 2097152 is not within 0 to 1048576");
}

#[test]
fn what_goes_into_a_message_cannot_break_it() {
    let hashing = |hash_on| {
        let load_balancer = LoadBalancer { hash_on: Some(hash_on), ..LoadBalancer::default() };
        let policy = ClusterPolicy { load_balancer, ..ClusterPolicy::default() };
        refused(&Resource::Cluster(cluster(policy)))
    };
    let cookie = |name: &str, path: &str| {
        hashing(HashOn::Cookie(HashCookie { name: name.into(), path: path.into(), ttl: None }))
    };
    let field = "policy.balancing.hash_on";
    assert_eq!(cookie("a;b", ""), format!("{field}: is not a cookie name"));
    assert_eq!(cookie("a", "/; Domain=example"), format!("{field}: is not a cookie path"));
    let upper = hashing(HashOn::Header("X-User".into()));
    assert_eq!(upper, format!("{field}: is not a header name in lower case"));
    let probe = HealthProbe::Http { path: "/\r\nx: y".into(), host: String::new() };
    let health_check = Some(HealthCheck { probe, ..check() });
    let policy = ClusterPolicy { health_check, ..ClusterPolicy::default() };
    let error = refused(&Resource::Cluster(cluster(policy)));
    assert_eq!(error, "policy.health_check.path: is not visible ASCII");
}
