//! The documents of a text as trees that know where each part of them is written, in bytes.
//!
//! Other than the reader of rules this one takes all that manifests may hold: anchors, aliases,
//! merge keys, tags. It is bounded in depth and in what aliases repeat.

use std::collections::{HashMap, HashSet};

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput};
use serde_json::{Map, Value as Json};

use crate::rules::codes::{self, Code};
use crate::rules::{Diagnostic, Scalar, Severity, resolve};

/// How deep lists and mappings may nest.
const MAX_DEPTH: usize = 100;
/// How many values a file may have, those repeated by aliases counted again.
const MAX_NODES: usize = 2_000_000;

/// Where something stands; both from 1, the column in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl Position {
    /// The beginning of a file.
    pub(super) const START: Self = Self { line: 1, column: 1 };
}

/// Why a text cannot be worked on.
#[derive(Debug)]
pub(super) struct Flaw {
    pub(super) at: Position,
    pub(super) code: &'static Code,
    pub(super) message: String,
}

impl Flaw {
    pub(super) fn diagnostic(&self, file: &str) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            code: self.code.code.to_owned(),
            message: self.message.clone(),
            file: file.to_owned(),
            line: self.at.line,
            column: self.at.column,
            field: String::new(),
            help: self.code.help.to_owned(),
            missing: String::new(),
        }
    }
}

/// A value and where it is written: `start` up to `end`.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) start: usize,
    pub(super) end: usize,
    /// Written somewhere else, and repeated here by `*name`.
    pub(super) alias: bool,
    pub(super) value: Value,
}

#[derive(Debug, Clone)]
pub(super) enum Value {
    Scalar { text: String, plain: bool },
    List { items: Vec<Node>, flow: bool },
    Map { entries: Vec<Entry>, flow: bool },
}

/// One field of a mapping; its key is written from `start` up to `end`.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Position,
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) value: Node,
}

impl Node {
    /// Whether nothing at all is written.
    fn is_empty(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if text.is_empty())
    }

    /// What it means, by the YAML 1.2 core schema; merge keys are resolved.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Scalar { text, plain: false } => Json::String(text.clone()),
            Value::Scalar { text, plain: true } => match resolve(text) {
                Scalar::Null => Json::Null,
                Scalar::Bool(value) => Json::Bool(value),
                Scalar::Int(value) => Json::from(value),
                Scalar::Float(value) => Json::from(value),
                Scalar::Text => Json::String(text.clone()),
            },
            Value::List { items, .. } => items.iter().map(Self::to_json).collect(),
            Value::Map { entries, .. } => {
                let mut map = Map::new();
                for entry in entries.iter().filter(|entry| entry.key == "<<") {
                    let merged = match entry.value.to_json() {
                        Json::Array(items) => items,
                        one => vec![one],
                    };
                    for (key, value) in merged.into_iter().filter_map(into_object).flatten() {
                        map.entry(key).or_insert(value);
                    }
                }
                let own = entries.iter().filter(|entry| entry.key != "<<");
                map.extend(own.map(|entry| (entry.key.clone(), entry.value.to_json())));
                Json::Object(map)
            }
        }
    }
}

fn into_object(json: Json) -> Option<Map<String, Json>> {
    match json {
        Json::Object(map) => Some(map),
        _ => None,
    }
}

/// Reads all documents.
pub(super) fn parse(text: &str) -> Result<Vec<Node>, Flaw> {
    let offsets = match text.is_ascii() {
        true => Vec::new(),
        false => text.char_indices().map(|(offset, _)| offset).collect(),
    };
    let parser = Parser::new_from_str(text);
    let mut reader = Reader { text, offsets, parser, anchors: HashMap::new(), nodes: 0 };
    let mut roots = Vec::new();
    while let Some((event, span)) = reader.next()? {
        match event {
            Event::DocumentStart(_) => reader.anchors.clear(),
            Event::StreamStart | Event::DocumentEnd | Event::Nothing => {}
            Event::StreamEnd => break,
            event => roots.push(reader.node(event, span, 0)?),
        }
    }
    Ok(roots)
}

