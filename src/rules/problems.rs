//! Where the problems of one file are gathered while it is read, bounded in number.
//!
//! Readers report and go on, so that one run shows every problem. Foreign text that goes into a
//! message is escaped and cut here, so that no rule can write to a terminal.

use crate::rules::codes::{self, Code};
use crate::rules::tree::Position;
use crate::rules::{Diagnostic, Severity};

/// How many problems of one file are kept.
pub(super) const MAX_PROBLEMS: usize = 1_000;
/// How much of a foreign text a message shows, in characters.
const MAX_SHOWN: usize = 80;
/// Longer words have no near word: the comparison costs time in the square of the length.
const MAX_COMPARED: usize = 64;

/// The problems of one file.
pub(super) struct Problems<'f> {
    file: &'f str,
    found: Vec<Diagnostic>,
    errors: usize,
}

impl<'f> Problems<'f> {
    pub(super) fn new(file: &'f str) -> Self {
        Self { file, found: Vec::new(), errors: 0 }
    }

    pub(super) fn file(&self) -> &'f str {
        self.file
    }

    /// How many errors there were so far; those not kept included.
    pub(super) fn errors(&self) -> usize {
        self.errors
    }

    pub(super) fn error(
        &mut self,
        code: &Code,
        at: Position,
        field: &str,
        message: String,
        help: &str,
    ) {
        self.errors += 1;
        self.push(Severity::Error, code, at, field, message, help);
    }

    pub(super) fn warning(&mut self, code: &Code, at: Position, field: &str, message: String) {
        self.push(Severity::Warning, code, at, field, message, code.help);
    }

    fn push(
        &mut self,
        severity: Severity,
        code: &Code,
        at: Position,
        field: &str,
        message: String,
        help: &str,
    ) {
        if self.found.len() > MAX_PROBLEMS {
            return;
        }
        let full = self.found.len() == MAX_PROBLEMS;
        let code = if full { codes::TOO_MANY_PROBLEMS } else { code };
        self.found.push(Diagnostic {
            severity: if full { Severity::Error } else { severity },
            code: code.code.to_owned(),
            message: if full { code.summary.to_owned() } else { message },
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            field: if full { String::new() } else { field.to_owned() },
            help: if full { code.help.to_owned() } else { help.to_owned() },
        });
    }

    /// The problems in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut found = self.found;
        let last = found.split_off(found.len().min(MAX_PROBLEMS));
        found.sort_by_key(|d| (d.line, d.column));
        found.extend(last);
        found
    }
}

/// A foreign text for a message: in backticks, escaped, cut.
pub(super) fn quoted(text: &str) -> String {
    let mut shown: String = text
        .chars()
        .take(MAX_SHOWN)
        .flat_map(|c| match c {
            '\'' | '"' | '\\' => vec![c],
            c => c.escape_debug().collect(),
        })
        .collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        shown.push('…');
    }
    format!("`{shown}`")
}

/// The word of `words` that was probably meant.
pub(super) fn nearest<'w>(
    found: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    if found.len() > MAX_COMPARED {
        return None;
    }
    let lower = found.to_ascii_lowercase();
    let allowed = (found.chars().count() / 3).clamp(1, 3);
    words
        .into_iter()
        .map(|word| (strsim::osa_distance(&lower, &word.to_ascii_lowercase()), word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word)
}

/// Words for a message: `` `a`, `b` or `c` ``.
pub(super) fn alternatives<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
