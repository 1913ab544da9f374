//! Matches that never decide, because one that is tried before takes all of their requests.
//!
//! The order is that of `mesh::in_precedence`, over all routes of one namespace on one port of a
//! service. Nearly always a narrower match comes first, so two things are left to look for: the same
//! conditions once more, and a regular expression that takes everything under a prefix, because
//! expressions are tried before prefixes. Only what is certain is told.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::mesh::{Candidate, HttpRoute, Object, ObjectRef, Parent, RouteMatch, in_precedence};
use crate::names::{Namespace, RuleId, ServiceName};
use crate::resource::{FieldMatch, PathMatch};
use crate::rules::check::{Check, warning};
use crate::rules::codes;
use crate::rules::{Diagnostic, ParsedObject};

/// How many matches are compared in one run; what is beyond is not looked at.
const MAX_COMPARED: usize = 200_000;

/// A match: of which route, in which rule, which of its matches.
type Place = (ObjectRef, usize, usize);

/// What was found, by route.
#[derive(Default)]
pub(super) struct Shadowed(HashMap<ObjectRef, Vec<Diagnostic>>);

impl Shadowed {
    /// The warnings about a route.
    pub(super) fn of(&self, object: &ParsedObject) -> Vec<Diagnostic> {
        self.0.get(&object.reference).cloned().unwrap_or_default()
    }
}

/// A port of a service, as a parent names it, and whose routes are meant.
type Door<'r> = (&'r ServiceName, &'r Namespace, Option<u16>, Option<&'r str>);

/// Looks at all routes of the input, among those of the mesh.
pub(super) fn find(check: &Check<'_>) -> Shadowed {
    let mut doors: BTreeSet<Door<'_>> = BTreeSet::new();
    for object in check.written.values() {
        let Object::HttpRoute(route) = &object.object else { continue };
        let door = |it| door(it, &route.namespace);
        doors.extend(route.parents.iter().map(door));
    }
    let mut by: HashMap<Place, Vec<RuleId>> = HashMap::new();
    let mut left = MAX_COMPARED;
    for door in doors {
        let routes = behind(check, door);
        let candidates = in_precedence(&routes);
        let Some(rest) = left.checked_sub(candidates.len()) else { break };
        left = rest;
        let mut earlier = Earlier::default();
        for candidate in candidates {
            let is_written = check.written.contains_key(&candidate.route.reference());
            if let Some(first) = earlier.takes(candidate.matched) {
                // A parent that names all ports stands behind the doors of single ones too.
                if is_written && stands_at(candidate.route, door) {
                    by.entry(place(&candidate)).or_default().push(first.clone());
                }
            } else {
                earlier.add(candidate);
            }
        }
    }
    told(check, &by)
}

fn door<'r>(parent: &'r Parent, namespace: &'r Namespace) -> Door<'r> {
    (&parent.service, namespace, parent.port, parent.section.as_deref())
}

fn stands_at(route: &HttpRoute, at: Door<'_>) -> bool {
    route.parents.iter().any(|parent| door(parent, &route.namespace) == at)
}

/// The routes that hold wherever a parent like this does, in the order of their age.
fn behind(check: &Check<'_>, (service, namespace, port, section): Door<'_>) -> Vec<Arc<HttpRoute>> {
    let mut routes = check.after.routes_of(service);
    routes.retain(|route| {
        let covers = |parent: &Parent| {
            let same = (parent.port, parent.section.as_deref()) == (port, section);
            parent.service == *service && (parent.is_whole() || same)
        };
        route.namespace == *namespace && route.parents.iter().any(covers)
    });
    routes
}

/// Where a candidate stands in its route.
fn place(candidate: &Candidate<'_>) -> Place {
    let Candidate { route, rule, matched, .. } = candidate;
    let rule_index = route.rules.iter().position(|it| std::ptr::eq(it, *rule));
    let match_index = rule.matches.iter().position(|it| std::ptr::eq(it, *matched));
    (route.reference(), rule_index.unwrap_or_default(), match_index.unwrap_or_default())
}

