//! Golden tests of the rules: every file of `testdata/rules/ok` is without a problem; every file of
//! `warn` and `bad` has exactly the diagnostics that stand beside it in `*.txt`, warnings alone or
//! errors too.
//!
//! Adding a case is adding a file; `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use meshctl::rules::{
    Diagnostic, Document, Options, Parsed, UnknownKinds, cross_check, from_value, parse, read,
    render, resolved,
};

mod examples;
mod schema;

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rules").join(name)
}

fn options() -> Options {
    let default_namespace = "default".parse().expect("a name");
    Options { default_namespace, unknown_kinds: UnknownKinds::Skip }
}

/// A file of rules: its name, and what could be read of it.
struct Case {
    name: String,
    documents: Vec<Document>,
    unread: Vec<Diagnostic>,
}

impl Case {
    fn of(path: &Path) -> Self {
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let (mut documents, mut unread) = match read(&[path.to_owned()], false, &mut io::empty()) {
            Ok(documents) => (documents, Vec::new()),
            Err(error) => (error.documents, error.diagnostics),
        };
        documents.iter_mut().for_each(|it| it.source.clone_from(&name));
        unread.iter_mut().for_each(|it| it.file.clone_from(&name));
        Self { name, documents, unread }
    }

    /// What is in it, with every problem; dates are held against 2026-11-01.
    fn parsed(&self) -> Parsed {
        let mut parsed = parse(&self.documents, &options());
        parsed.diagnostics.extend(self.unread.iter().cloned());
        let now: Timestamp = "2026-11-01T00:00:00Z".parse().expect("a time");
        parsed.diagnostics.extend(cross_check(&parsed.objects, None, now));
        parsed
    }
}

/// Every rules file of a directory.
fn cases(name: &str) -> Vec<Case> {
    let entries = fs::read_dir(directory(name)).expect("readable");
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    paths
        .retain(|path| path.extension().is_some_and(|ending| ending == "yaml" || ending == "json"));
    paths.sort();
    assert!(paths.len() > 3, "the directory of cases is not empty");
    paths.iter().map(|path| Case::of(path)).collect()
}

#[test]
fn good_rules_have_no_problems() {
    for case in cases("ok") {
        let parsed = case.parsed();
        assert_eq!(render(&parsed.diagnostics, &case.documents, false), "", "{}", case.name);
        assert!(!parsed.objects.is_empty());
    }
}

#[test]
fn good_rules_mean_the_same_when_read_back_from_the_store() {
    for case in cases("ok") {
        for object in case.parsed().objects {
            let text = serde_json::to_string(&object.source).expect("JSON");
            let stored = serde_json::from_str(&text).expect("JSON");
            assert_eq!(from_value(&stored, 1, 0).as_ref(), Ok(&object.object));
        }
    }
}

#[test]
fn good_rules_mean_the_same_with_their_defaults_written_out() {
    for case in cases("ok") {
        for object in case.parsed().objects {
            let full = resolved(&object.source, &object.object);
            assert_eq!(from_value(&full, 1, 0).as_ref(), Ok(&object.object), "{full:#}");
            assert_eq!(resolved(&full, &object.object), full, "nothing is left to fill in");
            assert_eq!(full["metadata"], object.source["metadata"]);
        }
    }
}

/// Compares what is said of every file of a directory with what stands beside it.
fn golden(name: &str, has_errors: bool) {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for case in cases(name) {
        let golden = directory(name).join(&case.name).with_extension("txt");
        let parsed = case.parsed();
        assert_eq!(parsed.has_errors(), has_errors, "{}", case.name);
        assert!(!parsed.diagnostics.is_empty(), "{} has no problem", case.name);
        let found = render(&parsed.diagnostics, &case.documents, false) + "\n";
        if update {
            fs::write(&golden, found).expect("writable");
            continue;
        }
        let expected = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(
            found,
            expected,
            "{}: run with UPDATE_GOLDEN=1 and look at it",
            golden.display()
        );
    }
}

#[test]
fn bad_rules_have_the_expected_diagnostics() {
    golden("bad", true);
}

#[test]
fn doubtful_rules_have_the_expected_warnings() {
    golden("warn", false);
}

/// Each warning that rules can have without a mesh is shown by a file, so that none is lost.
#[test]
fn every_warning_has_a_case() {
    let with_a_mesh = ["MC0414", "MC0415", "MC0416", "MC0417"];
    let found: Vec<String> =
        cases("warn").iter().flat_map(|case| case.parsed().diagnostics).map(|it| it.code).collect();
    for code in meshctl::rules::codes::ALL {
        let is_warning = ("MC0402".."MC0500").contains(&code.code) && code.code != "MC0404";
        if is_warning && !with_a_mesh.contains(&code.code) {
            assert!(found.iter().any(|it| it == code.code), "{} has no case", code.code);
        }
    }
}
