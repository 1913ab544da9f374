//! Which rule a request falls under.

use super::{Two, route, two};

/// Who answered.
fn answered(two: &Two, request: &str) -> String {
    let answer = two.call().ask(request);
    match answer.status {
        200 => answer.text(),
        status => format!("{status} {}", answer.reason()),
    }
}

/// One rule that sends what matches to `reviews-v1`.
fn only(matches: &str) -> Two {
    let backend = "{name: reviews-v1, port: 80}";
    two(&route(&format!("  - matches: [{matches}]\n    backendRefs: [{backend}]\n")))
}

/// Each case is a request line and fields, one a line, and who answers.
fn check(two: &Two, cases: &[(&str, &str)]) {
    for (request, wanted) in cases {
        let (line, fields) = request.split_once('\n').unwrap_or((request, ""));
        let fields: String = fields.lines().map(|field| format!("{field}\r\n")).collect();
        let request = format!("{line} HTTP/1.1\r\nhost: reviews\r\n{fields}\r\n");
        assert_eq!(&answered(two, &request), wanted, "{request}");
    }
}

#[test]
fn by_path_prefix_by_element() {
    let two = only("{path: {type: PathPrefix, value: /a}}");
    let cases = [
        ("GET /a", "v1"),
        ("GET /a/", "v1"),
        ("GET /a/b?x=1", "v1"),
        ("GET /ab", "404 no_route"),
        ("GET /", "404 no_route"),
        ("GET /b/../a", "v1"),
        ("GET /a/../b", "404 no_route"),
        ("GET /%61", "v1"),
    ];
    check(&two, &cases);
    assert!(two.v2.requests().is_empty());
}

#[test]
fn by_exact_path() {
    let two = only("{path: {type: Exact, value: /a}}");
    let cases = [
        ("GET /a", "v1"),
        ("GET /a?q", "v1"),
        ("GET /a/", "404 no_route"),
        ("GET /A", "404 no_route"),
    ];
    check(&two, &cases);
}

#[test]
fn by_header() {
    let two = only("{headers: [{name: x-user, value: jason}]}");
    let cases = [
        ("GET /\nX-User: jason", "v1"),
        ("GET /\nx-user:   jason  ", "v1"),
        ("GET /\nX-User: jasonx", "404 no_route"),
        ("GET /\nX-User: jason\nX-User: other", "404 no_route"),
        ("GET /", "404 no_route"),
    ];
    check(&two, &cases);
}

#[test]
fn by_query() {
    let two = only("{queryParams: [{name: beta, value: \"yes\"}]}");
    let cases = [
        ("GET /?beta=yes", "v1"),
        ("GET /?x=1&beta=yes", "v1"),
        ("GET /?beta=%79es", "v1"),
        ("GET /?beta=no&beta=yes", "404 no_route"),
        ("GET /?alpha=yes", "404 no_route"),
        ("GET /", "404 no_route"),
    ];
    check(&two, &cases);
}

#[test]
fn by_method() {
    let two = only("{method: POST}");
    check(&two, &[("POST /\ncontent-length: 0", "v1"), ("GET /", "404 no_route")]);
}

#[test]
fn several_conditions_must_all_hold_and_several_matches_need_one() {
    let get_a = "{method: GET, path: {type: PathPrefix, value: /a}}";
    let two = only(&format!("{get_a}, {{headers: [{{name: x, value: y}}]}}"));
    let cases = [
        ("GET /a", "v1"),
        ("DELETE /a", "404 no_route"),
        ("DELETE /b\nx: y", "v1"),
        ("GET /b", "404 no_route"),
    ];
    check(&two, &cases);
}

#[test]
fn the_more_specific_match_wins_whatever_the_order() {
    let rule = |matches: &str, version: &str| {
        let backend = format!("{{name: reviews-{version}, port: 80}}");
        format!("  - matches: [{{{matches}}}]\n    backendRefs: [{backend}]\n")
    };
    let two = two(&route(
        &[
            rule("path: {type: PathPrefix, value: /}", "v2"),
            rule("path: {type: PathPrefix, value: /a}", "v1"),
            rule("path: {type: Exact, value: /a/exact}", "v2"),
            rule("path: {type: PathPrefix, value: /a}, headers: [{name: x, value: y}]", "v2"),
        ]
        .concat(),
    ));
    let cases = [
        ("GET /other", "v2"),
        ("GET /a/b", "v1"),
        ("GET /a/exact", "v2"),
        ("GET /a/b\nx: y", "v2"),
    ];
    check(&two, &cases);
}

#[test]
fn what_no_rule_matches_is_404_and_the_connection_goes_on() {
    let two = only("{path: {type: PathPrefix, value: /a}}");
    let mut conn = two.call();
    let answer = conn.get("reviews", "/other");
    assert_eq!((answer.status, answer.reason().as_str()), (404, "no_route"));
    assert_eq!(conn.get("reviews", "/a").text(), "v1");
    assert!(two.v1.requests().len() == 1 && two.v2.requests().is_empty());
}
