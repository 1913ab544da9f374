//! Puts the events of one document together to a tree.
//!
//! What is counted and refused on the way: depth, values, repeated values, duplicate keys, tags,
//! merge keys. What is refused does not get into the tree, so nobody reads it by mistake.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, ScalarStyle, Tag};

use super::{MAX_DEPTH, MAX_NODES, Stop};
use crate::rules::at::{push_field, push_index};
use crate::rules::codes;
use crate::rules::problems::{Problems, quoted};
use crate::rules::tree::{Entry, Node, Position, Value};

/// Up to so many keys a mapping is searched for duplicates pair by pair.
const SMALL_MAPPING: usize = 16;

/// So much text counts as one value where it is repeated.
const VALUE_BYTES: usize = 64;

/// An unfinished list or mapping.
struct Frame<'a> {
    at: Position,
    anchor: usize,
    /// Values inside, itself included.
    size: usize,
    open: Open<'a>,
}

enum Open<'a> {
    List(Vec<Node<'a>>),
    /// The fields so far, and the key whose value comes next; `None` inside for a refused one.
    Map(Vec<Entry<'a>>, Option<(Option<Cow<'a, str>>, Position)>),
}

/// What an anchor names.
#[derive(Clone)]
struct Anchored<'a> {
    node: Node<'a>,
    /// Values inside, itself included.
    size: usize,
    /// What another copy takes of what may be repeated: its values, or its text where that is more.
    weight: usize,
}

/// Puts the events of one document together.
pub(super) struct Builder<'a, 'p, 'f> {
    stack: Vec<Frame<'a>>,
    anchors: HashMap<usize, Anchored<'a>>,
    nodes: usize,
    repeats: &'p mut usize,
    pub(super) root: Option<Node<'a>>,
    pub(super) problems: &'p mut Problems<'f>,
}

impl<'a, 'p, 'f> Builder<'a, 'p, 'f> {
    pub(super) fn new(repeats: &'p mut usize, problems: &'p mut Problems<'f>) -> Self {
        Self { stack: Vec::new(), anchors: HashMap::new(), nodes: 0, repeats, root: None, problems }
    }

    pub(super) fn clear(&mut self) {
        self.stack.clear();
        self.anchors.clear();
        self.nodes = 0;
        self.root = None;
    }

