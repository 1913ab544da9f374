//! Rust source with comments, strings and characters blanked, so that checks see code alone.
//!
//! Text in, text of the same lines out. It knows just enough of the grammar for that: nested block
//! comments, raw strings and the difference between a lifetime and a character.

/// Blanks everything that is not code; line breaks stay, so line numbers do too.
pub(super) fn only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let taken = skipped(rest, out.chars().last());
        if taken == 0 {
            out.push(first);
            rest = rest.get(first.len_utf8()..).unwrap_or("");
            continue;
        }
        let (blank, tail) = rest.split_at(taken);
        out.extend(blank.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = tail;
    }
    out
}

/// How many bytes at the start of `rest` are a comment or a literal; 0 when it is code.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let prefix = if rest.starts_with("br") { 2 } else { 1 };
    if !in_word && (rest.starts_with('r') || rest.starts_with("br")) {
        return raw(rest, prefix);
    }
    if rest.starts_with('\'') && is_character(rest) {
        return quoted(rest, '\'');
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(tail) = rest.get(at..).filter(|tail| !tail.is_empty()) {
        if tail.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if tail.starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += tail.chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// A raw string at `rest`, whose `r` or `br` is `prefix` long; 0 when it is none.
fn raw(rest: &str, prefix: usize) -> usize {
    let tail = rest.get(prefix..).unwrap_or("");
    let hashes = tail.chars().take_while(|&c| c == '#').count();
    if tail.chars().nth(hashes) != Some('"') {
        return 0;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = prefix + hashes + 1;
    let after = rest.get(body..).unwrap_or("");
    after.find(&end).map_or(rest.len(), |at| body + at + end.len())
}

/// A lifetime has no closing quote after one character.
fn is_character(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}
