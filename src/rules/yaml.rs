//! Text to trees: one per YAML or JSON document (JSON is read as the YAML that it is).
//!
//! Nesting, the number of values of a document and the number of syntax errors are bounded, so
//! that neither depth nor alias bombs cost time or memory. After a syntax error reading goes on at
//! the next `---`, so that one bad document does not hide the problems of the others. Duplicate
//! keys are refused here, in every mapping.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span, StrInput, Tag};

use crate::rules::codes::{self, Code};
use crate::rules::problems::Problems;
use crate::rules::tree::{Entry, Node, Position, Value};

#[cfg(test)]
mod tests;

/// How deep lists and mappings may nest.
pub(super) const MAX_DEPTH: usize = 64;
/// How many values one document may have, those repeated by aliases counted again.
pub(super) const MAX_NODES: usize = 100_000;
/// After so many syntax errors the rest of a file is not read.
const MAX_SYNTAX_ERRORS: usize = 100;
/// Up to so many keys a mapping is searched for duplicates pair by pair.
const SMALL_MAPPING: usize = 16;

/// Calls `each` with every document of `text`, in order. What is wrong with the YAML itself goes
/// to `problems`; documents that it spoils are left out.
pub(super) fn documents<'a>(
    text: &'a str,
    problems: &mut Problems<'_>,
    mut each: impl FnMut(&Node<'a>, &mut Problems<'_>),
) {
    let mut rest = text;
    let mut base = 0;
    for _ in 0..MAX_SYNTAX_ERRORS {
        let mut stream = Stream { parser: Parser::new_from_str(rest), base, start: 1 };
        let Err(stop) = stream.read(problems, &mut each) else { return };
        let line = stop.at.line.saturating_sub(base);
        problems.error(stop.code, stop.at, "", stop.message, stop.help);
        let Some((skipped, next)) = next_document(rest, line, stream.start) else { return };
        rest = next;
        base += skipped;
    }
}

/// The rest of `text` from the first `---` at or after `line`, but after the line in which the
/// spoilt document starts; with the number of lines before it.
fn next_document(text: &str, line: usize, start: usize) -> Option<(usize, &str)> {
    let mut offset = 0;
    for (index, row) in text.split_inclusive('\n').enumerate() {
        let number = index + 1;
        if number >= line && number > start && row.starts_with("---") {
            return text.get(offset..).map(|rest| (index, rest));
        }
        offset += row.len();
    }
    None
}

/// Why reading a document stopped.
struct Stop {
    code: &'static Code,
    at: Position,
    message: String,
    help: &'static str,
}

struct Stream<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Lines before the parser's first.
    base: usize,
    /// The parser's line where the current document starts.
    start: usize,
}

impl<'a> Stream<'a> {
    fn read(
        &mut self,
        problems: &mut Problems<'_>,
        each: &mut impl FnMut(&Node<'a>, &mut Problems<'_>),
    ) -> Result<(), Stop> {
        let mut builder = Builder::new(problems);
        while let Some(event) = self.parser.next_event() {
            let (event, span) = event.map_err(|error| self.syntax(&error))?;
            let at = self.position(&span);
            match event {
                Event::DocumentStart(_) => {
                    self.start = span.start.line();
                    builder.clear();
                }
                Event::DocumentEnd => {
                    if let Some(root) = builder.root.take() {
                        each(&root, builder.problems);
                    }
                }
                Event::StreamEnd => return Ok(()),
                Event::StreamStart | Event::Nothing => {}
                event => builder.event(event, at)?,
            }
        }
        Ok(())
    }

    fn position(&self, span: &Span) -> Position {
        Position { line: span.start.line() + self.base, column: span.start.col() + 1 }
    }

    fn syntax(&self, error: &ScanError) -> Stop {
        let mark = error.marker();
        Stop {
            code: codes::SYNTAX,
            at: Position { line: mark.line() + self.base, column: mark.col() + 1 },
            message: format!("not well-formed YAML: {}", error.info()),
            help: codes::SYNTAX.help,
        }
    }
}

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
    Map(Vec<Entry<'a>>, Option<(Cow<'a, str>, Position)>),
}

/// Puts the events of one document together.
struct Builder<'a, 'p, 'f> {
    stack: Vec<Frame<'a>>,
    anchors: HashMap<usize, (Node<'a>, usize)>,
    nodes: usize,
    root: Option<Node<'a>>,
    problems: &'p mut Problems<'f>,
}

impl<'a, 'p, 'f> Builder<'a, 'p, 'f> {
    fn new(problems: &'p mut Problems<'f>) -> Self {
        Self { stack: Vec::new(), anchors: HashMap::new(), nodes: 0, root: None, problems }
    }

    fn clear(&mut self) {
        self.stack.clear();
        self.anchors.clear();
        self.nodes = 0;
        self.root = None;
    }

    fn event(&mut self, event: Event<'a>, at: Position) -> Result<(), Stop> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = style == ScalarStyle::Plain && !self.is_text(tag.as_deref(), at);
                let value = if plain { Value::Plain(text) } else { Value::Text(text) };
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
                let Some((node, size)) = self.repeated(anchor) else {
                    return Err(too_many(at, self.anchors.contains_key(&anchor)));
                };
                self.finish(node, 0, size)
            }
            _ => Ok(()),
        }
    }

    /// A copy of what an anchor names, unless that would be too much.
    fn repeated(&self, anchor: usize) -> Option<(Node<'a>, usize)> {
        self.anchors.get(&anchor).filter(|(_, size)| self.nodes + size <= MAX_NODES).cloned()
    }

    fn open(&mut self, at: Position, anchor: usize, open: Open<'a>) -> Result<(), Stop> {
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("nested deeper than {MAX_DEPTH} levels");
            return Err(Stop { code: codes::TOO_DEEP, at, message, help: codes::TOO_DEEP.help });
        }
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

    /// Puts a finished node where it belongs.
    fn finish(&mut self, node: Node<'a>, anchor: usize, size: usize) -> Result<(), Stop> {
        self.nodes += size;
        if anchor != 0 {
            // The copy for later aliases is memory too.
            self.nodes += size;
            self.anchors.insert(anchor, (node.clone(), size));
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
                Some((key, at)) => entries.push(Entry { key, at, value: node }),
                None => match node.value {
                    Value::Plain(text) if text == "<<" => {
                        unsupported(self.problems, node.at, "merge keys are not supported");
                        *key = Some((text, node.at));
                    }
                    Value::Plain(text) | Value::Text(text) => *key = Some((text, node.at)),
                    _ => {
                        unsupported(self.problems, node.at, "a key must be a text");
                        *key = Some((Cow::Borrowed(""), node.at));
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
                let key = crate::rules::problems::quoted(&entry.key);
                let message = format!(
                    "duplicate key {key}: it stands at line {}, column {} already",
                    before.line, before.column
                );
                let code = codes::DUPLICATE_KEY;
                self.problems.error(code, entry.at, &entry.key, message, code.help);
                again.push(index);
            }
        }
        if again.is_empty() {
            return entries;
        }
        let keep = |(index, _): &(usize, Entry<'a>)| again.binary_search(index).is_err();
        entries.into_iter().enumerate().filter(keep).map(|(_, entry)| entry).collect()
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
        true => (
            codes::TOO_MANY_NODES,
            format!("more than {MAX_NODES} values in one document, with what aliases repeat"),
        ),
        false => (codes::UNSUPPORTED_YAML, "an alias inside of what it repeats".to_owned()),
    };
    Stop { code, at, message, help: code.help }
}
