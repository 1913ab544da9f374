//! Whose turn it is to be asked: every endpoint of a pool with health checks, soon after it has come
//! and then once in an interval, give or take a tenth, never twice at a time.
//!
//! A machine without a clock. Nothing looks at all endpoints but [`Rounds::reconcile`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use fastrand::Rng;

use crate::names::{Protocol, ServiceName};
use crate::proxy::clock::millis;
use crate::proxy::cluster::{Cluster, ClusterCell, Endpoint};
use crate::resource::HealthCheck;

/// Within this time after it has come an endpoint is asked first, milliseconds.
const FIRST: u64 = 500;

/// A check that is to be made now.
#[derive(Debug)]
pub(super) struct Due {
    /// [`Endpoint::id`].
    pub(super) id: u64,
    pub(super) service: ServiceName,
    pub(super) endpoint: Arc<Endpoint>,
    pub(super) protocol: Protocol,
    pub(super) check: HealthCheck,
}

#[derive(Debug)]
struct Patient {
    cell: Arc<ClusterCell>,
    endpoint: Arc<Endpoint>,
    protocol: Protocol,
    check: HealthCheck,
    /// When it is asked next; where it is being asked, when it was asked.
    at: u64,
    is_asked: bool,
}

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Rounds {
    patients: HashMap<u64, Patient>,
    /// Those that are not being asked, by when they are asked next.
    schedule: BTreeSet<(u64, u64)>,
    rng: Rng,
}

impl Rounds {
    /// Nobody is to be asked.
    pub(super) fn new(seed: u64) -> Self {
        let rng = Rng::with_seed(seed);
        Self { patients: HashMap::new(), schedule: BTreeSet::new(), rng }
    }

    /// These pools are asked and no others.
    pub(super) fn reconcile(&mut self, pools: &[(Arc<ClusterCell>, Arc<Cluster>)], now: u64) {
        if pools.is_empty() && self.patients.is_empty() {
            return;
        }
        let mut before = std::mem::take(&mut self.patients);
        for (cell, cluster) in pools {
            let Some(check) = &cluster.policy.health_check else { continue };
            for port in cluster.ports() {
                for endpoint in &port.endpoints {
                    let known = before.remove(&endpoint.id);
                    let known = known.filter(|known| known.check == *check);
                    let patient = known.unwrap_or_else(|| {
                        let first = FIRST.min(millis(check.interval));
                        Patient {
                            cell: Arc::clone(cell),
                            endpoint: Arc::clone(endpoint),
                            protocol: port.protocol,
                            check: check.clone(),
                            at: now + self.rng.u64(..=first),
                            is_asked: false,
                        }
                    });
                    self.patients.insert(endpoint.id, patient);
                }
            }
        }
        let waiting = self.patients.iter().filter(|(_, patient)| !patient.is_asked);
        self.schedule = waiting.map(|(id, patient)| (patient.at, *id)).collect();
    }

    /// The check that is due longest, which begins now.
    pub(super) fn begin(&mut self, now: u64) -> Option<Due> {
        let (at, id) = *self.schedule.first()?;
        if at > now {
            return None;
        }
        self.schedule.pop_first();
        let patient = self.patients.get_mut(&id)?;
        (patient.at, patient.is_asked) = (now, true);
        Some(Due {
            id,
            service: patient.cell.name.clone(),
            endpoint: Arc::clone(&patient.endpoint),
            protocol: patient.protocol,
            check: patient.check.clone(),
        })
    }

    /// A check has ended; whose it was, if that is still to be asked.
    pub(super) fn end(&mut self, id: u64, now: u64) -> Option<(Arc<ClusterCell>, Arc<Endpoint>)> {
        // One that began under another policy says nothing under this one.
        let patient = self.patients.get_mut(&id).filter(|patient| patient.is_asked)?;
        let interval = millis(patient.check.interval).max(1);
        let jittered = interval - interval / 10 + self.rng.u64(..=interval / 5);
        (patient.at, patient.is_asked) = ((patient.at + jittered).max(now), false);
        self.schedule.insert((patient.at, id));
        Some((Arc::clone(&patient.cell), Arc::clone(&patient.endpoint)))
    }

    /// When the next check is due.
    pub(super) fn next(&self) -> Option<u64> {
        self.schedule.first().map(|(at, _)| *at)
    }
}
