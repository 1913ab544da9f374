//! The filters `RequestRedirect` and `URLRewrite`: what a request asks for is changed.
//!
//! What is written ends up in a `Location` or in a request's first line and `Host`, so each value
//! is of a form that can be neither more nor less than what it stands for.

use crate::mesh::RouteMatch;
use crate::names::check_subdomain;
use crate::resource::{PathEdit, PathMatch, Redirect, Rewrite, Scheme};
use crate::rules::at::{At, Fields, Shape};
use crate::rules::codes;
use crate::rules::problems::Problems;
use crate::rules::values;

const REDIRECT: Shape =
    Shape { known: &["scheme", "hostname", "path", "port", "statusCode"], later: &[] };
const REWRITE: Shape = Shape { known: &["hostname", "path"], later: &[] };
const PATH: Shape = Shape { known: &["type", "replaceFullPath", "replacePrefixMatch"], later: &[] };

/// What stands at the front of every path that a rule matches.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// The one prefix that it matches, without a slash at its end.
    Prefix(String),
    /// Nothing in particular.
    Various,
    /// Its matches cannot be read, which is reported already.
    Unreadable,
}

impl Front {
    /// Of a rule with these matches.
    pub(super) fn of(matches: &[RouteMatch]) -> Self {
        match matches {
            [RouteMatch { path: PathMatch::Prefix(prefix), .. }] => {
                Self::Prefix(without_slash(prefix))
            }
            _ => Self::Various,
        }
    }
}

#[derive(Clone, Copy)]
enum PathType {
    Full,
    Prefix,
}

/// Reads a `requestRedirect`.
pub(super) fn redirect<'a>(
    at: &'a At<'a>,
    front: &Front,
    problems: &mut Problems<'_>,
) -> Option<Redirect> {
    let fields = at.fields(problems, &REDIRECT)?;
    let words = [("http", Scheme::Http), ("https", Scheme::Https)];
    let scheme = fields.get("scheme").and_then(|at| at.word(problems, &words, &[]));
    let port = fields.get("port").and_then(|at| values::port(&at, problems));
    let status = match fields.get("statusCode") {
        Some(at) => status(&at, problems),
        None => Some(302),
    };
    let hostname = hostname(&fields, problems);
    let path = path(&fields, front, problems);
    Some(Redirect { scheme, hostname, path, port, status: status? })
}

/// Reads a `urlRewrite`.
pub(super) fn rewrite<'a>(
    at: &'a At<'a>,
    front: &Front,
    problems: &mut Problems<'_>,
) -> Option<Rewrite> {
    let fields = at.fields(problems, &REWRITE)?;
    let hostname = hostname(&fields, problems);
    Some(Rewrite { hostname, path: path(&fields, front, problems) })
}

fn status(at: &At<'_>, problems: &mut Problems<'_>) -> Option<u16> {
    let number = values::whole(at, problems, codes::BAD_NUMBER, 300, 399)?;
    let known = Redirect::STATUSES.into_iter().find(|status| u64::from(*status) == number);
    if known.is_none() {
        let message = format!("expected 301, 302, 303, 307 or 308, found {number}");
        at.error_with(problems, codes::BAD_NUMBER, message, "write one of these numbers");
    }
    known
}

/// A DNS name without a port; neither a wildcard nor user information fits its form.
fn hostname(fields: &Fields<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let at = fields.get("hostname")?;
    let text = at.text(problems)?;
    match check_subdomain("host name", text) {
        Ok(()) => Some(text.to_owned()),
        Err(error) => {
            at.error(problems, codes::BAD_NAME, error.to_string());
            None
        }
    }
}

fn path(fields: &Fields<'_>, front: &Front, problems: &mut Problems<'_>) -> Option<PathEdit> {
    let at = fields.get("path")?;
    let fields = at.fields(problems, &PATH)?;
    let words = [("ReplaceFullPath", PathType::Full), ("ReplacePrefixMatch", PathType::Prefix)];
    let kind = fields.need(problems, "type").and_then(|at| at.word(problems, &words, &[]))?;
    let (own, other) = match kind {
        PathType::Full => ("replaceFullPath", "replacePrefixMatch"),
        PathType::Prefix => ("replacePrefixMatch", "replaceFullPath"),
    };
    if let Some(at) = fields.get(other) {
        let message = format!("`{other}` does not belong to this type of change");
        at.error(problems, codes::WRONG_UNION, message);
    }
    let value = fields.need(problems, own)?;
    match kind {
        PathType::Full => Some(PathEdit::Full(values::path(&value, problems)?.to_owned())),
        PathType::Prefix => {
            // Nothing may take the place of a prefix.
            let replacement = match value.node().as_text() {
                Some("") => "",
                _ => values::path(&value, problems)?,
            };
            let replacement = without_slash(replacement);
            match front {
                Front::Prefix(matched) => {
                    Some(PathEdit::Prefix { matched: matched.clone(), replacement })
                }
                Front::Unreadable => None,
                Front::Various => {
                    let message = "a prefix can be replaced only in a rule of one match, and that by `PathPrefix`";
                    let help = "split the rule, or use `ReplaceFullPath`";
                    at.error_with(problems, codes::CONTRADICTION, message.to_owned(), help);
                    None
                }
            }
        }
    }
}

/// A slash at the end of a prefix says nothing: it is replaced by element.
fn without_slash(path: &str) -> String {
    path.strip_suffix('/').unwrap_or(path).to_owned()
}
