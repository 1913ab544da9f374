//! The rules in the documentation: every YAML document of every page is good, and free of warnings.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Case, directory};

/// The pages.
fn pages() -> Vec<PathBuf> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages = vec![top.join("README.md")];
    for directory in ["docs/guides", "docs/reference"] {
        let entries = fs::read_dir(top.join(directory)).expect("readable");
        pages.extend(entries.map(|entry| entry.expect("readable").path()));
    }
    pages.retain(|path| path.extension().is_some_and(|ending| ending == "md"));
    pages.sort();
    pages
}

/// What a page shows as YAML, and every state of the files of rules that its commands write.
fn documents(page: &str) -> Vec<String> {
    let block = regex::Regex::new(r"(?s)```yaml\n(.*?)```").expect("the pattern is constant");
    let file = r"(?s)cat (>>?) (\S+\.yaml) <<'EOF'\n(.*?\n)EOF\n";
    let file = regex::Regex::new(file).expect("the pattern is constant");
    let mut found: Vec<String> =
        block.captures_iter(page).map(|found| found[1].to_owned()).collect();
    let mut files: HashMap<String, String> = HashMap::new();
    for written in file.captures_iter(page) {
        let text = files.entry(written[2].to_owned()).or_default();
        if &written[1] == ">" {
            text.clear();
        }
        *text += &written[3];
        found.push(text.clone());
    }
    found
}

#[test]
fn examples_are_good_rules_without_a_warning() {
    let directory = tempfile::tempdir().expect("a temporary directory can be made");
    let mut seen = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).expect("a page is text");
        for (index, document) in documents(&text).into_iter().enumerate() {
            // Parts of a document, and files of other products, are no rules.
            if !document.contains("\nkind: ") {
                continue;
            }
            let path = directory.path().join("rules.yaml");
            fs::write(&path, &document).expect("it is ours");
            let parsed = Case::of(&path).parsed();
            assert_eq!(parsed.diagnostics, [], "{} {index}:\n{document}", page.display());
            seen += parsed.objects.len();
        }
    }
    assert!(seen > 5, "only {seen} examples were found");
}

#[test]
fn an_example_with_a_problem_is_found() {
    let page = "a\n```yaml\nkind: x\n```\n```sh\ncat > r.yaml <<'EOF'\nkind: y\nEOF\n\
                cat >> r.yaml <<'EOF'\nz: 1\nEOF\n```\n";
    assert_eq!(documents(page), ["kind: x\n", "kind: y\n", "kind: y\nz: 1\n"]);
    assert!(!Case::of(&directory("warn").join("times.yaml")).parsed().diagnostics.is_empty());
}
