//! Golden tests of injection as text: every file of `testdata/inject/plain` becomes the one of the
//! same name in `injected`, with what is said about it beside it, and goes back to the byte; every
//! file of `refused` gives exactly the diagnostics beside it.
//!
//! Adding a case is adding a file; `UPDATE_GOLDEN=1` writes the expectations anew.

use std::fs;
use std::path::{Path, PathBuf};

use meshctl::platform::kubernetes::inject::Settings;
use meshctl::platform::kubernetes::inject::text::{Direction, Filtered, filter};
use meshctl::rules::{Document, read, render};

fn directory(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/inject").join(name)
}

/// Settings that do not change with the version.
fn settings() -> Settings {
    let namespace = "meshctl-system".parse().expect("a name");
    Settings { version: "1.2.3".to_owned(), ..Settings::new("meshctl:1.2.3", namespace) }
}

/// Every manifest of a directory, named as it lies there.
fn cases(name: &str) -> Vec<Document> {
    let documents = read(&[directory(name)], false, &mut std::io::empty()).expect("readable");
    assert!(documents.len() > 3, "the directory of cases is not empty");
    let short = |source: &str| {
        Path::new(source).file_name().expect("a file").to_string_lossy().into_owned()
    };
    documents.into_iter().map(|d| Document { source: short(&d.source), text: d.text }).collect()
}

fn run(document: &Document, direction: Direction<'_>) -> Filtered {
    filter(std::slice::from_ref(document), "default", direction)
}

/// Compares with the golden file, or writes it.
fn golden(path: &Path, found: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(path, found).expect("writable");
    }
    let wanted = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(found, wanted, "{}: run with UPDATE_GOLDEN=1 and look at it", path.display());
}

fn problems(filtered: &Filtered, document: &Document) -> String {
    render(&filtered.diagnostics, std::slice::from_ref(document), false) + "\n"
}

#[test]
fn manifests_become_what_was_agreed_on_and_go_back_to_the_byte() {
    for document in cases("plain") {
        let filtered = run(&document, Direction::Inject(&settings()));
        assert!(!filtered.has_errors(), "{}", problems(&filtered, &document));
        let injected = Document { text: filtered.texts.concat(), ..document.clone() };
        let path = directory("injected").join(&document.source);
        golden(&path, &injected.text);
        let lines = filtered.workloads.iter().map(|it| {
            format!("{}: {} `{}/{}`: {}\n", it.line, it.kind, it.namespace, it.name, it.why)
        });
        let mut said: String = lines.collect();
        if !filtered.diagnostics.is_empty() {
            said = said + "\n" + &problems(&filtered, &document);
        }
        golden(&path.with_extension("txt"), &said);

        let back = run(&injected, Direction::Uninject);
        assert_eq!(back.texts.concat(), document.text, "{}", document.source);
        let again = run(&injected, Direction::Inject(&settings()));
        assert_eq!(again.texts.concat(), injected.text, "{}: idempotent", document.source);
    }
}

#[test]
fn what_cannot_be_injected_is_reported_with_its_place() {
    for document in cases("refused") {
        let filtered = run(&document, Direction::Inject(&settings()));
        assert!(filtered.has_errors(), "{} has no error", document.source);
        let path = directory("refused").join(&document.source).with_extension("txt");
        golden(&path, &problems(&filtered, &document));
    }
}

#[test]
fn text_without_a_sidecar_passes_uninject_untouched() {
    for document in cases("plain") {
        let filtered = run(&document, Direction::Uninject);
        assert_eq!(filtered.texts.concat(), document.text, "{}", document.source);
        assert!(filtered.workloads.iter().all(|workload| !workload.changed));
    }
}

#[test]
fn a_sidecar_goes_from_text_that_another_tool_has_written_anew() {
    for document in cases("plain").into_iter().filter(|it| it.source.ends_with(".json")) {
        let filtered = run(&document, Direction::Inject(&settings()));
        let injected: serde_json::Value =
            serde_json::from_str(&filtered.texts.concat()).expect("JSON stays JSON");
        let text = serde_yaml::to_string(&injected).expect("YAML");
        let anew = Document { source: document.source.clone(), text };
        let back = run(&anew, Direction::Uninject);
        assert!(!back.has_errors(), "{}", problems(&back, &anew));
        let bare: serde_json::Value = serde_yaml::from_str(&back.texts.concat()).expect("YAML");
        let wanted: serde_json::Value = serde_json::from_str(&document.text).expect("JSON");
        assert_eq!(bare, wanted, "{}", document.source);
    }
}
