//! Spans of several proxies become one trace; the oldest trace goes first.

use super::*;

fn span(trace: u128, id: u64, parent: u64, start: u64) -> Span {
    Span {
        trace_id: trace.to_be_bytes().to_vec(),
        span_id: id,
        parent_id: parent,
        start_ns: start,
        duration_ns: 1_000_000,
        service: format!("default/s{id}"),
        name: format!("GET /{id}"),
        status: 200,
        ..Span::default()
    }
}

#[test]
fn spans_are_put_in_order_with_offsets_and_the_proxy_that_sent_them() {
    let mut traces = Traces::default();
    traces.add(Span { proxy: "forged".to_owned(), ..span(1, 2, 1, 3_000_000) }, "default/b");
    traces.add(span(1, 1, 0, 1_000_000), "default/a");
    let trace = traces.get(&parse_id(&format!("{:032x}", 1)).expect("valid")).expect("there");
    let seen: Vec<_> = trace.spans.iter().map(|s| (s.proxy.as_str(), s.offset_ms)).collect();
    assert_eq!(seen, [("default/a", 0.0), ("default/b", 2.0)]);
    let [summary] = &traces.list(&Filter { limit: 10, ..Filter::default() })[..] else {
        panic!("one trace");
    };
    assert_eq!((summary.duration_ms, summary.spans), (3.0, 2));
    assert_eq!((summary.name.as_str(), summary.services.len()), ("GET /1", 2));
}

#[test]
fn filters_choose() {
    let mut traces = Traces::default();
    traces.add(span(1, 1, 0, 0), "default/a");
    traces.add(Span { status: 503, ..span(2, 2, 0, 5) }, "default/a");
    let count = |filter: Filter| traces.list(&Filter { limit: 10, ..filter }).len();
    assert_eq!(count(Filter::default()), 2);
    assert_eq!(count(Filter { status: Some(503), ..Filter::default() }), 1);
    assert_eq!(count(Filter { service: Some("s1".to_owned()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { min_ms: Some(2.0), ..Filter::default() }), 0);
    let newest = traces.list(&Filter { limit: 1, ..Filter::default() });
    assert_eq!(newest[0].status, 503);
}

#[test]
fn memory_is_bounded_and_the_oldest_go_first() {
    let mut traces = Traces::default();
    for trace in 1..=3_000_u128 {
        traces.add(span(trace, 1, 0, 0), "default/a");
    }
    assert_eq!(traces.traces.len(), TRACES_MAX);
    assert!(traces.get(&1_u128.to_be_bytes()).is_none());
    assert!(traces.get(&3_000_u128.to_be_bytes()).is_some());
    for id in 1..=30_000 {
        traces.add(span(u128::from(id / 500 + 9_000), id, 0, 0), "default/a");
    }
    assert!(traces.spans <= SPANS_MAX);
    assert_eq!(traces.spans, traces.traces.values().map(Vec::len).sum::<usize>());
    for id in 1..=2_000 {
        traces.add(span(77_777, id, 0, 0), "default/a");
    }
    assert_eq!(traces.traces[&77_777_u128.to_be_bytes()].len(), SPANS_PER_TRACE);
}

#[test]
fn events_stand_on_the_axis_of_the_trace_and_count_into_its_bounds() {
    let event = |offset_ns, why: &str| SpanEvent {
        offset_ns,
        what: "retry".to_owned(),
        attempt: 2,
        endpoint: "reviews-1".to_owned(),
        why: why.to_owned(),
    };
    let mut traces = Traces::default();
    traces.add(span(1, 1, 0, 1_000_000), "default/a");
    let events = vec![event(500_000, "503"); 1_000];
    traces.add(Span { events, ..span(1, 2, 1, 3_000_000) }, "default/b");
    let trace = traces.get(&1_u128.to_be_bytes()).expect("there");
    let told = &trace.spans[1].events;
    assert_eq!(told.len(), MAX_EVENTS, "whatever a proxy sends");
    let TraceEvent { offset_ms, what, attempt, endpoint, why } = &told[0];
    assert_eq!((*offset_ms, what.as_str(), *attempt), (2.5, "retry", 2));
    assert_eq!((endpoint.as_str(), why.as_str()), ("reviews-1", "503"));
    // Their text is counted: what is too much drives out the oldest.
    let mut traces = Traces::default();
    for trace in 1..=100 {
        let events = vec![event(0, &"x".repeat(100_000)); MAX_EVENTS];
        traces.add(Span { events, ..span(trace, 1, 0, 0) }, "default/a");
    }
    assert!(traces.bytes <= BYTES_MAX && traces.traces.len() < 20, "{}", traces.bytes);
    let whole = traces.traces.values().flatten().map(size).sum::<usize>();
    assert_eq!(traces.bytes, whole);
}

#[test]
fn what_is_no_trace_id_is_left_out() {
    let mut traces = Traces::default();
    traces.add(Span { trace_id: vec![1; 15], ..span(1, 1, 0, 0) }, "default/a");
    traces.add(span(0, 1, 0, 0), "default/a");
    traces.add(span(1, 0, 0, 0), "default/a");
    assert!(traces.traces.is_empty());
    let plus = format!("+{:031x}", 1);
    for text in ["", "1", "+1", plus.as_str()] {
        assert_eq!(parse_id(text), None, "{text}");
    }
}
