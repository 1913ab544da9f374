//! The clusters that services point to: who needs them, and whether they are there.
//!
//! A cluster is subscribed to while a service in use or on its way points to it. What came once
//! stays in its cell (pools, health).

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use super::Effect;
use crate::names::ServiceName;
use crate::proxy::clock;
use crate::proxy::directory::Directory;
use crate::resource::{self, Cluster, ClusterPolicy, Key};

/// All clusters, by service.
#[derive(Debug, Default)]
pub(super) struct Pools {
    pools: HashMap<ServiceName, Pool>,
}

#[derive(Debug)]
struct Pool {
    state: State,
    /// How many tables, in use or staged, point to it.
    users: usize,
    /// Services that were staged while it was not there.
    waiting: BTreeSet<ServiceName>,
}

#[derive(Debug)]
enum State {
    Waiting,
    /// Applied, or known to be absent, which is a cluster without endpoints.
    Settled,
}

impl Pools {
    /// One more table of `user` points to `cluster`.
    pub(super) fn acquire(
        &mut self,
        cluster: &ServiceName,
        user: &ServiceName,
        directory: &Directory,
        effects: &mut Vec<Effect>,
    ) {
        let pool = self.pools.entry(cluster.clone()).or_insert_with(|| {
            effects.push(Effect::Subscribe(Key::cluster(cluster)));
            directory.cluster(cluster);
            Pool { state: State::Waiting, users: 0, waiting: BTreeSet::new() }
        });
        pool.users += 1;
        if !matches!(pool.state, State::Settled) {
            pool.waiting.insert(user.clone());
        }
    }

    /// One table less points to `cluster`; without any it is let go. Requests under way keep its
    /// cell until they are done.
    pub(super) fn release(
        &mut self,
        cluster: &ServiceName,
        directory: &Directory,
        effects: &mut Vec<Effect>,
    ) {
        let Some(pool) = self.pools.get_mut(cluster) else { return };
        pool.users -= 1;
        if pool.users == 0 {
            self.pools.remove(cluster);
            directory.clusters.lock().remove(cluster);
            effects.push(Effect::Unsubscribe(Key::cluster(cluster)));
        }
    }

    /// A cluster has come; the services that may have waited for it.
    pub(super) fn apply(
        &mut self,
        cluster: &Cluster,
        directory: &Directory,
        now: Instant,
    ) -> Vec<ServiceName> {
        // Let go while the answer was on its way.
        let Some(pool) = self.pools.get_mut(&cluster.name) else { return Vec::new() };
        // The time on the proxy's clock, which is what endpoints keep.
        let cell = directory.cluster(&cluster.name);
        cell.apply(cluster, &directory.workload().zone, clock::ms(now));
        pool.state = State::Settled;
        std::mem::take(&mut pool.waiting).into_iter().collect()
    }

    /// A cluster is gone: whoever points to it has no endpoints.
    pub(super) fn gone(
        &mut self,
        name: &ServiceName,
        directory: &Directory,
        now: Instant,
    ) -> Vec<ServiceName> {
        self.apply(&empty(name), directory, now)
    }

    /// This proxy's zone may be another one now: it decides who is near.
    pub(super) fn relocate(&self, directory: &Directory, now: Instant) {
        for name in self.pools.keys() {
            directory.cluster(name).relocate(&directory.workload().zone, clock::ms(now));
        }
    }

    /// Whether all of `needs` are there.
    pub(super) fn settled(&self, needs: &BTreeSet<ServiceName>) -> bool {
        let mut pools = needs.iter().filter_map(|name| self.pools.get(name));
        pools.all(|pool| matches!(pool.state, State::Settled))
    }

    /// Those of `needs` that are not there, for people.
    pub(super) fn missing(&self, needs: &BTreeSet<ServiceName>) -> String {
        let is_missing = |name: &&ServiceName| {
            self.pools.get(*name).is_some_and(|pool| matches!(pool.state, State::Waiting))
        };
        let names: Vec<_> =
            needs.iter().filter(is_missing).map(|name| format!("`{name}`")).collect();
        names.join(", ")
    }
}

/// What is absent: the policy that holds without any, and no endpoint.
fn empty(name: &ServiceName) -> Cluster {
    resource::Cluster {
        name: name.clone(),
        ports: Vec::new(),
        policy: ClusterPolicy::default(),
        endpoints: Vec::new(),
    }
}
