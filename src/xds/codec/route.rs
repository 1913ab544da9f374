//! Conditions on requests and changes to headers, the parts of `meshctl.v1.Service` that speak of
//! HTTP. Header names are checked to be lower-case tokens and values to be sendable, so that
//! nothing here can break a message that it is put into.

use http::{HeaderName, HeaderValue, Method};
use prost::Message;

use super::{DecodeError, field};
use crate::resource::{Field, FieldMatch, HeaderEdit, PathMatch, RouteMatch, ValueMatch};

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireMatch {
    #[prost(uint32, tag = "1")]
    rule: u32,
    #[prost(message, optional, tag = "2")]
    path: Option<WirePath>,
    #[prost(string, tag = "3")]
    method: String,
    #[prost(message, repeated, tag = "4")]
    headers: Vec<WireFieldMatch>,
    #[prost(message, repeated, tag = "5")]
    query: Vec<WireFieldMatch>,
}

/// `how`: 1 exact, 2 prefix, 3 regular expression.
#[derive(Clone, PartialEq, Message)]
struct WirePath {
    #[prost(uint32, tag = "1")]
    how: u32,
    #[prost(string, tag = "2")]
    value: String,
}

/// `how`: 1 exact, 3 regular expression.
#[derive(Clone, PartialEq, Message)]
struct WireFieldMatch {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint32, tag = "2")]
    how: u32,
    #[prost(string, tag = "3")]
    value: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct WireEdit {
    #[prost(message, repeated, tag = "1")]
    set: Vec<WireField>,
    #[prost(message, repeated, tag = "2")]
    add: Vec<WireField>,
    #[prost(string, repeated, tag = "3")]
    remove: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct WireField {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

pub(super) fn encode_match(one: &RouteMatch) -> WireMatch {
    let (how, value) = match &one.path {
        PathMatch::Exact(value) => (1, value),
        PathMatch::Prefix(value) => (2, value),
        PathMatch::Regex(value) => (3, value),
    };
    WireMatch {
        rule: one.rule,
        path: Some(WirePath { how, value: value.clone() }),
        method: one.method.clone().unwrap_or_default(),
        headers: one.headers.iter().map(encode_field_match).collect(),
        query: one.query.iter().map(encode_field_match).collect(),
    }
}

fn encode_field_match(field: &FieldMatch) -> WireFieldMatch {
    let (how, value) = match &field.value {
        ValueMatch::Exact(value) => (1, value),
        ValueMatch::Regex(value) => (3, value),
    };
    WireFieldMatch { name: field.name.clone(), how, value: value.clone() }
}

pub(super) fn decode_match(wire: WireMatch) -> Result<RouteMatch, DecodeError> {
    let path = decode_path(field::required("path", wire.path)?)?;
    let method: Option<Method> = field::optional("method", &wire.method)?;
    let headers = field::each("headers", wire.headers, |one| {
        header_name("name", &one.name)?;
        decode_field_match(one)
    })?;
    Ok(RouteMatch {
        rule: wire.rule,
        path,
        method: method.map(|method| method.to_string()),
        headers,
        query: field::each("query", wire.query, decode_field_match)?,
    })
}

fn decode_path(wire: WirePath) -> Result<PathMatch, DecodeError> {
    let value = field::text("path", wire.value)?;
    let rooted = value.starts_with('/');
    match wire.how {
        1 if rooted => Ok(PathMatch::Exact(value)),
        2 if rooted => Ok(PathMatch::Prefix(value)),
        3 => Ok(PathMatch::Regex(value)),
        1 | 2 => Err(DecodeError::new("path", "does not begin with `/`")),
        other => Err(field::unknown("path", other)),
    }
}

fn decode_field_match(wire: WireFieldMatch) -> Result<FieldMatch, DecodeError> {
    let value = field::text("value", wire.value)?;
    let value = match wire.how {
        1 => ValueMatch::Exact(value),
        3 => ValueMatch::Regex(value),
        other => return Err(field::unknown("value", other)),
    };
    Ok(FieldMatch { name: field::text("name", wire.name)?, value })
}

/// `None` for no change, so that there is one encoding of it.
pub(super) fn encode_edit(edit: &HeaderEdit) -> Option<WireEdit> {
    let fields = |fields: &[Field]| {
        let wire =
            |field: &Field| WireField { name: field.name.clone(), value: field.value.clone() };
        fields.iter().map(wire).collect()
    };
    (!edit.is_empty()).then(|| WireEdit {
        set: fields(&edit.set),
        add: fields(&edit.add),
        remove: edit.remove.clone(),
    })
}

pub(super) fn decode_edit(name: &str, wire: Option<WireEdit>) -> Result<HeaderEdit, DecodeError> {
    let wire = wire.unwrap_or_default();
    let decode = || {
        Ok(HeaderEdit {
            set: field::each("set", wire.set, decode_field)?,
            add: field::each("add", wire.add, decode_field)?,
            remove: field::each("remove", wire.remove, |name| {
                header_name("", &name)?;
                Ok(name)
            })?,
        })
    };
    decode().map_err(|error: DecodeError| error.inside(name))
}

fn decode_field(wire: WireField) -> Result<Field, DecodeError> {
    header_name("name", &wire.name)?;
    let value = field::text("value", wire.value)?;
    if HeaderValue::from_str(&value).is_err() {
        return Err(DecodeError::new("value", "has characters that no header field may carry"));
    }
    Ok(Field { name: wire.name, value })
}

fn header_name(field: &str, name: &str) -> Result<(), DecodeError> {
    match HeaderName::from_lowercase(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(DecodeError::new(field, "is not a header name in lower case")),
    }
}
