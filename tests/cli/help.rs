//! The help of every command, held against `testdata/cli/help`; `UPDATE_GOLDEN=1` rewrites it.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::binary::{Run, meshctl};

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/cli/help")
}

/// Every command, as words, found by walking the help itself.
fn commands() -> Vec<Vec<String>> {
    let mut found = Vec::new();
    let mut left = vec![Vec::new()];
    while let Some(words) = left.pop() {
        let help = help(&words);
        let list = help.stdout.split("\nCommands:\n").nth(1).unwrap_or_default();
        let names = list.lines().take_while(|line| line.starts_with("  "));
        let names = names.filter(|line| !line.starts_with("   "));
        for name in names.filter_map(|line| line.split_whitespace().next()) {
            if name != "help" {
                left.push([words.clone(), vec![name.to_owned()]].concat());
            }
        }
        found.push(words);
    }
    found
}

fn help(words: &[String]) -> Run {
    let words = words.iter().map(String::as_str).chain(["--help"]);
    meshctl(&words.collect::<Vec<_>>())
}

#[test]
fn every_command_has_the_help_that_was_agreed_on() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut wrong = Vec::new();
    let mut seen = BTreeSet::new();
    for words in commands() {
        let run = help(&words);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{words:?}");
        let name = [vec!["meshctl".to_owned()], words].concat().join("-") + ".txt";
        let path = golden().join(&name);
        if update {
            std::fs::write(&path, &run.stdout).expect("written");
        } else if std::fs::read_to_string(&path).unwrap_or_default() != run.stdout {
            wrong.push(name.clone());
        }
        seen.insert(name);
    }
    let kept = std::fs::read_dir(golden()).expect("a directory");
    let kept =
        kept.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned());
    wrong.extend(kept.filter(|name| !seen.contains(name)));
    assert!(wrong.is_empty(), "changed, see the difference with UPDATE_GOLDEN=1: {wrong:?}");
}

#[test]
fn every_command_shows_examples_that_start_with_itself() {
    for words in commands() {
        let run = help(&words);
        let line = [vec!["meshctl".to_owned()], words.clone()].concat().join(" ");
        let examples = run.stdout.split("\nExamples:\n").nth(1);
        let examples = examples.unwrap_or_else(|| panic!("`{line}` has no examples"));
        assert!(examples.contains(&line), "the examples of `{line}` do not use it: {examples}");
    }
}

#[test]
fn help_fits_a_hundred_columns() {
    for words in commands() {
        for line in help(&words).stdout.lines() {
            assert!(line.chars().count() <= 100, "{words:?}: {line}");
        }
    }
}
