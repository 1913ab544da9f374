//! The filters of a rule or a backend: changes to the headers of requests and responses.
//!
//! Every other filter of the Gateway API is refused as not supported yet. Headers that frame a
//! message or hold for one hop are the proxy's own and cannot be edited.

use std::collections::HashSet;

use crate::resource::{Field, HeaderEdit};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::problems::{Problems, quoted};
use crate::rules::route::Edits;
use crate::rules::values;

const MAX_FILTERS: usize = 16;
/// Fields to set, to add, or to remove in one filter.
const MAX_FIELDS: usize = 16;

const FILTER: Shape = Shape {
    known: &["type", "requestHeaderModifier", "responseHeaderModifier"],
    later: &[
        "requestMirror",
        "requestRedirect",
        "urlRewrite",
        "cors",
        "externalAuth",
        "extensionRef",
    ],
};
const EDIT: Shape = Shape { known: &["set", "add", "remove"], later: &[] };
const FIELD: Shape = Shape { known: &["name", "value"], later: &[] };

const LATER_TYPES: &[&str] =
    &["RequestMirror", "RequestRedirect", "URLRewrite", "CORS", "ExternalAuth", "ExtensionRef"];

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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Request,
    Response,
}

impl Side {
    fn field(self) -> &'static str {
        match self {
            Self::Request => "requestHeaderModifier",
            Self::Response => "responseHeaderModifier",
        }
    }
}

/// Reads a list of filters.
pub(super) fn read<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Edits {
    let mut edits = Edits::default();
    let mut seen = Vec::new();
    for item in at.items(problems, 0, MAX_FILTERS) {
        let Some((side, edit)) = filter(&item, problems) else { continue };
        if seen.contains(&side) {
            let message = format!("a second `{}` in one list of filters", side.field());
            item.error(problems, codes::DUPLICATE_ITEM, message);
        }
        seen.push(side);
        match side {
            Side::Request => edits.request = edit,
            Side::Response => edits.response = edit,
        }
    }
    edits
}

fn filter<'a>(at: &'a At<'a>, problems: &mut Problems<'_>) -> Option<(Side, HeaderEdit)> {
    let all = at.any_fields(problems)?;
    let words =
        [("RequestHeaderModifier", Side::Request), ("ResponseHeaderModifier", Side::Response)];
    // A filter that comes later is reported once, by its type.
    let kind = all.need(problems, "type");
    let side = kind.and_then(|at| at.word(problems, &words, LATER_TYPES))?;
    let fields = at.fields(problems, &FILTER)?;
    let other = if side == Side::Request { Side::Response } else { Side::Request };
    if let Some(at) = fields.get(other.field()) {
        let message = format!("`{}` does not belong to this type of filter", other.field());
        at.error(problems, codes::WRONG_UNION, message);
    }
    let edit = fields.need(problems, side.field())?;
    Some((side, read_edit(&edit, problems)?))
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
