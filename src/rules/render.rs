//! Diagnostics as people read them: message, place, the line of the source, help.
//!
//! Only the line itself is handed to the renderer. Each file is walked once, and of its lines those
//! alone are kept that a problem is about: a large file costs no more than its problems.

use std::collections::{HashMap, HashSet};
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

/// Draws diagnostics, one paragraph each, an empty line between them. Services that are not there have one
/// together: where rules come before their workloads, nearly every place that names one is such a problem.
pub fn render(diagnostics: &[Diagnostic], documents: &[Document], color: bool) -> String {
    let lines = lines(diagnostics, documents);
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let renderer = renderer.decor_style(DecorStyle::Ascii);
    let mut paragraphs = Vec::with_capacity(diagnostics.len());
    let missing: Vec<_> = diagnostics.iter().filter(|it| !it.missing.is_empty()).collect();
    for diagnostic in diagnostics {
        match missing.first() {
            Some(first) if missing.len() > 1 && !diagnostic.missing.is_empty() => {
                if std::ptr::eq(*first, diagnostic) {
                    paragraphs.push(together(first, &missing, &renderer));
                }
            }
            _ => {
                let line = lines.get(&(diagnostic.file.as_str(), diagnostic.line));
                paragraphs.push(one(diagnostic, line.copied(), &renderer));
            }
        }
    }
    paragraphs.join("\n\n")
}

/// A line for each service that is not there, in the order in which they are named first.
fn together(first: &Diagnostic, missing: &[&Diagnostic], renderer: &Renderer) -> String {
    let mut services: Vec<(&Diagnostic, usize)> = Vec::new();
    let mut known = HashMap::new();
    for &diagnostic in missing {
        let next = services.len();
        match services.get_mut(*known.entry(&diagnostic.missing).or_insert(next)) {
            Some((_, places)) => *places += 1,
            None => services.push((diagnostic, 1)),
        }
    }
    let title = match services.len() {
        1 => "a service that is named is not there".to_owned(),
        count => format!("{count} services that are named are not there"),
    };
    let lines = services.iter().map(|(it, places)| {
        let place = format!("{}:{}:{}", it.file, it.line, it.column);
        let more = match places - 1 {
            0 => String::new(),
            1 => ", and 1 more place".to_owned(),
            more => format!(", and {more} more places"),
        };
        Level::NOTE.no_name().message(format!("{} ({place}{more})", it.message))
    });
    let title = Level::WARNING.primary_title(title).id(first.code.as_str());
    let group = title.elements(lines).element(Level::HELP.message(first.help.as_str()));
    renderer.render(&[group])
}

/// The lines that problems are about, by file and number.
fn lines<'d>(
    diagnostics: &'d [Diagnostic],
    documents: &'d [Document],
) -> HashMap<(&'d str, usize), &'d str> {
    let mut wanted: HashMap<&str, HashSet<usize>> = HashMap::new();
    for diagnostic in diagnostics {
        wanted.entry(&diagnostic.file).or_default().insert(diagnostic.line);
    }
    let mut lines = HashMap::new();
    for document in documents {
        let Some(wanted) = wanted.get(document.source.as_str()) else { continue };
        let text = document.text.strip_prefix('\u{feff}').unwrap_or(&document.text);
        let numbered = (1..).zip(text.lines()).filter(|(number, _)| wanted.contains(number));
        lines.extend(numbered.map(|(number, line)| ((document.source.as_str(), number), line)));
    }
    lines
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
