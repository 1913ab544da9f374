//! The canonical path: every component behind the codec sees this form and no other.
//!
//! Unreserved characters are percent-decoded, other escapes written in upper case, dot segments
//! removed, duplicate slashes merged (RFC 3986 §6.2.2, §5.2.4). Encoded slashes and everything
//! reserved stay encoded; what servers may read in two ways is told by [`is_ambiguous`].

use std::borrow::Cow;

/// Why a target is not acceptable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidPath;

/// What a byte means for normalization.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Slash,
    Dot,
    Percent,
    Invalid,
}

const CLASSES: [Class; 256] = {
    let mut table = [Class::Invalid; 256];
    let mut byte = 0x21;
    while byte < 0x7f {
        table[byte] = Class::Plain;
        byte += 1;
    }
    table[b'/' as usize] = Class::Slash;
    table[b'.' as usize] = Class::Dot;
    table[b'%' as usize] = Class::Percent;
    // A fragment never belongs in a request; a backslash is a slash to some servers.
    table[b'#' as usize] = Class::Invalid;
    table[b'\\' as usize] = Class::Invalid;
    // The query begins here; the caller has split it off.
    table[b'?' as usize] = Class::Invalid;
    table
};

/// Normalizes a path that begins with `/`. Borrowed where it is canonical already, which is the
/// common case and costs one pass.
///
/// # Errors
/// [`InvalidPath`] for bytes outside of visible ASCII, `#`, `\`, and malformed percent-encodings.
pub fn normalize(path: &str) -> Result<Cow<'_, str>, InvalidPath> {
    let mut previous = Class::Plain;
    let mut canonical = path.starts_with('/');
    if !canonical {
        return Err(InvalidPath);
    }
    for byte in path.bytes() {
        let class = CLASSES[usize::from(byte)];
        match class {
            Class::Invalid => return Err(InvalidPath),
            Class::Percent => canonical = false,
            Class::Slash | Class::Dot if previous == Class::Slash => canonical = false,
            _ => {}
        }
        previous = class;
    }
    if canonical { Ok(Cow::Borrowed(path)) } else { rewrite(path).map(Cow::Owned) }
}

/// Checks what follows the `?`: visible ASCII without `#`.
pub fn is_valid_query(query: &str) -> bool {
    query.bytes().all(|b| (0x21..0x7f).contains(&b) && b != b'#')
}

/// Whether servers disagree on what a canonical path names: it has an encoded slash, backslash or
/// NUL, or a dot segment with parameters (`..;`), which some resolve only after they were asked
/// for another path. Whoever decides by paths must not let it pass.
pub fn is_ambiguous(path: &str) -> bool {
    // Most paths have neither, and cost one look.
    memchr::memchr2(b'%', b';', path.as_bytes()).is_some()
        && (path.split('%').skip(1).any(is_separator) || path.split('/').any(is_hidden_dots))
}

/// Whether an escape, without its `%`, stands for what separates or ends names.
fn is_separator(escape: &str) -> bool {
    matches!(escape.get(..2), Some("2F" | "5C" | "00"))
}

fn is_hidden_dots(segment: &str) -> bool {
    let rest = segment.trim_start_matches('.');
    matches!(segment.len() - rest.len(), 1 | 2)
        && (rest.starts_with(';') || rest.starts_with("%3B"))
}

fn rewrite(path: &str) -> Result<String, InvalidPath> {
    let decoded = decode_unreserved(path)?;
    let mut out = String::with_capacity(decoded.len());
    let mut segments = decoded.split('/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        match segment {
            // An empty last segment is the trailing slash; others are merged.
            "" if !last => {}
            "." if !last => {}
            "." => out.push('/'),
            ".." => {
                out.truncate(out.rfind('/').unwrap_or(0));
                if last {
                    out.push('/');
                }
            }
            _ => {
                out.push('/');
                out.push_str(segment);
            }
        }
    }
    if out.is_empty() {
        out.push('/');
    }
    Ok(out)
}

fn decode_unreserved(path: &str) -> Result<String, InvalidPath> {
    let mut out = String::with_capacity(path.len());
    let mut rest = path;
    while let Some((before, after)) = rest.split_once('%') {
        out.push_str(before);
        let digits = after.get(..2).ok_or(InvalidPath)?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InvalidPath);
        }
        let byte = u8::from_str_radix(digits, 16).map_err(|_| InvalidPath)?;
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(digits.chars().map(|digit| digit.to_ascii_uppercase()));
        }
        rest = after.get(2..).unwrap_or_default();
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests;
