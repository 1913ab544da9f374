//! No panic on what came from the network: in the modules that read it, as far as text can tell.
//!
//! `expect` is allowed with a reason of at least three words, because it then states an invariant
//! that can be judged; indexing where a comment on its line or above says `in bounds:` and why.

use super::source::places;

/// The modules that read what others sent.
const FACING: &[&str] = &["proxy", "xds", "control", "certs"];

/// The files of these whose whole business is bytes of the peer: no indexing there.
const PARSERS: &[&str] = &["h1", "head", "detect", "codec", "csr"];

pub(super) fn panics(path: &str, text: &str) -> Vec<String> {
    let parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
    let facing = parts.first() == Some(&"src") && parts.get(1).is_some_and(|m| FACING.contains(m));
    if !facing || parts.contains(&"tests") {
        return Vec::new();
    }
    let mut found = places(text, r"\.unwrap\(\)", "handle it, or `expect` a proven invariant");
    found.extend(places(text, r"\bpanic!", "nothing from the network may panic"));
    found.extend(bare_expects(text));
    if parts.iter().any(|part| PARSERS.contains(part)) {
        found.extend(bare_indexing(text));
    }
    found
}

/// `.expect("…")` whose reason has fewer than three words.
fn bare_expects(text: &str) -> Vec<String> {
    let pattern = regex::Regex::new(r#"\.expect\(\s*"([^"]*)""#).expect("the pattern is constant");
    pattern
        .captures_iter(text)
        .filter(|found| found[1].split_whitespace().count() < 3)
        .map(|found| format!("`{}` gives no reason", &found[0]))
        .collect()
}

/// `name[…]` as an expression: attributes, macros and types never follow a word directly.
fn bare_indexing(text: &str) -> Vec<String> {
    let reasoned: Vec<bool> = text.lines().map(|line| line.contains("// in bounds:")).collect();
    places(text, r"[A-Za-z0-9_)\]]\[", "use `get`, or say `// in bounds: why`")
        .into_iter()
        .filter(|complaint| {
            let digits = complaint.trim_start_matches("line ").split(':').next();
            let at: usize = digits.and_then(|digits| digits.parse().ok()).unwrap_or(0);
            let said = |line: usize| reasoned.get(line).copied().unwrap_or(false);
            !(said(at.wrapping_sub(1)) || said(at.wrapping_sub(2)))
        })
        .collect()
}
