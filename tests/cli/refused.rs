//! A home directory that a control plane does not start in, and what is said to mend it.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;

use super::binary::{Run, command};

/// A home in which a mesh was installed and stopped.
fn home(dir: &Path) {
    for words in [&["install"][..], &["uninstall", "--yes"]] {
        let run = command(dir).args(words).output().expect("the binary runs");
        assert!(run.status.success(), "{run:?}");
    }
}

/// Starts a control plane that is expected not to.
fn start(dir: &Path) -> Run {
    let run = command(dir).args(["control-plane", "run"]).output().expect("the binary runs");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let code = run.status.code().expect("not killed");
    Run { stdout: text(run.stdout), stderr: text(run.stderr), code }
}

#[track_caller]
fn refused(dir: &Path, words: &[&str]) {
    let run = start(dir);
    assert_eq!(run.code, 1, "{run:?}");
    assert!(words.iter().all(|words| run.stderr.contains(words)), "{words:?}: {run:?}");
}

#[test]
fn what_others_could_read_or_have_put_there_is_refused_with_the_remedy() {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().join("home");
    home(&dir);
    let mode = |path: &Path, mode| fs::set_permissions(path, Permissions::from_mode(mode));
    mode(&dir, 0o777).expect("ours");
    refused(&dir, &["has mode 0777", "run `chmod 700 "]);
    mode(&dir, 0o700).expect("ours");

    let key = dir.join("ca/root.key");
    mode(&key, 0o644).expect("ours");
    refused(&dir, &["root.key", "has mode 0644", "chmod 600 "]);
    mode(&key, 0o600).expect("ours");

    let aside = dir.join("elsewhere");
    fs::rename(&key, &aside).and_then(|()| symlink(&aside, &key)).expect("ours");
    refused(&dir, &["root.key", "is a symbolic link"]);
    fs::remove_file(&key).and_then(|()| fs::rename(&aside, &key)).expect("ours");

    rustix::fs::chown(&dir, Some(rustix::process::Uid::from_raw(1_001)), None).expect("as root");
    refused(&dir, &["belongs to user 1001", "run as that user"]);
    rustix::fs::chown(&dir, Some(rustix::process::getuid()), None).expect("as root");

    fs::write(dir.join("joins.json"), "nothing of ours").expect("ours");
    mode(&dir.join("joins.json"), 0o600).expect("ours");
    refused(&dir, &["joins.json` is damaged", "remove it"]);
    fs::remove_file(dir.join("joins.json")).expect("ours");

    // With all of it mended it starts: the test is able to fail.
    let run = command(&dir).args(["install"]).output().expect("the binary runs");
    assert!(run.status.success(), "{run:?}");
    refused(&dir, &["another control plane (pid ", "stop it, or choose another"]);
    let run = command(&dir).args(["uninstall", "--purge", "--yes"]).output().expect("it runs");
    assert!(run.status.success(), "{run:?}");
}
