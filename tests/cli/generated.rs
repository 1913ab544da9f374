//! What lies in `completions/` is what the binary prints; `UPDATE_GOLDEN=1` rewrites it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::binary::{command, meshctl};

const FILES: [(&str, &str); 5] = [
    ("bash", "meshctl.bash"),
    ("zsh", "_meshctl"),
    ("fish", "meshctl.fish"),
    ("powershell", "_meshctl.ps1"),
    ("elvish", "meshctl.elv"),
];

fn committed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name)
}

fn update() -> bool {
    std::env::var_os("UPDATE_GOLDEN").is_some()
}

#[test]
fn completions_are_fresh() {
    for (shell, file) in FILES {
        let run = meshctl(&["completions", shell]);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{shell}");
        if update() {
            std::fs::write(committed(file), &run.stdout).expect("written");
        }
        let kept = std::fs::read_to_string(committed(file)).unwrap_or_default();
        assert_eq!(kept, run.stdout, "`completions/{file}` is stale, run with UPDATE_GOLDEN=1");
    }
}

fn files(dir: &Path) -> BTreeMap<String, String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten();
    entries
        .map(|entry| entry.expect("an entry"))
        .map(|entry| {
            let text = std::fs::read_to_string(entry.path()).expect("text");
            (entry.file_name().to_string_lossy().into_owned(), text)
        })
        .collect()
}

#[test]
fn manual_pages_are_fresh() {
    let dir = tempfile::tempdir().expect("a directory");
    let output = command(dir.path()).args(["man", "--dir"]).arg(dir.path()).output().expect("runs");
    assert!(output.status.success(), "{output:?}");
    let made = files(dir.path());
    assert!(made.contains_key("meshctl-proxy-run.1"), "{:?}", made.keys());
    if update() {
        let _ = std::fs::remove_dir_all(committed("man"));
        std::fs::create_dir(committed("man")).expect("a directory");
        for (name, text) in &made {
            std::fs::write(committed("man").join(name), text).expect("written");
        }
    }
    let kept = files(&committed("man"));
    assert!(made == kept, "`completions/man` is stale, run with UPDATE_GOLDEN=1");
}

/// What a shell is offered after these words, the last of them unfinished, without a mesh.
fn offered(words: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().expect("a directory");
    offered_in(dir.path(), words)
}

/// The same with the mesh of a home directory.
pub(super) fn offered_in(home: &Path, words: &[&str]) -> Vec<String> {
    let mut asked: Command = command(home);
    asked.env("MESHCTL_COMPLETE", "bash").env("_CLAP_COMPLETE_INDEX", words.len().to_string());
    asked.env("_CLAP_IFS", "\n").env("_CLAP_COMPLETE_COMP_TYPE", "9");
    let output = asked.args(["--", "meshctl"]).args(words).output().expect("runs");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().map(str::to_owned).collect()
}

#[test]
fn words_complete_without_a_control_plane_and_without_a_word_on_stderr() {
    assert_eq!(offered(&["ap"]), ["apply"]);
    assert_eq!(offered(&["status", "--ed"]), ["--edges"]);
    assert!(offered(&["get", ""]).contains(&"httproute".to_owned()));
    assert_eq!(offered(&["describe", "service", "rev"]), [""; 0]);
}

#[test]
fn a_shell_that_nobody_knows_is_answered_by_silence() {
    let dir = tempfile::tempdir().expect("a directory");
    let run = command(dir.path()).env("MESHCTL_COMPLETE", "tcsh").output().expect("runs");
    assert_eq!((run.status.code(), run.stdout.len(), run.stderr.len()), (Some(0), 0, 0));
}
