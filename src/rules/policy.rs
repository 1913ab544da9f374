//! `TrafficPolicy`: how callers treat a service.
//!
//! Fields left out keep the defaults that hold without any policy; inside of a block that is there,
//! the block's own. Where one of two values that belong together is written and would contradict
//! the other's default, the default gives way. `timeouts.idle` holds for both kinds of connection:
//! idle ones of HTTP and silent opaque ones.

use std::collections::HashSet;
use std::time::Duration;

use crate::mesh::{PolicyTarget, TrafficPolicy};
use crate::names::{ServiceLabel, ServiceName};
use crate::resource::{CircuitBreaker, ClusterPolicy, DEFAULT_PANIC_PPM};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::document::Meta;
use crate::rules::problems::Problems;
use crate::rules::values::{self, show};

mod balance;
mod breaker;
mod health;
mod outliers;
pub(in crate::rules) mod retry;

use retry::Retries;

/// As many as the Gateway API's policies allow.
const MAX_TARGETS: usize = 16;
/// The longest time that any limit may have.
const LONGEST: Duration = Duration::from_secs(99_999 * 3_600);
/// The shortest time that any limit may have.
const SHORTEST: Duration = Duration::from_millis(1);
/// What is done again and again is done no more often and no more seldom.
const INTERVALS: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(24 * 3_600));

const SPEC: Shape = Shape {
    known: &[
        "targetRefs",
        "circuitBreaker",
        "outlierDetection",
        "retry",
        "timeouts",
        "loadBalancer",
        "healthCheck",
        "mode",
    ],
    later: &[],
};
const TARGET: Shape = Shape { known: &["group", "kind", "name"], later: &["sectionName"] };
const TIMEOUTS: Shape = Shape { known: &["connect", "request", "idle"], later: &[] };
const MODES: &[(&str, bool)] = &[("Enforce", false), ("Shadow", true)];

/// Reads the `spec` of a policy.
pub(super) fn read<'a>(
    spec: &'a At<'a>,
    meta: &Meta,
    problems: &mut Problems<'_>,
) -> Option<TrafficPolicy> {
    let fields = spec.fields(problems, &SPEC)?;
    let targets = fields.need(problems, "targetRefs").map(|at| targets(&at, meta, problems));
    let breaker = fields.get("circuitBreaker").map(|at| breaker::read(&at, problems));
    let outliers = fields.get("outlierDetection").map(|at| outliers::read(&at, problems));
    let retries = fields.get("retry").map(|at| retry::read(&at, problems)).unwrap_or_default();
    let timeouts = fields.get("timeouts").map(|at| timeouts(&at, problems)).unwrap_or_default();
    let balancer = fields.get("loadBalancer").map(|at| balance::read(&at, problems));
    let health_check = fields.get("healthCheck").map(|at| health::read(&at, problems));
    let mode = fields.get("mode");
    let shadow = mode.and_then(|at| at.word(problems, MODES, &[])).unwrap_or_default();
    if let Some(at) = mode.filter(|_| shadow && breaker.is_none() && outliers.is_none()) {
        let message = "`mode: Shadow` is about `circuitBreaker` and `outlierDetection`, and there is \
                       neither";
        at.warning(problems, codes::NO_EFFECT, message.to_owned());
    }
    within_request(&fields, &retries, timeouts.request, problems);
    tight(&fields, &retries, &timeouts, problems);
    repeatable(&fields, &retries, breaker.as_ref(), problems);
    let usual = ClusterPolicy::default();
    let (outlier_detection, panic_ppm) = match outliers {
        Some((detection, panic_ppm)) => (detection, panic_ppm),
        None => (None, DEFAULT_PANIC_PPM),
    };
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
            load_balancer: balancer.unwrap_or_default(),
            circuit_breaker: breaker.unwrap_or_default(),
            outlier_detection,
            health_check: health_check.flatten(),
            panic_ppm,
            shadow,
        },
        request_timeout: timeouts.request,
        try_timeout: retries.try_timeout,
        retry: retries.retry,
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

fn timeouts<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Timeouts {
    let Some(fields) = at.fields(problems, &TIMEOUTS) else { return Timeouts::default() };
    let mut limit = |key| time(&fields, problems, key, SHORTEST, LONGEST);
    Timeouts { connect: limit("connect"), request: limit("request"), idle: limit("idle") }
}

