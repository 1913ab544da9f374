//! The order in which the matches of all routes on one port are tried.
//!
//! As the Gateway API says of `HTTPRouteRule.matches`, over all rules of all routes: exact path,
//! then the longest prefix, a method, the most header matches, the most query parameter matches;
//! ties go to the oldest route, then `namespace/name`, then the order written. Where a regular
//! expression stands is left to implementations: here, as in Envoy Gateway and Contour, after
//! exact and before prefix (longer expressions first), because behind the prefix `/` of a default
//! rule it could never match.

use std::cmp::Reverse;
use std::sync::Arc;

use crate::mesh::{HttpRoute, RouteMatch, RouteRule};
use crate::resource::PathMatch;

/// One match with the rule that it leads to.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'r> {
    /// The route.
    pub route: &'r HttpRoute,
    /// The rule's index over all rules of all routes given.
    pub index: u32,
    /// The rule.
    pub rule: &'r RouteRule,
    /// The conditions.
    pub matched: &'r RouteMatch,
}

/// Every match of `routes`, the one to be tried first in front.
///
/// `routes` come by age, then by `namespace/name`, as `Snapshot::routes_on` gives them; the sort
/// is stable, so their order decides ties.
pub fn in_precedence(routes: &[Arc<HttpRoute>]) -> Vec<Candidate<'_>> {
    let rules = routes.iter().flat_map(|route| route.rules.iter().map(move |rule| (route, rule)));
    let mut candidates: Vec<_> = (0..)
        .zip(rules)
        .flat_map(|(index, (route, rule))| {
            let matches = rule.matches.iter();
            matches.map(move |matched| Candidate { route, index, rule, matched })
        })
        .collect();
    candidates.sort_by_key(|candidate| Reverse(specificity(candidate.matched)));
    candidates
}

/// Greater is tried first: kind of path, its length, a method, headers, query parameters.
fn specificity(matched: &RouteMatch) -> (PathRank, usize, bool, usize, usize) {
    let (rank, length) = match &matched.path {
        PathMatch::Exact(_) => (PathRank::Exact, 0),
        PathMatch::Regex(pattern) => (PathRank::Regex, pattern.chars().count()),
        PathMatch::Prefix(prefix) => {
            // `/a/` and `/a` are the same prefix: it is compared by element.
            (PathRank::Prefix, prefix.trim_end_matches('/').chars().count())
        }
    };
    (rank, length, matched.method.is_some(), matched.headers.len(), matched.query.len())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PathRank {
    Prefix,
    Regex,
    Exact,
}
