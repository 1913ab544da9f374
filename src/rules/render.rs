//! Diagnostics as people read them: message, place, the line of the source, help.
//!
//! Only the line itself is handed to the renderer, found through an index of each file that is made
//! once, so that a thousand problems of a large file cost no more than their lines.

use std::collections::HashMap;
use std::ops::Range;

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Origin, Renderer, Snippet};

use crate::rules::{Diagnostic, Document, Severity};

#[cfg(test)]
mod tests;

/// Longer lines are cut, in bytes.
const MAX_LINE: usize = 400;
/// Longer words are not marked to their end, in bytes.
const MAX_MARKED: usize = 60;

/// Draws diagnostics, one paragraph each, an empty line between them.
pub fn render(diagnostics: &[Diagnostic], documents: &[Document], color: bool) -> String {
    let mut lines: HashMap<&str, Vec<&str>> = HashMap::new();
    let texts: HashMap<&str, &str> =
        documents.iter().map(|d| (d.source.as_str(), d.text.as_str())).collect();
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut paragraphs = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics {
        let lines = lines.entry(&diagnostic.file).or_insert_with(|| {
            let text = texts.get(diagnostic.file.as_str()).copied().unwrap_or_default();
            text.strip_prefix('\u{feff}').unwrap_or(text).lines().collect()
        });
        let line = diagnostic.line.checked_sub(1).and_then(|index| lines.get(index));
        paragraphs.push(one(diagnostic, line.copied(), &renderer));
    }
    paragraphs.join("\n\n")
}

fn one(diagnostic: &Diagnostic, line: Option<&str>, renderer: &Renderer) -> String {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level.primary_title(diagnostic.message.as_str()).id(diagnostic.code.as_str());
    let mut group = match line {
        Some(line) => {
            let shown = line.get(..line.floor_char_boundary(MAX_LINE)).unwrap_or(line);
            let span = span(shown, diagnostic.column);
            title.element(
                Snippet::source(shown)
                    .path(diagnostic.file.as_str())
                    .line_start(diagnostic.line)
                    .annotation(
                        AnnotationKind::Primary.span(span).label(diagnostic.field.as_str()),
                    ),
            )
        }
        None => title.element(Origin::path(diagnostic.file.as_str())),
    };
    if !diagnostic.help.is_empty() {
        group = group.element(Level::HELP.message(diagnostic.help.as_str()));
    }
    renderer.render(&[group])
}

/// The word or quoted text that begins at a column.
fn span(line: &str, column: usize) -> Range<usize> {
    let skip = column.saturating_sub(1);
    let start = line.char_indices().nth(skip).map_or(line.len(), |(offset, _)| offset);
    let rest = line.get(start..).unwrap_or_default();
    let first = rest.chars().next();
    let end = match first {
        Some(quote @ ('"' | '\'')) => closing(rest, quote),
        _ => rest.find([' ', ',', ':', '{', '[', '}', ']']),
    };
    let most = rest.floor_char_boundary(MAX_MARKED);
    let end = end.unwrap_or(rest.len()).min(most).max(first.map_or(0, char::len_utf8));
    start..start + end
}

/// Where a quoted text ends.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (offset, c) in text.char_indices().skip(1) {
        match c {
            '\\' if quote == '"' && !escaped => escaped = true,
            c if c == quote && !escaped => return Some(offset + 1),
            _ => escaped = false,
        }
    }
    None
}
