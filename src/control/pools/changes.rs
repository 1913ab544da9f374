//! What became different from one word of a proxy to the next: a line of the log each.

use std::collections::HashMap;

use crate::names::ProxyId;
use crate::xds::agent::{Breaker, Pool, PoolEndpoint, Pools};

/// Lines for one message; what is over is said in one more.
const LINES: usize = 50;

/// Something worth a line.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change<'a> {
    /// An endpoint gets nothing any more, or for another reason than before.
    Out(&'a str, &'a PoolEndpoint),
    /// It gets something again, or has gone.
    Back(&'a str, &'a PoolEndpoint),
    /// The breaker refuses.
    Opened(&'a str, &'a Breaker),
    /// It has not refused for a while.
    Closed(&'a str),
    /// Too few endpoints were left, so all are used.
    Panic(&'a str),
    /// Enough are left again.
    Calm(&'a str),
}

/// What changed, in order of services.
pub fn changes<'a>(before: &'a Pools, after: &'a Pools) -> Vec<Change<'a>> {
    let quiet = Pool::default();
    let was: HashMap<&str, &Pool> = named(before).collect();
    let is: HashMap<&str, &Pool> = named(after).collect();
    let mut services: Vec<&str> = was.keys().chain(is.keys()).copied().collect();
    services.sort_unstable();
    services.dedup();
    let mut changes = Vec::new();
    for service in services {
        let (was, is) = (was.get(service).copied(), is.get(service).copied());
        endpoints(service, was, is, &mut changes);
        let open = |pool: Option<&Pool>| pool.unwrap_or(&quiet).is_open();
        match (open(was), open(is), is.and_then(|pool| pool.breaker.as_ref())) {
            (false, true, Some(breaker)) => changes.push(Change::Opened(service, breaker)),
            (true, false, _) => changes.push(Change::Closed(service)),
            _ => {}
        }
        let panic = |pool: Option<&Pool>| pool.is_some_and(|pool| pool.panic);
        match (panic(was), panic(is)) {
            (false, true) => changes.push(Change::Panic(service)),
            (true, false) => changes.push(Change::Calm(service)),
            _ => {}
        }
    }
    changes
}

fn named(pools: &Pools) -> impl Iterator<Item = (&str, &Pool)> {
    pools.pools.iter().map(|pool| (pool.service.as_str(), pool))
}

fn endpoints<'a>(
    service: &'a str,
    was: Option<&'a Pool>,
    is: Option<&'a Pool>,
    changes: &mut Vec<Change<'a>>,
) {
    let out = |pool: Option<&'a Pool>| pool.into_iter().flat_map(Pool::out);
    let name = |it: &'a PoolEndpoint| (it.workload.as_str(), it.address.as_str());
    let before: HashMap<_, _> = out(was).map(|it| (name(it), it.state.as_str())).collect();
    let after: HashMap<_, _> = out(is).map(|it| (name(it), it.state.as_str())).collect();
    let fresh = out(is).filter(|it| before.get(&name(it)) != Some(&it.state.as_str()));
    changes.extend(fresh.map(|it| Change::Out(service, it)));
    let gone = out(was).filter(|it| !after.contains_key(&name(it)));
    changes.extend(gone.map(|it| Change::Back(service, it)));
}

/// One line each, with the caller that says so.
pub fn log(caller: &ProxyId, changes: &[Change<'_>]) {
    for change in changes.iter().take(LINES) {
        line(caller, change);
    }
    if let more @ 1.. = changes.len().saturating_sub(LINES) {
        tracing::warn!(%caller, more, "more changes of its pools");
    }
}

fn line(caller: &ProxyId, change: &Change<'_>) {
    match change {
        Change::Out(service, PoolEndpoint { workload, address, state, why, until_ms, .. }) => {
            let until = super::time(*until_ms).map(tracing::field::display);
            tracing::warn!(%caller, service, endpoint = workload, address, state, why, until, "endpoint is out");
        }
        Change::Back(service, PoolEndpoint { workload, address, .. }) => {
            tracing::info!(%caller, service, endpoint = workload, address, "endpoint is no longer out");
        }
        Change::Opened(service, breaker) => {
            let refused: std::collections::BTreeMap<_, _> = breaker.refused.iter().collect();
            tracing::warn!(%caller, service, ?refused, "breaker is open");
        }
        Change::Closed(service) => tracing::info!(%caller, service, "breaker is closed"),
        Change::Panic(service) => {
            tracing::warn!(%caller, service, "too few endpoints are left, all are used");
        }
        Change::Calm(service) => {
            tracing::info!(%caller, service, "enough endpoints are left again");
        }
    }
}
