//! The one who looks at the time for all pools: ends ejections, judges intervals, lets shares grow,
//! asks endpoints how they are. Runs on the control thread's runtime; workers never wait for it.
//!
//! It looks once a second, earlier where something is due earlier, and whenever a pool rings.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use super::captured::{OwnPod, is_local};
use super::clock;
use super::cluster::Cluster;
use super::connect::Dialer;
use super::directory::Directory;
use super::health::{self, Question};
use crate::certs::Tls;
use crate::names::ServiceName;
use crate::telemetry::panics::Panics;
use rounds::{Due, Rounds};

mod rounds;
#[cfg(test)]
mod tests;

/// The longest time between two looks.
const LOOK: u64 = 1_000;

/// Health checks under way at a time.
const AT_ONCE: usize = 64;

/// What comes of one health check; nothing where the check itself broke.
type Outcome = (u64, Option<Result<(), String>>);

/// See the head of this file.
#[derive(Debug)]
pub struct Warden {
    directory: Arc<Directory>,
    tls: Arc<Tls>,
    own_pod: Option<Arc<OwnPod>>,
    panics: Panics,
    rounds: Rounds,
    checks: JoinSet<Outcome>,
    /// Pools in which somebody warmed up at the last look.
    warming: HashSet<ServiceName>,
    /// When all pools are looked at again.
    look_at: u64,
}

impl Warden {
    /// Watches over the pools of `directory`; `own_pod` is how calls of the own pod come in.
    pub fn new(
        directory: Arc<Directory>,
        tls: Arc<Tls>,
        own_pod: Option<Arc<OwnPod>>,
        panics: Panics,
    ) -> Self {
        Self {
            directory,
            tls,
            own_pod,
            panics,
            rounds: Rounds::new(fastrand::u64(..)),
            checks: JoinSet::new(),
            warming: HashSet::new(),
            look_at: 0,
        }
    }

    /// Runs until it is dropped.
    pub async fn run(mut self) {
        let directory = Arc::clone(&self.directory);
        let bell = directory.bell();
        loop {
            let wake = self.pass(clock::now_ms());
            let wait = Duration::from_millis(wake.saturating_sub(clock::now_ms()));
            let wake = tokio::time::Instant::from_std(Instant::now() + wait);
            tokio::select! {
                () = tokio::time::sleep_until(wake) => {}
                () = bell.changed() => self.look_at = 0,
                Some(checked) = self.checks.join_next() => {
                    if let Ok(outcome) = checked {
                        self.checked(outcome, clock::now_ms());
                    }
                }
            }
        }
    }

    /// Does what is due; when there is something to do next.
    fn pass(&mut self, now: u64) -> u64 {
        if now >= self.look_at {
            self.look_at = self.look(now);
        }
        while self.checks.len() < AT_ONCE
            && let Some(due) = self.rounds.begin(now)
        {
            self.check(due);
        }
        let room = self.checks.len() < AT_ONCE;
        let next = self.rounds.next().filter(|_| room);
        next.unwrap_or(u64::MAX).min(self.look_at)
    }

    /// Looks at all pools; when it is to do so again.
    fn look(&mut self, now: u64) -> u64 {
        let mut next = now + LOOK;
        let mut asked = Vec::new();
        for cell in self.directory.live_clusters() {
            let Some(cluster) = cell.load() else { continue };
            // What time itself brings is done in time, what it brings to a look may wait for one.
            if let Some(due) = cell.ward.tick(now) {
                next = next.min(due.max(now + 1));
            }
            self.warm(&cell.name, &cluster, now);
            if cluster.policy.health_check.is_some() {
                asked.push((cell, cluster));
            }
        }
        self.rounds.reconcile(&asked, now);
        next
    }

    /// Lets the shares of those grow that warm up.
    fn warm(&mut self, service: &ServiceName, cluster: &Cluster, now: u64) {
        let warms = cluster.policy.load_balancer.slow_start.is_some()
            && cluster
                .groups()
                .iter()
                .copied()
                .flatten()
                .any(|it| it.vitals.warm_at(now).is_some());
        let warmed = match warms {
            true => !self.warming.insert(service.clone()),
            false => self.warming.remove(service),
        };
        if warms || warmed {
            cluster.refresh(now);
        }
    }

    fn check(&mut self, Due { id, service, endpoint, protocol, check }: Due) {
        let outbound = self.directory.mesh().outbound;
        let (tls, own_pod) = (Arc::clone(&self.tls), self.own_pod.clone());
        let own_pod = own_pod.filter(|_| is_local(endpoint.address.ip()));
        let asked = async move {
            let dialer = Dialer { tls: &tls, outbound, own_pod: own_pod.as_deref() };
            let question = Question { check: &check, service: &service, protocol };
            health::ask(dialer, &endpoint, question).await
        };
        let asked = self.panics.contain("a health check", asked);
        self.checks.spawn(async move { (id, asked.await) });
    }

    fn checked(&mut self, (id, outcome): Outcome, now: u64) {
        // Whatever came of it, the endpoint has its next turn.
        if let (Some((cell, endpoint)), Some(outcome)) = (self.rounds.end(id, now), outcome) {
            cell.ward.checked(&endpoint, outcome, now);
        }
    }
}
