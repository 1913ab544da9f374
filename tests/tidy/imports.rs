//! The directions of imports: which top module may use which, read from the text of `use` and paths.
//!
//! Unit tests (`tests.rs`) may reach further, because a rule's way through two modules is worth
//! testing beside either; nothing else may.

use super::code;

const EVERYTHING: &str = "*";

/// Who may use whom. A module that has no row may not exist.
const MAY_USE: &[(&str, &[&str])] = &[
    ("names", &[]),
    ("net", &[]),
    ("resource", &["names"]),
    ("mesh", &["names", "resource"]),
    ("rules", &["names", "mesh", "resource"]),
    ("compile", &["names", "mesh", "resource"]),
    ("xds", &["names", "net", "resource"]),
    ("certs", &["names", "net"]),
    ("telemetry", &["names", "net"]),
    ("platform", &["names", "rules", "mesh", "certs", "net"]),
    (
        "control",
        &[
            "names",
            "net",
            "resource",
            "mesh",
            "rules",
            "compile",
            "xds",
            "certs",
            "telemetry",
            "platform",
            "explain",
        ],
    ),
    ("proxy", &["names", "net", "resource", "xds", "certs", "telemetry"]),
    ("explain", &["names", "resource", "proxy", "telemetry"]),
    ("cli", &[EVERYTHING]),
];

pub(super) fn directions(path: &str, text: &str) -> Vec<String> {
    let Some(inside) = path.strip_prefix("src/").map(|path| path.trim_end_matches(".rs")) else {
        return Vec::new();
    };
    let module: Vec<&str> = inside.split('/').collect();
    let is_test = module.contains(&"tests");
    let code = code::only(text);
    let (Some(&own), false) = (module.first(), is_test) else { return Vec::new() };
    match own {
        "lib" => Vec::new(),
        "main" => used(&code, "meshctl", 0)
            .into_iter()
            .filter(|name| name != "cli")
            .map(|name| format!("`main` uses `{name}`, only `cli` is its business"))
            .collect(),
        own => {
            let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == own) else {
                return vec![format!("`{own}` has no row in the table of directions")];
            };
            used(&code, "crate", module.len())
                .into_iter()
                .filter(|name| MAY_USE.iter().any(|(known, _)| known == name))
                .filter(|name| name != own && !allowed.contains(&EVERYTHING))
                .filter(|name| !allowed.contains(&name.as_str()))
                .map(|name| format!("`{own}` may not use `{name}`"))
                .collect()
        }
    }
}

/// The top modules that `root::…` names, or enough `super::` to reach the top, `depth` levels up.
fn used(code: &str, root: &str, depth: usize) -> Vec<String> {
    let mut starts: Vec<String> = vec![format!("{root}::")];
    if depth > 0 {
        starts.push("super::".repeat(depth));
    }
    let mut names = Vec::new();
    for start in starts {
        for (at, _) in code.match_indices(&start) {
            let before = code.get(..at).and_then(|text| text.chars().last());
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            names.extend(heads(code.get(at + start.len()..).unwrap_or("")));
        }
    }
    names.sort();
    names.dedup();
    names
}

/// The first words of what follows `crate::`: one, or each of a group in braces.
fn heads(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut heads = vec![word(group)];
    let mut depth = 0usize;
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(word(group.get(at + 1..).unwrap_or(""))),
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> String {
    text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}
