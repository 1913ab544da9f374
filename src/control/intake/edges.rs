//! Who talked to whom: one ring of [`RING`] seconds per edge, and totals since the start.
//!
//! Slots are sparse, so that a quiet edge costs nothing. Time is a count of seconds; what is older
//! than the ring is dropped when an edge is next touched or read. Where there is no room for a new edge,
//! those make way that are quiet and have no open connection; their totals begin anew should they
//! come back, as for Prometheus after a restart. What is open is kept by process: one that was killed
//! tells of no end, and what it had open ends with it.

use std::collections::{BTreeMap, HashMap, VecDeque};

use crate::control::intake::bounds::OTHER;
use crate::names::ProxyId;
use crate::telemetry::grpc::is_failure;
use crate::telemetry::histogram::{BUCKETS, Histogram};
use crate::telemetry::limits::Limit;
use crate::xds::agent::{Edge, EdgeMetrics};

#[cfg(test)]
mod tests;

/// Seconds that are kept one by one.
pub const RING: u64 = 60;

/// The seconds over which rates are given.
pub const RATE_WINDOW: u64 = 10;

/// Edges kept; where none of them is quiet, further ones are counted as one, `other`.
pub const EDGES_MAX: usize = Limit::IntakeEdges.most();

/// Different answers (status, gRPC code and reason) kept per edge.
const ANSWERS_MAX: usize = 128;

/// Edges that one proxy may have brought in; further ones of it are `other`, so that one that makes
/// edges up leaves room for all.
pub const SHARE: usize = EDGES_MAX / 2;

/// Who tells of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Teller {
    /// The proxy.
    pub proxy: ProxyId,
    /// Its process: id and start.
    pub process: (u32, u64),
}

/// All edges.
#[derive(Debug, Default)]
pub struct Edges {
    edges: HashMap<Edge, Series>,
    /// How many of them each proxy has brought in.
    brought: HashMap<ProxyId, usize>,
    /// How often one was counted as `other`.
    crowded: u64,
    /// Before this second none of them is quiet.
    looked: u64,
}

/// One edge.
#[derive(Debug)]
struct Series {
    /// Which proxy told of it first.
    by: ProxyId,
    slots: VecDeque<Slot>,
    /// Opaque connections that are open, by who has them; none of 0.
    open: HashMap<Teller, u64>,
    totals: Totals,
}

#[derive(Debug)]
struct Slot {
    second: u64,
    requests: u64,
    failures: u64,
    /// Bucket and count.
    durations: Vec<(u32, u64)>,
}

/// Counts since the start.
#[derive(Debug, Default, Clone)]
pub struct Totals {
    /// Requests by status, gRPC code and reason.
    pub answers: BTreeMap<(u32, Option<u32>, String), u64>,
    /// Durations.
    pub durations: Histogram,
    /// Their sum, microseconds.
    pub duration_sum_us: u64,
    /// Opaque connections opened.
    pub opened: u64,
    /// Opaque connections closed.
    pub closed: u64,
    /// Bytes towards the destination.
    pub request_bytes: u64,
    /// Bytes towards the source.
    pub response_bytes: u64,
}

/// What an edge, or several together, did lately.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct EdgeFigures {
    /// Over the last [`RATE_WINDOW`] seconds.
    pub rate: f64,
    /// 0 to 1 over the last [`RING`] seconds.
    pub success: Option<f64>,
    /// Milliseconds over the last [`RING`] seconds: median, 95 %, 99 %.
    pub latency: [Option<f64>; 3],
    /// Requests in the ring.
    pub requests: u64,
}

