//! What proxies say of the pools of the services that they call: kept within bounds, and put
//! together by service. What has changed is for the log, see `changes`.
//!
//! Every caller decides for itself, so an endpoint counts as ejected as soon as one caller has it
//! out, and a breaker as open as soon as one caller's is. Pure; what a proxy said goes with its
//! stream.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use crate::control::api::shapes::{BreakerDetail, CallerStatus, EndpointState, PoolEntry};
use crate::control::proxies::{Proxies, Proxy};
use crate::names::{ObjectName, ProxyId, ServiceName};
use crate::telemetry::limits::Limit;
use crate::telemetry::reason::Reason;
use crate::xds::agent::{Pool, PoolEndpoint, Pools, state};

pub mod changes;
#[cfg(test)]
mod tests;

/// Services of which one proxy may say something.
pub const POOLS_MAX: usize = Limit::Pools.most();

/// Endpoints of which one proxy may say something, over all services.
pub const ENDPOINTS_MAX: usize = 1_000;

/// Characters of a reason.
const WHY_MAX: usize = 200;

/// Closed, in the words of CLI.md.
const CLOSED: &str = "Closed";

/// Open, in the words of CLI.md.
const OPEN: &str = "Open";

/// What a proxy says, within bounds: by service, only real names, states and reasons.
pub fn bounded(mut said: Pools) -> Pools {
    said.pools.retain(|pool| pool.service.parse::<ServiceName>().is_ok());
    said.pools.sort_by(|a, b| a.service.cmp(&b.service));
    said.pools.dedup_by(|a, b| a.service == b.service);
    said.pools.truncate(POOLS_MAX);
    let mut room = ENDPOINTS_MAX;
    for pool in &mut said.pools {
        if let Some(breaker) = &mut pool.breaker {
            let is_reason = |word: &str| Reason::ALL.iter().any(|it| it.as_str() == word);
            breaker.refused.retain(|reason, _| is_reason(reason));
        }
        pool.endpoints.retain_mut(|endpoint| check(endpoint).is_some());
        pool.endpoints.truncate(room);
        pool.endpoints.shrink_to_fit();
        room -= pool.endpoints.len();
    }
    said
}

/// `None` for what cannot be.
fn check(endpoint: &mut PoolEndpoint) -> Option<()> {
    state_of(endpoint)?;
    endpoint.workload.parse::<ObjectName>().ok()?;
    endpoint.address.parse::<std::net::SocketAddr>().ok()?;
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    endpoint.why = endpoint.why.chars().take(WHY_MAX).map(clean).collect();
    Some(())
}

fn state_of(endpoint: &PoolEndpoint) -> Option<EndpointState> {
    Some(match endpoint.state.as_str() {
        state::EJECTED => EndpointState::Ejected,
        state::UNHEALTHY => EndpointState::Unhealthy,
        state::BY_HAND => EndpointState::ByHand,
        state::PROBATION => EndpointState::Probation,
        state::WARMING => EndpointState::Warming,
        _ => return None,
    })
}

/// The pool of one service, as all of its callers have it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PoolStatus {
    /// Endpoints that at least one caller has out.
    pub ejected: BTreeSet<String>,
    /// What breakers did.
    pub breaker: BreakerDetail,
    /// Endpoints that are not in their full share, by endpoint and caller.
    pub entries: Vec<PoolEntry>,
}

impl PoolStatus {
    /// `Open` where one caller's breaker is, else `Closed`.
    pub fn breaker_word(&self) -> &'static str {
        word(self.breaker.callers.iter().any(|caller| caller.breaker == OPEN && !caller.shadow))
    }

    fn add(&mut self, id: &ProxyId, proxy: &Proxy, pool: &Pool) {
        self.ejected.extend(pool.out().map(|endpoint| endpoint.workload.clone()));
        let refused: BTreeMap<_, _> = pool.refused().map(|(why, n)| (why.to_owned(), n)).collect();
        for (reason, count) in &refused {
            let sum = self.breaker.refused.entry(reason.clone()).or_default();
            *sum = sum.saturating_add(*count);
        }
        let breaker = pool.breaker.as_ref();
        self.breaker.callers.push(CallerStatus {
            proxy: id.to_string(),
            service: proxy.registration.service_name().to_string(),
            breaker: word(breaker.is_some_and(|breaker| breaker.open)).to_owned(),
            shadow: breaker.is_some_and(|breaker| breaker.shadow),
            refused,
            last_refused: breaker.and_then(|breaker| time(breaker.last_ms)),
            concurrency: breaker.map(|it| it.concurrency).filter(|limit| *limit > 0),
            retries_over_budget: pool.over_budget,
            ejections: pool.ejections,
            panic: pool.panic,
        });
        self.entries.extend(pool.endpoints.iter().filter_map(|endpoint| {
            Some(PoolEntry {
                endpoint: endpoint.workload.clone(),
                address: endpoint.address.clone(),
                caller: id.to_string(),
                state: state_of(endpoint)?,
                why: endpoint.why.clone(),
                since: time(endpoint.since_ms),
                until: time(endpoint.until_ms),
                ejections: endpoint.ejections,
                spared: endpoint.spared,
            })
        }));
    }
}

fn word(open: bool) -> &'static str {
    if open { OPEN } else { CLOSED }
}

/// Milliseconds of the wire; 0 says that nobody knows.
fn time(ms: u64) -> Option<Timestamp> {
    let ms = i64::try_from(ms).ok().filter(|ms| *ms > 0)?;
    Timestamp::from_millisecond(ms).ok()
}

/// The pools of which some caller has something to say, by `namespace/service`.
pub fn by_service(proxies: &Proxies) -> BTreeMap<String, PoolStatus> {
    let mut all: BTreeMap<String, PoolStatus> = BTreeMap::new();
    for (id, proxy) in proxies.iter() {
        for pool in &proxy.pools.pools {
            all.entry(pool.service.clone()).or_default().add(id, proxy, pool);
        }
    }
    for status in all.values_mut() {
        status.entries.sort_by(|a, b| {
            (&a.endpoint, &a.address, &a.caller).cmp(&(&b.endpoint, &b.address, &b.caller))
        });
    }
    all
}
