//! What a scalar without quotes is, by the YAML 1.2 core schema (§10.3.2).
//!
//! Only the words of YAML 1.2: `on`, `no` and `12:30` are texts, never truth values or numbers of
//! base sixty. The fields' readers decide what they take of it.

/// A plain scalar, resolved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text,
}

impl Scalar {
    /// The noun for messages.
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "a truth value",
            Self::Int(_) => "a number",
            Self::Float(_) => "a fraction",
            Self::Text => "a text",
        }
    }
}

/// Resolves a plain scalar.
pub(crate) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        _ => {}
    }
    if !text.starts_with(|c: char| c.is_ascii_digit() || matches!(c, '+' | '-' | '.')) {
        return Scalar::Text;
    }
    number(text)
}

fn number(text: &str) -> Scalar {
    let radix = [("0o", 8), ("0x", 16)]
        .into_iter()
        .find_map(|(prefix, radix)| text.strip_prefix(prefix).map(|digits| (digits, radix)));
    if let Some((digits, radix)) = radix {
        let good = !digits.is_empty() && digits.chars().all(|c| c.is_digit(radix));
        return match (good, i64::from_str_radix(digits, radix)) {
            (true, Ok(value)) => Scalar::Int(value),
            _ => Scalar::Text,
        };
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return match text.parse() {
            Ok(value) => Scalar::Int(value),
            Err(_) => text.parse().map_or(Scalar::Text, Scalar::Float),
        };
    }
    // Rust also reads words such as `infinity`, which no plain number of YAML is spelt like.
    let figures = |b: u8| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-');
    match text.bytes().all(figures) {
        true => text.parse().map_or(Scalar::Text, Scalar::Float),
        false => Scalar::Text,
    }
}

/// A whole number as rules write it: decimal, without sign, leading zeros or underscores.
pub(super) fn whole(text: &str) -> Option<u64> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    match digits && (text.len() == 1 || !text.starts_with('0')) {
        true => text.parse().ok(),
        false => None,
    }
}
