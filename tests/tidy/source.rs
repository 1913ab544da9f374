//! What holds for one file of source: its size, its header, its name, nothing left over.

use super::code;

const LONGEST_FILE: usize = 400;
const LONGEST_FUNCTION: usize = 70;

pub(super) fn size(_: &str, text: &str) -> Vec<String> {
    let lines = text.lines().count();
    let complaint = format!("{lines} lines, at most {LONGEST_FILE}");
    if lines > LONGEST_FILE { vec![complaint] } else { Vec::new() }
}

/// Scripts are held to the same size; pages of prose and configurations are not scripts.
pub(super) fn script_size(path: &str, text: &str) -> Vec<String> {
    if text.starts_with("#!") { size(path, text) } else { Vec::new() }
}

/// rustfmt puts the closing brace of a function below the column where the function begins.
pub(super) fn functions(_: &str, text: &str) -> Vec<String> {
    let begins = regex::Regex::new(
        r"^(\s*)(?:pub(?:\([a-z]+\))? )?(?:const )?(?:async )?(?:unsafe )?fn (\w+)",
    )
    .expect("the pattern is constant");
    let mut complaints = Vec::new();
    let mut open: Option<(usize, String, String)> = None;
    for (number, line) in text.lines().enumerate() {
        if let Some((start, end, name)) = &open
            && line == end
        {
            let lines = number - start + 1;
            if lines > LONGEST_FUNCTION {
                complaints.push(format!("`{name}` has {lines} lines, at most {LONGEST_FUNCTION}"));
            }
            open = None;
        }
        if let Some(found) = begins.captures(line)
            && open.is_none()
            && !line.ends_with('}')
            && !line.ends_with(';')
        {
            open = Some((number, format!("{}}}", &found[1]), found[2].to_owned()));
        }
    }
    complaints
}

/// The file opens with `//!` and at least one sentence that says what it is for.
pub(super) fn header(_: &str, text: &str) -> Vec<String> {
    let header: Vec<&str> =
        text.lines().map_while(|line| line.strip_prefix("//!")).map(str::trim).collect();
    let prose = header.join(" ");
    let words = prose.split_whitespace().filter(|word| word.len() > 1).count();
    let sentence = prose.contains(['.', ':', ';']);
    if header.is_empty() {
        vec!["does not open with `//!`".to_owned()]
    } else if words < 5 || !sentence {
        vec![format!("`{prose}` does not say what the file is for")]
    } else {
        Vec::new()
    }
}

pub(super) fn file_name(path: &str, _: &str) -> Vec<String> {
    const BANNED: &[&str] =
        &["mod", "util", "utils", "helper", "helpers", "common", "misc", "types", "manager"];
    path.trim_end_matches(".rs")
        .split('/')
        .filter(|part| BANNED.contains(part))
        .map(|part| format!("`{part}` says nothing about what is inside"))
        .collect()
}

pub(super) fn inline_tests(_: &str, text: &str) -> Vec<String> {
    places(text, r"\bmod tests?\s*\{", "tests belong into a file of their own")
}

pub(super) fn allow(_: &str, text: &str) -> Vec<String> {
    places(text, r"#!?\[allow\(", "use `#[expect(…, reason = \"…\")]`")
}

/// Marks of unfinished work, in code and in prose. Written so that this file does not match itself.
pub(super) fn marks(_: &str, text: &str) -> Vec<String> {
    let pattern = [r"\bTO", r"DO\b|\bFIX", r"ME\b|\bXX", r"X\b"].concat();
    let mark = regex::Regex::new(&pattern).expect("the pattern is constant");
    let prose = text.lines().enumerate().filter(|(_, line)| mark.is_match(line));
    let mut found: Vec<String> =
        prose.map(|(at, line)| format!("line {}: `{}`", at + 1, line.trim())).collect();
    found.extend(places(text, r"\b(todo|unimplemented|dbg)!", "unfinished"));
    found
}

/// Lines whose code, comments and literals left out, matches.
pub(super) fn places(text: &str, pattern: &str, why: &str) -> Vec<String> {
    let pattern = regex::Regex::new(pattern).expect("the pattern is constant");
    code::only(text)
        .lines()
        .zip(text.lines())
        .enumerate()
        .filter(|(_, (code, _))| pattern.is_match(code))
        .map(|(at, (_, line))| format!("line {}: `{}`: {why}", at + 1, line.trim()))
        .collect()
}
