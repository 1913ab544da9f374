//! How the pools of the services that this proxy calls are, as JSON and as counters.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::telemetry::prometheus::PoolCounts;
use crate::xds::agent::{Breaker, Pool, PoolEndpoint};

/// One pool, for people and scripts.
pub(super) fn json(pool: &Pool) -> Value {
    json!({
        "service": pool.service,
        "endpoints": pool.total,
        "panic": pool.panic,
        "ejections": pool.ejections,
        "retriesOverBudget": pool.over_budget,
        "breaker": pool.breaker.as_ref().map(breaker),
        "out": pool.endpoints.iter().map(endpoint).collect::<Vec<_>>(),
    })
}

fn breaker(breaker: &Breaker) -> Value {
    let refused: std::collections::BTreeMap<_, _> = breaker.refused.iter().collect();
    json!({
        "open": breaker.open,
        "shadow": breaker.shadow,
        "refused": refused,
        "lastRefused": time(breaker.last_ms),
        "concurrency": (breaker.concurrency > 0).then_some(breaker.concurrency),
    })
}

fn endpoint(endpoint: &PoolEndpoint) -> Value {
    json!({
        "endpoint": endpoint.workload,
        "address": endpoint.address,
        "state": endpoint.state,
        "why": endpoint.why,
        "since": time(endpoint.since_ms),
        "until": time(endpoint.until_ms),
        "ejections": endpoint.ejections,
        "spared": endpoint.spared,
    })
}

/// The same as counters of `proxy`, which belongs to `service`.
pub(super) fn counts<'a>(pool: &'a Pool, proxy: &'a str, service: &'a str) -> PoolCounts<'a> {
    PoolCounts {
        proxy,
        source: service,
        destination: &pool.service,
        breaker_open: pool.is_open(),
        refused: pool.refused().collect(),
        concurrency: pool.breaker.as_ref().map_or(0, |breaker| breaker.concurrency),
        endpoints: pool.total,
        out: pool.out().count(),
        ejections: pool.ejections,
        panic: pool.panic,
        over_budget: pool.over_budget,
    }
}

fn time(ms: u64) -> Option<String> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    Some(Timestamp::from_millisecond(ms).ok()?.to_string())
}
