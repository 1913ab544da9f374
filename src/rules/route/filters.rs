//! The filters of a rule or a backend: changes to headers, redirects, rewriting of the target.
//!
//! Every other filter of the Gateway API is refused as not supported yet. Headers that frame a
//! message or hold for one hop are the proxy's own and cannot be edited.

use std::collections::HashSet;

use crate::resource::{Field, HeaderEdit, Redirect, Rewrite};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::problems::{Problems, quoted};
use crate::rules::route::url::{self, Front};
use crate::rules::values;

const MAX_FILTERS: usize = 16;
/// Fields to set, to add, or to remove in one filter.
const MAX_FIELDS: usize = 16;

const FILTER: Shape = Shape {
    known: &[
        "type",
        "requestHeaderModifier",
        "responseHeaderModifier",
        "requestRedirect",
        "urlRewrite",
    ],
    later: &["requestMirror", "cors", "externalAuth", "extensionRef"],
};
const EDIT: Shape = Shape { known: &["set", "add", "remove"], later: &[] };
const FIELD: Shape = Shape { known: &["name", "value"], later: &[] };

const TYPES: &[(&str, Type)] = &[
    ("RequestHeaderModifier", Type::Request),
    ("ResponseHeaderModifier", Type::Response),
    ("RequestRedirect", Type::Redirect),
    ("URLRewrite", Type::Rewrite),
];
const LATER_TYPES: &[&str] = &["RequestMirror", "CORS", "ExternalAuth", "ExtensionRef"];

/// Framing and hop-by-hop fields (RFC 9110 §7.6.1), which the codec writes itself.
const RESERVED: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a list of filters stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Rule,
    Backend,
}

/// What a list of filters does.
#[derive(Debug, Default)]
pub(super) struct Filters {
    pub(super) request: HeaderEdit,
    pub(super) response: HeaderEdit,
    pub(super) redirect: Option<Redirect>,
    pub(super) rewrite: Rewrite,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Type {
    Request,
    Response,
    Redirect,
    Rewrite,
}

impl Type {
    /// The field that belongs to it.
    fn field(self) -> &'static str {
        match self {
            Self::Request => "requestHeaderModifier",
            Self::Response => "responseHeaderModifier",
            Self::Redirect => "requestRedirect",
            Self::Rewrite => "urlRewrite",
        }
    }
}

/// Reads a list of filters of a rule whose matches are `front`.
pub(super) fn read<'a>(
    at: &'a At<'a>,
    place: Place,
    front: &Front,
    problems: &mut Problems<'_>,
) -> Filters {
    let mut filters = Filters::default();
    let mut seen = Vec::new();
    for item in at.items(problems, 0, MAX_FILTERS) {
        let Some((kind, inner)) = filter(&item, problems) else { continue };
        if seen.contains(&kind) {
            let message = format!("a second `{}` in one list of filters", kind.field());
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        seen.push(kind);
        if kind == Type::Redirect && place == Place::Backend {
            let message = "who is redirected goes to no backend".to_owned();
            let help = "write the `RequestRedirect` among the filters of the rule";
            item.error_with(problems, codes::CONTRADICTION, message, help);
        }
        // `None` where it is wrong, which is reported.
        match kind {
            Type::Request => filters.request = read_edit(&inner, problems).unwrap_or_default(),
            Type::Response => filters.response = read_edit(&inner, problems).unwrap_or_default(),
            Type::Redirect => filters.redirect = url::redirect(&inner, front, problems),
            Type::Rewrite => {
                filters.rewrite = url::rewrite(&inner, front, problems).unwrap_or_default();
            }
        }
    }
    if seen.contains(&Type::Redirect) && seen.contains(&Type::Rewrite) {
        let message = "`RequestRedirect` and `URLRewrite` in one list of filters".to_owned();
        at.error(problems, codes::CONTRADICTION, message);
    }
    filters
}

/// The type of a filter and the field that belongs to it.
fn filter<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<(Type, At<'a>)> {
    let all = at.any_fields(problems)?;
    // A filter that comes later is reported once, by its type.
    let kind = all.need(problems, "type");
    let kind = kind.and_then(|at| at.word(problems, TYPES, LATER_TYPES))?;
    let fields = at.fields(problems, &FILTER)?;
    for (_, other) in TYPES.iter().filter(|(_, other)| *other != kind) {
        if let Some(at) = fields.get(other.field()) {
            let message = format!("`{}` does not belong to this type of filter", other.field());
            at.error(problems, codes::WRONG_UNION, message);
        }
    }
    Some((kind, fields.need(problems, kind.field())?))
}

fn read_edit<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<HeaderEdit> {
    let fields = at.fields(problems, &EDIT)?;
    let set = header_fields(&fields, "set", problems);
    let add = header_fields(&fields, "add", problems);
    let mut remove = Vec::new();
    if let Some(at) = fields.get("remove") {
        for item in at.items(problems, 0, MAX_FIELDS) {
            remove.extend(editable(&item, problems));
        }
    }
    Some(HeaderEdit { set, add, remove })
}

fn header_fields(fields: &Fields<'_>, key: &str, problems: &mut Problems<'_>) -> Vec<Field> {
    let Some(at) = fields.get(key) else { return Vec::new() };
    let mut seen = HashSet::new();
    let mut list = Vec::new();
    for item in at.items(problems, 0, MAX_FIELDS) {
        let Some(inner) = item.fields(problems, &FIELD) else { continue };
        let name = inner.need(problems, "name").and_then(|at| editable(&at, problems));
        let value = inner.need(problems, "value");
        let value = value.and_then(|at| values::header_value(&at, problems));
        let (Some(name), Some(value)) = (name, value) else { continue };
        if !seen.insert(name.clone()) {
            let message = format!("header {} stands twice in `{key}`", quoted(&name));
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        list.push(Field { name, value });
    }
    list
}

/// The name of a header that rules may change.
fn editable(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let name = values::header_name(at, problems)?;
    if !RESERVED.contains(&name.as_str()) {
        return Some(name);
    }
    let message = format!("header `{name}` is written by the proxy itself");
    at.error_with(problems, codes::BAD_HEADER, message, "take it away");
    None
}
