//! The Gateway API's order of precedence, one case per rule of it.

use std::sync::Arc;

use crate::mesh::fixture::*;
use crate::mesh::{HttpRoute, RouteMatch, in_precedence};
use crate::resource::{FieldMatch, PathMatch, ValueMatch};

const REVIEWS: &str = "default/reviews";

fn exact(path: &str) -> RouteMatch {
    on(PathMatch::Exact(path.to_owned()))
}

fn regex(pattern: &str) -> RouteMatch {
    on(PathMatch::Regex(pattern.to_owned()))
}

fn fields(count: usize) -> Vec<FieldMatch> {
    let field = |n| FieldMatch { name: format!("f{n}"), value: ValueMatch::Exact("1".to_owned()) };
    (0..count).map(field).collect()
}

/// `/a` with so many conditions beside the path.
fn conditions(method: bool, headers: usize, query: usize) -> RouteMatch {
    let method = method.then(|| "GET".to_owned());
    RouteMatch { method, headers: fields(headers), query: fields(query), ..prefix("/a") }
}

fn ids(routes: &[HttpRoute]) -> Vec<String> {
    let routes: Vec<_> = routes.iter().cloned().map(Arc::new).collect();
    in_precedence(&routes).iter().map(|candidate| candidate.rule.id.to_string()).collect()
}

#[test]
fn the_more_specific_match_is_tried_first_wherever_it_is_written() {
    let cases = [
        ("exact before a longer prefix", exact("/a"), prefix("/a/b/c")),
        ("exact before a regular expression", exact("/a"), regex("/a.*")),
        ("a regular expression before prefix", regex("/a"), prefix("/a/b/c")),
        ("the longer prefix", prefix("/a/b"), prefix("/a")),
        ("the longer prefix, by characters", prefix("/aa"), prefix("/ä")),
        ("any prefix before the root", prefix("/a"), prefix("/")),
        ("the longer regular expression", regex("/a/.*"), regex("/a.*")),
        ("the path before the method", prefix("/a/b"), conditions(true, 9, 9)),
        ("a method before headers", conditions(true, 0, 0), conditions(false, 9, 9)),
        ("more headers before query parameters", conditions(false, 2, 0), conditions(false, 1, 9)),
        ("more query parameters", conditions(false, 1, 2), conditions(false, 1, 1)),
        ("a method, then headers", conditions(true, 1, 0), conditions(true, 0, 9)),
    ];
    for (rule, first, second) in cases {
        for (order, expected) in [
            (vec![vec![first.clone()], vec![second.clone()]], ["0", "1"]),
            (vec![vec![second.clone()], vec![first.clone()]], ["1", "0"]),
        ] {
            let found = ids(&[route("default/r", REVIEWS, REVIEWS, order)]);
            let expected = expected.map(|index| format!("HTTPRoute/default/r/{index}"));
            assert_eq!(found, expected, "{rule}");
        }
    }
}

#[test]
fn a_trailing_slash_makes_no_prefix_longer() {
    let rules = vec![vec![prefix("/a")], vec![prefix("/a/")]];
    let found = ids(&[route("default/r", REVIEWS, REVIEWS, rules)]);
    assert_eq!(found, ["HTTPRoute/default/r/0", "HTTPRoute/default/r/1"]);
}

#[test]
fn each_match_of_a_rule_is_ranked_by_itself() {
    let rules = vec![vec![prefix("/"), exact("/a")], vec![prefix("/a")]];
    let found = ids(&[route("default/r", REVIEWS, REVIEWS, rules)]);
    let expected = ["0", "1", "0"].map(|index| format!("HTTPRoute/default/r/{index}"));
    assert_eq!(found, expected);
}

#[test]
fn ties_go_to_the_oldest_route_then_by_name_then_as_written() {
    let same = || vec![vec![prefix("/a")], vec![prefix("/a")]];
    let aged =
        |text: &str, created_ms| HttpRoute { created_ms, ..route(text, REVIEWS, REVIEWS, same()) };
    let mesh = empty().apply(&[
        routed(aged("default/a", 3)),
        routed(aged("default/c", 2)),
        routed(aged("default/b", 2)),
        routed(aged("default/z", 1)),
    ]);
    let routes: Vec<_> = mesh.routes_of(&name(REVIEWS)).iter().map(|it| (**it).clone()).collect();
    let expected: Vec<_> = ["z", "b", "c", "a"]
        .iter()
        .flat_map(|name| [0, 1].map(|index| format!("HTTPRoute/default/{name}/{index}")))
        .collect();
    assert_eq!(ids(&routes), expected);
}

#[test]
fn a_younger_routes_more_specific_match_comes_before_an_older_route() {
    let young = HttpRoute {
        created_ms: 2,
        ..route("default/young", REVIEWS, REVIEWS, vec![vec![exact("/a")]])
    };
    let old = route("default/old", REVIEWS, REVIEWS, vec![vec![prefix("/")]]);
    let found = ids(&[old, young]);
    assert_eq!(found, ["HTTPRoute/default/young/0", "HTTPRoute/default/old/0"]);
}
