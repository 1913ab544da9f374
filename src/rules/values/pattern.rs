//! Regular expressions: compiled once here, so that no proxy gets one that does not, and within bounds
//! on their length and on what they compile to. The engine is linear in the text that it reads.

use crate::rules::at::At;
use crate::rules::codes;
use crate::rules::problems::{Problems, quoted};

/// The longest, in bytes.
const MAX_REGEX: usize = 1_024;
/// The largest compiled program of one, in bytes.
const MAX_REGEX_PROGRAM: usize = 1 << 20;

/// A regular expression that compiles, matched as a whole later. It comes back as written.
pub(in crate::rules) fn regex(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.text(problems)?;
    if text.len() > MAX_REGEX {
        let message =
            format!("the regular expression has {} bytes, more than {MAX_REGEX}", text.len());
        at.error(problems, codes::BAD_REGEX, message);
        return None;
    }
    let compile = |text: &str| {
        let mut builder = regex::RegexBuilder::new(text);
        builder.size_limit(MAX_REGEX_PROGRAM).dfa_size_limit(MAX_REGEX_PROGRAM).build()
    };
    // Alone first: `a)(?:b` would close the group that the whole is wrapped in.
    let alone = if text.contains(')') { compile(text).map(drop) } else { Ok(()) };
    let compiled = alone.and_then(|()| compile(&format!("^(?:{text})$")));
    let Err(error) = compiled else { return Some(text.to_owned()) };
    let why = match (error, compile(text)) {
        (regex::Error::CompiledTooBig(_), _) => "it is too large when compiled".to_owned(),
        // Positions in what was written, not in what it is wrapped in.
        (_, Err(own)) => parse_error(&own.to_string()),
        (error, Ok(_)) => parse_error(&error.to_string()),
    };
    let message = format!("the regular expression {} is not valid: {why}", quoted(text));
    at.error(problems, codes::BAD_REGEX, message);
    None
}

/// The parser draws where, in a line of spaces and carets, and says what in its last line.
fn parse_error(text: &str) -> String {
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or(text);
    let what = line.trim().trim_start_matches("error: ");
    let is_drawn = |line: &&str| line.contains('^') && line.trim_matches([' ', '^']).is_empty();
    let drawn = text.lines().find(is_drawn).and_then(|line| line.find('^'));
    // What was written is drawn four columns to the right.
    match drawn.and_then(|column| column.checked_sub(3)) {
        Some(character) => format!("{what}, at its character {character}"),
        None => what.to_owned(),
    }
}
