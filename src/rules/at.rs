//! A place in a document while it is read: the node, and the path of fields that led to it.
//!
//! The methods read a node as what the schema says it is. What is wrong is reported with the
//! place, what was found and what was expected, and `None` comes back; the caller reads on, so
//! that all problems of a document show at once. Nothing is converted: a text is no number.

use std::fmt::Write;

use crate::rules::codes::{self, Code};
use crate::rules::problems::{Problems, alternatives, escaped, nearest, quoted};
use crate::rules::scalar::{self, Scalar};
use crate::rules::tree::{Entry, Node, Position, Value};

/// Once a path has so many bytes it grows no further.
const MAX_PATH: usize = 1_024;

/// The fields of a mapping of the schema.
pub(super) struct Shape {
    /// Those that are read.
    pub(super) known: &'static [&'static str],
    /// Those that the documented kind has and this version does not support.
    pub(super) later: &'static [&'static str],
}

/// A node and its path.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    node: &'a Node<'a>,
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
}

impl<'a> At<'a> {
    /// The root of a document.
    pub(super) fn root(node: &'a Node<'a>) -> Self {
        Self { node, parent: None, step: Step::Root }
    }

    pub(super) fn node(&self) -> &'a Node<'a> {
        self.node
    }

    pub(super) fn position(&self) -> Position {
        self.node.at
    }

    /// `spec.rules[0].name`; empty for the root.
    pub(super) fn path(&self) -> String {
        let mut path = self.parent.map(At::path).unwrap_or_default();
        match self.step {
            Step::Root => {}
            Step::Field(name) => push_field(&mut path, name),
            Step::Index(index) => push_index(&mut path, index),
        }
        path
    }

    /// Reports an error here, with the code's own help.
    pub(super) fn error(&self, problems: &mut Problems<'_>, code: &Code, message: String) {
        self.error_with(problems, code, message, code.help);
    }

    /// Reports an error here.
    pub(super) fn error_with(
        &self,
        problems: &mut Problems<'_>,
        code: &Code,
        message: String,
        help: &str,
    ) {
        problems.error(code, self.node.at, &self.path(), message, help);
    }

    /// Reports a warning here.
    pub(super) fn warning(&self, problems: &mut Problems<'_>, code: &Code, message: String) {
        problems.warning(code, self.node.at, &self.path(), message);
    }

    /// What stands here, for messages.
    pub(super) fn found(&self) -> String {
        match &self.node.value {
            Value::Text(text) => format!("the text {}", quoted(text)),
            Value::Plain(text) => match scalar::resolve(text) {
                Scalar::Null => "nothing".to_owned(),
                kind => format!("{} {}", kind.noun(), quoted(text)),
            },
            Value::List(_) => "a list".to_owned(),
            Value::Map(_) => "a mapping".to_owned(),
        }
    }

    /// Reports that something else was expected here.
    pub(super) fn mismatch(&self, problems: &mut Problems<'_>, expected: &str) {
        let message = format!("expected {expected}, found {}", self.found());
        self.error(problems, codes::WRONG_TYPE, message);
    }

