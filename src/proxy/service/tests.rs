//! Routing: which rule and backend a head comes to, as the compiled table says.

use super::*;
use crate::proxy::h1::{Headroom, RequestHead, head_end};
use crate::resource::{Backend as WireBackend, Rewrite, RouteMatch, Service, ServicePort};

fn any() -> RouteMatch {
    RouteMatch {
        rule: 0,
        path: PathMatch::Prefix("/".into()),
        method: None,
        headers: vec![],
        query: vec![],
    }
}

fn me() -> Identity {
    "spiffe://cluster.local/ns/default/sa/web".parse().unwrap()
}

fn table(matches: Vec<RouteMatch>, weights: &[u32]) -> ServiceTable {
    let name: ServiceName = "default/reviews".parse().unwrap();
    let backends = weights
        .iter()
        .enumerate()
        .map(|(index, &weight)| WireBackend {
            service: format!("default/v{index}").parse().unwrap(),
            port: 80,
            weight,
            resolved: true,
            request_headers: HeaderEdit::default(),
            response_headers: HeaderEdit::default(),
            rewrite: Rewrite::default(),
        })
        .collect();
    let rule = resource::Rule {
        id: RuleId("HTTPRoute/default/r/0".into()),
        backends,
        request_headers: HeaderEdit::default(),
        response_headers: HeaderEdit::default(),
        redirect: None,
        rewrite: Rewrite::default(),
        timeouts: Timeouts::default(),
        retry: resource::Retry::default(),
    };
    let port = ServicePort {
        port: 80,
        protocol: Protocol::Http,
        matches,
        rules: vec![rule],
        faults: vec![],
    };
    let service = Service { name, consumer: None, overridden_in: vec![], ports: vec![port] };
    let mut cell = |name: &ServiceName| Arc::new(ClusterCell::new(name.clone()));
    ServiceTable::build(&service, &me(), &mut cell).unwrap()
}

fn routes(found: RouteMatch, request: &str) -> bool {
    let text = format!("{request}\r\n\r\n");
    head_end(text.as_bytes(), &mut 0).unwrap().unwrap();
    let mut head = RequestHead::default();
    head.parse(text.as_bytes(), Headroom::NONE).unwrap();
    let table = table(vec![found], &[1]);
    table.port(80).unwrap().route(&head.view(text.as_bytes())).is_some()
}

#[test]
fn prefixes_match_by_element() {
    for (prefix, path, expected) in [
        ("/", "/x", true),
        ("/a", "/a", true),
        ("/a", "/a/b", true),
        ("/a/", "/a", true),
        ("/a", "/ab", false),
        ("/a", "/A", false),
        ("/a", "/x/../a", true),
        ("/a", "/%61", true),
    ] {
        let found = RouteMatch { path: PathMatch::Prefix(prefix.into()), ..any() };
        let request = format!("GET {path} HTTP/1.1\r\nHost: a");
        assert_eq!(routes(found, &request), expected, "{prefix} {path}");
    }
}

#[test]
fn regular_expressions_match_as_a_whole() {
    let found = || RouteMatch { path: PathMatch::Regex("/a|/b+".into()), ..any() };
    assert!(routes(found(), "GET /bbb HTTP/1.1\r\nHost: a"));
    assert!(!routes(found(), "GET /ab HTTP/1.1\r\nHost: a"));
    assert!(!routes(found(), "GET /x/a HTTP/1.1\r\nHost: a"));
}

#[test]
fn headers_of_one_name_count_as_one() {
    let test = FieldMatch { name: "x-team".into(), value: ValueMatch::Exact("a, b".into()) };
    let found = || RouteMatch { headers: vec![test.clone()], ..any() };
    assert!(routes(found(), "GET / HTTP/1.1\r\nHost: a\r\nX-Team: a\r\nx-team: b"));
    assert!(!routes(found(), "GET / HTTP/1.1\r\nHost: a\r\nX-Team: a"));
    assert!(!routes(found(), "GET / HTTP/1.1\r\nHost: a"));
}

#[test]
fn query_parameters_are_decoded() {
    let test = FieldMatch { name: "q x".into(), value: ValueMatch::Exact("1&2".into()) };
    let found = || RouteMatch { query: vec![test.clone()], ..any() };
    assert!(routes(found(), "GET /?a=b&q+x=1%262 HTTP/1.1\r\nHost: a"));
    assert!(!routes(found(), "GET /?a=b HTTP/1.1\r\nHost: a"));
    assert!(!routes(found(), "GET / HTTP/1.1\r\nHost: a"));
}

#[test]
fn methods_are_case_sensitive() {
    let found = || RouteMatch { method: Some("GET".into()), ..any() };
    assert!(routes(found(), "GET / HTTP/1.1\r\nHost: a"));
    assert!(!routes(found(), "get / HTTP/1.1\r\nHost: a"));
}

#[test]
fn weights_share_exactly() {
    let table = table(vec![any()], &[90, 0, 10]);
    let rule = table.port(80).unwrap().route_opaque().unwrap();
    let mut counts = [0; 3];
    for random in 0..1000 {
        let chosen = rule.choose(random).unwrap();
        counts[usize::from(chosen.service.name.as_str().ends_with('2')) * 2] += 1;
        assert!(!chosen.service.name.as_str().ends_with('1'), "a weight of zero gets nothing");
    }
    assert_eq!(counts, [900, 0, 100]);
    let none = super::tests::table(vec![any()], &[0, 0]);
    assert!(none.port(80).unwrap().route_opaque().unwrap().choose(1).is_none());
}

#[test]
fn what_cannot_be_honoured_is_refused_with_its_field() {
    let found = RouteMatch { path: PathMatch::Regex("(".into()), ..any() };
    let port = ServicePort {
        port: 80,
        protocol: Protocol::Http,
        matches: vec![RouteMatch { rule: 0, ..found }],
        rules: vec![],
        faults: vec![],
    };
    let name: ServiceName = "default/a".parse().unwrap();
    let service = Service { name, consumer: None, overridden_in: vec![], ports: vec![port] };
    let build = |service: &Service| {
        ServiceTable::build(service, &me(), &mut |name| Arc::new(ClusterCell::new(name.clone())))
    };
    assert_eq!(build(&service).unwrap_err().field, "ports[0].matches[0].rule");
}

#[test]
fn forms_are_decoded_as_servers_do() {
    for (text, decoded) in
        [("a+b", "a b"), ("%41%2b", "A+"), ("%", "%"), ("%4", "%4"), ("%+1", "% 1"), ("%zz", "%zz")]
    {
        assert_eq!(decode_form(text), decoded, "{text}");
    }
}
