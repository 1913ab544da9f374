//! The endpoints of one service under observation: brings what workers, health checks, people and
//! time have to say before the machine in `ejection`, and tells everybody what came of it.
//!
//! Shared by all states of a cluster, so that a request that still holds an old one does no harm:
//! what counts are the endpoints in use now. The lock is taken where something changes, never for
//! a success.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::bell::Bell;
use super::clock::{self, Wall};
use super::cluster::{Cluster, ClusterCell, Endpoint, Port};
use super::ejection::{Change, Ejections, Rules, Told, What};
use super::flight::Verdict;
use super::vitals::{Crossing, Sign};
use crate::names::{ObjectName, ServiceName};
use crate::xds::agent::Pool;

#[cfg(test)]
mod tests;

/// See the head of this file.
#[derive(Debug)]
pub struct Ward {
    service: ServiceName,
    bell: Arc<Bell>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    ejections: Ejections,
    /// The endpoints in use.
    current: Weak<Cluster>,
}

impl Ward {
    /// Nobody is known yet.
    pub fn new(service: ServiceName, bell: Arc<Bell>) -> Self {
        Self { service, bell, state: Mutex::default() }
    }

    /// Other endpoints, or other rules.
    pub fn adopt(&self, cluster: &Arc<Cluster>, now: u64) {
        let mut state = self.state.lock();
        state.current = Arc::downgrade(cluster);
        if state.ejections.is_empty() {
            return;
        }
        state.ejections.adopt(&cluster.groups(), cluster.rules());
        drop(state);
        cluster.refresh(now);
    }

    /// A try at `endpoint` came to an end, and all that is judged by it is told. Why it is ejected
    /// for that, where it is.
    fn crossed(
        &self,
        endpoint: &Endpoint,
        crossing: Crossing,
        last: Verdict,
        now: u64,
    ) -> Option<String> {
        let mut ejected = None;
        self.change(|state| {
            let Some(cluster) = state.current.upgrade() else { return Vec::new() };
            let group = cluster.groups().into_iter().find(|group| has(group, endpoint));
            let Some(group) = group else { return Vec::new() };
            let crossing = (crossing, last);
            let change = state.ejections.crossed(group, endpoint, crossing, cluster.rules(), now);
            if let Some(Change { what: What::Ejected { why, .. }, .. }) = &change
                && !cluster.policy.shadow
            {
                ejected = Some(why.clone());
            }
            change.into_iter().collect()
        });
        ejected
    }

    /// Lets time pass; when there is something to do next.
    pub fn tick(&self, now: u64) -> Option<u64> {
        self.with_cluster(|ejections, cluster| match cluster.rules() {
            Rules { outliers: None, .. } if ejections.is_empty() => Vec::new(),
            rules => ejections.tick(&cluster.groups(), rules, now),
        });
        let state = self.state.lock();
        let cluster = state.current.upgrade()?;
        state.ejections.next(cluster.rules())
    }

    /// A health check of an endpoint came to an end.
    pub fn checked(&self, endpoint: &Endpoint, outcome: Result<(), String>, now: u64) {
        self.with_cluster(|ejections, cluster| {
            if !cluster.groups().iter().any(|group| has(group, endpoint)) {
                return Vec::new();
            }
            let change = ejections.checked(endpoint, outcome, cluster.rules(), now);
            change.into_iter().collect()
        });
    }

    /// Does something to the endpoints in use; whether anything changed.
    fn with_cluster(&self, act: impl FnOnce(&mut Ejections, &Cluster) -> Vec<Change>) -> bool {
        self.change(|state| match state.current.upgrade() {
            Some(cluster) => act(&mut state.ejections, &cluster),
            None => Vec::new(),
        })
    }

    /// Does something under the lock, and outside of it tells what has changed; whether anything
    /// did.
    fn change(&self, act: impl FnOnce(&mut State) -> Vec<Change>) -> bool {
        let mut state = self.state.lock();
        let changes = act(&mut state);
        let current = state.current.upgrade();
        drop(state);
        if changes.is_empty() {
            return false;
        }
        if let Some(cluster) = current {
            cluster.refresh(clock::now_ms());
        }
        for change in &changes {
            self.log(change);
        }
        self.bell.ring_changed();
        true
    }

    fn log(&self, Change { workload, address, what }: &Change) {
        let service = &self.service;
        match what {
            What::Ejected { why, for_ms } => {
                let for_seconds = *for_ms as f64 / 1_000.0;
                tracing::warn!(%service, endpoint = %workload, %address, why, for_seconds, "ejected");
            }
            What::Spared { why } => {
                let what = "not ejected: as many as may be are out";
                tracing::warn!(%service, endpoint = %workload, %address, why, "{what}");
            }
            What::Unhealthy { why } => {
                tracing::warn!(%service, endpoint = %workload, %address, why, "unhealthy");
            }
            What::OnProbation => {
                tracing::info!(%service, endpoint = %workload, %address, "on probation");
            }
            What::Back => tracing::info!(%service, endpoint = %workload, %address, "back"),
            What::Healthy => tracing::info!(%service, endpoint = %workload, %address, "healthy"),
            What::TakenOut => {
                tracing::info!(%service, endpoint = %workload, %address, "taken out by hand");
            }
            What::GivenBack | What::Restored => {
                tracing::info!(%service, endpoint = %workload, %address, "put back");
            }
        }
    }
}

