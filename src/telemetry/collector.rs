//! Adding up what workers count: sums for a scrape, increments for a stream.
//!
//! Every consumer keeps a [`Previous`] of its own and gets what came since, only edges with traffic.
//! Nothing is lost between two collections and nothing counted twice, while workers go on counting.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::faults::FaultCounts;
use super::histogram::Histogram;
use super::limits::LimitCounts;
use super::metrics::{Edge, EdgeCounts, EdgeKey, Edges, RequestCount, WorkerMetrics};
use super::panics::Panics;

/// Knows the edges of all workers; shared by any threads.
#[derive(Debug, Default)]
pub struct Collector {
    workers: Mutex<Vec<Arc<Edges>>>,
    /// What faults were put in, by all workers.
    pub faults: FaultCounts,
    /// How often limits were reached.
    pub limits: Arc<LimitCounts>,
    /// Panics that were contained.
    pub panics: Panics,
}

/// What a consumer has seen.
#[derive(Debug, Default)]
pub struct Previous {
    seen: HashMap<EdgeKey, EdgeCounts>,
}

impl Collector {
    /// Without workers yet.
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Slots for one more worker; they are counted for as long as the collector lives.
    pub fn worker(&self) -> WorkerMetrics {
        let edges = Arc::<Edges>::default();
        self.workers.lock().push(Arc::clone(&edges));
        WorkerMetrics::new(edges, Arc::clone(&self.limits))
    }

    /// The sums of all edges since the start, in order of their labels.
    pub fn totals(&self) -> Vec<EdgeCounts> {
        let mut sums: HashMap<EdgeKey, EdgeCounts> = HashMap::new();
        for edge in self.edges() {
            let sum = match sums.get_mut(edge.key()) {
                Some(sum) => sum,
                None => sums
                    .entry(edge.key().clone())
                    .or_insert_with_key(|key| EdgeCounts::zero(key.clone())),
            };
            edge.add_to(sum);
        }
        let mut sums: Vec<_> = sums.into_values().collect();
        sums.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        sums
    }

    /// What came since the last call with the same `previous`; edges without traffic are left out.
    pub fn collect_delta(&self, previous: &mut Previous) -> Vec<EdgeCounts> {
        let mut deltas = Vec::new();
        for now in self.totals() {
            let delta = match previous.seen.get(&now.key) {
                Some(before) => now.since(before),
                None => now.clone(),
            };
            if !delta.is_zero() {
                previous.seen.insert(now.key.clone(), now);
                deltas.push(delta);
            }
        }
        deltas
    }

    /// The edges themselves, so that no worker waits for a lock while they are added up.
    fn edges(&self) -> Vec<Arc<Edge>> {
        let workers = self.workers.lock().clone();
        workers
            .iter()
            .flat_map(|edges| edges.lock().values().map(Arc::clone).collect::<Vec<_>>())
            .collect()
    }
}

impl EdgeCounts {
    /// An edge without traffic.
    pub fn zero(key: EdgeKey) -> Self {
        Self {
            key,
            requests: Vec::new(),
            durations: Histogram::default(),
            duration_sum_us: 0,
            connections_opened: 0,
            connections_closed: 0,
            request_bytes: 0,
            response_bytes: 0,
        }
    }

    /// Adds requests with one answer.
    pub fn add_request(
        &mut self,
        status: u16,
        grpc: Option<u32>,
        reason: Cow<'static, str>,
        count: u64,
    ) {
        if count == 0 {
            return;
        }
        let same = |one: &&mut RequestCount| {
            one.status == status && one.grpc == grpc && one.reason == reason
        };
        match self.requests.iter_mut().find(same) {
            Some(one) => one.count = one.count.saturating_add(count),
            None => self.requests.push(RequestCount { status, grpc, reason, count }),
        }
    }

    /// Whether nothing was counted.
    pub fn is_zero(&self) -> bool {
        self.requests.is_empty()
            && self.durations.non_empty().next().is_none()
            && self.duration_sum_us == 0
            && self.connections_opened == 0
            && self.connections_closed == 0
            && self.request_bytes == 0
            && self.response_bytes == 0
    }

    /// What was added since `before`, an earlier state of the same edge.
    #[must_use]
    pub fn since(&self, before: &Self) -> Self {
        let mut delta = Self::zero(self.key.clone());
        for RequestCount { status, grpc, reason, count } in &self.requests {
            let same = |one: &&RequestCount| {
                one.status == *status && one.grpc == *grpc && one.reason == *reason
            };
            let seen = before.requests.iter().find(same).map_or(0, |one| one.count);
            delta.add_request(*status, *grpc, reason.clone(), count.saturating_sub(seen));
        }
        delta.durations = self.durations.since(&before.durations);
        delta.duration_sum_us = self.duration_sum_us.saturating_sub(before.duration_sum_us);
        delta.connections_opened =
            self.connections_opened.saturating_sub(before.connections_opened);
        delta.connections_closed =
            self.connections_closed.saturating_sub(before.connections_closed);
        delta.request_bytes = self.request_bytes.saturating_sub(before.request_bytes);
        delta.response_bytes = self.response_bytes.saturating_sub(before.response_bytes);
        delta
    }
}
