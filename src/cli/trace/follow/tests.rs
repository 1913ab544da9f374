//! What is new, and when it is whole enough to be shown.

use super::*;

fn list(traces: &[(&str, usize)]) -> TraceList {
    let trace = |&(id, spans): &(&str, usize)| TraceSummary {
        id: id.into(),
        start: Timestamp::UNIX_EPOCH,
        duration_ms: 1.0,
        services: vec!["default/web".into()],
        spans,
        status: 200,
        name: "GET /".into(),
    };
    let traces = traces.iter().map(trace).collect();
    TraceList { api_version: "v".into(), kind: "TraceList".into(), traces }
}

fn ids(list: &TraceList) -> Vec<&str> {
    list.traces.iter().map(|trace| trace.id.as_str()).collect()
}

#[test]
fn each_new_trace_is_shown_once_when_it_has_stopped_growing() {
    let mut news = News::after(&list(&[("old", 2)]));
    let looks = [
        (vec![("old", 2)], vec![]),
        (vec![("b", 1), ("a", 2), ("old", 2)], vec![]),
        (vec![("b", 2), ("a", 2), ("old", 3)], vec!["a"]),
        (vec![("c", 2), ("b", 2), ("a", 2)], vec!["b"]),
        (vec![("d", 1), ("c", 2), ("b", 2)], vec!["c"]),
        (vec![("e", 1), ("d", 1), ("c", 2)], vec!["d"]),
        (vec![("e", 1)], vec!["e"]),
        (vec![("e", 1)], vec![]),
    ];
    for (index, (now, expected)) in looks.into_iter().enumerate() {
        assert_eq!(ids(&news.look(list(&now))), expected, "look {index}");
        assert!(news.shown.len() + news.growing.len() <= now.len().max(1), "bounded");
    }
}

#[test]
fn several_at_once_come_oldest_first_one_a_line_for_scripts() {
    let mut news = News::after(&list(&[]));
    news.look(list(&[("b", 1), ("a", 1)]));
    let now = news.look(list(&[("b", 1), ("a", 1)]));
    assert_eq!(ids(&now), ["a", "b"]);
    let text = |format| render(&now, format, None).expect("renders");
    assert_eq!(text(Format::Name), "trace/a\ntrace/b\n");
    assert_eq!(text(Format::Json).lines().count(), 2);
    assert_eq!(text(Format::Yaml).matches("---\n").count(), 2);
    assert_eq!(text(Format::Table).lines().count(), 3);
}