fn has(group: &[Arc<Endpoint>], endpoint: &Endpoint) -> bool {
    group.iter().any(|one| one.id == endpoint.id)
}

impl ClusterCell {
    /// What there is to say of breaker and endpoints; `None` while all is as it should be.
    pub fn report(&self) -> Option<Pool> {
        let cluster = self.load()?;
        let wall = Wall::now();
        let breaker = cluster.circuit.report(wall);
        let over_budget = cluster.circuit.over_budget();
        let state = self.ward.state.lock();
        let all = cluster.groups().into_iter().flatten();
        let rules = cluster.rules();
        let said = all.clone().filter_map(|one| state.ejections.report(one, rules, wall));
        let endpoints: Vec<_> = said.collect();
        let ejections = state.ejections.total();
        let nothing = breaker.is_none() && endpoints.is_empty() && over_budget + ejections == 0;
        (!nothing).then(|| Pool {
            service: self.name.to_string(),
            breaker,
            endpoints,
            panic: cluster.ports().iter().any(Port::panics),
            total: u32::try_from(all.count()).unwrap_or(u32::MAX),
            over_budget,
            ejections,
        })
    }

    /// Takes over what another proxy tells of an endpoint of its pool; whether there is such a one.
    pub fn take_over(
        &self,
        (workload, address): (&ObjectName, SocketAddr),
        told: Told,
        now: u64,
    ) -> bool {
        let Some(cluster) = self.load() else { return false };
        let mut found = false;
        for endpoint in cluster.groups().into_iter().flatten() {
            if endpoint.workload == *workload && endpoint.address == address {
                found = true;
                let mut state = self.ward.state.lock();
                state.ejections.take_over(endpoint, told, cluster.rules(), now);
            }
        }
        cluster.refresh(now);
        found
    }

    /// Takes a workload's endpoints out by hand, for a while or until further notice; whether there
    /// are any.
    pub fn eject(&self, workload: &ObjectName, time: Option<Duration>) -> bool {
        let now = clock::now_ms();
        let until = time.map(|time| now.saturating_add(clock::millis(time)));
        self.ward.with_cluster(|ejections, cluster| {
            ejections.take_out(&cluster.groups(), workload, until, cluster.rules(), now)
        })
    }

    /// Puts a workload's endpoints back, whatever took them out; whether there are any.
    pub fn restore(&self, workload: &ObjectName) -> bool {
        let now = clock::now_ms();
        self.ward.with_cluster(|ejections, cluster| {
            ejections.restore(&cluster.groups(), workload, cluster.rules(), now)
        })
    }
}

impl Cluster {
    /// A try took so long: adaptive concurrency is told, where that says how busy the service is.
    pub(super) fn measure(&self, verdict: Verdict, took: Duration, now: Instant) {
        if is_measured(verdict) {
            self.circuit.sample(took, now);
        }
    }

    /// A try at `endpoint` came to an end: who judges outliers is told. Why it is ejected for that,
    /// where it is.
    pub(super) fn judge(&self, endpoint: &Endpoint, verdict: Verdict) -> Option<String> {
        let outliers = self.policy.outlier_detection.as_ref()?;
        let crossing = endpoint.vitals.note(Sign::of(verdict)?, outliers)?;
        self.ward.crossed(endpoint, crossing, verdict, clock::now_ms())
    }

    /// The endpoints of each port.
    pub(super) fn groups(&self) -> Vec<&[Arc<Endpoint>]> {
        self.ports().iter().map(|port| &*port.endpoints).collect()
    }

    /// The policy, as far as it concerns who takes part.
    pub(super) fn rules(&self) -> Rules<'_> {
        Rules {
            outliers: self.policy.outlier_detection.as_ref(),
            health: self.policy.health_check.as_ref(),
            slow_start: self.policy.load_balancer.slow_start,
            shadow: self.policy.shadow,
        }
    }
}

/// Whether how long it took says how busy the service is: an error may come at once.
fn is_measured(verdict: Verdict) -> bool {
    use crate::telemetry::reason::Reason::{RequestTimeout, TryTimeout};
    match verdict {
        Verdict::Answered(status, _) => status < 500,
        Verdict::Failed(reason) => matches!(reason, RequestTimeout | TryTimeout),
        Verdict::Abandoned => false,
    }
}
