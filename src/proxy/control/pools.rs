//! What is told of the pools of the services that we call, and what a person orders about them.
//!
//! What is told replaces what was told before: at most every [`EVERY`], and at once after an order,
//! before its answer, so that whoever ordered finds it done.

use std::time::{Duration, Instant};

use super::{Control, reports};
use crate::names::{ObjectName, ServiceName};
use crate::xds::agent::{EndpointOrder, Pools, up};

/// Between two messages.
const EVERY: Duration = Duration::from_secs(1);

/// Milliseconds by which one moment may be told differently.
const JITTER: u64 = 20;

/// What was told on this link; nothing at first, which the control plane takes for all being well.
#[derive(Debug, Default)]
pub(super) struct Said {
    pools: Pools,
    at: Option<Instant>,
}

impl Said {
    /// Whether something may be told at `now`.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.at.is_none_or(|before| now.duration_since(before) >= EVERY)
    }

    /// The message, where it differs from the one before.
    pub(super) fn news(&mut self, mut pools: Pools, now: Instant) -> Option<Pools> {
        steady(&self.pools, &mut pools);
        if pools == self.pools {
            return None;
        }
        (self.pools, self.at) = (pools.clone(), Some(now));
        Some(pools)
    }
}

/// Times come from two clocks, so that one moment is not told alike each time: what is nearly as
/// before is as before.
fn steady(before: &Pools, pools: &mut Pools) {
    let nearly = |was: u64, is: &mut u64| {
        if was > 0 && *is > 0 && was.abs_diff(*is) < JITTER {
            *is = was;
        }
    };
    for pool in &mut pools.pools {
        let Some(was) = before.pools.iter().find(|was| was.service == pool.service) else {
            continue;
        };
        if let (Some(was), Some(is)) = (&was.breaker, &mut pool.breaker) {
            nearly(was.last_ms, &mut is.last_ms);
        }
        // In the same order, as long as nothing has changed.
        for (was, is) in was.endpoints.iter().zip(&mut pool.endpoints) {
            nearly(was.since_ms, &mut is.since_ms);
            nearly(was.until_ms, &mut is.until_ms);
        }
    }
}

impl Control {
    /// Tells how the pools are, where that has changed and it is time.
    pub(super) fn report_pools(&mut self, now: Instant) {
        if self.link.is_some() && self.agency.pools.is_due(now) {
            self.tell_pools(now);
        }
    }

    fn tell_pools(&mut self, now: Instant) {
        let pools = Pools { pools: self.directory.pools() };
        if let Some(pools) = self.agency.pools.news(pools, now) {
            self.send(reports::wrap(up::Message::Pools(pools)));
        }
    }

    /// Takes an endpoint out.
    pub(super) fn eject(&mut self, order: &EndpointOrder) -> Result<String, String> {
        let time = (order.seconds > 0).then(|| Duration::from_secs(order.seconds));
        self.order(order, |pool, workload| pool.eject(workload, time))?;
        tracing::info!(
            service = order.service,
            endpoint = order.workload,
            ?time,
            "taken out by hand"
        );
        Ok(String::new())
    }

    /// Puts an endpoint back.
    pub(super) fn put_back(&mut self, order: &EndpointOrder) -> Result<String, String> {
        self.order(order, |pool, workload| pool.restore(workload))?;
        tracing::info!(service = order.service, endpoint = order.workload, "put back by hand");
        Ok(String::new())
    }

    /// Does something to an endpoint, and tells how the pools are then.
    fn order(
        &mut self,
        EndpointOrder { service, workload, .. }: &EndpointOrder,
        act: impl FnOnce(&crate::proxy::cluster::ClusterCell, &ObjectName) -> bool,
    ) -> Result<(), String> {
        let name: ServiceName = service.parse().map_err(|error| format!("{error}"))?;
        let endpoint: ObjectName = workload.parse().map_err(|error| format!("{error}"))?;
        let pool = self.directory.called(&name).ok_or("it does not call that service")?;
        if !act(&pool, &endpoint) {
            return Err("it knows of no such endpoint that is ready".to_owned());
        }
        self.tell_pools(Instant::now());
        Ok(())
    }
}
