//! The style of the repository as a test: sizes, headers, directions of imports, left-over marks.
//!
//! Each check is a function over a file's path and text which answers with complaints, so that
//! `tidy/samples.rs` can prove on a bad sample that it is able to fail. This file walks the
//! repository and runs them all. What a compiler or clippy says already is left to them.

use std::fs;
use std::path::{Path, PathBuf};

mod code;
mod imports;
mod layout;
mod network;
mod samples;
mod source;

/// A check: the path from the top of the repository, with `/`, and the file's text.
type Check = fn(&str, &str) -> Vec<String>;

/// What holds for each file of Rust source.
const OF_SOURCE: &[(&str, Check)] = &[
    ("size", source::size),
    ("functions", source::functions),
    ("header", source::header),
    ("names", source::file_name),
    ("inline tests", source::inline_tests),
    ("allow", source::allow),
    ("left-over marks", source::marks),
    ("imports", imports::directions),
    ("network", network::panics),
    ("machine paths", layout::machine_paths),
];

/// What holds for every other text file.
const OF_TEXT: &[(&str, Check)] = &[
    ("size", source::script_size),
    ("left-over marks", source::marks),
    ("machine paths", layout::machine_paths),
];

#[test]
fn every_source_file_is_tidy() {
    let files = files_under(&["src", "tests", "benches", "fuzz/fuzz_targets"]);
    let sources: Vec<_> = files.iter().filter(|path| path.ends_with(".rs")).collect();
    assert!(sources.len() > 20, "the walk found only {} source files", sources.len());
    report(&complaints(sources, OF_SOURCE));
}

#[test]
fn every_script_and_page_is_tidy() {
    let mut files = files_under(&["benches", "docs", ".ci", "tests"]);
    files.extend(["README.md", "CHANGELOG.md", "install.sh", "Cargo.toml"].map(String::from));
    let texts: Vec<_> = files.iter().filter(|path| !path.ends_with(".rs")).collect();
    report(&complaints(texts, OF_TEXT));
}

#[test]
fn the_top_of_the_repository_holds_nothing_unforeseen() {
    let names: Vec<String> = entries(&top());
    let complaints: Vec<_> = names.iter().flat_map(|name| layout::top_level(name)).collect();
    report(&complaints);
}

fn complaints(paths: Vec<&String>, checks: &[(&str, Check)]) -> Vec<String> {
    let mut all = Vec::new();
    for path in paths {
        let text = fs::read_to_string(top().join(path)).expect("a file just listed is text");
        for (name, check) in checks {
            all.extend(
                check(path, &text).into_iter().map(|what| format!("{path}: {name}: {what}")),
            );
        }
    }
    all
}

#[track_caller]
fn report(complaints: &[String]) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

fn top() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file under these directories, as paths from the top, sorted.
fn files_under(directories: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for directory in directories {
        descend(Path::new(directory), &mut found);
    }
    found.sort();
    found
}

fn descend(directory: &Path, found: &mut Vec<String>) {
    for name in entries(&top().join(directory)) {
        let path = directory.join(&name);
        if top().join(&path).is_dir() {
            descend(&path, found);
        } else {
            found.push(path.to_str().expect("paths of the repository are UTF-8").to_owned());
        }
    }
}

fn entries(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries
        .map(|entry| entry.expect("a directory of the repository is readable").file_name())
        .map(|name| name.into_string().expect("names of the repository are UTF-8"))
        .collect()
}
