//! Where a service's requests end: its endpoints as this proxy sees them, shared by all workers.
//!
//! A cell lives as long as anybody points to it; its content is swapped when configuration
//! arrives. Endpoints are diffed by name and address, so that counters (and in each worker the
//! pooled connections, which are keyed by [`Endpoint::id`]) survive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use parking_lot::Mutex;

use crate::names::{Protocol, ServiceName};
use crate::proxy::balance::{Choice, Terms, Turns, Worth};
use crate::proxy::bell::Bell;
use crate::proxy::circuit::Circuit;
use crate::proxy::clock;
use crate::proxy::flight::Verdict;
use crate::proxy::ward::Ward;
use crate::resource::{self, Algorithm, ClusterPolicy};
use merge::Merged;

mod endpoint;
mod merge;
#[cfg(test)]
pub(super) mod tests;

pub use endpoint::{Endpoint, next_id};

/// The place of one cluster; empty until its first resource arrives.
#[derive(Debug)]
pub struct ClusterCell {
    /// The service.
    pub name: ServiceName,
    circuit: Arc<Circuit>,
    pub(super) ward: Arc<Ward>,
    state: ArcSwapOption<Cluster>,
}

/// One state of a cluster.
#[derive(Debug)]
pub struct Cluster {
    /// How the pool is treated.
    pub policy: ClusterPolicy,
    /// How much is going on.
    pub circuit: Arc<Circuit>,
    /// Who of the endpoints takes part.
    pub(super) ward: Arc<Ward>,
    ports: Vec<Port>,
    /// The zone that is preferred.
    zone: Arc<str>,
}

/// The endpoints that answer for one port of the service.
#[derive(Debug)]
pub struct Port {
    /// The service's port.
    pub port: u16,
    /// What the endpoints speak.
    pub protocol: Protocol,
    /// In order of workload names.
    pub endpoints: Vec<Arc<Endpoint>>,
    /// What the control plane says of each, so that the next resource is compared by pointers.
    told: Vec<Arc<resource::Endpoint>>,
    /// Whom requests may go to right now.
    pub(super) choice: ArcSwap<Choice>,
    /// Whose turn it is.
    pub(super) turns: Arc<Turns>,
    /// The time for which the choice was made; held while one is made.
    made_ms: Mutex<u64>,
}

impl ClusterCell {
    /// An empty cell.
    pub fn new(name: ServiceName) -> Self {
        Self::with_bell(name, Arc::default())
    }

    /// An empty cell that calls other threads by `bell`.
    pub fn with_bell(name: ServiceName, bell: Arc<Bell>) -> Self {
        let circuit = Arc::new(Circuit::new(Arc::clone(&bell)));
        let ward = Arc::new(Ward::new(name.clone(), bell));
        Self { name, circuit, ward, state: ArcSwapOption::empty() }
    }

    /// What is known now; `None` before the first resource.
    pub fn load(&self) -> Option<Arc<Cluster>> {
        self.state.load_full()
    }

    /// Takes over a resource; endpoints that stay keep their counters. `zone` is the caller's,
    /// empty where it is not known.
    pub fn apply(&self, cluster: &resource::Cluster, zone: &str, now_ms: u64) {
        let before = self.state.load_full();
        let terms = Terms { policy: &cluster.policy, zone, now_ms };
        let ports = cluster.ports.iter().map(|port| {
            let known = before.as_deref().and_then(|cluster| cluster.port(port.port));
            let merged = Merged::new(&cluster.endpoints, port.port, known);
            if let (Some(over), Some(_)) = (cluster.policy.load_balancer.slow_start, &before) {
                merged.fresh().for_each(|endpoint| endpoint.vitals.warm_up(now_ms, over));
            }
            Port::new((port.port, port.protocol), merged, known, &terms)
        });
        let ports = ports.collect();
        let policy = cluster.policy.clone();
        self.circuit.limit(&policy.circuit_breaker, policy.shadow);
        self.put((policy, ports, zone), now_ms);
    }

