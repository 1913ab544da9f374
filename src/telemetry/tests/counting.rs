//! Workers count, collectors read: nothing is lost, nothing counted twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::names::Protocol;
use crate::telemetry::collector::{Collector, Previous};
use crate::telemetry::metrics::*;
use crate::telemetry::reason::Reason;

pub(super) fn key(destination: &str) -> EdgeKey {
    EdgeKey {
        reporter: Reporter::Source,
        source: "default/web".into(),
        source_identity: "spiffe://cluster.local/ns/default/sa/web".into(),
        destination: destination.into(),
        backend: "default/reviews-v1".into(),
        destination_version: "v1".into(),
        protocol: Protocol::Http,
        mtls: true,
    }
}

/// Counts by status and reason.
fn answers(edges: &[EdgeCounts]) -> BTreeMap<(u16, String), u64> {
    let mut sums = BTreeMap::new();
    for one in edges.iter().flat_map(|edge| &edge.requests) {
        *sums.entry((one.status, one.reason.to_string())).or_default() += one.count;
    }
    sums
}

#[test]
fn workers_are_added_up() {
    let collector = Collector::new();
    for _ in 0..3 {
        let edge = collector.worker().edge(&key("default/reviews"));
        edge.record(200, None, Duration::from_millis(2));
        edge.record(503, Some(Reason::NoEndpoints), Duration::from_micros(10));
        edge.record(503, None, Duration::from_micros(10));
        edge.record(0, Some(Reason::ClientGone), Duration::ZERO);
        edge.add_bytes(10, 20);
        edge.opened();
    }
    let totals = collector.totals();
    let [edge] = totals.as_slice() else { panic!("one edge: {totals:?}") };
    let expected = [(0, "client_gone"), (200, ""), (503, ""), (503, "no_endpoints")];
    let expected = expected.map(|(status, reason)| ((status, reason.to_owned()), 3));
    assert_eq!(answers(&totals), BTreeMap::from(expected));
    assert_eq!(edge.durations.count(), 12);
    assert_eq!(edge.duration_sum_us, 3 * 2_020);
    assert_eq!((edge.request_bytes, edge.response_bytes), (30, 60));
    assert_eq!((edge.connections_opened, edge.connections_closed), (3, 0));
}

#[test]
fn increments_are_only_what_came_since_and_only_where_something_came() {
    let collector = Collector::new();
    let worker = collector.worker();
    let (busy, idle) = (worker.edge(&key("default/a")), worker.edge(&key("default/b")));
    let (mut one, mut other) = (Previous::default(), Previous::default());
    busy.record(200, None, Duration::from_millis(1));
    idle.opened();
    assert_eq!(collector.collect_delta(&mut one).len(), 2);
    busy.record(200, None, Duration::from_millis(1));
    busy.record(404, None, Duration::from_millis(1));
    let delta = collector.collect_delta(&mut one);
    assert_eq!(delta.len(), 1);
    let expected = [((200, String::new()), 1), ((404, String::new()), 1)];
    assert_eq!(answers(&delta), BTreeMap::from(expected));
    assert_eq!(delta.first().map(|edge| edge.durations.count()), Some(2));
    assert!(collector.collect_delta(&mut one).is_empty());
    // Another consumer has seen nothing yet.
    assert_eq!(collector.collect_delta(&mut other), collector.totals());
}

#[test]
fn a_worker_gets_the_same_slots_for_the_same_edge() {
    let collector = Collector::new();
    let worker = collector.worker();
    let (a, b) = (worker.edge(&key("default/a")), worker.edge(&key("default/a")));
    assert!(Arc::ptr_eq(&a, &b));
    assert!(!Arc::ptr_eq(&a, &collector.worker().edge(&key("default/a"))));
}

#[test]
fn edges_without_end_are_counted_under_other() {
    let collector = Collector::new();
    let worker = collector.worker();
    for n in 0..MAX_EDGES + 50 {
        let edge = worker.edge(&key(&format!("default/s{n}")));
        edge.record(200, None, Duration::ZERO);
    }
    let totals = collector.totals();
    assert_eq!(totals.len(), MAX_EDGES + 1);
    let other = totals.iter().find(|edge| &*edge.key.destination == "other");
    assert_eq!(other.map(|edge| edge.durations.count()), Some(50));
}

