//! Durations on the command line: a number and a unit, `500ms`, `60s`, `2m`, `1h`, or several of
//! them, `1m30s`. A bare number is refused with the unit that is probably meant.

use std::time::Duration;

#[cfg(test)]
mod tests;

/// The longest duration that is taken: a year.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// Parses a duration; for clap's `value_parser`.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit, write `{text}s` for seconds"));
    }
    let wrong = || format!("`{text}` is not a duration, write for example `500ms`, `30s` or `2m`");
    let mut rest = text;
    let mut sum = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        let part = number.checked_mul(millis).ok_or_else(wrong)?;
        sum = sum.checked_add(Duration::from_millis(part)).ok_or_else(wrong)?;
        rest = tail;
    }
    match sum {
        Duration::ZERO => Err(wrong()),
        sum if sum > LONGEST => Err(format!("`{text}` is longer than a year")),
        sum => Ok(sum),
    }
}
