//! `install.sh` as a user runs it: into a temporary prefix, with a stand-in for the binary.
//!
//! The script is run from a copy of its own with made-up completions beside it, so that nothing is
//! built and nothing outside the temporary directory is looked at.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A checkout with a stand-in binary, and a prefix that does not exist yet.
struct Checkout {
    directory: tempfile::TempDir,
}

impl Checkout {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory can be made");
        let made = Self { directory };
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/install.sh");
        fs::create_dir_all(made.at("checkout/completions/man")).expect("the directory is ours");
        fs::copy(script, made.at("checkout/install.sh")).expect("install.sh is in the repository");
        for name in ["meshctl.bash", "_meshctl", "meshctl.fish", "_meshctl.ps1", "meshctl.elv"] {
            made.write(&format!("checkout/completions/{name}"), name);
        }
        made.write("checkout/completions/man/meshctl.1", ".TH meshctl 1");
        made.write("checkout/completions/man/meshctl-apply.1", ".TH meshctl-apply 1");
        made.write("binary", "#!/bin/sh\necho one\n");
        let executable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(made.at("binary"), executable).expect("the file is ours");
        made
    }

    fn at(&self, path: &str) -> PathBuf {
        self.directory.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.at(path), text).expect("the directory is ours");
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new("sh")
            .arg(self.at("checkout/install.sh"))
            .args(arguments)
            .current_dir(self.directory.path())
            .env("HOME", self.at("home"))
            .output()
            .expect("there is a POSIX shell")
    }

    #[track_caller]
    fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{output:?}");
        text
    }

    fn install(&self) -> String {
        self.run_well(&["--prefix", "prefix", "--binary", "binary"])
    }

    /// Every file and directory of the prefix, with content and time of change.
    fn prefix(&self) -> BTreeMap<PathBuf, (String, std::time::SystemTime)> {
        let mut found = BTreeMap::new();
        walk(&self.at("prefix"), &mut found);
        found
    }
}

fn walk(path: &Path, found: &mut BTreeMap<PathBuf, (String, std::time::SystemTime)>) {
    let Ok(metadata) = fs::symlink_metadata(path) else { return };
    let changed = metadata.modified().expect("this file system keeps times");
    if !metadata.is_dir() {
        let text = fs::read_to_string(path).expect("what is installed here is text");
        found.insert(path.to_owned(), (text, changed));
        return;
    }
    found.insert(path.to_owned(), (String::new(), changed));
    for entry in fs::read_dir(path).expect("the directory is ours") {
        walk(&entry.expect("the directory is ours").path(), found);
    }
}

#[test]
fn everything_lands_where_shells_and_man_look() {
    let checkout = Checkout::new();
    let said = checkout.install();
    for (path, text) in [
        ("bin/meshctl", "#!/bin/sh\necho one\n"),
        ("share/bash-completion/completions/meshctl", "meshctl.bash"),
        ("share/zsh/site-functions/_meshctl", "_meshctl"),
        ("share/fish/vendor_completions.d/meshctl.fish", "meshctl.fish"),
        ("share/meshctl/completions/_meshctl.ps1", "_meshctl.ps1"),
        ("share/meshctl/completions/meshctl.elv", "meshctl.elv"),
        ("share/man/man1/meshctl.1", ".TH meshctl 1"),
        ("share/man/man1/meshctl-apply.1", ".TH meshctl-apply 1"),
    ] {
        let target = checkout.at("prefix").join(path);
        assert_eq!(fs::read_to_string(&target).expect("it was installed"), text, "{path}");
        assert!(said.contains(path), "{path} is not named in: {said}");
    }
    let mode = fs::metadata(checkout.at("prefix/bin/meshctl")).expect("installed").permissions();
    assert_eq!(mode.mode() & 0o777, 0o755);
    assert!(said.contains("is not on PATH"), "{said}");
}

#[test]
fn a_second_run_changes_nothing_and_says_so() {
    let checkout = Checkout::new();
    checkout.install();
    let before = checkout.prefix();
    let said = checkout.install();
    assert!(said.contains("nothing changed"), "{said}");
    assert_eq!(before, checkout.prefix());
}

#[test]
fn uninstall_takes_away_exactly_what_was_put_there() {
    let checkout = Checkout::new();
    fs::create_dir_all(checkout.at("prefix/share/man/man1")).expect("the directory is ours");
    checkout.write("prefix/share/man/man1/other.1", "of somebody else");
    let names = |checkout: &Checkout| checkout.prefix().into_keys().collect::<Vec<_>>();
    let before = names(&checkout);
    checkout.install();
    checkout.run_well(&["--uninstall", "--prefix", "prefix"]);
    assert_eq!(before, names(&checkout));
    let said = checkout.run_well(&["--uninstall", "--prefix", "prefix"]);
    assert!(said.contains("nothing to uninstall"), "{said}");
}

