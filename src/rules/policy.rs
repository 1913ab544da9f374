//! `TrafficPolicy`: how callers treat a service.
//!
//! Fields left out keep the defaults that hold without any policy. `timeouts.idle` holds for both
//! kinds of connection: idle ones of HTTP and silent opaque ones.

use std::collections::HashSet;
use std::time::Duration;

use crate::mesh::{PolicyTarget, TrafficPolicy};
use crate::names::{ServiceLabel, ServiceName};
use crate::resource::{Algorithm, ClusterPolicy, LoadBalancer, Retry};
use crate::rules::at::{At, Shape};
use crate::rules::codes;
use crate::rules::document::Meta;
use crate::rules::problems::Problems;
use crate::rules::values;

/// As many as the Gateway API's policies allow.
const MAX_TARGETS: usize = 16;
/// The longest time that any limit may have.
const LONGEST: Duration = Duration::from_secs(99_999 * 3_600);

const SPEC: Shape = Shape {
    known: &["targetRefs", "timeouts", "loadBalancer"],
    later: &["circuitBreaker", "outlierDetection", "retry", "healthCheck", "mode"],
};
const TARGET: Shape = Shape { known: &["group", "kind", "name"], later: &["sectionName"] };
const TIMEOUTS: Shape = Shape { known: &["connect", "request", "idle"], later: &[] };
const LOAD_BALANCER: Shape =
    Shape { known: &["algorithm"], later: &["hashOn", "slowStart", "locality"] };

/// Reads the `spec` of a policy.
pub(super) fn read<'a>(
    spec: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<TrafficPolicy> {
    let fields = spec.fields(problems, &SPEC)?;
    let targets = fields.need(problems, "targetRefs").map(|at| targets(&at, meta, problems));
    let timeouts = match fields.get("timeouts") {
        Some(at) => timeouts(&at, problems),
        None => Some(Timeouts::default()),
    };
    let algorithm = match fields.get("loadBalancer") {
        Some(at) => load_balancer(&at, problems),
        None => Some(Algorithm::default()),
    };
    let timeouts = timeouts?;
    let usual = ClusterPolicy::default();
    Some(TrafficPolicy {
        namespace: meta.namespace.clone(),
        name: meta.name.clone(),
        generation: meta.generation,
        created_ms: meta.created_ms,
        targets: targets?,
        pool: ClusterPolicy {
            connect_timeout: timeouts.connect.unwrap_or(usual.connect_timeout),
            http_idle: timeouts.idle.unwrap_or(usual.http_idle),
            tcp_idle: timeouts.idle.unwrap_or(usual.tcp_idle),
            load_balancer: LoadBalancer { algorithm: algorithm?, ..LoadBalancer::default() },
            ..usual
        },
        request_timeout: timeouts.request,
        try_timeout: None,
        retry: Retry::default(),
    })
}

/// The services that a policy is about, of any kind of policy.
pub(super) fn targets<'a>(
    at: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Vec<PolicyTarget> {
    let mut seen = HashSet::new();
    let mut targets = Vec::new();
    for item in at.items(problems, 1, MAX_TARGETS) {
        let Some(name) = target(&item, problems) else { continue };
        if !seen.insert(name.clone()) {
            let message = format!("target `{name}` stands twice");
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        targets.push(PolicyTarget { service: ServiceName::new(meta.namespace.clone(), name) });
    }
    targets
}

fn target<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<ServiceLabel> {
    let fields = at.fields(problems, &TARGET)?;
    if let Some(at) = fields.get("group") {
        at.word(problems, &[("", ()), ("core", ())], &["gateway.networking.k8s.io"])?;
    }
    let kind = fields.need(problems, "kind").and_then(|at| {
        at.word(problems, &[("Service", ())], &["HTTPRoute", "GRPCRoute", "TCPRoute", "TLSRoute"])
    });
    let name = fields.need(problems, "name").and_then(|at| values::name(&at, problems));
    kind?;
    name
}

#[derive(Default)]
struct Timeouts {
    connect: Option<Duration>,
    request: Option<Duration>,
    idle: Option<Duration>,
}

fn timeouts<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<Timeouts> {
    let fields = at.fields(problems, &TIMEOUTS)?;
    let mut limit = |key| {
        let at = fields.get(key)?;
        values::duration_within(&at, problems, Duration::from_millis(1), LONGEST)
    };
    Some(Timeouts { connect: limit("connect"), request: limit("request"), idle: limit("idle") })
}

fn load_balancer<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<Algorithm> {
    let fields = at.fields(problems, &LOAD_BALANCER)?;
    let words = [
        ("least-request", Algorithm::LeastRequest),
        ("round-robin", Algorithm::RoundRobin),
        ("random", Algorithm::Random),
    ];
    match fields.get("algorithm") {
        Some(at) => at.word(problems, &words, &["ewma", "ring-hash", "maglev"]),
        None => Some(Algorithm::default()),
    }
}
