//! Rates over ten seconds, success and latency over sixty, totals for good, all bounded.

use super::*;
use crate::telemetry::histogram::lower_bound;
use crate::xds::agent::RequestCount;

fn edge(to: &str) -> Edge {
    Edge { destination: format!("default/{to}"), ..Edge::default() }
}

fn teller(proxy: &str, process: u32) -> Teller {
    Teller { proxy: format!("default/{proxy}").parse().expect("a proxy"), process: (process, 1) }
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
        edges.add(calls, &teller("web-0", 1), 100);
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
    edges.add(metrics("a", 200, 100, 10), &teller("web-0", 1), 100);
    edges.add(metrics("a", 503, 100, 20), &teller("web-0", 1), 130);
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
    edges.add(metrics("a", 200, 98, 10), &teller("web-0", 1), 1);
    edges.add(metrics("a", 200, 2, 40), &teller("web-0", 1), 1);
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
        let teller = teller(&format!("web-{}", index % 3), 1);
        edges.add(metrics(&format!("s{index}"), 200, 1, 10), &teller, 1);
    }
    assert_eq!(edges.totals().count(), EDGES_MAX + 1);
    let picked = |name: &str| figures(&edges, 1, |edge| edge.destination == name).requests;
    assert_eq!((picked("default/s3"), picked("other")), (1, 10));
}

/// Edges stayed for as long as the process lived: after enough of them every new one was `other`.
#[test]
fn an_edge_that_is_quiet_makes_way_and_one_with_an_open_connection_does_not() {
    let mut edges = Edges::default();
    edges.add(
        EdgeMetrics { connections_opened: 1, ..metrics("open", 200, 0, 10) },
        &teller("web-0", 1),
        1,
    );
    for index in 1..EDGES_MAX {
        let teller = teller(&format!("web-{}", index % 3), 1);
        edges.add(metrics(&format!("s{index}"), 200, 1, 10), &teller, 1);
    }
    let there = |edges: &Edges, name: &str| edges.totals().any(|(it, _)| *it == edge(name));
    edges.add(metrics("early", 200, 1, 10), &teller("web-0", 1), RING);
    assert!(!there(&edges, "early"), "all of them are in the ring");
    edges.add(metrics("s1", 200, 1, 10), &teller("web-0", 1), RING);
    edges.add(metrics("late", 200, 1, 10), &teller("web-0", 1), RING + 1);
    assert!(["late", "open", "s1"].iter().all(|name| there(&edges, name)));
    // And what the early one was counted under.
    assert_eq!((edges.totals().count(), edges.crowded()), (4, 1));
}

#[test]
fn a_bucket_that_does_not_exist_is_left_out() {
    let mut edges = Edges::default();
    edges.add(metrics("a", 200, 1, u32::MAX), &teller("web-0", 1), 1);
    let found = figures(&edges, 1, |_| true);
    assert_eq!((found.requests, found.latency[0]), (1, None));
}

#[test]
fn a_ring_holds_sixty_slots_at_most() {
    let mut edges = Edges::default();
    for second in 0..1_000 {
        edges.add(metrics("a", 200, 1, 10), &teller("web-0", 1), second);
    }
    assert!(edges.edges.values().all(|series| series.slots.len() <= 60));
    assert_eq!(figures(&edges, 999, |_| true).requests, 60);
}

/// One compromised proxy filled the table with names that it made up.
#[test]
fn a_proxy_that_makes_edges_up_leaves_room_for_others() {
    let (sly, web) = (teller("sly-0", 1), teller("web-0", 1));
    let mut edges = Edges::default();
    for index in 0..2 * EDGES_MAX {
        edges.add(metrics(&format!("s{index}"), 200, 1, 10), &sly, 1);
    }
    assert_eq!(edges.totals().count(), SHARE + 1, "and `other`");
    edges.add(metrics("late", 200, 1, 10), &web, 1);
    assert!(edges.totals().any(|(it, _)| *it == edge("late")));
    // Once they are quiet it has its share again.
    edges.add(metrics("new", 200, 1, 10), &sly, 1 + RING);
    assert!(edges.totals().any(|(it, _)| *it == edge("new")));
    assert_eq!(edges.brought, HashMap::from([(sly.proxy, 1)]));
}

/// A killed proxy tells of no end: its edges stayed, and never made way.
#[test]
fn what_a_process_had_open_ends_with_it() {
    let open = |edges: &mut Edges, teller: &Teller, opened, closed| {
        let some = EdgeMetrics {
            connections_opened: opened,
            connections_closed: closed,
            ..metrics("db", 200, 0, 10)
        };
        edges.add(some, teller, 1);
    };
    let mut edges = Edges::default();
    let (old, new) = (teller("web-0", 1), teller("web-0", 2));
    open(&mut edges, &old, 3, 1);
    open(&mut edges, &new, 1, 0);
    edges.gone(|teller| *teller == old);
    assert_eq!(edges.recent(RING + 1).len(), 1, "the other has one open");
    open(&mut edges, &new, 0, 1);
    assert_eq!(edges.recent(RING + 1).len(), 0);
    // Ends of what was opened before this control plane began are no debt.
    open(&mut edges, &old, 0, 5);
    open(&mut edges, &old, 1, 0);
    assert_eq!(edges.recent(RING + 1).len(), 1);
}

#[test]
fn counts_that_cannot_be_do_not_overflow() {
    let mut edges = Edges::default();
    for second in [1, 1, 2] {
        let mut huge = metrics("a", 500, u64::MAX, 10);
        huge.requests.push(huge.requests[0].clone());
        edges.add(huge, &teller("web-0", 1), second);
    }
    assert_eq!(figures(&edges, 2, |_| true).requests, u64::MAX);
}