#[test]
fn uninstall_leaves_nothing_of_a_prefix_that_it_made() {
    let checkout = Checkout::new();
    checkout.install();
    checkout.run_well(&["--uninstall", "--prefix=prefix"]);
    assert!(!checkout.at("prefix").exists());
}

#[test]
fn an_upgrade_replaces_what_changed_and_removes_what_is_gone() {
    let checkout = Checkout::new();
    checkout.install();
    checkout.write("binary", "#!/bin/sh\necho two\n");
    fs::remove_file(checkout.at("checkout/completions/man/meshctl-apply.1")).expect("it is there");
    let said = checkout.install();
    let text = fs::read_to_string(checkout.at("prefix/bin/meshctl")).expect("it was installed");
    assert_eq!(text, "#!/bin/sh\necho two\n");
    assert!(!checkout.at("prefix/share/man/man1/meshctl-apply.1").exists(), "{said}");
    checkout.run_well(&["--uninstall", "--prefix", "prefix"]);
    assert!(!checkout.at("prefix").exists());
}

/// Cut off after each file in turn, and taken away or done again.
#[test]
fn an_interrupted_upgrade_can_be_taken_away_and_finished() {
    for again in [false, true] {
        for at in ["bin/meshctl", "share/zsh/site-functions/_meshctl", "share/man/man1/meshctl.1"] {
            let checkout = Checkout::new();
            checkout.install();
            checkout.write("binary", "#!/bin/sh\necho two\n");
            checkout.write("checkout/completions/_meshctl", "_meshctl two");
            checkout.write("checkout/completions/man/meshctl.1", ".TH meshctl 2");
            // Where the next version of a file is to be written something is in the way.
            let blocked = checkout.at("prefix").join(format!("{at}.new"));
            fs::create_dir_all(blocked.join("a")).expect("the directory is ours");
            let output = checkout.run(&["--prefix", "prefix", "--binary", "binary"]);
            assert!(!output.status.success(), "{at}: {output:?}");
            fs::remove_dir_all(&blocked).expect("the directory is ours");
            if again {
                checkout.install();
                assert!(checkout.install().contains("nothing changed"), "{at}");
            }
            let said = checkout.run_well(&["--uninstall", "--prefix", "prefix"]);
            assert!(!said.contains("kept"), "{at}: {said}");
            assert!(!checkout.at("prefix").exists(), "{at}: {said}");
        }
    }
}

#[test]
fn what_is_no_longer_part_of_it_stays_where_it_was_changed() {
    let checkout = Checkout::new();
    checkout.install();
    let page = "prefix/share/man/man1/meshctl-apply.1";
    checkout.write(page, "with notes of mine");
    fs::remove_file(checkout.at("checkout/completions/man/meshctl-apply.1")).expect("it is there");
    let said = checkout.install();
    assert!(said.contains("kept") && checkout.at(page).exists(), "{said}");
}

#[test]
fn a_file_of_somebody_else_is_neither_overwritten_nor_removed() {
    let checkout = Checkout::new();
    fs::create_dir_all(checkout.at("prefix/bin")).expect("the directory is ours");
    checkout.write("prefix/bin/meshctl", "another product");
    let output = checkout.run(&["--prefix", "prefix", "--binary", "binary"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("already there") && said.contains("help: "), "{said}");
    assert!(!checkout.at("prefix/share").exists(), "something was installed");

    fs::remove_file(checkout.at("prefix/bin/meshctl")).expect("it is there");
    checkout.install();
    checkout.write("prefix/bin/meshctl", "put there by hand since");
    let said = checkout.run_well(&["--uninstall", "--prefix", "prefix"]);
    assert!(said.contains("kept"), "{said}");
    assert!(checkout.at("prefix/bin/meshctl").exists());
}

#[test]
fn the_default_prefix_is_in_the_home_directory() {
    let checkout = Checkout::new();
    checkout.run_well(&["--binary", "binary"]);
    assert!(checkout.at("home/.local/bin/meshctl").exists());
    checkout.run_well(&["--uninstall"]);
    assert!(!checkout.at("home/.local").exists());
}

#[test]
fn a_wrong_command_line_is_exit_2_and_a_missing_binary_exit_1() {
    let checkout = Checkout::new();
    for wrong in [&["--prefx", "a"][..], &["--prefix"], &["--uninstall", "--binary", "binary"]] {
        let output = checkout.run(wrong);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Usage:"), "{wrong:?}");
    }
    let output = checkout.run(&["--prefix", "prefix", "--binary", "nowhere"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(!checkout.at("prefix").exists());
}
