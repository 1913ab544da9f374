//! Values with a syntax of their own: names, ports, weights, durations, percentages, headers,
//! regular expressions, paths.
//!
//! Each reader takes the place of the value, reports what is wrong with it there, and gives back
//! the value in the type that [`crate::mesh`] wants.

use std::fmt::{Display, Write as _};
use std::str::FromStr;
use std::time::Duration;

use crate::resource::path;
use crate::rules::at::At;
use crate::rules::codes::{self, Code};
use crate::rules::problems::{Problems, quoted};
use crate::rules::scalar::{self, Scalar};
use crate::rules::tree::Value;

mod pattern;
#[cfg(test)]
mod tests;

pub(super) use pattern::regex;

/// The largest number in a duration (GEP-2257).
const MAX_NUMBER: u128 = 99_999;
/// The least share of a fault, in percent: one call of a million.
const LEAST_PERCENT: f64 = 0.0001;

/// A name of any of the kinds of [`crate::names`].
pub(super) fn name<T: FromStr<Err: Display>>(
    at: &At<'_>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let text = at.text(problems)?;
    match text.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            at.error(problems, codes::BAD_NAME, error.to_string());
            None
        }
    }
}

/// A port: a whole number from 1 to 65535, not quoted.
pub(super) fn port(at: &At<'_>, problems: &mut Problems<'_>) -> Option<u16> {
    let number = whole(at, problems, codes::BAD_PORT, 1, 65_535)?;
    u16::try_from(number).ok()
}

/// A whole number from `least` to `most`, written in digits without quotes or leading zeros.
pub(super) fn whole(
    at: &At<'_>,
    problems: &mut Problems<'_>,
    code: &Code,
    least: u64,
    most: u64,
) -> Option<u64> {
    let number = match &at.node().value {
        Value::Plain(text) => scalar::whole(text),
        _ => None,
    };
    match number {
        Some(number) if (least..=most).contains(&number) => Some(number),
        _ => {
            let message =
                format!("expected a whole number from {least} to {most}, found {}", at.found());
            at.error(problems, code, message);
            None
        }
    }
}

/// A duration as the Gateway API writes it (GEP-2257): one to four of `NUMBER` and a unit of
/// `h`, `m`, `s`, `ms`, each number of at most five digits.
pub(super) fn duration(at: &At<'_>, problems: &mut Problems<'_>) -> Option<Duration> {
    let parsed = match &at.node().value {
        Value::Plain(text) | Value::Text(text) => parse_duration(text),
        _ => None,
    };
    if parsed.is_none() {
        let message = format!("expected a duration such as `10s`, found {}", at.found());
        at.error(problems, codes::BAD_DURATION, message);
    }
    parsed
}

/// A duration above zero and up to `most`.
pub(super) fn duration_within(
    at: &At<'_>,
    problems: &mut Problems<'_>,
    least: Duration,
    most: Duration,
) -> Option<Duration> {
    let value = duration(at, problems)?;
    if (least..=most).contains(&value) {
        return Some(value);
    }
    let message = format!(
        "expected a duration from {} to {}, found {}",
        show(least),
        show(most),
        show(value)
    );
    let help = "write one within the range";
    at.error_with(problems, codes::BAD_DURATION, message, help);
    None
}

/// A duration as rules write it, so that it can be read back.
pub(super) fn show(duration: Duration) -> String {
    let mut millis = duration.as_millis();
    let units = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
    let whole = |(_, size): &&(&str, u128)| millis >= *size && millis.is_multiple_of(*size);
    match units.iter().find(whole) {
        None => "0s".to_owned(),
        Some((unit, size)) if millis / size <= MAX_NUMBER => format!("{}{unit}", millis / size),
        Some(_) => {
            let mut text = String::new();
            for (unit, size) in units {
                if millis >= size {
                    // Writing to a `String` cannot fail.
                    let _ = write!(text, "{}{unit}", millis / size);
                    millis %= size;
                }
            }
            text
        }
    }
}

