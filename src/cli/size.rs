//! Sizes of memory on the command line: a number and a unit, `512KiB`, `256MiB`, `1GiB`, as
//! in rules. A bare number is refused.

#[cfg(test)]
mod tests;

/// The smallest that is taken: with less nothing runs.
const SMALLEST: u64 = 1 << 20;

/// Parses a size, into bytes; for clap's `value_parser`.
pub(crate) fn parse(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size, write for example `256MiB` or `1GiB`");
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(format!("`{text}` has no unit, write `{text}MiB` for mebibytes"));
    }
    let unit = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(unit);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let shift = match unit {
        "KiB" => 10,
        "MiB" => 20,
        "GiB" => 30,
        _ => return Err(wrong()),
    };
    let bytes = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    match bytes >= SMALLEST {
        true => Ok(bytes),
        false => Err(format!("`{text}` is less than 1MiB")),
    }
}
