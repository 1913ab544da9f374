//! The one thing in which JSON is no YAML: characters beyond the BMP, escaped as surrogate pairs.
//!
//! `\ud83d\ude00` is rewritten to `\U0001F600` before the text is parsed. Only texts that begin
//! like JSON are touched; everything else of JSON is YAML already (YAML 1.2 §1.3).

use std::borrow::Cow;

#[cfg(test)]
mod tests;

/// The length of one escape: backslash, `u`, four digits.
const ESCAPE: usize = 6;

/// Rewrites surrogate pairs in a text that begins like JSON. A lone surrogate stays, for the
/// parser to refuse.
pub(super) fn without_surrogates(text: &str) -> Cow<'_, str> {
    let looks_like_json = text.trim_start().starts_with(['{', '[']);
    if !looks_like_json || !(text.contains("\\ud") || text.contains("\\uD")) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        out.push_str(before);
        rest = match pair(escape) {
            Some(c) => {
                out.push_str(&format!("\\U{:08X}", u32::from(c)));
                escape.get(2 * ESCAPE..).unwrap_or_default()
            }
            None => {
                // The backslash and what it escapes, so that `\\\\ud83d` is not taken for one.
                let end = escape.char_indices().nth(2).map_or(escape.len(), |(end, _)| end);
                let (kept, after) = escape.split_at(end);
                out.push_str(kept);
                after
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character of two escapes at the beginning of a text that are a surrogate pair.
fn pair(text: &str) -> Option<char> {
    let units = [unit(text)?, unit(text.get(ESCAPE..)?)?];
    if !(0xd800..0xdc00).contains(&units[0]) {
        return None;
    }
    char::decode_utf16(units).next()?.ok()
}

fn unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    digits.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u16::from_str_radix(digits, 16).ok())?
}