fn parse_duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut sum = Duration::ZERO;
    for part in 0.. {
        if rest.is_empty() {
            return (part > 0).then_some(sum);
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        if part == 4 || !(1..=5).contains(&digits) {
            return None;
        }
        let (number, unit) = rest.split_at_checked(digits)?;
        let number: u64 = number.parse().ok()?;
        let units = [("ms", 1), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        let (after, millis) =
            units.iter().find_map(|(name, ms)| unit.strip_prefix(name).map(|after| (after, ms)))?;
        sum += Duration::from_millis(number * millis);
        rest = after;
    }
    None
}

/// A percentage from `0%` to `100%` with up to four decimals, in parts per million.
pub(super) fn parts_per_million(at: &At<'_>, problems: &mut Problems<'_>) -> Option<u32> {
    let parsed = match &at.node().value {
        Value::Plain(text) | Value::Text(text) => parse_percent(text),
        _ => None,
    };
    if parsed.is_none() {
        let message = format!(
            "expected a percentage such as `1%` or `0.5%`, up to `100%` and four decimals, found {}",
            at.found()
        );
        at.error(problems, codes::BAD_PERCENT, message);
    }
    parsed
}

/// A percentage as a plain number, above 0 and up to 100, in parts per million.
pub(super) fn percent(at: &At<'_>, problems: &mut Problems<'_>) -> Option<u32> {
    let number = match &at.node().value {
        Value::Plain(text) => match scalar::resolve(text) {
            Scalar::Int(number) => u32::try_from(number).ok().map(f64::from),
            Scalar::Float(number) => Some(number),
            _ => None,
        },
        _ => None,
    };
    let number = number.filter(|number| (LEAST_PERCENT..=100.0).contains(number));
    if number.is_none() {
        let message = format!(
            "expected a number from {LEAST_PERCENT} to 100, without `%`, found {}",
            at.found()
        );
        let help = "write it like `10` or `0.5`";
        at.error_with(problems, codes::BAD_PERCENT, message, help);
    }
    // In range, so nothing is cut off but what is finer than a millionth.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    number.map(|number| (number * 10_000.0).round() as u32)
}

/// Whether a plain `true` stands here.
pub(super) fn is_true(at: &At<'_>) -> bool {
    matches!(&at.node().value, Value::Plain(text) if scalar::resolve(text) == Scalar::Bool(true))
}

fn parse_percent(text: &str) -> Option<u32> {
    let number = text.strip_suffix('%')?;
    let (units, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !digits(units) || !digits(decimals) || decimals.len() > 4 || units.len() > 3 {
        return None;
    }
    let units: u32 = units.parse().ok()?;
    let decimals: u32 = format!("{decimals:0<4}").parse().ok()?;
    Some(units * 10_000 + decimals).filter(|ppm| *ppm <= crate::resource::PARTS_PER_MILLION)
}

/// Parts per million as rules write them, `0.5%`.
pub(super) fn show_percent(ppm: u32) -> String {
    let (units, decimals) = (ppm / 10_000, format!("{:04}", ppm % 10_000));
    match decimals.trim_end_matches('0') {
        "" => format!("{units}%"),
        decimals => format!("{units}.{decimals}%"),
    }
}

/// A share in whole percent, from `least` to 100, in parts per million.
pub(super) fn whole_percent(at: &At<'_>, problems: &mut Problems<'_>, least: u64) -> Option<u32> {
    let percent = whole(at, problems, codes::BAD_NUMBER, least, 100)?;
    u32::try_from(percent * 10_000).ok()
}

/// A number from `least` to `most` with a fraction, in thousandths.
pub(super) fn thousandths(
    at: &At<'_>,
    problems: &mut Problems<'_>,
    least: f64,
    most: f64,
) -> Option<u32> {
    let number = match &at.node().value {
        Value::Plain(text) => match scalar::resolve(text) {
            Scalar::Int(_) | Scalar::Float(_) => text.parse::<f64>().ok(),
            _ => None,
        },
        _ => None,
    };
    match number.filter(|number| (least..=most).contains(number)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "in range")]
        Some(number) => Some((number * 1_000.0).round() as u32),
        None => {
            let message = format!("expected a number from {least} to {most}, found {}", at.found());
            at.error_with(problems, codes::BAD_NUMBER, message, "write it like `1.9`");
            None
        }
    }
}