/// The warnings: about a rule as a whole where none of its matches ever decides.
fn told(check: &Check<'_>, by: &HashMap<Place, Vec<RuleId>>) -> Shadowed {
    let mut shadowed = Shadowed::default();
    for (reference, object) in &check.written {
        let Object::HttpRoute(route) = &object.object else { continue };
        let mut found = Vec::new();
        for (rule_index, rule) in route.rules.iter().enumerate() {
            let first = |index: usize| {
                let firsts = by.get(&((*reference).clone(), rule_index, index))?;
                // It still decides wherever another parent of its route has no such neighbour.
                (firsts.len() >= route.parents.len()).then(|| firsts.first()).flatten()
            };
            let firsts: Vec<Option<&RuleId>> = (0..rule.matches.len()).map(first).collect();
            let path = format!("spec.rules[{rule_index}]");
            if let Some(Some(first)) = firsts.first()
                && firsts.iter().all(Option::is_some)
            {
                let message =
                    format!("this rule never matches: `{first}` takes all of its requests");
                found.push(warning(object, codes::NEVER_MATCHES, path, message));
                continue;
            }
            for (index, first) in firsts.iter().enumerate() {
                let Some(first) = first else { continue };
                let message = format!("this never matches: `{first}` takes all of its requests");
                let field = format!("{path}.matches[{index}]");
                found.push(warning(object, codes::NEVER_MATCHES, field, message));
            }
        }
        shadowed.0.insert((*reference).clone(), found);
    }
    shadowed
}

/// The matches that are tried before the next one.
#[derive(Default)]
struct Earlier<'r> {
    same: HashMap<String, &'r RuleId>,
    wide: Vec<Wide<'r>>,
}

/// A regular expression that takes every path which begins with `from`.
struct Wide<'r> {
    from: &'r str,
    candidate: Candidate<'r>,
}

impl<'r> Earlier<'r> {
    fn add(&mut self, candidate: Candidate<'r>) {
        self.same.insert(conditions(candidate.matched), &candidate.rule.id);
        if let PathMatch::Regex(pattern) = &candidate.matched.path
            && let Some(from) = begins(pattern)
        {
            self.wide.push(Wide { from, candidate });
        }
    }

    /// The rule that takes everything that `matched` would.
    fn takes(&self, matched: &RouteMatch) -> Option<&'r RuleId> {
        if let Some(same) = self.same.get(&conditions(matched)) {
            return Some(same);
        }
        let PathMatch::Prefix(prefix) = &matched.path else { return None };
        let wide = self.wide.iter().find(|wide| {
            let asked = wide.candidate.matched;
            prefix.starts_with(wide.from)
                && (asked.method.is_none() || asked.method == matched.method)
                && among(&asked.headers, &matched.headers)
                && among(&asked.query, &matched.query)
        });
        wide.map(|wide| &wide.candidate.rule.id)
    }
}

fn among(asked: &[FieldMatch], also: &[FieldMatch]) -> bool {
    asked.iter().all(|one| also.contains(one))
}

/// What a match says, the same text for the same conditions.
fn conditions(matched: &RouteMatch) -> String {
    let sorted = |fields: &[FieldMatch]| {
        let fields = fields.iter().map(|field| format!("{field:?}"));
        fields.collect::<BTreeSet<_>>()
    };
    let (headers, query) = (sorted(&matched.headers), sorted(&matched.query));
    format!("{:?} {:?} {headers:?} {query:?}", matched.path, matched.method)
}

/// The plain text before `.*` of an expression that is nothing else: `/api/` of `/api/.*`.
fn begins(pattern: &str) -> Option<&str> {
    let pattern = pattern.strip_prefix('^').unwrap_or(pattern);
    let pattern = pattern.strip_suffix('$').unwrap_or(pattern);
    let from = pattern.strip_suffix(".*")?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"/-_~%".contains(&b);
    from.bytes().all(is_plain).then_some(from)
}