    /// Reads a mapping, reporting fields that `shape` does not have or that come later.
    pub(super) fn fields(
        &'a self,
        problems: &mut Problems<'_>,
        shape: &Shape,
    ) -> Option<Fields<'a>> {
        let fields = self.any_fields(problems)?;
        for entry in fields.entries {
            let key: &str = &entry.key;
            if shape.known.contains(&key) {
                continue;
            }
            let mut path = self.path();
            push_field(&mut path, key);
            if shape.later.contains(&key) {
                let code = codes::FIELD_NOT_YET;
                let message = format!("field `{key}` is not supported yet in this version");
                problems.error(code, entry.at, &path, message, code.help);
                continue;
            }
            let words = || shape.known.iter().chain(shape.later).copied();
            let help = match nearest(key, words()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => format!("fields here: {}", words().collect::<Vec<_>>().join(", ")),
            };
            let message = format!("unknown field {}", quoted(key));
            problems.error(codes::UNKNOWN_FIELD, entry.at, &path, message, &help);
        }
        Some(fields)
    }

    /// Reads a mapping whose keys are the user's.
    pub(super) fn any_fields(&'a self, problems: &mut Problems<'_>) -> Option<Fields<'a>> {
        match &self.node.value {
            Value::Map(entries) => Some(Fields { at: self, entries }),
            _ => {
                self.mismatch(problems, "a mapping");
                None
            }
        }
    }

    /// Reads a list of `least` to `most` items.
    pub(super) fn items(
        &'a self,
        problems: &mut Problems<'_>,
        least: usize,
        most: usize,
    ) -> Vec<At<'a>> {
        let Value::List(items) = &self.node.value else {
            self.mismatch(problems, "a list");
            return Vec::new();
        };
        if items.len() < least || items.len() > most {
            let message = format!("expected {least} to {most} items, found {}", items.len());
            let help = match items.len() < least {
                true => "add at least one",
                false => "split the object over several",
            };
            self.error_with(problems, codes::TOO_MANY_ITEMS, message, help);
            return Vec::new();
        }
        let item = |(index, node)| At { node, parent: Some(self), step: Step::Index(index) };
        items.iter().enumerate().map(item).collect()
    }

    /// Reads a text. Plain numbers, truth values and nulls are none.
    pub(super) fn text(&self, problems: &mut Problems<'_>) -> Option<&'a str> {
        if let Some(text) = self.node.as_text() {
            return Some(text);
        }
        let message = format!("expected a text, found {}", self.found());
        let help = match &self.node.value {
            Value::Plain(text) if !self.node.is_null() => {
                format!("if it is meant as text, quote it: \"{}\"", escaped(text))
            }
            _ => codes::WRONG_TYPE.help.to_owned(),
        };
        self.error_with(problems, codes::WRONG_TYPE, message, &help);
        None
    }

    /// Checks that exactly one of the fields `keys` is there.
    pub(super) fn only_one_of(
        &self,
        fields: &Fields<'_>,
        keys: &[&'static str],
        problems: &mut Problems<'_>,
    ) -> Option<()> {
        let mut there = keys.iter().filter_map(|key| fields.get(key));
        let Some(_) = there.next() else {
            let message = format!("expected one of {}", alternatives(keys.iter().copied()));
            self.error(problems, codes::MISSING_FIELD, message);
            return None;
        };
        let Some(second) = there.next() else { return Some(()) };
        let message = format!("expected only one of {}", alternatives(keys.iter().copied()));
        second.error_with(problems, codes::CONTRADICTION, message, "keep one of them");
        None
    }

    /// Reads a text of `least` to `most` bytes.
    pub(super) fn bounded_text(
        &self,
        problems: &mut Problems<'_>,
        least: usize,
        most: usize,
    ) -> Option<&'a str> {
        let text = self.text(problems)?;
        if (least..=most).contains(&text.len()) {
            return Some(text);
        }
        let message = format!("expected {least} to {most} bytes, found {}", text.len());
        self.error(problems, codes::BAD_TEXT, message);
        None
    }

    /// Reads one of the words of the schema; `later` are words of the documented kind that this
    /// version does not support.
    pub(super) fn word<T: Copy>(
        &self,
        problems: &mut Problems<'_>,
        words: &[(&'static str, T)],
        later: &[&str],
    ) -> Option<T> {
        let text = self.text(problems)?;
        if let Some((_, value)) = words.iter().find(|(word, _)| *word == text) {
            return Some(*value);
        }
        let now = || words.iter().map(|(word, _)| *word);
        if later.contains(&text) {
            let message = format!("`{text}` is not supported yet in this version");
            let help = format!("use {}", alternatives(now()));
            self.error_with(problems, codes::VALUE_NOT_YET, message, &help);
            return None;
        }
        let message = format!("expected {}, found {}", alternatives(now()), quoted(text));
        let help = nearest(text, now()).map(|word| format!("did you mean `{word}`?"));
        let help = help.as_deref().unwrap_or(codes::UNKNOWN_WORD.help);
        self.error_with(problems, codes::UNKNOWN_WORD, message, help);
        None
    }
}

/// The fields of a mapping.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a> {
    at: &'a At<'a>,
    entries: &'a [Entry<'a>],
}

impl<'a> Fields<'a> {
    /// A field, if it is there.
    pub(super) fn get(&self, key: &str) -> Option<At<'a>> {
        let entry = self.entries.iter().find(|entry| entry.key == key)?;
        Some(At { node: &entry.value, parent: Some(self.at), step: Step::Field(&entry.key) })
    }

    /// A field that must be there.
    pub(super) fn need(&self, problems: &mut Problems<'_>, key: &str) -> Option<At<'a>> {
        let found = self.get(key);
        if found.is_none() {
            let mut path = self.at.path();
            push_field(&mut path, key);
            let message = format!("missing field `{key}`");
            let code = codes::MISSING_FIELD;
            let help = format!("add `{key}:` here");
            problems.error(code, self.at.position(), &path, message, &help);
        }
        found
    }

    /// Every field.
    pub(super) fn all(&self) -> impl Iterator<Item = (&'a str, At<'a>)> + use<'a> {
        let parent = self.at;
        self.entries.iter().map(move |entry| {
            let step = Step::Field(&entry.key);
            (&*entry.key, At { node: &entry.value, parent: Some(parent), step })
        })
    }
}

/// Goes on to a field. Of its name as much is shown as a name may have, and nothing once the path is
/// longer than any of the schema.
pub(super) fn push_field(path: &mut String, name: &str) {
    if path.len() > MAX_PATH {
        return;
    }
    if !path.is_empty() {
        path.push('.');
    }
    path.extend(name.chars().take(253).flat_map(char::escape_debug));
}

/// Goes on to an item of a list.
pub(super) fn push_index(path: &mut String, index: usize) {
    if path.len() <= MAX_PATH {
        // Writing to a `String` cannot fail.
        let _ = write!(path, "[{index}]");
    }
}
