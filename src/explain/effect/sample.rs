//! A request that fulfils the conditions of a match and, as far as can be, of no other.

use std::borrow::Cow;

use crate::proxy::head::Head;
use crate::resource::{FieldMatch, PathMatch, RouteMatch, Scheme, ValueMatch};

/// A method and a path that no rule asks for by itself.
const OTHER_METHOD: &str = "OTHER";
const OTHER: &str = "/~";

/// See the head of this file.
#[derive(Debug)]
pub(super) struct Sample {
    method: String,
    path: String,
    query: Option<String>,
    headers: Vec<(String, String)>,
}

impl Sample {
    /// One that fulfils nothing but what every request does.
    pub(super) fn other() -> Self {
        let (method, path) = (OTHER_METHOD.to_owned(), OTHER.to_owned());
        Self { method, path, query: None, headers: Vec::new() }
    }

    /// One that fulfils `wanted`; `None` where it asks for a regular expression.
    pub(super) fn of(wanted: &RouteMatch) -> Option<Self> {
        let path = match &wanted.path {
            PathMatch::Exact(path) => path.clone(),
            PathMatch::Prefix(prefix) => format!("{}{OTHER}", prefix.trim_end_matches('/')),
            PathMatch::Regex(_) => return None,
        };
        let query = pairs(&wanted.query)?;
        let query: Vec<_> =
            query.iter().map(|(name, value)| format!("{}={}", form(name), form(value))).collect();
        Some(Self {
            method: wanted.method.clone().unwrap_or_else(|| OTHER_METHOD.to_owned()),
            path,
            query: (!query.is_empty()).then(|| query.join("&")),
            headers: pairs(&wanted.headers)?,
        })
    }
}

fn pairs(fields: &[FieldMatch]) -> Option<Vec<(String, String)>> {
    let pair = |field: &FieldMatch| match &field.value {
        ValueMatch::Exact(value) => Some((field.name.clone(), value.clone())),
        ValueMatch::Regex(_) => None,
    };
    fields.iter().map(pair).collect()
}

/// In a query: application/x-www-form-urlencoded.
fn form(text: &str) -> String {
    let byte = |byte: u8| match byte.is_ascii_alphanumeric() {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    };
    text.bytes().map(byte).collect()
}

impl Head for Sample {
    fn method(&self) -> &str {
        &self.method
    }

    fn path(&self) -> &str {
        &self.path
    }

    fn query(&self) -> Option<&str> {
        self.query.as_deref()
    }

    fn scheme(&self) -> Scheme {
        Scheme::Http
    }

    fn authority(&self) -> &str {
        ""
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_bytes())
    }

    fn header_joined(&self, name: &str) -> Option<Cow<'_, [u8]>> {
        self.header(name).map(Cow::Borrowed)
    }
}
