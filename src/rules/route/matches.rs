//! One match of a route's rule: path, method, headers, query parameters.

use std::collections::HashSet;

use crate::mesh::RouteMatch;
use crate::resource::{FieldMatch, PathMatch, ValueMatch};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::problems::{Problems, quoted};
use crate::rules::values;

/// Conditions on headers, or on query parameters, of one match.
const MAX_CONDITIONS: usize = 16;
/// The longest value to compare with.
const MAX_VALUE: usize = 4_096;

const MATCH: Shape = Shape { known: &["path", "headers", "queryParams", "method"], later: &[] };
const PATH: Shape = Shape { known: &["type", "value"], later: &[] };
const CONDITION: Shape = Shape { known: &["type", "name", "value"], later: &[] };

const METHODS: &[(&str, &str)] = &[
    ("GET", "GET"),
    ("HEAD", "HEAD"),
    ("POST", "POST"),
    ("PUT", "PUT"),
    ("DELETE", "DELETE"),
    ("CONNECT", "CONNECT"),
    ("OPTIONS", "OPTIONS"),
    ("TRACE", "TRACE"),
    ("PATCH", "PATCH"),
];

#[derive(Clone, Copy)]
enum PathType {
    Exact,
    Prefix,
    Regex,
}

#[derive(Clone, Copy)]
enum ValueType {
    Exact,
    Regex,
}

/// Reads one match.
pub(in crate::rules) fn read<'a>(
    at: &'a At<'a>,
    problems: &mut Problems<'_>,
) -> Option<RouteMatch> {
    let fields = at.fields(problems, &MATCH)?;
    let path = match fields.get("path") {
        Some(at) => path(&at, problems),
        None => Some(PathMatch::Prefix("/".to_owned())),
    };
    let method = fields.get("method").and_then(|at| at.word(problems, METHODS, &[]));
    let headers = conditions(&fields, "headers", values::header_name, problems);
    let query = conditions(&fields, "queryParams", query_name, problems);
    Some(RouteMatch { path: path?, method: method.map(str::to_owned), headers, query })
}

fn path<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<PathMatch> {
    let fields = at.fields(problems, &PATH)?;
    let words = [
        ("Exact", PathType::Exact),
        ("PathPrefix", PathType::Prefix),
        ("RegularExpression", PathType::Regex),
    ];
    let kind = match fields.get("type") {
        Some(at) => at.word(problems, &words, &[]),
        None => Some(PathType::Prefix),
    };
    let Some(value) = fields.get("value") else {
        return match kind? {
            PathType::Exact => Some(PathMatch::Exact("/".to_owned())),
            PathType::Prefix => Some(PathMatch::Prefix("/".to_owned())),
            PathType::Regex => {
                fields.need(problems, "value");
                None
            }
        };
    };
    match kind? {
        PathType::Exact => values::path(&value, problems).map(|p| PathMatch::Exact(p.to_owned())),
        PathType::Prefix => values::path(&value, problems).map(prefix),
        PathType::Regex => values::regex(&value, problems).map(PathMatch::Regex),
    }
}

/// A slash at the end of a prefix says nothing: the match is by element.
fn prefix(path: &str) -> PathMatch {
    let trimmed = path.strip_suffix('/').filter(|rest| !rest.is_empty());
    PathMatch::Prefix(trimmed.unwrap_or(path).to_owned())
}

fn query_name(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    at.bounded_text(problems, 1, 256).map(str::to_owned)
}

/// Reads a list of conditions; one name may stand only once.
fn conditions(
    fields: &Fields<'_>,
    key: &str,
    name: fn(&At<'_>, &mut Problems<'_>) -> Option<String>,
    problems: &mut Problems<'_>,
) -> Vec<FieldMatch> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut seen = HashSet::new();
    let mut conditions = Vec::new();
    for item in at.items(problems, 0, MAX_CONDITIONS) {
        let Some(condition) = condition(&item, name, problems) else { continue };
        if !seen.insert(condition.name.clone()) {
            let message = format!("{} stands twice in `{key}`", quoted(&condition.name));
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        conditions.push(condition);
    }
    conditions
}

fn condition<'a>(
    at: &'a At<'a>,
    name: fn(&At<'_>, &mut Problems<'_>) -> Option<String>,
    problems: &mut Problems<'_>,
) -> Option<FieldMatch> {
    let fields = at.fields(problems, &CONDITION)?;
    let words = [("Exact", ValueType::Exact), ("RegularExpression", ValueType::Regex)];
    let kind = match fields.get("type") {
        Some(at) => at.word(problems, &words, &[]),
        None => Some(ValueType::Exact),
    };
    let name = fields.need(problems, "name").and_then(|at| name(&at, problems));
    let value = fields.need(problems, "value");
    let value = match (kind, value) {
        (Some(ValueType::Exact), Some(at)) => {
            let text = at.bounded_text(problems, 1, MAX_VALUE);
            text.map(|text| ValueMatch::Exact(text.to_owned()))
        }
        (Some(ValueType::Regex), Some(at)) => values::regex(&at, problems).map(ValueMatch::Regex),
        _ => None,
    };
    Some(FieldMatch { name: name?, value: value? })
}
