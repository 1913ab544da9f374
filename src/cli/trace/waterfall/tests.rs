//! Waterfalls: parents above children, bars in place, gaps named, every width and every id survived.

use super::*;

fn span(id: &str, parent: &str, side: &str, offset_ms: f64, duration_ms: f64) -> TraceSpan {
    TraceSpan {
        id: id.into(),
        parent: parent.into(),
        proxy: "default/web-0".into(),
        service: if side == "client" { "default/web" } else { "default/reviews" }.into(),
        side: side.into(),
        peer: "default/reviews".into(),
        name: "GET /reviews/1".into(),
        start: "2026-01-01T00:00:00Z".parse().expect("a time"),
        offset_ms,
        duration_ms,
        status: 200,
        reason: String::new(),
        attempts: 1,
        rule: String::new(),
        endpoint: String::new(),
        events: Vec::new(),
    }
}

fn plain(trace: &Trace, width: usize) -> Vec<String> {
    let lines = draw(trace, Some(width));
    lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
}

fn trace(spans: Vec<TraceSpan>) -> Trace {
    Trace { api_version: String::new(), kind: String::new(), id: "4bf9".into(), spans }
}

#[test]
fn children_stand_below_parents_with_their_part_of_the_time() {
    let mut child = span("b", "a", "server", 5.0, 5.0);
    child.rule = "HTTPRoute/default/reviews/0".into();
    child.endpoint = "reviews-1".into();
    child.attempts = 2;
    let lines = plain(&trace(vec![span("a", "", "client", 0.0, 10.0), child]), 100);
    assert_eq!(lines[0], "trace 4bf9: 2 spans over 2 services in 10ms");
    let axis = "█".repeat(42);
    assert_eq!(
        lines[2],
        format!("default/web → default/reviews  GET /reviews  200     10ms  {axis}")
            .replace("/reviews  200", "/revie…  200")
    );
    assert!(lines[3].starts_with("  default/reviews  GET /reviews/1"), "{}", lines[3]);
    assert!(lines[3].ends_with(&format!("{:21}{}", "", "█".repeat(21))), "{}", lines[3]);
    assert_eq!(lines[4], "    by HTTPRoute/default/reviews/0, endpoint reviews-1, try 2");
}

#[test]
fn what_happened_on_the_way_stands_below() {
    let event = |what: &str, attempt, endpoint: &str, why: &str| TraceEvent {
        offset_ms: 4.0,
        what: what.into(),
        attempt,
        endpoint: endpoint.into(),
        why: why.into(),
    };
    let mut call = span("a", "", "client", 0.0, 10.0);
    call.events = vec![
        event("fault", 0, "", "FaultPolicy/default/slow: delay 3ms"),
        event("ejected", 0, "reviews-0", "5 errors in a row, the last was 503"),
        event("retry", 2, "reviews-1", "503"),
        event("hedge", 3, "reviews-2", ""),
        event("refused", 3, "", "retry_budget"),
        event("refused", 0, "", "max_requests"),
        event("moved", 0, "reviews-3", "later"),
    ];
    let lines = plain(&trace(vec![call]), 100);
    let told: Vec<_> = lines[3..].iter().map(|line| line.trim_start()).collect();
    assert_eq!(
        told,
        [
            "4.0ms  fault put in by FaultPolicy/default/slow: delay 3ms",
            "4.0ms  reviews-0 ejected: 5 errors in a row, the last was 503",
            "4.0ms  try 2 at reviews-1, after 503",
            "4.0ms  try 3 at reviews-2, beside the one before",
            "4.0ms  refused after try 3: retry_budget",
            "4.0ms  refused: max_requests",
            "4.0ms  moved reviews-3 later",
        ]
    );
}

#[test]
fn a_missing_caller_is_named() {
    let entry = span("a", "outside", "client", 0.0, 2.0);
    let lines = plain(&trace(vec![entry, span("b", "lost", "server", 0.0, 1.0)]), 100);
    assert!(
        lines[3].starts_with("default/reviews"),
        "who entered the mesh has no caller: {lines:?}"
    );
    assert!(lines[4].contains("its caller is not in the trace"), "{lines:?}");
}

#[test]
fn every_span_is_drawn_once_whatever_ids_claim() {
    let circle = vec![
        span("a", "b", "client", 0.0, 1.0),
        span("b", "a", "client", 0.0, 1.0),
        span("c", "c", "client", f64::NAN, -1.0),
    ];
    let bars = plain(&trace(circle), 60).iter().filter(|line| line.contains("200")).count();
    assert_eq!(bars, 3);
}

#[test]
fn lines_fit_the_width() {
    let spans: Vec<_> = (0..30)
        .map(|i| span(&i.to_string(), &(i - 1).to_string(), "client", f64::from(i), 40.0))
        .collect();
    for width in [60, 80, 200] {
        for line in plain(&trace(spans.clone()), width) {
            assert!(line.chars().count() <= width, "{width}: {line}");
        }
    }
    assert!(!plain(&trace(Vec::new()), 20).is_empty());
}