impl Edges {
    /// Adds increments that arrived at `second`.
    pub fn add(&mut self, metrics: EdgeMetrics, teller: &Teller, second: u64) {
        let Some(mut edge) = metrics.edge.clone() else { return };
        if !self.edges.contains_key(&edge) {
            if !self.has_room(teller) {
                self.forget_quiet(second);
            }
            if !self.has_room(teller) {
                self.crowded += 1;
                edge = other(&edge);
            }
        }
        let by = &teller.proxy;
        let series = self.edges.entry(edge).or_insert_with(|| {
            *self.brought.entry(by.clone()).or_default() += 1;
            Series::new(by.clone())
        });
        series.add(metrics, teller, second);
    }

    /// Whether `teller` may bring in another edge.
    fn has_room(&self, teller: &Teller) -> bool {
        let brought = self.brought.get(&teller.proxy).copied().unwrap_or_default();
        self.edges.len() < EDGES_MAX && brought < SHARE
    }

    /// What these had open is open no longer: their processes are gone.
    pub fn gone(&mut self, is_gone: impl Fn(&Teller) -> bool) {
        for series in self.edges.values_mut() {
            series.open.retain(|teller, _| !is_gone(teller));
        }
    }

    /// Makes room, at most once a second: a crowd of new edges must not cost a look at all for each.
    fn forget_quiet(&mut self, second: u64) {
        if second < self.looked {
            return;
        }
        self.looked = second + 1;
        let brought = &mut self.brought;
        self.edges.retain(|_, series| {
            let is_live = series.is_live(second);
            if !is_live && let Some(count) = brought.get_mut(&series.by) {
                *count -= 1;
            }
            is_live
        });
        brought.retain(|_, count| *count > 0);
    }

    /// How often there was no room for an edge.
    pub fn crowded(&self) -> u64 {
        self.crowded
    }

    /// Every edge with its totals.
    pub fn totals(&self) -> impl Iterator<Item = (&Edge, &Totals)> {
        self.edges.iter().map(|(edge, series)| (edge, &series.totals))
    }

    /// Every edge with traffic in the ring or connections still open, and what it did: copies, so that
    /// nobody who adds has to wait for who reads.
    pub fn recent(&self, second: u64) -> Vec<(Edge, Recent)> {
        let live = self.edges.iter().filter(|(_, series)| series.is_live(second));
        live.map(|(edge, series)| (edge.clone(), series.recent(second))).collect()
    }
}

/// What one edge, or several together, did in the ring.
#[derive(Debug, Clone, Default)]
pub struct Recent {
    requests: u64,
    failures: u64,
    /// Requests of the last [`RATE_WINDOW`] seconds.
    lately: u64,
    /// Bucket and count, one bucket perhaps several times.
    durations: Vec<(u32, u64)>,
}

impl Recent {
    /// Takes another edge in.
    pub fn add(&mut self, other: &Self) {
        self.requests = self.requests.saturating_add(other.requests);
        self.failures = self.failures.saturating_add(other.failures);
        self.lately = self.lately.saturating_add(other.lately);
        self.durations.extend_from_slice(&other.durations);
    }

    /// The figures of all that was taken in.
    pub fn figures(&self) -> EdgeFigures {
        let mut durations = Histogram::default();
        for &(bucket, count) in &self.durations {
            durations.add(bucket as usize, count);
        }
        let good = self.requests.saturating_sub(self.failures);
        EdgeFigures {
            rate: self.lately as f64 / RATE_WINDOW as f64,
            success: (self.requests > 0).then(|| good as f64 / self.requests as f64),
            latency: [0.5, 0.95, 0.99]
                .map(|q| Some(durations.quantile(q)?.as_micros() as f64 / 1e3)),
            requests: self.requests,
        }
    }
}

/// What edges over the bound are counted under: who reported stays apart.
fn other(edge: &Edge) -> Edge {
    Edge {
        reporter_destination: edge.reporter_destination,
        source: OTHER.to_owned(),
        destination: OTHER.to_owned(),
        ..Edge::default()
    }
}

impl Series {
    fn new(by: ProxyId) -> Self {
        let (slots, open) = (VecDeque::new(), HashMap::new());
        Self { by, slots, open, totals: Totals::default() }
    }