/// No try may take longer than all of them, and none may begin after their end.
fn within_request(
    fields: &Fields<'_>,
    retries: &Retries,
    request: Option<Duration>,
    problems: &mut Problems<'_>,
) {
    let (Some(at), Some(request)) = (fields.get("retry"), request) else { return };
    let Some(block) = at.any_fields(problems) else { return };
    let hedge_after = retries.retry.as_ref().and_then(|retry| retry.hedge_after);
    let limits = [("perTryTimeout", retries.try_timeout, false), ("hedge", hedge_after, true)];
    for (key, limit, or_equal) in limits {
        let (Some(at), Some(limit)) = (block.get(key), limit) else { continue };
        if limit > request || or_equal && limit == request {
            let than = if or_equal { "not shorter" } else { "longer" };
            let message = format!(
                "`{key}` ({}) is {than} than `timeouts.request` ({})",
                show(limit),
                show(request)
            );
            at.error(problems, codes::CONTRADICTION, message);
        }
    }
}

/// Warns of times that leave no room for what is to happen within them. The waits between tries are
/// drawn from zero on, so the tries alone are what it takes at least.
fn tight(fields: &Fields<'_>, retries: &Retries, timeouts: &Timeouts, problems: &mut Problems<'_>) {
    let Some(request) = timeouts.request else { return };
    let block = fields.get("timeouts");
    if let (Some(connect), Some(at)) = (timeouts.connect.filter(|it| *it > request), block)
        && let Some(at) = at.any_fields(problems).and_then(|block| block.get("connect"))
    {
        let message =
            format!("`connect` ({}) is longer than `request` ({})", show(connect), show(request));
        at.warning(problems, codes::SHORT_TIMEOUT, message);
    }
    let (Some(retry), Some(one)) = (&retries.retry, retries.try_timeout) else { return };
    let tries = retry.attempts.saturating_add(1);
    if retry.attempts == 0 || one > request || one.saturating_mul(tries) <= request {
        return;
    }
    let Some(at) = fields.get("retry") else { return };
    let Some(at) = at.any_fields(problems).and_then(|block| block.get("perTryTimeout")) else {
        return;
    };
    let message = format!(
        "{tries} tries of {} each, and the waits between them, do not fit into `timeouts.request` ({})",
        show(one),
        show(request)
    );
    at.warning(problems, codes::SHORT_TIMEOUT, message);
}

/// A breaker that lets no repetition through makes a `retry` block pointless.
fn repeatable(
    fields: &Fields<'_>,
    retries: &Retries,
    breaker: Option<&CircuitBreaker>,
    problems: &mut Problems<'_>,
) {
    let wanted = retries.retry.as_ref().is_some_and(|retry| retry.attempts > 0);
    if !wanted || breaker.is_none_or(|breaker| breaker.max_retries != Some(0)) {
        return;
    }
    let Some(at) = fields.get("circuitBreaker") else { return };
    let Some(at) = at.any_fields(problems).and_then(|block| block.get("maxRetries")) else {
        return;
    };
    let message = "`maxRetries` is 0, so nothing of `retry` ever happens".to_owned();
    let help = "raise it, or say `attempts: 0` in `retry`";
    at.error_with(problems, codes::CONTRADICTION, message, help);
}

/// A time, if it is there.
fn time(
    fields: &Fields<'_>,
    problems: &mut Problems<'_>,
    key: &str,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    fields.get(key).and_then(|at| values::duration_within(&at, problems, least, most))
}

/// A whole number, if it is there.
fn number(
    fields: &Fields<'_>,
    problems: &mut Problems<'_>,
    key: &str,
    least: u32,
    most: u32,
) -> Option<u32> {
    let at = fields.get(key)?;
    let number = values::whole(&at, problems, codes::BAD_NUMBER, least.into(), most.into())?;
    u32::try_from(number).ok()
}

/// Reports where the value under the first key is larger than that under the second; both were
/// written.
fn ordered<T: PartialOrd + Copy>(
    fields: &Fields<'_>,
    problems: &mut Problems<'_>,
    (low_key, low): (&str, T),
    (high_key, high): (&str, T),
    show: impl Fn(T) -> String,
) {
    let (Some(at), Some(_)) = (fields.get(low_key), fields.get(high_key)) else { return };
    if low > high {
        let message =
            format!("`{low_key}` ({}) is more than `{high_key}` ({})", show(low), show(high));
        at.error(problems, codes::CONTRADICTION, message);
    }
}
