//! Rates over ten seconds, success and latency over sixty, totals for good, all bounded.

use super::*;
use crate::telemetry::histogram::lower_bound;
use crate::xds::agent::RequestCount;

fn edge(to: &str) -> Edge {
    Edge { destination: format!("default/{to}"), ..Edge::default() }
}

fn metrics(to: &str, status: u32, count: u64, bucket: u32) -> EdgeMetrics {
    EdgeMetrics {
        edge: Some(edge(to)),
        requests: vec![RequestCount { status, reason: String::new(), count, grpc: None }],
        duration_buckets: vec![bucket],
        duration_counts: vec![count],
        ..EdgeMetrics::default()
    }
}

/// The figures of all edges together that `selects` picks.
fn figures(edges: &Edges, second: u64, selects: impl Fn(&Edge) -> bool) -> EdgeFigures {
    let mut all = Recent::default();
    for (_, recent) in edges.recent(second).iter().filter(|(edge, _)| selects(edge)) {
        all.add(recent);
    }
    all.figures()
}

#[test]
fn a_call_of_grpc_fails_by_its_code() {
    let mut edges = Edges::default();
    for (code, count) in [(0, 6), (14, 1), (13, 1), (5, 2)] {
        let mut calls = metrics("a", 200, count, 10);
        calls.requests[0].grpc = Some(code);
        edges.add(calls, 100);
    }
    // UNAVAILABLE and INTERNAL speak against who answered; NOT_FOUND is an answer.
    assert_eq!(figures(&edges, 100, |_| true).success, Some(0.8));
    let (_, totals) = edges.totals().next().expect("an edge");
    assert_eq!(totals.answers.get(&(200, Some(14), String::new())), Some(&1));
}

#[test]
fn without_traffic_there_are_no_figures() {
    let found = figures(&Edges::default(), 5, |_| true);
    assert_eq!(found, EdgeFigures::default());
}

#[test]
fn rates_and_success_follow_the_windows() {
    let mut edges = Edges::default();
    edges.add(metrics("a", 200, 100, 10), 100);
    edges.add(metrics("a", 503, 100, 20), 130);
    let found = figures(&edges, 131, |_| true);
    assert_eq!(found.rate, 10.0);
    assert_eq!((found.success, found.requests), (Some(0.5), 200));
    let later = figures(&edges, 165, |_| true);
    assert_eq!((later.rate, later.success), (0.0, Some(0.0)));
    assert_eq!(edges.recent(165).len(), 1);
    assert_eq!(edges.recent(190).len(), 0);
    let totals = edges.totals().next().expect("one edge").1;
    assert_eq!(totals.answers.values().sum::<u64>(), 200);
}

#[test]
fn quantiles_come_from_the_buckets() {
    let mut edges = Edges::default();
    edges.add(metrics("a", 200, 98, 10), 1);
    edges.add(metrics("a", 200, 2, 40), 1);
    let [p50, p95, p99] = figures(&edges, 1, |_| true).latency;
    let within = |value: Option<f64>, bucket| {
        let us = value.expect("there was traffic") * 1e3;
        lower_bound(bucket) as f64 <= us && us <= lower_bound(bucket + 1) as f64
    };
    assert!(within(p50, 10) && within(p95, 10) && within(p99, 40), "{p50:?} {p95:?} {p99:?}");
}

#[test]
fn edges_are_told_apart_and_their_number_is_bounded() {
    let mut edges = Edges::default();
    for index in 0..EDGES_MAX + 10 {
        edges.add(metrics(&format!("s{index}"), 200, 1, 10), 1);
    }
    assert_eq!(edges.totals().count(), EDGES_MAX + 1);
    let picked = |name: &str| figures(&edges, 1, |edge| edge.destination == name).requests;
    assert_eq!((picked("default/s3"), picked("other")), (1, 10));
}

/// Edges stayed for as long as the process lived: after enough of them every new one was `other`.
#[test]
fn an_edge_that_is_quiet_makes_way_and_one_with_an_open_connection_does_not() {
    let mut edges = Edges::default();
    edges.add(EdgeMetrics { connections_opened: 1, ..metrics("open", 200, 0, 10) }, 1);
    for index in 1..EDGES_MAX {
        edges.add(metrics(&format!("s{index}"), 200, 1, 10), 1);
    }
    let there = |edges: &Edges, name: &str| edges.totals().any(|(it, _)| *it == edge(name));
    edges.add(metrics("early", 200, 1, 10), RING);
    assert!(!there(&edges, "early"), "all of them are in the ring");
    edges.add(metrics("s1", 200, 1, 10), RING);
    edges.add(metrics("late", 200, 1, 10), RING + 1);
    assert!(["late", "open", "s1"].iter().all(|name| there(&edges, name)));
    // And what the early one was counted under.
    assert_eq!((edges.totals().count(), edges.crowded()), (4, 1));
}

#[test]
fn a_bucket_that_does_not_exist_is_left_out() {
    let mut edges = Edges::default();
    edges.add(metrics("a", 200, 1, u32::MAX), 1);
    let found = figures(&edges, 1, |_| true);
    assert_eq!((found.requests, found.latency[0]), (1, None));
}

#[test]
fn a_ring_holds_sixty_slots_at_most() {
    let mut edges = Edges::default();
    for second in 0..1_000 {
        edges.add(metrics("a", 200, 1, 10), second);
    }
    assert!(edges.edges.values().all(|series| series.slots.len() <= 60));
    assert_eq!(figures(&edges, 999, |_| true).requests, 60);
}
