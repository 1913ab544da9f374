//! The text is OpenMetrics, says what was counted, and cannot be broken by a label.

use std::time::Duration;

use super::counting::key;
use crate::names::Protocol;
use crate::telemetry::collector::Collector;
use crate::telemetry::histogram::Histogram;
use crate::telemetry::metrics::EdgeKey;
use crate::telemetry::prometheus::{Families, PoolCounts, Refusal, render};
use crate::telemetry::reason::Reason;

/// The value of the one sample whose line begins with `name` and contains all of `labels`.
fn value<'a>(text: &'a str, name: &str, labels: &[&str]) -> Option<&'a str> {
    let mut found = text
        .lines()
        .filter(|line| line.starts_with(name) && labels.iter().all(|label| line.contains(label)));
    let (line, None) = (found.next()?, found.next()) else { return None };
    line.rsplit(' ').next()
}

/// What a proxy with these counters and pools shows.
fn rendered(collector: &Collector, pools: &[PoolCounts<'_>]) -> String {
    let (edges, faults) = (collector.totals(), collector.faults.totals());
    render(&Families { edges: &edges, pools, faults: &faults, ..Families::default() })
}

#[test]
fn edges_become_samples_under_the_known_names() {
    let collector = Collector::new();
    let worker = collector.worker();
    let http = worker.edge(&key("default/reviews"));
    http.record(200, None, Duration::from_micros(1_500));
    http.record(200, None, Duration::from_micros(100));
    http.record(503, Some(Reason::NoEndpoints), Duration::from_secs(60));
    http.add_bytes(5, 7);
    let tcp = worker.edge(&EdgeKey { protocol: Protocol::Tcp, mtls: false, ..key("db.example") });
    tcp.opened();
    tcp.add_bytes(11, 13);
    let text = rendered(&collector, &[]);

    let requests = "istio_requests_total{";
    let ok = ["response_code=\"200\"", "response_flags=\"-\"", "reporter=\"source\""];
    assert_eq!(value(&text, requests, &ok), Some("2"), "{text}");
    let refused = [
        "response_flags=\"no_endpoints\"",
        "source_workload=\"web\"",
        "source_principal=\"spiffe://cluster.local/ns/default/sa/web\"",
        "destination_service=\"reviews.default.svc.cluster.local\"",
        "destination_workload=\"reviews-v1\"",
        "connection_security_policy=\"mutual_tls\"",
    ];
    assert_eq!(value(&text, requests, &refused), Some("1"), "{text}");
    let buckets =
        [("0.128", "1"), ("1.024", "1"), ("2.048", "2"), ("33554.432", "2"), ("+Inf", "3")];
    for (le, count) in buckets {
        let le = format!("le=\"{le}\"");
        let bucket = "istio_request_duration_milliseconds_bucket{";
        assert_eq!(value(&text, bucket, &[&le]), Some(count), "{text}");
    }
    assert_eq!(value(&text, "istio_request_duration_milliseconds_sum{", &[]), Some("60001.600"));
    assert_eq!(value(&text, "istio_tcp_received_bytes_total{", &["db.example"]), Some("11"));
    assert_eq!(value(&text, "istio_tcp_connections_opened_total{", &["\"none\""]), Some("1"));
    assert_eq!(value(&text, "meshctl_response_body_bytes_total{", &["reviews"]), Some("7"));
    assert_eq!(value(&text, "istio_tcp_sent_bytes_total{", &["service_name=\"reviews\""]), None);
}

#[test]
fn a_call_of_grpc_tells_its_code() {
    let collector = Collector::new();
    let worker = collector.worker();
    let grpc = worker.edge(&EdgeKey { protocol: Protocol::Grpc, ..key("default/reviews") });
    grpc.record_call(200, Some(0), None, Duration::ZERO);
    grpc.record_call(200, Some(14), None, Duration::ZERO);
    grpc.record_call(200, Some(14), Some(Reason::NoEndpoints), Duration::ZERO);
    grpc.record_call(200, Some(4_000_000_000), None, Duration::ZERO);
    grpc.record_call(0, None, Some(Reason::ClientGone), Duration::ZERO);
    let text = rendered(&collector, &[]);
    let requests = |labels: &[&str]| {
        let all = [&["request_protocol=\"grpc\"", "response_code=\"200\""], labels].concat();
        value(&text, "istio_requests_total{", &all)
    };
    assert_eq!(requests(&["grpc_response_status=\"0\""]), Some("1"), "{text}");
    assert_eq!(requests(&["response_flags=\"-\"", "grpc_response_status=\"14\""]), Some("1"));
    assert_eq!(requests(&["no_endpoints", "grpc_response_status=\"14\""]), Some("1"));
    assert_eq!(requests(&["grpc_response_status=\"2\""]), Some("1"), "no code of gRPC");
    let gone: Vec<_> = text.lines().filter(|line| line.contains("client_gone")).collect();
    assert!(!gone[0].contains("grpc_response_status"), "{gone:?}");
}

#[test]
fn labels_are_escaped_and_the_text_ends() {
    let collector = Collector::new();
    let edge = collector.worker().edge(&key("a\"} 1\nevil_total{x=\"\\"));
    edge.record(200, None, Duration::ZERO);
    let text = rendered(&collector, &[]);
    assert!(!text.lines().any(|line| line.starts_with("evil")), "{text}");
    assert!(text.contains(r#"destination_service="a\"} 1\nevil_total{x=\"\\""#), "{text}");
    assert!(text.ends_with("\n# EOF\n"));
    assert!(render(&Families::default()).ends_with("# EOF\n"));
}

fn pool<'a>(proxy: &'a str, destination: &'a str) -> PoolCounts<'a> {
    PoolCounts {
        proxy,
        source: "default/web",
        destination,
        breaker_open: true,
        refused: vec![("max_connections", 2), ("max_requests", 7)],
        concurrency: 0,
        endpoints: 5,
        out: 2,
        ejections: 9,
        panic: false,
        over_budget: 4,
    }
}

#[test]
fn pools_become_samples_of_each_caller() {
    let pools = [pool("default/web-0", "default/reviews"), pool("default/web-1", "shop/cart")];
    let text = render(&Families { pools: &pools, ..Families::default() });
    let first = ["source_proxy=\"web-0\"", "destination_service_name=\"reviews\""];
    for (name, expected) in [
        ("meshctl_breaker_open{", "1"),
        ("meshctl_pool_endpoints{", "5"),
        ("meshctl_pool_endpoints_ejected{", "2"),
        ("meshctl_pool_panic{", "0"),
        ("meshctl_pool_ejections_total{", "9"),
        ("meshctl_retries_over_budget_total{", "4"),
    ] {
        assert_eq!(value(&text, name, &first), Some(expected), "{name}: {text}");
    }
    let refused = "meshctl_breaker_refused_total{";
    let why = ["reason=\"max_requests\"", "destination_service=\"cart.shop.svc.cluster.local\""];
    assert_eq!(value(&text, refused, &why), Some("7"), "{text}");
    assert_eq!(value(&text, "meshctl_breaker_concurrency{", &[]), None, "nobody adapts");
}

#[test]
fn families_stay_together() {
    let collector = Collector::new();
    let worker = collector.worker();
    for name in ["default/a", "default/b"] {
        worker.edge(&key(name)).record(200, None, Duration::ZERO);
    }
    let text = rendered(&collector, &[]);
    let mut family = "";
    let mut seen = std::collections::HashSet::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            family = rest.split(' ').next().expect("a name");
            assert!(seen.insert(family), "{family} twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(family), "{line} is not of {family}");
        }
    }
}

#[test]
fn every_family_stands_in_the_page_of_metrics() {
    let page = include_str!("../../../docs/reference/metrics.md");
    let collector = Collector::new();
    collector.worker().edge(&key("default/a")).record(200, None, Duration::ZERO);
    let text = rendered(&collector, &[pool("default/web-0", "default/a")]);
    for line in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")) {
        let (family, kind) = line.split_once(' ').expect("a name and a kind");
        let shown =
            if kind == "counter" { format!("`{family}_total`") } else { format!("`{family}`") };
        assert!(page.contains(&shown), "{shown} is not in docs/reference/metrics.md");
    }
}

#[test]
fn a_histogram_without_labels_has_no_empty_braces() {
    let mut took = Histogram::default();
    took.record(Duration::from_millis(3));
    let text = render(&Families { propagation: Some((&took, 3_000)), ..Families::default() });
    const NAME: &str = "meshctl_propagation_milliseconds";
    assert_eq!(value(&text, &format!("{NAME}_bucket{{le=\"2.048\"}}"), &[]), Some("0"));
    assert_eq!(value(&text, &format!("{NAME}_bucket{{le=\"4.096\"}}"), &[]), Some("1"));
    assert_eq!(value(&text, &format!("{NAME}_sum "), &[]), Some("3.000"));
    assert_eq!(value(&text, &format!("{NAME}_count "), &[]), Some("1"));
}

#[test]
fn what_a_control_plane_refused_is_counted_by_reason() {
    let refused = [Refusal { what: "handshake", reason: "self_signed", count: 3 }];
    let text = render(&Families { refused: &refused, ..Families::default() });
    let wanted =
        "meshctl_control_plane_refused_total{what=\"handshake\",reason=\"self_signed\"} 3\n";
    assert!(text.contains(wanted), "{text}");
    assert!(!render(&Families::default()).contains("refused"));
}
