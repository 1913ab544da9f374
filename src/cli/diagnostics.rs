//! Problems of rules, the same under `validate`, `apply` and what the control plane refuses.

use crate::rules::{Diagnostic, Document, Severity};

/// Problems as text for people, with the lines that they are about where the text is at hand, and an
/// empty line at the end; nothing without any. Styled; the printer takes that out where it must.
pub(crate) fn render(diagnostics: &[Diagnostic], documents: &[Document]) -> String {
    match diagnostics {
        [] => String::new(),
        some => crate::rules::render(some, documents, true) + "\n\n",
    }
}

/// How many errors and warnings there are, as `2 errors, 1 warning`; empty without any.
pub(crate) fn summary(diagnostics: &[Diagnostic]) -> String {
    let count = |severity| diagnostics.iter().filter(|d| d.severity == severity).count();
    let parts = [(count(Severity::Error), "error"), (count(Severity::Warning), "warning")];
    let parts = parts.into_iter().filter(|(count, _)| *count > 0);
    parts.map(|(count, noun)| plural(count, noun)).collect::<Vec<_>>().join(", ")
}

/// The first names of a list, and how many more there are: `a, b and 3 more`.
pub(crate) fn listed(names: &[String]) -> String {
    /// As many fit a line or two.
    const SHOWN: usize = 8;
    let shown = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `1 error`, `2 errors`, `2 proxies`.
pub(crate) fn plural(count: usize, noun: &str) -> String {
    match (count, noun.strip_suffix('y')) {
        (1, _) => format!("1 {noun}"),
        (_, Some(stem)) => format!("{count} {stem}ies"),
        _ => format!("{count} {noun}s"),
    }
}
