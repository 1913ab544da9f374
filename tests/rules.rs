//! Golden tests of the rules: every file of `testdata/rules/ok` is without a problem, every file of
//! `testdata/rules/bad` has exactly the diagnostics that stand beside it in `*.txt`.
//!
//! Adding a case is adding a file; `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use meshctl::rules::{Document, Options, UnknownKinds, from_value, parse, read, render, resolved};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rules").join(name)
}

fn options() -> Options {
    let default_namespace = "default".parse().expect("a name");
    Options { default_namespace, unknown_kinds: UnknownKinds::Skip }
}

/// Every rules file of a directory, named as it lies there.
fn cases(name: &str) -> Vec<Document> {
    let documents = read(&[directory(name)], false, &mut io::empty()).expect("readable");
    assert!(documents.len() > 3, "the directory of cases is not empty");
    let short = |source: &str| {
        Path::new(source).file_name().expect("a file").to_string_lossy().into_owned()
    };
    documents.into_iter().map(|d| Document { source: short(&d.source), text: d.text }).collect()
}

#[test]
fn good_rules_have_no_problems() {
    for document in cases("ok") {
        let parsed = parse(std::slice::from_ref(&document), &options());
        assert_eq!(render(&parsed.diagnostics, &[document], false), "");
        assert!(!parsed.objects.is_empty());
    }
}

#[test]
fn good_rules_mean_the_same_when_read_back_from_the_store() {
    for document in cases("ok") {
        for object in parse(&[document], &options()).objects {
            let text = serde_json::to_string(&object.source).expect("JSON");
            let stored = serde_json::from_str(&text).expect("JSON");
            assert_eq!(from_value(&stored, 1, 0).as_ref(), Ok(&object.object));
        }
    }
}

#[test]
fn good_rules_mean_the_same_with_their_defaults_written_out() {
    for document in cases("ok") {
        for object in parse(&[document], &options()).objects {
            let full = resolved(&object.source, &object.object);
            assert_eq!(from_value(&full, 1, 0).as_ref(), Ok(&object.object), "{full:#}");
            assert_eq!(resolved(&full, &object.object), full, "nothing is left to fill in");
            assert_eq!(full["metadata"], object.source["metadata"]);
        }
    }
}

#[test]
fn bad_rules_have_the_expected_diagnostics() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    for document in cases("bad") {
        let golden = directory("bad").join(&document.source).with_extension("txt");
        let parsed = parse(std::slice::from_ref(&document), &options());
        assert!(parsed.has_errors(), "{} has no error", document.source);
        let found = render(&parsed.diagnostics, &[document], false) + "\n";
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
