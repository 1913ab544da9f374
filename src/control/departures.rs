//! When a workload whose proxy is away stops being an endpoint: pure, with the time as argument.
//!
//! A goodbye needs none of this. A lost stream counts after [`GRACE`], only once the control plane
//! has been up for [`SETTLE`] (after a restart everyone is away for a moment), and of one service
//! at most half, rounded up, goes in any [`WINDOW`]: an outage of the network between proxies and
//! the control plane must not empty the mesh.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::names::{ProxyId, ServiceName};

#[cfg(test)]
mod tests;

/// How long a stream may be away.
pub const GRACE: Duration = Duration::from_secs(10);

/// How long the control plane waits after its start.
pub const SETTLE: Duration = Duration::from_secs(30);

/// The span in which at most half of a service goes.
pub const WINDOW: Duration = Duration::from_secs(10);

/// Who is away, and who went lately.
#[derive(Debug)]
pub struct Departures {
    started: Instant,
    away: BTreeMap<ProxyId, (ServiceName, Instant)>,
    gone: BTreeMap<ServiceName, Vec<Instant>>,
}

impl Departures {
    /// Nobody is away; the control plane started at `started`.
    pub fn new(started: Instant) -> Self {
        Self { started, away: BTreeMap::new(), gone: BTreeMap::new() }
    }

    /// The stream of `proxy`, an endpoint of `service`, was lost at `now`.
    pub fn lost(&mut self, proxy: ProxyId, service: ServiceName, now: Instant) {
        self.away.entry(proxy).or_insert((service, now));
    }

    /// `proxy` is back, or has said goodbye.
    pub fn settle(&mut self, proxy: &ProxyId) {
        self.away.remove(proxy);
    }

    /// Who stops being an endpoint now, the longest away first. `size` says how many endpoints a
    /// service has, those away included.
    pub fn due(&mut self, now: Instant, size: impl Fn(&ServiceName) -> usize) -> Vec<ProxyId> {
        self.gone.retain(|_, times| {
            times.retain(|&time| now.saturating_duration_since(time) < WINDOW);
            !times.is_empty()
        });
        if now.saturating_duration_since(self.started) < SETTLE {
            return Vec::new();
        }
        let ripe = |since: &Instant| now.saturating_duration_since(*since) >= GRACE;
        let mut candidates: Vec<_> =
            self.away.iter().filter(|(_, (_, since))| ripe(since)).collect();
        candidates.sort_by_key(|(_, (_, since))| *since);
        let mut due = Vec::new();
        // Of each service so many as it had before any of the last window went.
        let mut before = BTreeMap::new();
        for (proxy, (service, _)) in candidates {
            let gone = self.gone.get(service).map_or(0, Vec::len);
            let before = *before.entry(service).or_insert_with(|| size(service) + gone);
            if gone < before.div_ceil(2) {
                self.gone.entry(service.clone()).or_default().push(now);
                due.push(proxy.clone());
            }
        }
        for proxy in &due {
            self.away.remove(proxy);
        }
        due
    }
}
