//! Text to trees: one per YAML or JSON document (JSON is read as the YAML that it is).
//!
//! Nesting, the number of values of a document and the number of syntax errors are bounded, so
//! that neither depth nor alias bombs cost time or memory. After a syntax error reading goes on at
//! the next `---`, so that one bad document does not hide the problems of the others. Duplicate
//! keys are refused here, in every mapping.

use saphyr_parser::{Event, Parser, ScanError, Span, StrInput};

use crate::rules::codes::{self, Code};
use crate::rules::problems::Problems;
use crate::rules::tree::{Node, Position};

mod builder;
#[cfg(test)]
mod tests;

use builder::Builder;

/// How deep lists and mappings may nest.
pub(super) const MAX_DEPTH: usize = 64;
/// How many values one document may have, those repeated by aliases counted again.
pub(super) const MAX_NODES: usize = 100_000;
/// How many values aliases may repeat in one run; of long texts 64 bytes count as one.
pub(super) const MAX_REPEATS: usize = 1_000_000;
/// After so many syntax errors the rest of a file is not read.
const MAX_SYNTAX_ERRORS: usize = 100;

/// Calls `each` with every document of `text`, in order; `repeats` is what is left of
/// [`MAX_REPEATS`]. What is wrong with the YAML itself goes to `problems`; documents that it
/// spoils are left out.
pub(super) fn documents<'a>(
    text: &'a str,
    repeats: &mut usize,
    problems: &mut Problems<'_>,
    mut each: impl FnMut(&Node<'a>, &mut Problems<'_>),
) {
    let mut rest = text;
    let mut base = 0;
    for _ in 0..MAX_SYNTAX_ERRORS {
        let mut stream = Stream { parser: Parser::new_from_str(rest), base, start: 1 };
        let Err(stop) = stream.read(repeats, problems, &mut each) else { return };
        let line = stop.at.line.saturating_sub(base);
        let at = within(rest, base, stop.at);
        problems.error(stop.code, at, "", stop.message, stop.help);
        let Some((skipped, next)) = next_document(rest, line, stream.start) else { return };
        rest = next;
        base += skipped;
    }
}

/// That place, or the end of `text`, which begins after `base` lines: what is not closed is missed in the
/// line after the last.
fn within(text: &str, base: usize, at: Position) -> Position {
    let last = text.lines().count();
    match text.lines().last() {
        Some(end) if at.line > base + last => {
            Position { line: base + last, column: end.chars().count() + 1 }
        }
        _ => at,
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

impl Stop {
    /// Lists and mappings nest deeper than [`MAX_DEPTH`].
    fn too_deep(at: Position) -> Self {
        let message = format!("nested deeper than {MAX_DEPTH} levels");
        Self { code: codes::TOO_DEEP, at, message, help: codes::TOO_DEEP.help }
    }
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
        repeats: &mut usize,
        problems: &mut Problems<'_>,
        each: &mut impl FnMut(&Node<'a>, &mut Problems<'_>),
    ) -> Result<(), Stop> {
        let mut builder = Builder::new(repeats, problems);
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
        let at = Position { line: mark.line() + self.base, column: mark.col() + 1 };
        // The parser has a limit of its own for `[` and `{`, which it may reach first.
        if error.info() == "recursion limit exceeded" {
            return Stop::too_deep(at);
        }
        Stop {
            code: codes::SYNTAX,
            at,
            message: format!("not well-formed YAML: {}", error.info()),
            help: codes::SYNTAX.help,
        }
    }
}