    /// A new state is in use.
    fn put(&self, (policy, ports, zone): (ClusterPolicy, Vec<Port>, &str), now_ms: u64) {
        let (circuit, ward) = (Arc::clone(&self.circuit), Arc::clone(&self.ward));
        let cluster = Arc::new(Cluster { policy, circuit, ward, ports, zone: zone.into() });
        self.state.store(Some(Arc::clone(&cluster)));
        self.ward.adopt(&cluster, now_ms);
    }

    /// The caller's zone is another one now.
    pub fn relocate(&self, zone: &str, now_ms: u64) {
        let Some(before) = self.load() else { return };
        if *before.zone == *zone {
            return;
        }
        let policy = before.policy.clone();
        let terms = Terms { policy: &policy, zone, now_ms };
        let ports = before.ports.iter().map(|known| {
            let same = Merged::same(known);
            Port::new((known.port, known.protocol), same, Some(known), &terms)
        });
        let ports = ports.collect();
        self.put((policy, ports, zone), now_ms);
    }
}

impl Cluster {
    /// The endpoints of one port.
    pub fn port(&self, port: u16) -> Option<&Port> {
        self.ports.iter().find(|candidate| candidate.port == port)
    }

    /// All ports.
    pub fn ports(&self) -> &[Port] {
        &self.ports
    }

    /// Whether anything learns from what tries come to.
    pub fn learns(&self) -> bool {
        self.policy.outlier_detection.is_some() || self.is_timed()
    }

    /// Whether it matters how long a try takes.
    pub fn is_timed(&self) -> bool {
        self.policy.load_balancer.algorithm == Algorithm::Ewma
            || self.policy.circuit_breaker.adaptive.is_some()
    }

    /// A try at `endpoint` was answered, or failed, after `took`; to be said where it matters.
    pub fn time(&self, endpoint: &Endpoint, verdict: Verdict, took: Duration) {
        let now = Instant::now();
        self.measure(verdict, took, now);
        if self.policy.load_balancer.algorithm == Algorithm::Ewma
            && let Some(worth) = Worth::of(verdict)
        {
            // Who does not answer is not fast: it counts as if it had taken all the time it had.
            let took = match verdict {
                Verdict::Failed(_) => took.max(self.policy.connect_timeout),
                _ => took,
            };
            endpoint.latency.observe(took.as_secs_f32() * 1000.0, worth, clock::ms(now));
        }
    }

    /// The standing of an endpoint has changed, or time has passed while some warm up: what is
    /// chosen from is made anew. Looks at every endpoint.
    pub fn refresh(&self, now_ms: u64) {
        for port in &self.ports {
            port.refresh(&Terms { policy: &self.policy, zone: &self.zone, now_ms });
        }
    }
}

impl Port {
    fn new(
        (port, protocol): (u16, Protocol),
        merged: Merged,
        known: Option<&Self>,
        terms: &Terms<'_>,
    ) -> Self {
        let Merged { endpoints, told, origin } = merged;
        let before = known.map(|known| (known.choice.load(), known));
        let past = before.as_ref();
        let past = past.map(|(choice, known)| (&***choice, known.endpoints.as_slice(), &*origin));
        let choice = ArcSwap::from_pointee(Choice::new(terms, &endpoints, past));
        let turns = known.map(|known| Arc::clone(&known.turns)).unwrap_or_default();
        let made_ms = Mutex::new(terms.now_ms);
        Self { port, protocol, endpoints, told, choice, turns, made_ms }
    }

    /// Whether so few endpoints are left that all of them are used but for those that were taken
    /// out by hand.
    pub fn panics(&self) -> bool {
        self.choice.load().panics()
    }

    /// The part of the calls that each endpoint gets by weight and standing, in their order.
    pub fn parts(&self) -> Vec<f64> {
        self.choice.load().parts(self.endpoints.len())
    }

    fn refresh(&self, terms: &Terms<'_>) {
        let mut made_ms = self.made_ms.lock();
        // Whoever waited for the lock must not turn back the time.
        *made_ms = terms.now_ms.max(*made_ms);
        let terms = Terms { now_ms: *made_ms, ..*terms };
        let now = self.choice.load();
        if let Some(choice) = now.again(&terms, &self.endpoints) {
            self.choice.store(Arc::new(choice));
        }
    }
}