    pub(super) fn event(&mut self, event: Event<'a>, at: Position) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.is_text(tag.as_deref(), at);
                let value = if plain { Value::Plain(text) } else { Value::Text(text) };
                self.nodes += 1;
                self.finish(Node { at, value }, anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                self.open(at, anchor, Open::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse_tag(tag.as_deref(), at);
                self.open(at, anchor, Open::Map(Vec::new(), None))
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(anchor) => {
                let Some(Anchored { node, size, weight }) = self.repeated(anchor) else {
                    return Err(too_many(at, self.anchors.contains_key(&anchor)));
                };
                self.nodes += size;
                *self.repeats -= weight;
                self.finish(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    /// A copy of what an anchor names, unless that would be too much.
    fn repeated(&self, anchor: usize) -> Option<Anchored<'a>> {
        self.anchors
            .get(&anchor)
            .filter(|it| self.nodes + it.size <= MAX_NODES && it.weight <= *self.repeats)
            .cloned()
    }

    fn open(&mut self, at: Position, anchor: usize, open: Open<'a>) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Stop::too_deep(at));
        }
        self.nodes += 1;
        self.stack.push(Frame { at, anchor, size: 1, open });
        Ok(())
    }

    fn close(&mut self) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.open {
            Open::List(items) => Value::List(items),
            Open::Map(entries, _) => Value::Map(self.without_duplicates(entries)),
        };
        self.finish(Node { at: frame.at, value }, frame.anchor, frame.size)
    }

    /// Puts a finished node of `size` values, which are counted already, where it belongs.
    fn finish(&mut self, node: Node<'a>, anchor: usize, size: usize) -> Result<(), Stop> {
        if anchor != 0 {
            // The copy for later aliases is memory too.
            self.nodes += size;
            let text = node.text_bytes() / VALUE_BYTES;
            let Some(left) = self.repeats.checked_sub(text) else {
                return Err(too_many(node.at, true));
            };
            *self.repeats = left;
            let weight = size.max(text);
            self.anchors.insert(anchor, Anchored { node: node.clone(), size, weight });
        }
        if self.nodes > MAX_NODES {
            return Err(too_many(node.at, true));
        }
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        frame.size += size;
        match &mut frame.open {
            Open::List(items) => items.push(node),
            Open::Map(entries, key) => match key.take() {
                Some((Some(key), at)) => entries.push(Entry { key, at, value: node }),
                Some((None, _)) => {}
                None => match node.value {
                    Value::Plain(text) if text == "<<" => {
                        unsupported(self.problems, node.at, "merge keys are not supported");
                        *key = Some((None, node.at));
                    }
                    Value::Plain(text) | Value::Text(text) => *key = Some((Some(text), node.at)),
                    _ => {
                        unsupported(self.problems, node.at, "a key must be a text");
                        *key = Some((None, node.at));
                    }
                },
            },
        }
        Ok(())
    }

    /// The entries whose key is new; the others are reported.
    fn without_duplicates(&mut self, entries: Vec<Entry<'a>>) -> Vec<Entry<'a>> {
        let mut first: HashMap<&str, Position> = HashMap::new();
        let mut again = Vec::new();
        for (index, entry) in entries.iter().enumerate() {
            let before = match entries.len() <= SMALL_MAPPING {
                true => entries.iter().take(index).find(|e| e.key == entry.key).map(|e| e.at),
                false => match first.get(&*entry.key) {
                    Some(&at) => Some(at),
                    None => first.insert(&entry.key, entry.at),
                },
            };
            if let Some(before) = before {
                self.duplicate(entry, before);
                again.push(index);
            }
        }
        if again.is_empty() {
            return entries;
        }
        let keep = |(index, _): &(usize, Entry<'a>)| again.binary_search(index).is_err();
        entries.into_iter().enumerate().filter(keep).map(|(_, entry)| entry).collect()
    }

    /// Reports a key that stands at `before` already. What is only counted is not put into words.
    fn duplicate(&mut self, entry: &Entry<'a>, before: Position) {
        let code = codes::DUPLICATE_KEY;
        if !self.problems.keeps_error() {
            self.problems.error(code, entry.at, "", String::new(), code.help);
            return;
        }
        let key = quoted(&entry.key);
        let message = format!(
            "duplicate key {key}: it stands at line {}, column {} already",
            before.line, before.column
        );
        let mut path = self.path();
        push_field(&mut path, &entry.key);
        self.problems.error(code, entry.at, &path, message, code.help);
    }

    /// The path of what is being read.
    fn path(&self) -> String {
        let mut path = String::new();
        for frame in &self.stack {
            match &frame.open {
                Open::List(items) => push_index(&mut path, items.len()),
                Open::Map(_, key) => {
                    let key = key.as_ref().and_then(|(key, _)| key.as_deref()).unwrap_or_default();
                    push_field(&mut path, key);
                }
            }
        }
        path
    }

    /// Whether a tag says that a plain scalar is a text; other tags are refused.
    fn is_text(&mut self, tag: Option<&Tag>, at: Position) -> bool {
        match tag {
            Some(tag) if tag.is_yaml_core_schema() && tag.suffix == "str" => true,
            tag => {
                self.refuse_tag(tag, at);
                false
            }
        }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, at: Position) {
        if tag.is_some() {
            unsupported(self.problems, at, "tags are not supported");
        }
    }
}

fn unsupported(problems: &mut Problems<'_>, at: Position, message: &str) {
    let code = codes::UNSUPPORTED_YAML;
    problems.error(code, at, "", message.to_owned(), code.help);
}

fn too_many(at: Position, anchored: bool) -> Stop {
    let (code, message) = match anchored {
        true => (codes::TOO_MANY_NODES, codes::TOO_MANY_NODES.summary),
        false => (codes::UNSUPPORTED_YAML, "an alias inside of what it repeats"),
    };
    Stop { code, at, message: message.to_owned(), help: code.help }
}
