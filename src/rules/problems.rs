//! Where the problems of one file are gathered while it is read, bounded in number.
//!
//! Readers report and go on, so that one run shows every problem. Foreign text that goes into a
//! message is escaped and cut here, so that no rule can write to a terminal.

use crate::rules::codes::{self, Code};
use crate::rules::tree::Position;
use crate::rules::{Diagnostic, Severity};

/// How many errors of one file are kept, and how many warnings.
pub(super) const MAX_PROBLEMS: usize = 1_000;
/// How many problems of all files are kept.
pub(super) const MAX_PROBLEMS_IN_ALL: usize = 10_000;
/// How much of a foreign text a message shows, in characters.
const MAX_SHOWN: usize = 80;
/// Longer words have no near word: the comparison costs time in the square of the length.
const MAX_COMPARED: usize = 64;

/// From this likeness (Jaro-Winkler, 0 to 1) on two words are taken for the same.
const ALIKE: f64 = 0.85;

/// The problems of one file.
pub(super) struct Problems<'f> {
    file: &'f str,
    /// How many of each severity are kept.
    room: usize,
    errors: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
    /// Errors so far, those not kept included.
    count: usize,
}

impl<'f> Problems<'f> {
    /// For a file, when `before` problems of other files are kept already.
    pub(super) fn new(file: &'f str, before: usize) -> Self {
        let room = MAX_PROBLEMS_IN_ALL.saturating_sub(before).min(MAX_PROBLEMS);
        Self { file, room, errors: Vec::new(), warnings: Vec::new(), count: 0 }
    }

    /// How many errors there were so far; those not kept included.
    pub(super) fn errors(&self) -> usize {
        self.count
    }

    /// Whether one more error would be kept, or only counted.
    pub(super) fn keeps_error(&self) -> bool {
        self.errors.len() <= self.room
    }

    pub(super) fn error(
        &mut self,
        code: &Code,
        at: Position,
        field: &str,
        message: String,
        help: &str,
    ) {
        self.count += 1;
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
        let kept = match severity {
            Severity::Error => &mut self.errors,
            Severity::Warning => &mut self.warnings,
        };
        if kept.len() > self.room {
            return;
        }
        let mut diagnostic = Diagnostic {
            severity,
            code: code.code.to_owned(),
            message,
            file: self.file.to_owned(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            help: help.to_owned(),
            missing: String::new(),
        };
        if kept.len() == self.room {
            let code = codes::TOO_MANY_PROBLEMS;
            diagnostic.code = code.code.to_owned();
            diagnostic.message = code.summary.to_owned();
            diagnostic.help = code.help.to_owned();
            diagnostic.field.clear();
        }
        kept.push(diagnostic);
    }

    /// The problems in the order of the file.
    pub(super) fn into_sorted(self) -> Vec<Diagnostic> {
        let mut found = self.errors;
        found.extend(self.warnings);
        found.sort_by_key(|d| (d.line, d.column));
        found
    }
}

/// A foreign text for a message: in backticks, escaped, cut.
pub(crate) fn quoted(text: &str) -> String {
    format!("`{}`", escaped(text))
}

/// A foreign text, escaped and cut.
pub(super) fn escaped(text: &str) -> String {
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
    shown
}

/// The word of `words` that was probably meant.
pub(crate) fn nearest<'w>(
    found: &str,
    words: impl IntoIterator<Item = &'w str>,
) -> Option<&'w str> {
    if found.len() > MAX_COMPARED {
        return None;
    }
    let lower = found.to_ascii_lowercase();
    let allowed = (found.chars().count() / 3).clamp(1, 3);
    let words: Vec<&str> = words.into_iter().collect();
    let close = words
        .iter()
        .map(|word| (strsim::osa_distance(&lower, &word.to_ascii_lowercase()), *word))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance);
    // Else a word that begins alike: `hostss` for `hostnames`.
    let alike = || {
        let likeness = |word: &&str| strsim::jaro_winkler(&lower, &word.to_ascii_lowercase());
        words
            .iter()
            .copied()
            .filter(|word| likeness(word) >= ALIKE)
            .max_by(|one, other| likeness(one).total_cmp(&likeness(other)))
    };
    close.map(|(_, word)| word).or_else(alike)
}

/// Words for a message: `` `a`, `b` or `c` ``.
pub(crate) fn alternatives<'w>(words: impl IntoIterator<Item = &'w str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| format!("`{word}`")).collect();
    match words.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} or {last}", others.join(", ")),
        None => "nothing".to_owned(),
    }
}