struct Reader<'t> {
    text: &'t str,
    /// Where each character begins, unless each is one byte.
    offsets: Vec<usize>,
    parser: Parser<'t, StrInput<'t>>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Result<Option<(Event<'t>, Span)>, Flaw> {
        self.parser.next_event().transpose().map_err(|error| syntax(&error))
    }

    fn node(&mut self, event: Event<'t>, span: Span, depth: usize) -> Result<Node, Flaw> {
        let at = position(&span);
        let (start, end) = self.range(&span);
        let before = self.nodes;
        self.count(1, at)?;
        if depth > MAX_DEPTH {
            return Err(flaw(at, codes::TOO_DEEP));
        }
        let flow = opens(self.text.get(start..end).unwrap_or_default());
        let (anchor, mut node) = match event {
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    return Err(flaw(at, codes::UNSUPPORTED_YAML));
                };
                self.count(size, at)?;
                return Ok(Node { at, start, end, alias: true, ..node });
            }
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && tag.is_none();
                let value = Value::Scalar { text: text.into_owned(), plain };
                (anchor, Node { at, start, end, alias: false, value })
            }
            Event::SequenceStart(anchor, _) => (anchor, self.list(at, start, flow, depth)?),
            Event::MappingStart(anchor, _) => (anchor, self.map(at, start, flow, depth)?),
            _ => return Err(flaw(at, codes::UNSUPPORTED_YAML)),
        };
        let written = self.text.get(node.start..node.end).unwrap_or_default();
        node.end = node.start + written.trim_end().len();
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), self.nodes - before));
        }
        Ok(node)
    }

    fn list(&mut self, at: Position, start: usize, flow: bool, depth: usize) -> Result<Node, Flaw> {
        let mut items: Vec<Node> = Vec::new();
        loop {
            let Some((event, span)) = self.next()? else { return Err(flaw(at, codes::SYNTAX)) };
            if event == Event::SequenceEnd {
                let last = items.last().map_or(start, |item| item.end);
                let end = if flow { self.range(&span).0 + 1 } else { last };
                return Ok(Node {
                    at,
                    start,
                    end,
                    alias: false,
                    value: Value::List { items, flow },
                });
            }
            items.push(self.node(event, span, depth + 1)?);
        }
    }

    fn map(&mut self, at: Position, start: usize, flow: bool, depth: usize) -> Result<Node, Flaw> {
        let mut entries: Vec<Entry> = Vec::new();
        let mut keys = HashSet::new();
        loop {
            let Some((event, span)) = self.next()? else { return Err(flaw(at, codes::SYNTAX)) };
            if event == Event::MappingEnd {
                let last = entries.last().map_or(start, |entry| entry.value.end);
                let end = if flow { self.range(&span).0 + 1 } else { last };
                let value = Value::Map { entries, flow };
                return Ok(Node { at, start, end, alias: false, value });
            }
            let key = self.node(event, span, depth + 1)?;
            let Value::Scalar { text, .. } = key.value else {
                return Err(flaw(key.at, codes::UNSUPPORTED_YAML));
            };
            if !keys.insert(text.clone()) {
                return Err(flaw(key.at, codes::DUPLICATE_KEY));
            }
            let Some((event, span)) = self.next()? else { return Err(flaw(at, codes::SYNTAX)) };
            let mut value = self.node(event, span, depth + 1)?;
            if value.is_empty() {
                // The parser says where it missed the value, which may be lines below.
                (value.start, value.end) = (key.end, key.end);
            }
            let (start, end) = (key.start, key.end);
            entries.push(Entry { key: text, at: key.at, start, end, value });
        }
    }

    fn count(&mut self, more: usize, at: Position) -> Result<(), Flaw> {
        self.nodes += more;
        match self.nodes > MAX_NODES {
            true => Err(flaw(at, codes::TOO_MANY_NODES)),
            false => Ok(()),
        }
    }

    fn range(&self, span: &Span) -> (usize, usize) {
        (self.offset(span.start.index()), self.offset(span.end.index()))
    }

    /// Where a character begins, in bytes.
    fn offset(&self, index: usize) -> usize {
        match self.offsets.is_empty() {
            true => index.min(self.text.len()),
            false => self.offsets.get(index).copied().unwrap_or(self.text.len()),
        }
    }
}

/// Whether a collection that begins like this, perhaps with an anchor or a tag, has a bracket.
fn opens(text: &str) -> bool {
    let mut rest = text.trim_start();
    while rest.starts_with(['&', '!']) {
        rest = rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest).trim_start();
    }
    rest.starts_with(['[', '{'])
}

fn position(span: &Span) -> Position {
    Position { line: span.start.line(), column: span.start.col() + 1 }
}

fn flaw(at: Position, code: &'static Code) -> Flaw {
    Flaw { at, code, message: code.summary.to_owned() }
}

fn syntax(error: &ScanError) -> Flaw {
    let at = Position { line: error.marker().line(), column: error.marker().col() + 1 };
    let message = format!("not well-formed YAML: {}", error.info());
    Flaw { at, code: codes::SYNTAX, message }
}
