//! A mesh in the background of a test: a home directory of its own, purged when the test ends.

use std::time::{Duration, Instant};

use super::binary::{Run, meshctl_in};

/// A mesh that is installed, and purged when the test ends, however it ends.
pub(super) struct Mesh {
    dir: tempfile::TempDir,
}

impl Mesh {
    pub(super) fn install() -> Self {
        let mesh = Self { dir: tempfile::tempdir().expect("a directory") };
        let run = mesh.run("install");
        assert_eq!(run.code, 0, "{run:?}");
        assert!(run.stdout.starts_with("control plane installed, version "), "{run:?}");
        mesh
    }

    pub(super) fn run(&self, words: &str) -> Run {
        self.feed(words, "")
    }

    pub(super) fn feed(&self, words: &str, input: &str) -> Run {
        meshctl_in(self.dir.path(), &words.split(' ').collect::<Vec<_>>(), input)
    }

    pub(super) fn json(&self, words: &str) -> serde_json::Value {
        let run = self.run(words);
        assert_eq!((run.code, run.stderr.as_str()), (0, ""), "{run:?}");
        serde_json::from_str(&run.stdout).expect("JSON")
    }

    pub(super) fn home(&self) -> std::path::PathBuf {
        self.dir.path().join("home")
    }

    pub(super) fn pid(&self) -> i32 {
        let text = std::fs::read(self.home().join("control-plane.json")).expect("it runs");
        let running: serde_json::Value = serde_json::from_slice(&text).expect("JSON");
        i32::try_from(running["pid"].as_i64().expect("a number")).expect("an id")
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        meshctl_in(self.dir.path(), &["uninstall", "--purge", "--yes"], "");
    }
}

pub(super) fn eventually(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}
