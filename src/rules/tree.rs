//! The tree of one document, with the place of every node: what every reader in here reads.
//!
//! YAML events and stored JSON both end here, so there is one reading of a rule wherever it comes
//! from. Scalars keep their text and whether they were plain: what a plain `on` or `08` is, the
//! schema's type decides later.

use std::borrow::Cow;

use serde_json::{Map, Value as Json};

use crate::rules::scalar::{self, Scalar};

/// Where something stands; both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// The beginning of a file.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// A value and its place.
#[derive(Debug, Clone)]
pub(super) struct Node<'a> {
    pub(super) at: Position,
    pub(super) value: Value<'a>,
}

/// A value.
#[derive(Debug, Clone)]
pub(super) enum Value<'a> {
    /// A scalar without quotes: a text, a number, a truth value or nothing.
    Plain(Cow<'a, str>),
    /// A scalar that is certainly a text.
    Text(Cow<'a, str>),
    /// A sequence.
    List(Vec<Node<'a>>),
    /// A mapping in the order written, without duplicates.
    Map(Vec<Entry<'a>>),
}

/// One field of a mapping.
#[derive(Debug, Clone)]
pub(super) struct Entry<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) at: Position,
    pub(super) value: Node<'a>,
}

impl<'a> Node<'a> {
    /// Bytes of all texts in it, keys included.
    pub(super) fn text_bytes(&self) -> usize {
        match &self.value {
            Value::Plain(text) | Value::Text(text) => text.len(),
            Value::List(items) => items.iter().map(Node::text_bytes).sum(),
            Value::Map(entries) => {
                entries.iter().map(|it| it.key.len() + it.value.text_bytes()).sum()
            }
        }
    }

    /// The value of a field of a mapping.
    pub(super) fn field(&self, key: &str) -> Option<&Node<'a>> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|e| e.key == key).map(|e| &e.value),
            _ => None,
        }
    }

    /// The text of a scalar that is one by the core schema.
    pub(super) fn as_text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Plain(text) if scalar::resolve(text) == Scalar::Text => Some(text),
            _ => None,
        }
    }

    /// Whether it is an empty or explicit null.
    pub(super) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Plain(text) if scalar::resolve(text) == Scalar::Null)
    }

    /// The node as JSON, plain scalars resolved by the YAML 1.2 core schema.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Text(text) => Json::String(text.to_string()),
            Value::Plain(text) => match scalar::resolve(text) {
                Scalar::Null => Json::Null,
                Scalar::Bool(value) => Json::Bool(value),
                Scalar::Int(value) => Json::from(value),
                Scalar::Float(value) => Json::from(value),
                Scalar::Text => Json::String(text.to_string()),
            },
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => Json::Object(
                entries.iter().map(|e| (e.key.to_string(), e.value.to_json())).collect(),
            ),
        }
    }

    /// A stored document as a tree; every place is the start of it.
    pub(super) fn from_json(json: &'a Json) -> Self {
        let value = match json {
            Json::Null => Value::Plain(Cow::Borrowed("null")),
            Json::Bool(value) => Value::Plain(Cow::Owned(value.to_string())),
            Json::Number(number) => Value::Plain(Cow::Owned(number.to_string())),
            Json::String(text) => Value::Text(Cow::Borrowed(text)),
            Json::Array(items) => Value::List(items.iter().map(Node::from_json).collect()),
            Json::Object(fields) => Value::Map(entries(fields)),
        };
        Self { at: Position::START, value }
    }
}

fn entries(fields: &Map<String, Json>) -> Vec<Entry<'_>> {
    fields
        .iter()
        .map(|(key, value)| Entry {
            key: Cow::Borrowed(key),
            at: Position::START,
            value: Node::from_json(value),
        })
        .collect()
}
