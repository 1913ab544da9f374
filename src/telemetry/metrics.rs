//! What a worker counts per edge: who calls whom, how it was answered, how long it took.
//!
//! An [`Edge`] belongs to one worker, which alone writes it: plain loads and stores, no lock prefix,
//! no allocation. Any thread reads it through the [`Collector`](super::collector::Collector); a read
//! may miss what is being written at that moment and sees it the next time. Counters only grow.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::histogram::{Histogram, Slots, micros};
use super::limits::{Limit, LimitCounts};
use super::reason::Reason;
use crate::names::Protocol;

/// Edges per worker; what comes after them is counted under `other`.
pub const MAX_EDGES: usize = Limit::Edges.most();

/// Callers without an identity that one worker tells apart: whoever is let in without a
/// certificate must not crowd out the others.
pub const MAX_STRANGERS: usize = Limit::Strangers.most();

/// Different answers (status and reason) that an edge tells apart; the rest is counted by class.
pub const MAX_ANSWERS: usize = 16;

/// Which end of a call reports it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reporter {
    /// The caller's proxy.
    Source,
    /// The called workload's proxy.
    Destination,
}

/// The labels of an edge.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EdgeKey {
    /// Who reports.
    pub reporter: Reporter,
    /// `namespace/service` of the caller, or the address of one without an identity; empty when
    /// unknown.
    pub source: Arc<str>,
    /// SPIFFE identity of the caller; empty when unknown.
    pub source_identity: Arc<str>,
    /// `namespace/service` called; for what is outside of the mesh the host.
    pub destination: Arc<str>,
    /// `namespace/service` that the request was sent to after routing.
    pub backend: Arc<str>,
    /// `version` label of the endpoint that answered; empty when unknown.
    pub destination_version: Arc<str>,
    /// What is spoken.
    pub protocol: Protocol,
    /// Over mutual TLS.
    pub mtls: bool,
}

impl EdgeKey {
    /// Whether it is of a caller that is known by its address alone.
    fn is_strangers(&self) -> bool {
        self.reporter == Reporter::Destination && !self.mtls && !self.source.is_empty()
    }

    /// The edge that takes what no edge is left for.
    fn other(reporter: Reporter) -> Self {
        let (other, empty): (Arc<str>, Arc<str>) = ("other".into(), "".into());
        Self {
            reporter,
            source: Arc::clone(&other),
            source_identity: Arc::clone(&empty),
            destination: Arc::clone(&other),
            backend: other,
            destination_version: empty,
            protocol: Protocol::Detect,
            mtls: false,
        }
    }
}

/// One worker's counts of one edge.
#[derive(Debug)]
pub struct Edge {
    key: EdgeKey,
    answers: [Answer; MAX_ANSWERS],
    /// Answers beyond [`MAX_ANSWERS`], by the first digit of their status.
    classes: [AtomicU64; 6],
    durations: Slots,
    duration_sum_us: AtomicU64,
    opened: AtomicU64,
    closed: AtomicU64,
    request_bytes: AtomicU64,
    response_bytes: AtomicU64,
}

/// A counter of one answer; `what` is 0 until it is taken.
#[derive(Debug, Default)]
struct Answer {
    what: AtomicU32,
    count: AtomicU64,
}

/// Requests with one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestCount {
    /// HTTP status; 0 where none was sent.
    pub status: u16,
    /// The gRPC code; `None` where there was none, or the call was none of gRPC.
    pub grpc: Option<u32>,
    /// The word of the reason where a proxy answered itself; else empty.
    pub reason: Cow<'static, str>,
    /// How many.
    pub count: u64,
}

/// Counts of an edge, summed over workers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCounts {
    /// Its labels.
    pub key: EdgeKey,
    /// Requests by answer.
    pub requests: Vec<RequestCount>,
    /// Durations of requests.
    pub durations: Histogram,
    /// Sum of durations, microseconds.
    pub duration_sum_us: u64,
    /// Opaque connections opened.
    pub connections_opened: u64,
    /// Opaque connections closed.
    pub connections_closed: u64,
    /// Bytes towards the destination.
    pub request_bytes: u64,
    /// Bytes towards the source.
    pub response_bytes: u64,
}

/// One worker's edges. Belongs to that worker's thread.
#[derive(Debug)]
pub struct WorkerMetrics {
    edges: Arc<Edges>,
    limits: Arc<LimitCounts>,
}

/// The edges of one worker, as the collector sees them.
pub(super) type Edges = Mutex<HashMap<EdgeKey, Arc<Edge>>>;

impl WorkerMetrics {
    pub(super) fn new(edges: Arc<Edges>, limits: Arc<LimitCounts>) -> Self {
        Self { edges, limits }
    }