    /// Takes note of connections that one process opened and closed. Of some it may tell the end alone,
    /// where they are older than we.
    fn connections(&mut self, teller: &Teller, opened: u64, closed: u64) {
        let before = self.open.get(teller).copied().unwrap_or_default();
        match before.saturating_add(opened).saturating_sub(closed) {
            0 => drop(self.open.remove(teller)),
            open => drop(self.open.insert(teller.clone(), open)),
        }
    }

    fn add(&mut self, metrics: EdgeMetrics, teller: &Teller, second: u64) {
        if (metrics.connections_opened, metrics.connections_closed) != (0, 0) {
            self.connections(teller, metrics.connections_opened, metrics.connections_closed);
        }
        while self.slots.front().is_some_and(|slot| slot.second + RING <= second) {
            self.slots.pop_front();
        }
        if self.slots.back().is_none_or(|slot| slot.second < second) {
            let (requests, failures, durations) = (0, 0, Vec::new());
            self.slots.push_back(Slot { second, requests, failures, durations });
        }
        let Some(slot) = self.slots.back_mut() else { return };
        for answer in &metrics.requests {
            slot.requests = slot.requests.saturating_add(answer.count);
            if answer.status >= 500 || answer.grpc.is_some_and(is_failure) {
                slot.failures = slot.failures.saturating_add(answer.count);
            }
        }
        let pairs = metrics.duration_buckets.iter().zip(&metrics.duration_counts);
        for (&bucket, &count) in pairs.filter(|(bucket, _)| is_bucket(**bucket)) {
            match slot.durations.iter_mut().find(|(there, _)| *there == bucket) {
                Some((_, sum)) => *sum = sum.saturating_add(count),
                None => slot.durations.push((bucket, count)),
            }
        }
        self.totals.add(metrics);
    }

    fn recent(&self, second: u64) -> Recent {
        let mut recent = Recent::default();
        for slot in self.window(second, RING) {
            recent.requests = recent.requests.saturating_add(slot.requests);
            recent.failures = recent.failures.saturating_add(slot.failures);
            if second.saturating_sub(slot.second) < RATE_WINDOW {
                recent.lately = recent.lately.saturating_add(slot.requests);
            }
            recent.durations.extend_from_slice(&slot.durations);
        }
        recent
    }

    /// Whether it has traffic in the ring or connections still open.
    fn is_live(&self, second: u64) -> bool {
        !self.open.is_empty() || self.window(second, RING).next().is_some()
    }

    fn window(&self, second: u64, length: u64) -> impl Iterator<Item = &Slot> {
        self.slots.iter().filter(move |slot| second.saturating_sub(slot.second) < length)
    }
}

impl Totals {
    fn add(&mut self, metrics: EdgeMetrics) {
        for answer in metrics.requests {
            let key = (answer.status, answer.grpc, answer.reason);
            let key = match self.answers.len() < ANSWERS_MAX || self.answers.contains_key(&key) {
                true => key,
                false => (0, None, OTHER.to_owned()),
            };
            let total = self.answers.entry(key).or_default();
            *total = total.saturating_add(answer.count);
        }
        for (bucket, count) in metrics.duration_buckets.into_iter().zip(metrics.duration_counts) {
            if is_bucket(bucket) {
                self.durations.add(bucket as usize, count);
            }
        }
        let add = |total: &mut u64, count: u64| *total = total.saturating_add(count);
        add(&mut self.duration_sum_us, metrics.duration_sum_us);
        add(&mut self.opened, metrics.connections_opened);
        add(&mut self.closed, metrics.connections_closed);
        add(&mut self.request_bytes, metrics.request_bytes);
        add(&mut self.response_bytes, metrics.response_bytes);
    }
}

fn is_bucket(bucket: u32) -> bool {
    (bucket as usize) < BUCKETS
}
