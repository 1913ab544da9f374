//! A problem in a rule, placed: code, `file:line:column`, the field's path, found, expected, help.

use serde::{Deserialize, Serialize};

use crate::rules::codes;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing; the rule holds.
    Warning,
    /// Nothing of the input is used.
    Error,
}

/// One problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable: `MC` and four digits; listed in `docs/reference/diagnostics.md`.
    pub code: String,
    /// What was found and what was expected; lower case, no period.
    pub message: String,
    /// The file as the user named it.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// From 1, in characters.
    pub column: usize,
    /// `spec.rules[0].matches[0].path.type`; empty where the problem is with the whole document.
    pub field: String,
    /// What to do; empty where there is nothing to say.
    pub help: String,
    /// The service that is not there, where that is the problem; else empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub missing: String,
}

impl Diagnostic {
    /// Whether it kept a document, or a whole file, from being read at all.
    pub fn keeps_from_reading(&self) -> bool {
        codes::UNREAD.iter().any(|code| code.code == self.code)
    }
}