    /// The slots of an edge: ask once, keep it, write to it from this worker only.
    pub fn edge(&self, key: &EdgeKey) -> Arc<Edge> {
        let mut edges = self.edges.lock();
        if let Some(edge) = edges.get(key) {
            return Arc::clone(edge);
        }
        let strangers = || edges.keys().filter(|known| known.is_strangers()).count();
        let key = match edges.len() < MAX_EDGES {
            true if key.is_strangers() && strangers() >= MAX_STRANGERS => {
                self.limits.hit(Limit::Strangers);
                EdgeKey { source: "".into(), ..key.clone() }
            }
            true => key.clone(),
            false => {
                self.limits.hit(Limit::Edges);
                EdgeKey::other(key.reporter)
            }
        };
        let edge = edges.entry(key).or_insert_with_key(|key| Arc::new(Edge::new(key.clone())));
        Arc::clone(edge)
    }
}

impl Edge {
    fn new(key: EdgeKey) -> Self {
        Self {
            key,
            answers: std::array::from_fn(|_| Answer::default()),
            classes: std::array::from_fn(|_| AtomicU64::new(0)),
            durations: Slots::default(),
            duration_sum_us: AtomicU64::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            request_bytes: AtomicU64::new(0),
            response_bytes: AtomicU64::new(0),
        }
    }

    /// Its labels.
    pub fn key(&self) -> &EdgeKey {
        &self.key
    }

    /// Counts a request: its status (0 where none was sent), the reason where a proxy answered
    /// itself, and how long it took.
    #[inline]
    pub fn record(&self, status: u16, reason: Option<Reason>, duration: Duration) {
        self.record_call(status, None, reason, duration);
    }

    /// As [`Edge::record`], with the code of a gRPC call.
    #[inline]
    pub fn record_call(
        &self,
        status: u16,
        grpc: Option<u32>,
        reason: Option<Reason>,
        duration: Duration,
    ) {
        add(self.answer(pack(status, grpc, reason)), 1);
        let micros = micros(duration);
        self.durations.record(micros);
        add(&self.duration_sum_us, micros);
    }

    /// Counts an opaque connection that was opened.
    pub fn opened(&self) {
        add(&self.opened, 1);
    }

    /// Counts an opaque connection that ended.
    pub fn closed(&self) {
        add(&self.closed, 1);
    }

    /// Counts bytes towards the destination and towards the source.
    #[inline]
    pub fn add_bytes(&self, request: u64, response: u64) {
        add(&self.request_bytes, request);
        add(&self.response_bytes, response);
    }

    /// The counter of an answer. Few differ per edge, so a short walk beats a table of 500.
    #[inline]
    fn answer(&self, what: u32) -> &AtomicU64 {
        for answer in &self.answers {
            match answer.what.load(Ordering::Relaxed) {
                found if found == what => return &answer.count,
                0 => {
                    // Only this thread writes, so nobody else takes the slot meanwhile.
                    answer.what.store(what, Ordering::Relaxed);
                    return &answer.count;
                }
                _ => {}
            }
        }
        let [none, classes @ ..] = &self.classes;
        let class = (what & STATUS_MASK) as usize / 100;
        class.checked_sub(1).and_then(|class| classes.get(class)).unwrap_or(none)
    }

    /// Adds the counts so far to `sum`.
    pub(super) fn add_to(&self, sum: &mut EdgeCounts) {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        for answer in &self.answers {
            if let Some((status, grpc, reason)) = unpack(answer.what.load(Ordering::Relaxed)) {
                sum.add_request(status, grpc, reason.into(), load(&answer.count));
            }
        }
        for (class, count) in (0_u16..).zip(&self.classes) {
            sum.add_request(class * 100, None, "".into(), load(count));
        }
        self.durations.add_to(&mut sum.durations);
        sum.duration_sum_us += load(&self.duration_sum_us);
        sum.connections_opened += load(&self.opened);
        sum.connections_closed += load(&self.closed);
        sum.request_bytes += load(&self.request_bytes);
        sum.response_bytes += load(&self.response_bytes);
    }
}

/// Adds to a counter that only this thread writes: a load and a store, without a lock prefix.
#[inline]
pub(super) fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

/// The bits of the status in what [`pack`] makes.
const STATUS_MASK: u32 = 0x3ff;

/// The largest gRPC code that is told apart; the protocol has 16.
const MAX_GRPC: u32 = 62;

/// What a code that gRPC does not know is counted as: its `UNKNOWN`.
const UNKNOWN_GRPC: u32 = 2;

/// Status, gRPC code plus one, reason plus one, and a bit that tells it from an empty slot.
fn pack(status: u16, grpc: Option<u32>, reason: Option<Reason>) -> u32 {
    let reason = reason.map_or(0, |reason| u32::from(reason as u8) + 1);
    let known = |code| if code <= MAX_GRPC { code } else { UNKNOWN_GRPC };
    let grpc = grpc.map_or(0, |code| known(code) + 1);
    1 << 31 | reason << 16 | grpc << 10 | u32::from(status) & STATUS_MASK
}

fn unpack(what: u32) -> Option<(u16, Option<u32>, &'static str)> {
    let status = u16::try_from(what & STATUS_MASK).ok().filter(|_| what != 0)?;
    let grpc = ((what >> 10) & 0x3f).checked_sub(1);
    let reason = usize::try_from((what >> 16) & 0x7fff).ok()?.checked_sub(1);
    let word = reason.and_then(|index| Reason::ALL.get(index)).map_or("", |reason| reason.as_str());
    Some((status, grpc, word))
}