/// A size of up to 1 MiB: a whole number of `KiB` or `MiB`.
pub(super) fn size(at: &At<'_>, problems: &mut Problems<'_>) -> Option<u32> {
    let parsed = match &at.node().value {
        Value::Plain(text) | Value::Text(text) => parse_size(text),
        _ => None,
    };
    if parsed.is_none() {
        let message =
            format!("expected a size such as `64KiB`, up to `1MiB`, found {}", at.found());
        at.error(problems, codes::BAD_SIZE, message);
    }
    parsed
}

fn parse_size(text: &str) -> Option<u32> {
    let units = [("KiB", 1_u64 << 10), ("MiB", 1 << 20)];
    let (number, unit) =
        units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let bytes = scalar::whole(number)?.checked_mul(unit)?;
    u32::try_from(bytes).ok().filter(|bytes| *bytes <= 1 << 20)
}

/// A size as rules write it, which is whole.
pub(super) fn show_size(bytes: u32) -> String {
    match bytes {
        0 => "0KiB".to_owned(),
        bytes if bytes.is_multiple_of(1 << 20) => format!("{}MiB", bytes >> 20),
        bytes => format!("{}KiB", bytes >> 10),
    }
}

/// A field that is either `true` or not there.
pub(super) fn set(at: &At<'_>, problems: &mut Problems<'_>) -> Option<()> {
    let plain = is_true(at);
    if !plain {
        let message = format!("expected `true`, found {}", at.found());
        at.error_with(problems, codes::WRONG_TYPE, message, "leave the field out for no");
    }
    plain.then_some(())
}

/// The name of a header field: a token (RFC 9110 §5.1), in lower case.
pub(super) fn header_name(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, 256)?;
    if text.bytes().all(is_token) {
        return Some(text.to_ascii_lowercase());
    }
    let message = format!("{} is not a header name: it must be a token (RFC 9110)", quoted(text));
    at.error(problems, codes::BAD_HEADER, message);
    None
}

/// Whether a token may have it (RFC 9110 §5.6.2).
pub(super) fn is_token(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b)
}

/// The value of a header field to send: visible characters, spaces and tabs inside.
pub(super) fn header_value(at: &At<'_>, problems: &mut Problems<'_>) -> Option<String> {
    let text = at.bounded_text(problems, 1, 4_096)?;
    let inside = text.bytes().all(|b| b == b'\t' || (b >= 0x20 && b != 0x7f));
    if inside && text.trim_matches([' ', '\t']) == text {
        return Some(text.to_owned());
    }
    let message = format!(
        "{} is not a header value: control characters, or spaces at its ends",
        quoted(text)
    );
    at.error(problems, codes::BAD_HEADER, message);
    None
}

/// A path to match, as the Gateway API allows it; it comes back as written.
pub(super) fn path<'a>(at: &At<'a>, problems: &mut Problems<'_>) -> Option<&'a str> {
    let text = at.bounded_text(problems, 1, 1_024)?;
    let Some(why) = path_fault(text) else { return Some(text) };
    at.error(problems, codes::BAD_PATH, format!("the path {} {why}", quoted(text)));
    None
}

/// Why no request has this path where rules look at paths, as the proxy itself judges.
fn path_fault(text: &str) -> Option<String> {
    const ALLOWED: &[u8] = b"/-._~%!$&'()*+,;=:@";
    if !text.starts_with('/') {
        return Some("does not begin with `/`".to_owned());
    }
    if text.contains('\\') {
        return Some("has `\\` in it: requests with it are refused".to_owned());
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && !is_in(*c, ALLOWED)) {
        return Some(format!("has {} in it: percent-encode it", quoted(&c.to_string())));
    }
    let Ok(requested) = path::normalize(text) else {
        return Some("has a `%` without two hexadecimal digits".to_owned());
    };
    if path::is_ambiguous(&requested) {
        let why =
            "can be read in two ways (`%2F`, `%5C`, `%00` or `..;`): requests with it are refused";
        return Some(why.to_owned());
    }
    // Only the case of escapes is no difference: the proxy compares with the canonical form.
    let same = requested.eq_ignore_ascii_case(text);
    (!same).then(|| format!("is never asked for: requests have {} instead", quoted(&requested)))
}

fn is_in(c: char, set: &[u8]) -> bool {
    u8::try_from(c).is_ok_and(|b| set.contains(&b))
}
