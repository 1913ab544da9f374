//! The layout of the repository: what may stand at the top, and no path of anybody's machine.

/// What DESIGN's source layout names, and the files that tools look for at the top.
const TOP: &[&str] = &[
    "src",
    "completions",
    "testdata",
    "tests",
    "docs",
    "benches",
    "fuzz",
    "install.sh",
    "README.md",
    "LICENSE",
    "CHANGELOG.md",
    "Cargo.toml",
    "Cargo.lock",
    "Dockerfile",
    ".ci",
    ".cargo",
    ".gitignore",
    ".editorconfig",
    "clippy.toml",
    "rustfmt.toml",
];

/// What is never committed.
const IGNORED: &[&str] = &[".git", "target"];

pub(super) fn top_level(name: &str) -> Vec<String> {
    if TOP.contains(&name) || IGNORED.contains(&name) {
        return Vec::new();
    }
    vec![format!("`{name}` has no place at the top of the repository")]
}

/// Absolute paths that exist only where somebody worked. Written so that it does not match itself.
pub(super) fn machine_paths(_: &str, text: &str) -> Vec<String> {
    let pattern = [r"(^|[^\w.}/-])/(wo", r"rk|ro", r"ot|tmp/w", r"t)/"].concat();
    let pattern = regex::Regex::new(&pattern).expect("the pattern is constant");
    text.lines()
        .enumerate()
        .filter(|(_, line)| pattern.is_match(line))
        .map(|(at, line)| format!("line {}: `{}`", at + 1, line.trim()))
        .collect()
}