#[test]
fn callers_without_an_identity_crowd_out_nobody() {
    let collector = Collector::new();
    let worker = collector.worker();
    let stranger = |n: usize| EdgeKey {
        reporter: Reporter::Destination,
        source: format!("10.0.{}.{}", n / 256, n % 256).into(),
        source_identity: "".into(),
        mtls: false,
        ..key("default/a")
    };
    for n in 0..MAX_STRANGERS + 50 {
        worker.edge(&stranger(n)).record(200, None, Duration::ZERO);
    }
    worker.edge(&key("default/a")).record(200, None, Duration::ZERO);
    let totals = collector.totals();
    assert_eq!(totals.len(), MAX_STRANGERS + 2);
    let nameless = totals.iter().find(|edge| edge.key.source.is_empty());
    assert_eq!(nameless.map(|edge| edge.durations.count()), Some(50));
}

#[test]
fn answers_without_end_are_counted_by_class() {
    let collector = Collector::new();
    let edge = collector.worker().edge(&key("default/a"));
    for status in 400..430 {
        edge.record(status, None, Duration::ZERO);
    }
    edge.record(777, None, Duration::ZERO);
    let totals = collector.totals();
    let sums = answers(&totals);
    assert_eq!(sums.values().sum::<u64>(), 31);
    assert_eq!(sums.get(&(400, String::new())), Some(&(1 + 30 - 16)));
    assert_eq!(sums.get(&(415, String::new())), Some(&1));
    assert_eq!(sums.get(&(0, String::new())), Some(&1));
}

#[test]
fn every_reason_is_told_by_its_word() {
    let collector = Collector::new();
    let worker = collector.worker();
    for reason in Reason::ALL {
        let edge = worker.edge(&key(&format!("default/{}", reason.as_str().replace('_', "-"))));
        edge.record(reason.status(), Some(*reason), Duration::ZERO);
    }
    let mut words: Vec<_> =
        answers(&collector.totals()).into_keys().map(|(status, word)| (word, status)).collect();
    words.sort_unstable();
    let mut expected: Vec<_> =
        Reason::ALL.iter().map(|reason| (reason.as_str().to_owned(), reason.status())).collect();
    expected.sort_unstable();
    assert_eq!(words, expected);
}

#[test]
fn nothing_is_lost_while_workers_count_and_others_read() {
    const EACH: u64 = 200_000;
    let collector = Collector::new();
    let done = AtomicBool::new(false);
    let mut requests = 0;
    let mut bytes = 0;
    thread::scope(|scope| {
        let count = |worker: WorkerMetrics| {
            let edge = worker.edge(&key("default/reviews"));
            for n in 0..EACH {
                let status = if n % 5 == 0 { 500 } else { 200 };
                edge.record(status, None, Duration::from_micros(n % 1_000));
                edge.add_bytes(1, 2);
            }
        };
        let workers: Vec<_> = (0..2)
            .map(|_| collector.worker())
            .map(|worker| scope.spawn(move || count(worker)))
            .collect();
        let reader = scope.spawn(|| {
            let mut previous = Previous::default();
            loop {
                let last = done.load(Ordering::Acquire);
                for edge in collector.collect_delta(&mut previous) {
                    requests += edge.requests.iter().map(|one| one.count).sum::<u64>();
                    bytes += edge.request_bytes + edge.response_bytes;
                }
                if last {
                    break;
                }
            }
        });
        for worker in workers {
            worker.join().expect("counts");
        }
        done.store(true, Ordering::Release);
        reader.join().expect("reads");
    });
    assert_eq!(requests, 2 * EACH);
    assert_eq!(bytes, 2 * 3 * EACH);
    assert_eq!(answers(&collector.totals()).get(&(500, String::new())), Some(&(2 * EACH / 5)));
}
