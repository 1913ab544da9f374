//! YAML for people and for other programs. `kubectl` and many others read YAML 1.1, where plain words
//! such as `on` and `off` are booleans; those are quoted, which YAML 1.2 reads as the same texts.

use serde::Serialize;

#[cfg(test)]
mod tests;

/// The words of YAML 1.1 (<https://yaml.org/type/bool.html>) that YAML 1.2 takes for texts.
const BOOLEANS: &[&str] = &["y", "n", "yes", "no", "on", "off"];

/// A document, with its final line break.
///
/// # Errors
/// A value that YAML has no form for.
pub(crate) fn yaml(value: &impl Serialize) -> Result<String, serde_yaml::Error> {
    let written = serde_yaml::to_string(value)?;
    let mut text = String::with_capacity(written.len());
    // The indentation of the line that a block of text hangs from.
    let mut block: Option<usize> = None;
    for line in written.lines() {
        let indent = line.len() - line.trim_start().len();
        if block.is_some_and(|outer| line.trim().is_empty() || indent > outer) {
            text += line;
        } else {
            text += &quoted(line);
            let opens = line.rsplit([' ', '-', ':']).next().unwrap_or_default();
            let last = line.rsplit(' ').next().unwrap_or_default();
            let is_block =
                |word: &str| matches!(word.as_bytes(), [b'|' | b'>', ..]) && word.len() <= 3;
            block = (is_block(last) || is_block(opens)).then_some(indent);
        }
        text.push('\n');
    }
    Ok(text)
}

/// One line of a mapping or a sequence, its key and its value quoted where they need it.
fn quoted(line: &str) -> String {
    let mut start = line.len() - line.trim_start().len();
    while line.get(start..).is_some_and(|rest| rest.starts_with("- ")) {
        start += 2;
        start += line.get(start..).map_or(0, |rest| rest.len() - rest.trim_start().len());
    }
    let (before, rest) = line.split_at(start);
    if let Some(key) = rest.strip_suffix(':') {
        return format!("{before}{}:", word(key));
    }
    match rest.split_once(": ") {
        Some((key, value)) => format!("{before}{}: {}", word(key), word(value)),
        None => format!("{before}{}", word(rest)),
    }
}

fn word(text: &str) -> String {
    match BOOLEANS.iter().any(|one| text.eq_ignore_ascii_case(one)) {
        true => format!("'{text}'"),
        false => text.to_owned(),
    }
}
